"""Random stages of every tool -> words and file -> the tool's own parser -> the same values.

Importing mlx_lm changes a process (T25), so all tools go through one other process: this file, run
as a script, prints a verdict on each.
"""

import importlib
import importlib.util
import json
import os
import subprocess
import sys
import tempfile
import time
import traceback
import types
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from random_stages import NAMES, Json, stages

from runner.base.values import same
from runner.catalog import load
from runner.catalog.tools import Tool, complete
from runner.command.argv import Invocation, invoke
from runner.plan.model import Stage, bind
from runner.worker.observer import read_namespace

EXAMPLES, EACH = 110, 6
"""So many stages of a tool, and so many for each of its parameters where that is more."""
MANY = 60
"""Of a tool with more parameters each stage says many of them."""
SUPPORT = {**os.environ, "PYTHONPATH": str(Path(__file__).parent.parent / "support")}


def read_back(tool: Tool, folder: str) -> Callable[[Invocation], Mapping[str, Any]]:
    """Return what turns a command into what the tool's own parser makes of it."""
    from runner.worker import parsing

    module, function = tool.main
    if tool.config_flag is not None:
        return lambda command: merged(importlib.import_module(module), function, command, folder)
    command = parsing.command_of(tool)
    if command is not None:
        return lambda said: command.make_context(tool.name, words(said, folder)).params
    parser = parsing.parser_of(tool)
    return lambda said: vars(parser.parse_args(words(said, folder)))


def words(command: Invocation, folder: str) -> list[str]:
    return [str(bind(word, folder)) for word in command.arguments]


def merged(module: Any, function: str, command: Invocation, folder: str) -> Mapping[str, Any]:
    """Return what a main hands to run() after merging words, file and defaults."""
    path = Path(str(bind(command.config_path, folder)))
    path.parent.mkdir(exist_ok=True)
    path.write_text(command.config or "", encoding="utf-8")
    seen: list[Json] = []
    module.run = lambda namespace: seen.append(vars(namespace))
    sys.argv = [" ".join(command.command), *words(command, folder)]
    getattr(module, function)()
    return seen[0]


def parameters(tool: Tool, planned: Mapping[str, Any], seen: Mapping[str, Any]) -> Json:
    """Return what a parser made of every parameter, those of the file included."""
    found = {name: seen[name] for name in tool.parameters if name in seen}
    found |= read_namespace(tool, planned, seen)
    return {name: tool.parameters[name].read(value) for name, value in found.items()}


def equal(planned: Any, seen: Any) -> bool:
    """Say whether two values are the same to the last digit; a path is one by its parts."""
    if isinstance(seen, Path):
        return Path(planned) == seen
    return same(planned, seen) and _listed(planned) == _listed(seen)


def _listed(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _listed(child) for key, child in value.items()}
    if isinstance(value, list | tuple):
        return [_listed(child) for child in value]
    return str(value) if isinstance(value, Path) else value


def lost(tool: Tool, planned: Mapping[str, Any], seen: Mapping[str, Any]) -> Json:
    """Return the parameters that did not come back, planned beside seen."""
    found = parameters(tool, planned, seen)
    return {
        name: (value, found.get(name, "(absent)"))
        for name, value in planned.items()
        if name not in found or not equal(value, found[name])
    }


def _examples(parameters: int) -> int:
    return EXAMPLES if parameters > MANY else max(EXAMPLES, EACH * parameters)


def verdict(tool: Tool, folder: str) -> Json:
    """Send random stages through a tool's parser; return how many, or what did not come back."""
    began = time.monotonic()
    try:
        back = read_back(tool, folder)
    except ImportError as error:
        return {"unavailable": str(error)}
    count = 0
    said: set[str] = set()

    @settings(
        max_examples=_examples(len(tool.parameters)),
        derandomize=True,
        database=None,
        deadline=None,
        suppress_health_check=list(HealthCheck),
    )
    @given(stages(tool))
    def round_trip(stage: Stage) -> None:
        nonlocal count
        count += 1
        said.update(n for n, v in stage.params.items() if not same(v, tool.defaults.get(n)))
        command = invoke(stage, tool)
        try:
            seen = back(command)
        except SystemExit as end:
            raise AssertionError(f"the parser refuses {command.arguments}") from end
        assert lost(tool, bind(stage.params, folder), seen) == {}, command

    try:
        round_trip()
    except BaseException:  # noqa: BLE001  (any failure is the other process's to show)
        return {"failure": traceback.format_exc()[-4000:]}
    never = sorted(set(tool.parameters) - said - DEAD)
    return {"examples": count, "never": never, "seconds": round(time.monotonic() - began, 2)}


