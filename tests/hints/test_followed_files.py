"""What is advised about files, disks, packages and the hub is done, and the trouble must be gone."""

import errno
import importlib.util
import json
import os
import re
import shlex
import shutil
import struct
import subprocess
import sys
from importlib import metadata
from pathlib import Path
from types import SimpleNamespace

import pytest
from hub import Hub
from test_followed_verbs import LEAD, type_in  # noqa: F401  (a fixture)

from runner import workflow
from runner.base.errors import UnfitError
from runner.data.rows.parsing import foreign
from runner.lint import disk_space, installed_tools
from runner.lint.loading import adapter_faults, model_faults
from runner.lint.read_adapter import CONFIG, WEIGHTS, read_adapter
from runner.plan.model import Plan
from runner.runs.runner import Run
from runner.system import machine
from runner.worker.watch_fuse import LEAST, _loss_text, share

SHAPE = {"rank": 8, "scale": 20.0, "dropout": 0.0}
ADAPTER = {"fine_tune_type": "lora", "num_layers": 1, "lora_parameters": SHAPE}


def renamed(config, old, new):
    return {new if key == old else key: value for key, value in config.items()}


def beside(name):
    return Path(sys.executable).parent / name


# -- adapters and models


def test_a_key_that_was_renamed_is_read():
    config = renamed(ADAPTER, "num_layers", "lora_layers")
    (fault,) = adapter_faults(config)
    old, new = re.findall(r"rename (\w+) to (\w+)", fault.hint)[0]
    assert list(adapter_faults(renamed(config, old, new))) == []


def test_a_scale_that_is_written_is_read():
    shape = {**renamed(SHAPE, "scale", "alpha"), "alpha": 16}
    (fault,) = adapter_faults({**ADAPTER, "lora_parameters": shape})
    key, above, below = re.findall(
        r"write (\w+): for a PEFT adapter it is (\w+) / (\w+)", fault.hint
    )[0]
    mended = {**shape, key: shape[above] / shape[below]}
    assert list(adapter_faults({**ADAPTER, "lora_parameters": mended})) == []


def test_a_quantization_that_is_written_is_read():
    config = {"model_type": "llama", "quantization_config": {"bits": 4}}
    (fault,) = model_faults(config)
    keys = re.findall(r"(\w+): …", fault.hint)
    mended = {**config, "quantization": dict(zip(keys, (64, 4), strict=True))}
    assert list(model_faults(mended)) == []


def weights(file):
    names = [f"model.layers.0.self_attn.q_proj.lora_{one}" for one in "ab"]
    shapes = [(16, 8), (8, 16)]
    head = {
        name: {"dtype": "F32", "shape": shape, "data_offsets": [512 * at, 512 * at + 512]}
        for at, (name, shape) in enumerate(zip(names, shapes, strict=True))
    }
    said = json.dumps(head).encode()
    file.write_bytes(struct.pack("<Q", len(said)) + said + b"\0" * 1024)


def test_a_configuration_that_is_put_beside_an_adapter_is_read(tmp_path):
    weights(tmp_path / WEIGHTS)
    found = read_adapter(str(tmp_path))
    (name,) = re.findall(r"put the (\S+) of its training next to it", found.way_out)
    (tmp_path / name).write_text(json.dumps(ADAPTER), encoding="utf-8")
    assert read_adapter(str(tmp_path)).unloadable == ""


def test_a_checkpoint_that_is_copied_to_a_folder_of_its_own_is_an_adapter(tmp_path):
    checkpoint = tmp_path / f"0000100_{WEIGHTS}"
    weights(checkpoint)
    (tmp_path / CONFIG).write_text(json.dumps(ADAPTER), encoding="utf-8")
    found = read_adapter(str(tmp_path))
    (name,) = re.findall(r"copy a checkpoint .* as (\S+) next to its", found.way_out)
    own = tmp_path / "own"
    own.mkdir()
    (own / name).write_bytes(checkpoint.read_bytes())
    (own / CONFIG).write_bytes((tmp_path / CONFIG).read_bytes())
    assert read_adapter(str(own)).unloadable == ""


