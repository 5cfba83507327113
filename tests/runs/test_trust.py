"""What a recipe lets others do is told by a check, and a run asks for leave the first time."""

import sys
from pathlib import Path

import pytest

from runner import workflow
from runner.base.errors import RecipeError
from runner.catalog import load
from runner.cli import main
from runner.plan import reach
from runner.runs import trust

HEAD = "version: 1\n"
STAGES = {
    "remote code": "g: {tool: mlx_lm.generate, params: {model: org/m, prompt: x, trust_remote_code: true}}",
    "code of a data set": (
        "t: {tool: mlx_lm.lora, params: {model: m, train: true, iters: 9, hf_dataset: {path: org/d,"
        " prompt_feature: a, completion_feature: b, config: {trust_remote_code: true}}}}"
    ),
    "hosts": (
        "g: {tool: mlx_lm.lora, params: {model: m, train: true, data: d, iters: 9},"
        " launch: {hosts: [10.0.0.1, 10.0.0.2]}}"
    ),
    "hostfile": (
        "g: {tool: mlx_lm.lora, params: {model: m, train: true, data: d, iters: 9},"
        " launch: {hostfile: hosts.json}}"
    ),
    "variables": (
        "g: {tool: mlx_lm.lora, params: {model: m, train: true, data: d, iters: 9},"
        " launch: {hosts: 2, env: {LD_PRELOAD: x}}}"
    ),
    "a plugin of NCCL": (
        "g: {tool: mlx_lm.lora, params: {model: m, train: true, data: d, iters: 9},"
        " launch: {hosts: 2, env: {NCCL_NET_PLUGIN: ./evil.so}}}"
    ),
    "a library of OpenMP": (
        "g: {tool: mlx_lm.lora, params: {model: m, train: true, data: d, iters: 9},"
        " launch: {hosts: 2, env: {OMP_TOOL_LIBRARIES: ./evil.so}}}"
    ),
    "another python": (
        "g: {tool: mlx_lm.lora, params: {model: m, train: true, data: d, iters: 9},"
        " launch: {hosts: 2, python: ./evil}}"
    ),
    "code that a model writes": (
        "g: {tool: mlx_lm.evaluate, params: {model: m, tasks: [humaneval], confirm_run_unsafe_code: true}}"
    ),
    "code of a tokenizer": "g: {tool: mlx_lm.benchmark, params: {model: org/m}}",
    "a service that is reported to": (
        "t: {tool: mlx_lm.lora, params: {model: m, train: true, data: d, iters: 9, report_to: wandb}}"
    ),
    "an upload of what was fused": (
        "f: {tool: mlx_lm.fuse, params: {model: m, adapter_path: a, upload_repo: evil/x}}"
    ),
    "an upload of what was converted": (
        "f: {tool: mlx_lm.convert, params: {hf_path: m, upload_repo: evil/x}}"
    ),
    "an upload": "u: {tool: mlx_lm.upload, params: {path: m, upload_repo: evil/x}}",
    "an upload of files": "u: {tool: hf.upload, params: {local_path: /home, repo_id: evil/x}}",
    "a model that is published": (
        "p: {tool: hub.publish, params: {path: m, repo_id: evil/x, license: mit, dry_run: false}}"
    ),
}
TRACKED = {
    "mlflow": "mlflow: {tracking_uri: 'https://evil.example.org'}",
    "databricks": "mlflow: {tracking_uri: databricks}",
    "wandb": "wandb: {entity: somebody}",
    "wandb of one's own": "wandb: {project: x}",
    "swanlab": "swanlab: {workspace: somebody}",
    "trackio": "trackio: {space: somebody/x}",
}
NOTHING = {
    "a model": "g: {tool: mlx_lm.generate, params: {model: org/m, prompt: x}}",
    "no code": "g: {tool: mlx_lm.generate, params: {model: org/m, prompt: x, trust_remote_code: false}}",
    "ranks here": (
        "g: {tool: mlx_lm.lora, params: {model: m, train: true, data: d, iters: 9},"
        " launch: {hosts: 2, env: {MLX_METAL_FAST_SYNCH: '1', NCCL_DEBUG: INFO}}}"
    ),
    "an upload that is only said": (
        "p: {tool: hub.publish, params: {path: m, repo_id: me/x, license: mit}}"
    ),
    "a fused model that stays": "f: {tool: mlx_lm.fuse, params: {model: m, adapter_path: a}}",
}
LOCAL = [
    "mlflow: {}",
    "mlflow: {tracking_uri: 'sqlite:///mlflow.db'}",
    "mlflow: {tracking_uri: mlruns}",
    "wandb: {entity: somebody, mode: offline}",
    "swanlab: {mode: local}",
    "trackio: {project: x}",
    "tensorboard: {}",
]


