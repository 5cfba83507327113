"""The catalogue and the installed release agree, both ways, on every flag, default and choice."""

import copy
import importlib.util
import json
import os
import subprocess
import sys
from typing import Any

import pytest

from runner.catalog import load
from runner.catalog.drift import Drift, compare
from runner.catalog.tools import Tool, complete, resolve

Json = dict[str, Any]
NAMES = load.installed_catalog().names
TYPES = {"integer": "int", "number": "float", "boolean": "bool", "string": "str", "object": "str"}


def tool(name: str) -> Tool:
    found = load.installed_catalog().get(name)
    assert found is not None
    return found


@pytest.fixture(scope="module")
def installed(tmp_path_factory: pytest.TempPathFactory) -> Json:
    """Everything the installed releases take, asked in another process (T25)."""
    if importlib.util.find_spec("mlx_lm") is None:  # not imported here: it changes the process
        pytest.skip("needs mlx_lm")
    environ = dict(os.environ)
    if importlib.util.find_spec("lm_eval") is None:  # an extra; the parser needs no more than this
        stub = tmp_path_factory.mktemp("stub")
        api = stub / "lm_eval" / "api"
        api.mkdir(parents=True)
        for file in (api.parent / "__init__.py", api / "__init__.py"):
            file.touch()
        (api / "model.py").write_text("class LM: pass\n")
        (api / "registry.py").write_text("def register_model(*_): return lambda one: one\n")
        environ["PYTHONPATH"] = os.pathsep.join(
            [str(stub), *filter(None, [environ.get("PYTHONPATH")])]
        )
    words = [sys.executable, "-m", "runner.worker.introspect"]
    done = subprocess.run(words, capture_output=True, text=True, env=environ, check=False)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


@pytest.mark.slow
@pytest.mark.parametrize("name", NAMES)
def test_the_installed_release_takes_what_the_catalogue_says(name, installed):
    seen = installed[name]
    assert "unavailable" not in seen, seen
    assert [str(found) for found in compare(tool(name), seen)] == []


@pytest.mark.slow
def test_a_tool_that_cannot_be_imported_says_why(installed):
    script = "import sys; sys.modules['mlx_lm'] = None; from runner.worker import introspect as i; i.main(['mlx_lm.fuse'])"
    done = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, check=True
    )
    assert "mlx_lm" in json.loads(done.stdout)["mlx_lm.fuse"]["unavailable"]


@pytest.mark.slow
@pytest.mark.parametrize("name", NAMES)
def test_the_mirror_below_is_true_to_the_release(name, installed):
    """The fast tests change a mirror of the catalogue; it has the very shape of what is captured."""
    seen, made = installed[name], mirror(tool(name))
    assert made.keys() == seen.keys()
    assert {said["dest"] for said in made["flags"].values()} <= {
        said["dest"] for said in seen["flags"].values()
    }
    for part in ("optimizers", "schedules", "reads"):
        assert made.get(part, {}).keys() <= seen.get(part, {}).keys()


def mirror(one: Tool) -> Json:
    """Return what a release would show that takes exactly what the catalogue says."""
    seen: Json = {
        "flags": {p.flag: flag(one, p) for p in one.parameters.values() if p.emit != "config"}
    }
    if not one.loops:
        return seen if one.config_flag is None else {**seen, "config": {}}
    properties = one.schema["properties"]
    optimizers = properties["optimizer_config"]["properties"]
    schedule = properties["lr_schedule"]
    seen["config"] = {
        **one.defaults,
        "optimizer_config": {name: {} for name in optimizers},
        "lora_parameters": {"rank": 8, "scale": 20.0, "dropout": 0.0},
    }
    parts = ("hf_dataset", "lora_parameters", "lr_schedule")
    seen["reads"] = {
        part: keys(resolve(properties[part], one.schema), one.schema) for part in parts
    } | {"": {}}
    seen["optimizers"] = {name: keys(shape, one.schema) for name, shape in optimizers.items()}
    seen["schedules"] = {
        rule["if"]["properties"]["name"]["const"]: {
            place["title"]: {"required": "default" not in place, "default": place.get("default")}
            for place in rule["then"]["properties"]["arguments"]["prefixItems"]
        }
        for rule in schedule["allOf"]
    }
    return seen