# -- rows that are tables


@pytest.mark.parametrize(
    ("name", "head"), [("rows.parquet", b"PAR1"), ("rows.arrow", b"ARROW1\0\0")]
)
def test_a_table_is_written_as_rows(name, head, tmp_path, monkeypatch):
    """Its command is bash and Python whether pyarrow is here or not; where it is, it is run."""
    monkeypatch.chdir(tmp_path)
    command = foreign(head + bytes(100), name, "rows.jsonl").hint
    install, _, convert = command.partition(" && ")
    assert install == "python3 -m pip install pyarrow"
    words = shlex.split(convert)
    compile(words[2], "-c", "exec")
    assert words[3:] == [name, ">", "rows.jsonl"]
    pyarrow = pytest.importorskip("pyarrow")
    table = pyarrow.table({"text": ["a", "b"]})
    if name.endswith(".parquet"):
        pytest.importorskip("pyarrow.parquet").write_table(table, name)
    else:
        pytest.importorskip("pyarrow.feather").write_feather(table, name)
    subprocess.run(["bash", "-c", convert.replace("python3", sys.executable)], check=True)
    assert Path("rows.jsonl").read_text(encoding="utf-8") == '{"text": "a"}\n{"text": "b"}\n'


# -- disks


@pytest.mark.slow
def test_a_disk_that_is_full_lets_go_on_where_it_has_room(type_in, monkeypatch):  # noqa: F811
    act = Run.act

    def full(self, action, *more):
        if action.stage == "more":
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), "runs")
        return act(self, action, *more)

    monkeypatch.setattr(Run, "act", full)
    code, said = type_in("run-recipe two.yaml")
    assert code == 1, said
    (hint,) = (one for one in LEAD.findall(said) if "then resume" in one)
    assert hint == "free some space, then resume with --resume: finished stages are kept"
    monkeypatch.setattr(Run, "act", act)
    code, said = type_in("run-recipe two.yaml --resume")
    assert code == 0, said
    assert "mix: skipped: finished" in said


@pytest.mark.slow
def test_a_file_that_may_not_be_read_is_shown_by_the_command(type_in, monkeypatch):  # noqa: F811
    access = os.access
    monkeypatch.setattr(
        os, "access", lambda file, mode: "train" not in str(file) and access(file, mode)
    )
    code, said = type_in("run-recipe good.yaml")
    assert code == 5, said
    (command,) = re.findall(r"check its permissions: (ls .*)", said)
    code, shown = type_in(command)
    assert code == 0
    assert re.match(r"-[rwx-]{9}", shown)
    monkeypatch.setattr(os, "access", access)
    assert type_in("run-recipe good.yaml")[0] == 0


def test_a_disk_without_room_is_left_or_less_is_written(type_in, monkeypatch):  # noqa: F811
    recipe = """version: 1
stages:
  t:
    tool: mlx_lm.lora
    params: {train: true, model: m, data: a, iters: 100, save_every: %d, lora_parameters: {keys: null}}
"""
    Path("m").mkdir()
    Path("m/config.json").write_text('{"model_type": "llama", "num_hidden_layers": 1}', "utf-8")
    names = [f"model.layers.0.self_attn.{one}_proj.weight" for one in "qk"]
    head = {
        name: {"dtype": "F32", "shape": [16, 16], "data_offsets": [1024 * at, 1024 * at + 1024]}
        for at, name in enumerate(names)
    }
    said = json.dumps(head).encode()
    Path("m/model.safetensors").write_bytes(struct.pack("<Q", len(said)) + said + bytes(2048))

    def look(save_every, runs):
        Path("r.yaml").write_text(recipe % save_every, encoding="utf-8")
        loaded = workflow.load("r.yaml")
        plan = workflow.plan(workflow.compile_recipe(loaded), loaded)
        return disk_space.look(plan, ["t"], Path(runs))

    needed = 4 * 2 * 8 * 32  # of one adapter
    rooms = {"full": 3 * needed, "other": 10**9}
    monkeypatch.setattr(machine, "free_bytes", lambda place: rooms[Path(place).name])
    for name in rooms:
        Path(name).mkdir()
    with pytest.raises(UnfitError) as error:
        look(10, "full")
    assert error.value.hint == "free some space, choose another --runs, or raise save_every"
    look(10, "other")
    look(100, "full")
    rooms["full"] = 10**9
    look(10, "full")