@pytest.fixture
def here(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("RUN_RECIPE_CACHE", str(tmp_path / "cache"))
    return tmp_path


def written(stage, track=""):
    text = HEAD + (f"track: {{{track}}}\n" if track else "") + f"stages:\n  {stage}\n"
    Path("r.yaml").write_text(text)


def compiled():
    return workflow.compile_recipe(workflow.load("r.yaml"))


def asked():
    return reach.reaches(compiled().plan, load.catalog(), load.envelope())


def told():
    return workflow.reaching(compiled())


def required(*, given=False):
    plan = compiled().plan
    names = [stage.name for stage in plan.stages]
    trust.require(plan, load.catalog(), names, consent=given)


@pytest.mark.parametrize("name", STAGES)
def test_what_a_stage_lets_others_do_is_told_and_asked_for_once(here, name):
    written(STAGES[name])
    (one,) = told()
    assert one.severity == "warning"
    assert "--trust" in one.hint
    assert one.mark.line == 3
    with pytest.raises(RecipeError) as error:
        required()
    assert error.value.code == 2
    assert "--trust" in error.value.hint
    required(given=True)
    required()


@pytest.mark.parametrize("name", TRACKED)
def test_who_is_sent_what_a_run_measures_is_told_and_asked_for_once(here, name):
    written(NOTHING["a model"], TRACKED[name])
    (one,) = told()
    assert one.mark.line == 2
    with pytest.raises(RecipeError, match="receives what the run measures"):
        required()
    required(given=True)
    required()


@pytest.mark.parametrize("name", NOTHING)
def test_what_stays_here_asks_for_nothing(here, name):
    written(NOTHING[name])
    assert told() == asked() == []
    required()


@pytest.mark.parametrize("track", LOCAL)
def test_a_tracker_of_ones_own_asks_for_nothing(here, track):
    written(NOTHING["a model"], track)
    assert told() == []
    required()


def test_another_model_or_server_is_asked_for_again_and_another_seed_is_not(here):
    stage = STAGES["remote code"]
    written(stage)
    required(given=True)
    written(stage.replace("prompt: x", "prompt: y, seed: 7").replace("g:", "h:"))
    required()
    written(stage.replace("org/m", "org/other"))
    with pytest.raises(RecipeError, match="org/other"):
        required()
    written(NOTHING["a model"], TRACKED["mlflow"])
    required(given=True)
    written(NOTHING["a model"], TRACKED["mlflow"].replace("evil", "other"))
    with pytest.raises(RecipeError, match="other"):
        required()


def test_another_place_or_another_thing_to_send_is_asked_for_again(here):
    upload = "u: {tool: hf.upload, params: {local_path: out, repo_id: me/x}}"
    written(upload)
    required(given=True)
    written(upload.replace("u:", "v:"))
    required()
    written(upload.replace("me/x", "evil/x"))
    with pytest.raises(RecipeError, match="evil/x"):
        required()
    written(upload.replace("out", "/home/me/.ssh"))
    with pytest.raises(RecipeError, match="ssh"):
        required()


def test_a_place_that_is_sent_something_is_one_that_leave_is_asked_for():
    catalog = load.catalog()
    for tool in map(catalog.get, catalog.names):
        for name in {"upload_repo", "report_to", "repo_id"} & tool.parameters.keys():
            if tool.name != "hf.download":
                said = tool.parameters[name].schema["x-trust"]
                assert "sends" in said, f"{tool.name}.{name}"


def test_leave_that_another_user_may_have_written_is_none(here):
    written(STAGES["remote code"])
    required(given=True)
    (here / "cache" / "trust").chmod(0o777)
    with pytest.raises(RecipeError):
        required()


def test_where_nothing_is_kept_leave_is_asked_for_each_time(here, monkeypatch):
    monkeypatch.setenv("RUN_RECIPE_CACHE", "")
    written(STAGES["remote code"])
    required(given=True)
    with pytest.raises(RecipeError):
        required()


def test_a_stage_that_does_not_run_asks_for_nothing(here):
    written(STAGES["remote code"])
    trust.require(compiled().plan, load.catalog(), (), consent=False)


def test_a_run_stops_before_it_makes_anything_and_a_smoke_run_needs_no_leave(
    here, capfd, monkeypatch
):
    written(STAGES["remote code"], TRACKED["mlflow"])
    monkeypatch.setattr(sys, "argv", ["run-recipe", "r.yaml"])
    with pytest.raises(SystemExit) as end:
        main.main()
    assert end.value.code == 2
    assert "run with --trust" in capfd.readouterr().err
    assert not Path("runs").exists()
    small = workflow.plan(compiled(), workflow.load("r.yaml"), smoke=True)
    assert reach.reaches(small, load.catalog(), load.envelope()) == []


def test_every_way_to_run_code_of_a_model_is_known_to_reach_out():
    for name in load.catalog().names:
        for parameter in load.catalog().get(name).parameters.values():
            if "trust_remote_code" in parameter.name:
                assert "x-trust" in parameter.schema, name


def test_a_check_tells_it_beside_what_else_is_wrong(here, capfd, monkeypatch):
    written(STAGES["remote code"], TRACKED["mlflow"])
    monkeypatch.setattr(sys, "argv", ["run-recipe", "check", "r.yaml"])
    with pytest.raises(SystemExit) as end:
        main.main()
    out = capfd.readouterr().out
    assert end.value.code == 0
    assert out.count("[trust]") == 2
    assert "(model: org/m)" in out
    assert "(https://evil.example.org)" in out