def flag(one: Tool, parameter: Any) -> Json:
    action = {
        "switch": "store_true",
        "pair": "pair",
        "repeat": "append",
        "positional": "positional",
    }
    kinds = parameter.schema["type"]
    kind = kinds if isinstance(kinds, str) else kinds[0]
    bare = parameter.emit == "positional"
    several = "+" if parameter.emit == "list" else "*" if bare and kind == "array" else None
    choices = [choice for choice in parameter.schema.get("enum", ()) if choice is not None]
    return {
        "flags": [] if bare else [word for word in (parameter.flag, parameter.off) if word],
        "dest": parameter.name,
        "type": TYPES.get(kind, "str"),
        "default": parameter.default,
        "choices": choices or None,
        "nargs": 0 if parameter.emit == "switch" else several,
        "required": "default" not in parameter.schema
        and parameter.name in one.schema.get("required", ()),
        "action": action.get(parameter.emit, "store"),
    }


def keys(shape: Json, root: Json) -> Json:
    defaults = complete(shape, {}, root)
    return {
        name: {"required": name in shape.get("required", ()), "default": defaults.get(name)}
        for name in shape["properties"]
    }


def changed(name: str, change: Any) -> list[str]:
    """Return what is told of a release that differs from the catalogue in one thing."""
    seen = copy.deepcopy(mirror(tool(name)))
    assert compare(tool(name), seen) == []
    change(seen)
    return [str(found) for found in compare(tool(name), seen)]


def renamed(seen: Json) -> None:
    said = seen["flags"].pop("--seed")
    seen["flags"]["--random-seed"] = {**said, "flags": ["--random-seed"], "dest": "random_seed"}


def test_a_renamed_flag_is_told_both_ways():
    assert changed("mlx_lm.lora", renamed)[:2] == [
        "mlx_lm.lora seed: there is --seed in the catalogue, none in the installed release",
        "mlx_lm.lora random_seed: there is none in the catalogue, --random-seed in the installed release",
    ]


def at(*path: str, to: Any) -> Any:
    """Return a change of one value in what was captured."""

    def change(seen: Json) -> None:
        for step in path[:-1]:
            seen = seen[step]
        seen[path[-1]] = to

    return change


NEW = {"required": False, "default": 0.0}


