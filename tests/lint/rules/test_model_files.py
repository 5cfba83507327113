"""A model's files: whatever is wrong with them is told exactly, and as mlx-lm takes it."""

import json
import shutil

import pytest
from cases import compiled, found, one, text

from runner.lint.loading import default_template
from runner.lint.read_facts import look
from runner.lint.read_model import read_model

GONE = object()
CONFIGS = {
    "whole": ({}, ""),
    "no model_type": ({"model_type": GONE}, "model_type is missing"),
    "model_type list": ({"model_type": ["llama"]}, "model_type is a list"),
    "another type": ({"model_type": "lama"}, "does not support model type 'lama'"),
    "a path as type": ({"model_type": "../utils"}, "does not support model type"),
    "no hidden_size": ({"hidden_size": GONE}, "hidden_size is missing"),
    "hidden_size text": ({"hidden_size": "64"}, "hidden_size is text"),
    "hidden_size float": ({"hidden_size": 64.0}, "hidden_size is 64.0"),
    "layers text": ({"num_hidden_layers": "4"}, "num_hidden_layers is text"),
    "quantization list": ({"quantization": [4]}, "quantization is a list"),
    "no bits": ({"quantization": {"group_size": 64}}, "bits is missing"),
    "bits text": ({"quantization": {"group_size": 64, "bits": "4"}}, ""),
    "no method": ({"quantization_config": {"bits": 4}}, "no quant_method"),
    "no older quantization": ({"quantization_config": {}}, ""),
}
RAW = {
    "cut off": (b'{"model_type": "llama",', "it is not JSON"),
    "byte order mark": (b"\xef\xbb\xbf{}", "byte order mark"),
    "list": (b"[]", "a list, not an object"),
    "deep": (b"[" * 100_000, "nested too deep"),
}


@pytest.fixture(scope="module")
def tiny(tmp_path_factory):
    pytest.importorskip("mlx.core")
    from runner.tools.tiny_model import build

    place = tmp_path_factory.mktemp("models") / "tiny"
    build(place)
    return place


@pytest.fixture
def model(tiny, tmp_path, monkeypatch):
    """A copy of a model that mlx-lm loads."""
    monkeypatch.chdir(tmp_path)
    shutil.copytree(tiny, "base")
    return tmp_path / "base"


def change(folder, said):
    config = json.loads((folder / "config.json").read_text())
    changed = {name: value for name, value in {**config, **said}.items() if value is not GONE}
    raw = said if isinstance(said, bytes) else json.dumps(changed).encode()
    (folder / "config.json").write_bytes(raw)


def rules():
    stages = one(model="base")
    return set(found(text(stages), look(compiled(text(stages)).plan)))


@pytest.mark.slow
@pytest.mark.parametrize("name", [*CONFIGS, *RAW])
def test_a_configuration_is_held_to_what_mlx_lm_takes(name, model):
    utils = pytest.importorskip("mlx_lm.utils")
    said, why = {**CONFIGS, **RAW}[name]
    if isinstance(said, bytes):
        (model / "config.json").write_bytes(said)
    else:
        change(model, said)
    seen = read_model("base", model)
    assert why in seen.unloadable
    assert bool(why) == bool(seen.unloadable) == ("model-not-loadable" in rules())
    try:
        utils.load_model(model)
    except (AttributeError, KeyError, TypeError, ValueError, RecursionError):
        assert why
    else:
        assert not why


@pytest.mark.slow
@pytest.mark.parametrize(
    ("break_it", "why"),
    [
        (lambda m: (m / "config.json").unlink(), "it has no config.json"),
        (lambda m: (m / "model.safetensors").unlink(), "it has no weights"),
        (lambda m: (m / "model.safetensors").write_bytes(b"x" * 99), "not a safetensors file"),
        (
            lambda m: (m / "model.safetensors").write_bytes(
                (m / "model.safetensors").read_bytes()[:-9]
            ),
            "it is truncated",
        ),
        (
            lambda m: (m / "model.safetensors.index.json").write_text(
                json.dumps({"weight_map": {"a": "model-00002-of-00002.safetensors"}})
            ),
            "it has no model-00002-of-00002.safetensors, which its index lists",
        ),
        (
            lambda m: [(m / name).unlink() for name in ("tokenizer.json", "tokenizer_config.json")],
            "it has no tokenizer",
        ),
    ],
)
def test_what_is_wrong_with_the_other_files_is_told(break_it, why, model):
    break_it(model)
    assert why in read_model("base", model).unloadable
    assert "model-not-loadable" in rules()


@pytest.mark.slow
def test_a_file_of_a_model_is_no_model(model):
    stages = one(model="base/model.safetensors")
    known = look(compiled(text(stages)).plan)
    seen = known.models["base/model.safetensors"]
    assert (seen.unloadable, seen.way_out) == (
        "it is a file, but mlx-lm reads a folder",
        "write base",
    )
    assert "model-not-loadable" in found(text(stages), known)


# the chat template

TEMPLATE = "{% for m in messages %}{{ m.content }}{% endfor %}"
NAMED = [{"name": "tool_use", "template": TEMPLATE}]
TEMPLATES = {
    "none": ({}, {}, False),
    "text": ({"chat_template": TEMPLATE}, {}, True),
    "a list with a default": (
        {"chat_template": [*NAMED, {"name": "default", "template": TEMPLATE}]},
        {},
        True,
    ),
    "a list without a default": ({"chat_template": NAMED}, {}, False),
    "a file": ({}, {"chat_template.jinja": TEMPLATE}, True),
    "a file of a processor": ({}, {"chat_template.json": {"chat_template": TEMPLATE}}, False),
    "a processor's file beside a text": (
        {"chat_template": TEMPLATE},
        {"chat_template.json": {"chat_template": TEMPLATE}},
        True,
    ),
    "another file": ({}, {"additional_chat_templates/tool_use.jinja": TEMPLATE}, False),
    "another file beside a text": (
        {"chat_template": TEMPLATE},
        {"additional_chat_templates/tool_use.jinja": TEMPLATE},
        False,
    ),
    "two files": (
        {},
        {"chat_template.jinja": TEMPLATE, "additional_chat_templates/rag.jinja": TEMPLATE},
        True,
    ),
}


@pytest.mark.slow
@pytest.mark.parametrize("name", TEMPLATES)
def test_a_chat_template_is_there_where_the_tokenizer_takes_one(name, model):
    transformers = pytest.importorskip("transformers")
    config, files, there = TEMPLATES[name]
    place = model / "tokenizer_config.json"
    said = {**json.loads(place.read_text()), **config}
    if "chat_template" not in config:
        del said["chat_template"]
    place.write_text(json.dumps(said))
    for file, content in files.items():
        (model / file).parent.mkdir(exist_ok=True)
        (model / file).write_text(content if isinstance(content, str) else json.dumps(content))
    seen = read_model("base", model)
    assert seen.chat_template is there
    assert bool(seen.no_template) is not there
    tokenizer = transformers.AutoTokenizer.from_pretrained(model)
    rows = [{"role": "user", "content": "a"}]
    if there:
        assert tokenizer.apply_chat_template(rows, tokenize=False)
    else:
        with pytest.raises(ValueError, match="chat template"):
            tokenizer.apply_chat_template(rows, tokenize=False)


def test_what_a_tokenizer_of_its_own_code_has_is_not_known():
    assert default_template({"auto_map": {}}, ()) == (None, "")
    assert default_template({"chat_template": ""}, ()) == (False, "its chat template is empty")
    assert default_template({"chat_template_type": "x"}, ()) == (True, "")