# -- packages


def extras(distribution):
    if importlib.util.find_spec(distribution.replace("run-recipe", "runner")) is None:
        pytest.skip(f"needs {distribution}")
    return set(metadata.metadata(distribution).get_all("Provides-Extra") or ())


def test_the_packages_that_are_named_are_there_to_be_installed():
    """Whether pip would find them is for a machine with a network; what they are called is not."""
    assert {"cpu", "cuda"} <= extras("mlx") or "cuda" in " ".join(extras("mlx"))
    assert "test" in extras("run-recipe")
    wanted = [
        one
        for one in metadata.requires("run-recipe") or ()
        if "extra == 'test'" in one.replace('"', "'")
    ]
    assert any(one.startswith("syrupy") for one in wanted)
    assert metadata.packages_distributions()["huggingface_hub"][0] in {
        "huggingface_hub",
        "huggingface-hub",
    }


@pytest.mark.slow
def test_what_doctor_says_of_an_installation_can_be_asked(type_in, monkeypatch):  # noqa: F811
    pytest.importorskip("mlx_lm")
    problem = installed_tools._problem(
        None, "mlx_lm.lora", "no", Plan(name="r", file="r.yaml", stages=()), ran=True
    )
    (command,) = re.findall(r"run-recipe \w+", problem.hint)
    code, said = type_in(command)
    assert code in {0, 5}, said
    assert "catalogue" in said


# -- the hub


@pytest.fixture(scope="module")
def tiny(tmp_path_factory):
    """A tiny model, made once."""
    pytest.importorskip("transformers")
    from runner.tools.tiny_model import main

    place = tmp_path_factory.mktemp("tiny") / "m"
    main(["--path", str(place)])
    return place


@pytest.fixture
def at_the_hub(monkeypatch, tmp_path):
    """A hub on the loopback that this process and those it starts ask."""
    pytest.importorskip("huggingface_hub")
    for name in [one for one in os.environ if one.startswith(("HF_", "HUGGING_FACE"))]:
        monkeypatch.delenv(name)
    with Hub("hf_AbCdEfGhIjKlMnOpQrStUvWxYz012345") as hub:
        for name, value in {**hub.env(tmp_path / "home"), "HF_TOKEN": hub.token}.items():
            monkeypatch.setenv(name, value)
        yield hub


@pytest.mark.slow
def test_a_tokenizer_that_is_downloaded_writes_the_rows(tiny, at_the_hub, type_in):  # noqa: F811
    at_the_hub.repo("some/model", tiny)
    Path("c").mkdir()
    turns = [{"role": "user", "content": "q"}, {"role": "assistant", "content": "a"}]
    for split in ("train", "valid"):
        row = json.dumps({"messages": [{**turns[0], "content": split}, turns[1]]})
        Path(f"c/{split}.jsonl").write_text(f"{row}\n", encoding="utf-8")
    params = "model: some/model, data: c, train: true, iters: 1, batch_size: 1"
    stage = f"{{tool: mlx_lm.lora, params: {{{params}, num_layers: 1, lora_parameters: {{keys: null}}}}}}"
    Path("r.yaml").write_text(f"version: 1\nstages: {{t: {stage}}}\n", encoding="utf-8")
    _, said = type_in("run-recipe check r.yaml")
    (command,) = re.findall(r"get its tokenizer first: hf (.*)", said)
    code, told = type_in(f"{beside('hf')} {command}")
    assert code == 0, told
    code, said = type_in("run-recipe check r.yaml")
    assert "get its tokenizer first" not in said
    assert code == 0, said