@pytest.mark.parametrize(
    "name, change, told",
    [
        (
            "mlx_lm.fuse",
            at("flags", "--save-path", "default", to="out"),
            "save_path: its default is 'fused_model'",
        ),
        (
            "mlx_lm.lora",
            at("flags", "--clear-cache-threshold", "default", to=1),
            "its default is 0",
        ),
        (
            "mlx_lm.convert",
            at("flags", "--q-mode", "choices", to=["affine", "mxfp4", "nvfp4", "mxfp8", "int4"]),
            "q_mode: there is none in the catalogue, the choice 'int4'",
        ),
        (
            "mlx_lm.convert",
            at("flags", "--q-mode", "choices", to=["affine", "mxfp4", "nvfp4"]),
            "there is the choice 'mxfp8'",
        ),
        (
            "mlx_lm.fuse",
            at("flags", "--dequantize", "action", to="store"),
            "it travels as 'store_true'",
        ),
        ("mlx_lm.fuse", at("flags", "--model", "action", to="append"), "it travels as 'store'"),
        ("mlx_lm.generate", at("flags", "--extra-eos-token", "nargs", to=None), "its words number"),
        ("mlx_lm.fuse", at("flags", "--model", "nargs", to="+"), "its words number"),
        ("mlx_lm.awq", at("flags", "--bits", "type", to="float"), "its type is"),
        ("mlx_lm.awq", at("flags", "--bits", "dest", to="q_bits"), "its name is"),
        ("mlx_lm.awq", at("flags", "--bits", "required", to=True), "it must be said"),
        (
            "mlx_lm.evaluate",
            at("flags", "--apply-chat-template", "flags", to=["--apply-chat-template"]),
            "it is turned off by",
        ),
        (
            "hf.download",
            at("flags", "filenames", "action", to="store"),
            "it travels as 'positional'",
        ),
        (
            "hf.upload",
            lambda seen: seen["flags"].pop("path_in_repo"),
            "path_in_repo: there is path_in_repo in the catalogue, none",
        ),
        (
            "mlx_lm.lora",
            at("config", "new_key", to=1),
            "new_key: there is none in the catalogue, a key of the file",
        ),
        (
            "mlx_lm.lora",
            at("reads", "", to={"new_key": NEW}),
            "new_key: there is none in the catalogue, a key of the file",
        ),
        (
            "mlx_lm.lora",
            lambda seen: seen["config"].pop("chat_feature"),
            "chat_feature: there is a key of the file",
        ),
        (
            "mlx_lm.lora",
            at("config", "text_feature", to="body"),
            "text_feature: its default is 'text'",
        ),
        (
            "mlx_lm.lora",
            at("config", "lora_parameters", "rank", to=16),
            "lora_parameters.rank: its default is 8",
        ),
        (
            "mlx_lm.lora",
            at("reads", "lora_parameters", "alpha", to=NEW),
            "lora_parameters.alpha: there is none",
        ),
        (
            "mlx_lm.lora",
            at("reads", "lr_schedule", "warmup", to={"required": True, "default": None}),
            "lr_schedule.warmup: it must be said",
        ),
        (
            "mlx_lm.lora",
            lambda seen: seen["reads"]["hf_dataset"].pop("test_split"),
            "hf_dataset.test_split: there is a key",
        ),
        (
            "mlx_lm.lora",
            at("config", "optimizer_config", "lion", to={}),
            "optimizer_config: there is none in the catalogue, an entry 'lion'",
        ),
        (
            "mlx_lm.lora",
            at("optimizers", "adamw", "weight_decay", "default", to=0.1),
            "optimizer_config.adamw.weight_decay: its default is 0.01",
        ),
        (
            "mlx_lm.lora",
            at("optimizers", "muon", "rms", to=NEW),
            "optimizer_config.muon.rms: there is none",
        ),
        (
            "mlx_lm.lora",
            lambda seen: seen["optimizers"].pop("sgd"),
            "an entry 'sgd' in the catalogue",
        ),
        ("mlx_lm.lora", at("schedules", "polynomial", to={}), "the schedule 'polynomial'"),
        (
            "mlx_lm.lora",
            lambda seen: seen["schedules"].pop("step_decay"),
            "the schedule 'step_decay' in the catalogue",
        ),
        (
            "mlx_lm.lora",
            at("schedules", "cosine_decay", "end", "default", to=1e-6),
            "(init, decay_steps, end=0.0) in the catalogue",
        ),
    ],
)
def test_one_difference_is_told(name, change, told):
    found = changed(name, change)
    assert len(found) == 1
    assert told in found[0]


def test_a_difference_is_one_line():
    found = Drift(tool="t", subject="p", aspect="its default is", ours="1", theirs="2")
    assert str(found) == "t p: its default is 1 in the catalogue, 2 in the installed release"


def test_keys_are_read_from_source():
    pytest.importorskip("runner.worker.introspect")
    from runner.worker.introspect import read_keys

    source = """
    def build(config, other):
        first = config["name"]
        config["made"] = other["theirs"]
        return config.get("rate", 0.5), config.get("end"), getattr(config, "text", "body")
    """
    assert read_keys(source, "config") == {
        "name": {"required": True, "default": None},
        "rate": {"required": False, "default": 0.5},
        "end": {"required": False, "default": None},
        "text": {"required": False, "default": "body"},
    }