# Parameters that have one value: mlx-lm or the runner reads no other.
DEAD = {"alpha", "qat_mode", "clear_cache_threshold", "use_default_chat_template", "token", "every"}


def stub_lm_eval() -> None:
    """Let mlx_lm.evaluate be imported without the extra it evaluates with; its parser needs none."""
    if importlib.util.find_spec("lm_eval") is not None:
        return
    for name in ("lm_eval", "lm_eval.api", "lm_eval.api.model", "lm_eval.api.registry"):
        sys.modules[name] = types.ModuleType(name)
    vars(sys.modules["lm_eval.api.model"])["LM"] = object
    vars(sys.modules["lm_eval.api.registry"])["register_model"] = lambda *_: lambda one: one


def main() -> None:
    stub_lm_eval()
    catalog = load.installed_catalog()
    out, sys.stdout = sys.stdout, sys.stderr
    with tempfile.TemporaryDirectory() as folder:
        found = {name: verdict(tool, folder) for name in NAMES if (tool := catalog.get(name))}
    json.dump(found, out)


@pytest.fixture(scope="module")
def verdicts() -> Json:
    if importlib.util.find_spec("mlx_lm") is None:  # not imported here: it changes the process
        pytest.skip("needs mlx_lm")
    done = subprocess.run(
        [sys.executable, __file__], capture_output=True, text=True, check=False, env=SUPPORT
    )
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


@pytest.mark.slow
def test_every_parameter_comes_back_from_the_tools_own_parser(verdicts):
    assert {*verdicts} == {*NAMES}
    here = {name: found for name, found in verdicts.items() if "unavailable" not in found}
    assert len(here) > len(NAMES) / 2
    assert {name: one["failure"] for name, one in here.items() if "failure" in one} == {}
    assert [name for name, found in here.items() if found["examples"] < 100] == []
    never = {name: found["never"] for name, found in here.items() if found["never"]}
    assert never == {}, "never drawn at another value than their default"


def test_a_parameter_that_does_not_come_back_is_seen():
    tool = load.installed_catalog().get("data.mix")
    assert tool is not None
    params = complete(tool.schema, {"primary": "a", "replay": "b"}, tool.schema)
    seen = {**params, "out": Path("data"), "ratio": 0.15, "tolerance": 0.0}
    del seen["seed"]
    assert lost(tool, params, {**seen, "seed": 0}) == {}
    assert lost(tool, params, seen) == {"seed": (0, "(absent)")}
    assert list(lost(tool, params, {**seen, "seed": "0"})) == ["seed"]
    assert list(lost(tool, params, {**seen, "seed": 0, "ratio": 0.15000000001})) == ["ratio"]


HUB = """
import sys, types
from huggingface_hub.cli import download, hf
from runner.worker import watch_click
from runner.catalog.tools import complete
from runner.command.argv import invoke
from runner.plan.model import Stage
from runner.catalog import load as schemas
tool = schemas.installed_catalog().get("hf.download")
params = complete(tool.schema, {"repo_id": "org/name", "include": ["-x"]}, tool.schema)
host = types.SimpleNamespace(tool=tool, params={**params, "max_workers": int(sys.argv[1])})
host.hold = lambda: print("held", host.parsed == host.params | {"include": ("-x",), "exclude": (), "filenames": ()})
download.snapshot_download = lambda **said: print("downloads", said["repo_id"]) or "there"
sys.argv = ["hf download", *invoke(Stage(name="get", tool=tool.name, params=params, outputs={}), tool).arguments]
watch_click.install(host)
hf.main()
print("returned")
"""


@pytest.mark.slow
@pytest.mark.parametrize("planned, agrees", [("8", "True"), ("9", "False")])
def test_what_the_hubs_own_command_makes_of_the_words_is_held_against_the_plan(planned, agrees):
    pytest.importorskip("huggingface_hub.cli._framework")
    environ = {**os.environ, "HF_HUB_OFFLINE": "1", "HF_HUB_DISABLE_UPDATE_CHECK": "1"}
    run = [sys.executable, "-c", HUB, planned]
    done = subprocess.run(run, capture_output=True, text=True, check=True, env=environ)
    said = [
        line
        for line in done.stdout.splitlines()
        if line.split()[0] in {"held", "downloads", "returned"}
    ]
    assert said == [f"held {agrees}", "downloads org/name", "returned"]


if __name__ == "__main__":
    main()