@pytest.mark.slow
def test_what_is_published_is_used_as_its_card_says(tiny, at_the_hub, type_in):  # noqa: F811
    pytest.importorskip("mlx_lm")
    Path("adapter").mkdir()
    weights(Path("adapter", WEIGHTS))
    Path("adapter", CONFIG).write_text(json.dumps({**ADAPTER, "model": "some/model"}), "utf-8")
    for folder, repo in (("adapter", "some/adapter"), (str(tiny), "some/model")):
        publish = f"{sys.executable} -m runner hub publish --path {folder} --repo-id {repo} --license mit --out card"
        code, said = type_in(publish)
        assert code == 0, said
        (option,) = re.findall(r"dry run: nothing was uploaded; to upload, use (--\S+),", said)
        assert repo not in at_the_hub.repos
        code, said = type_in(f"{publish} {option}")
        assert code == 0, said
        (use,) = re.findall(
            r"## Use\n\n```sh\n(.*?)```", Path("card/README.md").read_text("utf-8"), re.DOTALL
        )
        for line in use.splitlines():
            program, *words = shlex.split(line)
            if program == "hf":
                code, said = type_in(f"{beside('hf')} {shlex.join(words)}")
                assert code == 0, said
                assert read_adapter(words[-1]).unloadable == ""
            else:
                parsed = subprocess.run(
                    [sys.executable, "-c", PARSE, *words],
                    capture_output=True,
                    text=True,
                    check=False,
                )
                assert parsed.returncode == 0, parsed.stderr
                assert json.loads(parsed.stdout)["model"] == "some/model"


PARSE = """import json
from mlx_lm.generate import setup_arg_parser
print(json.dumps(vars(setup_arg_parser().parse_args()), default=str))"""


@pytest.mark.slow
def test_a_system_prompt_that_is_written_into_the_prompts_is_taken(tiny, type_in):  # noqa: F811
    shutil.copytree(tiny, "m")
    config = Path("m/tokenizer_config.json")
    refuses = (
        "{% if messages[0].role == 'system' %}{{ raise_exception('System role not supported') }}"
        "{% endif %}{% for one in messages %}{{ one.content }}{% endfor %}"
    )
    held = json.loads(config.read_text(encoding="utf-8"))
    config.write_text(json.dumps({**held, "chat_template": refuses}), encoding="utf-8")

    def check(prompt, more):
        row = {"prompt": prompt, "rules": [{"contain": "a"}]}
        Path("prompts.jsonl").write_text(f"{json.dumps(row)}\n", encoding="utf-8")
        stage = f"{{tool: eval.score, params: {{model: m, prompts: prompts.jsonl{more}}}}}"
        Path("r.yaml").write_text(f"version: 1\nstages: {{s: {stage}}}\n", encoding="utf-8")
        return type_in("run-recipe check r.yaml")

    code, said = check("what?", ", system_prompt: be brief")
    assert code == 2, said
    assert "hint: remove system_prompt and write it into the prompts" in said
    code, said = check("be brief. what?", "")
    assert code == 0, said


# -- fusing


def test_a_base_in_float32_keeps_what_its_first_type_rounds_away():
    mx = pytest.importorskip("mlx.core")
    host = SimpleNamespace(params={"dequantize": True})
    (key, name) = re.findall(r"(\w+): (\w+) first", _loss_text(Path("f"), 0.0, 1e-4, 1e-2, host))[0]
    assert key == "dtype"

    def kept(dtype):
        mx.random.seed(1)
        base = mx.random.normal((256, 256)).astype(mx.bfloat16).astype(mx.float32)
        change = mx.random.normal((256, 256)) * 1e-5
        left = (base.astype(dtype) + change.astype(dtype)).astype(mx.float32) - base
        sums = [(change * change).sum(), (change * left).sum(), ((left - change) ** 2).sum()]
        return share(*(one.item() for one in sums), base.size)

    assert kept(mx.bfloat16) < LEAST <= kept(getattr(mx, name))
