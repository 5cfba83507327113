"""Scenarios: real runs of the tiny model, seen as a user sees them."""

import importlib.util
import json
import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

if importlib.util.find_spec("mlx_lm") is None:
    pytest.skip("needs mlx-lm", allow_module_level=True)
pytestmark = pytest.mark.slow

ROOT = Path(__file__).parent.parent.parent
RUN = (sys.executable, "-m", "runner")
PATH = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"

RECIPE = """
version: 1
extends: builtin:base/lora
vars: {warmup: 2}
defaults: {mlx_lm.lora: {model: some/model, data: data, max_seq_length: 64}}
stages:
  train: {tool: mlx_lm.lora, params: {train: true, iters: 12, save_every: 6, seed: 3}}
  test:
    tool: mlx_lm.lora
    params: {test: true, adapter_path: "{{ stages.train.adapter_path }}"}
"""


def run(*words, cwd, env=None, code=0):
    """Call run-recipe in `cwd`; return what it printed and the newest run's folder."""
    done = subprocess.run(
        [*RUN, *map(str, words)],
        cwd=cwd,
        env={**os.environ, "PATH": PATH, **(env or {})},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == code, done.stdout + done.stderr
    return done


def newest(cwd):
    return max(
        path.parent for path in Path(cwd).glob("runs/*/*/run.json") if not path.parent.is_symlink()
    )


def manifest(folder):
    return json.loads((folder / "run.json").read_text(encoding="utf-8"))


def rows(count):
    for number in range(count):
        yield {
            "messages": [
                {"role": "user", "content": f"What is {number} plus one?"},
                {"role": "assistant", "content": f"It is {number + 1}."},
            ]
        }


@pytest.fixture
def project(tmp_path):
    """A folder with a small recipe and its data."""
    (tmp_path / "data").mkdir()
    for split, count in (("train", 24), ("valid", 6), ("test", 6)):
        text = "".join(json.dumps(row) + "\n" for row in rows(count))
        (tmp_path / "data" / f"{split}.jsonl").write_text(text, encoding="utf-8")
    (tmp_path / "r.yaml").write_text(RECIPE, encoding="utf-8")
    return tmp_path


@pytest.fixture(scope="module")
def security(tmp_path_factory):
    """The whole security recipe at toy scale, run once."""
    cwd = tmp_path_factory.mktemp("security")
    (cwd / "recipes").symlink_to(ROOT / "recipes")
    done = run("recipes/security_sequential.yaml", "--smoke", cwd=cwd)
    return cwd, newest(cwd), done


def test_the_security_recipe_runs_to_the_end(security):
    _, folder, done = security
    said = manifest(folder)
    assert said["state"] == "finished"
    assert {stage["state"] for stage in said["stages"]} == {"finished"}
    assert f"fuse.model: {folder.relative_to(security[0])}/fuse/model" in done.stdout
    assert (folder.parent / "latest").resolve() == folder.resolve()
    metrics = {stage["name"]: stage["metrics"] for stage in said["stages"]}
    assert metrics["replay"]["realised_share"] == 0.15
    assert metrics["codefix"]["val_loss"] > 0
    assert metrics["retention"]["test_loss"] > 0


def test_planned_and_effective_agree_on_every_parameter_of_every_stage(security):
    cwd, folder, _ = security
    for stage in manifest(folder)["plan"]["stages"]:
        said = json.loads((folder / stage["name"] / "effective.json").read_text(encoding="utf-8"))
        planned = [*stage["params"], *stage["trainer"]]
        assert [row["parameter"] for row in said["parameters"]] == planned
        assert [row for row in said["parameters"] if not row["equal"]] == []
    trained = json.loads((folder / "codefix" / "effective.json").read_text(encoding="utf-8"))
    observed = {row["parameter"] for row in trained["parameters"] if row["observed"]}
    assert observed >= {
        "learning_rate", "lr_schedule", "lora_parameters", "optimizer_config", "num_layers", "seed",
        "resume_adapter_file", "grad_checkpoint", "iters", "save_every", "fine_tune_type",
    } - {"learning_rate"}  # fmt: skip
    idle = {row["parameter"] for row in trained["parameters"] if row["seen"] == "parser"}
    assert idle == {"learning_rate", "test_batches", "clear_cache_threshold"}  # T28, T03
    lines = run("audit", cwd=cwd).stdout.splitlines()
    mixed = next(one for one in manifest(folder)["plan"]["stages"] if one["name"] == "replay")
    count = len(mixed["params"])
    assert f"replay: {count} of {count} parameters as planned (only parsed)" in lines
    assert re.match(
        r"(\d+) of \1 parameters as planned \(\d+ seen in use, \d+ read by the tool, ", lines[-1]
    )
    standing = run("status", cwd=cwd).stdout.splitlines()
    for line in (one for one in lines[:-1] if one[0] != " "):
        name, said = line.partition(";")[0].split(": ")
        assert next(one for one in standing if one.startswith(f"  {name}: ")).endswith(said)


def test_the_script_gives_the_same_adapters_bit_for_bit(security):
    cwd, folder, _ = security
    env = {**os.environ, "PATH": PATH, "RUN_DIR": "again"}
    script = ["bash", folder / "commands.sh"]
    done = subprocess.run(script, cwd=cwd, env=env, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    for name in ("analysis", "codefix"):
        ours = (folder / name / "adapters" / "adapters.safetensors").read_bytes()
        assert (cwd / "again" / name / "adapters" / "adapters.safetensors").read_bytes() == ours
        configs = [
            json.loads(
                (base / name / "adapters" / "adapter_config.json").read_text(encoding="utf-8")
            )
            for base in (folder, cwd / "again")
        ]
        placed = {key for key in configs[0] if configs[0][key] != configs[1][key]}
        assert placed <= {"adapter_path", "config", "model", "data", "resume_adapter_file"}


def test_generate_loads_the_fused_model(security):
    cwd, folder, _ = security
    words = [sys.executable, "-m", "mlx_lm", "generate", "--model", folder / "fuse" / "model"]
    done = subprocess.run(
        [*map(str, words), "--prompt", "hello", "--max-tokens", "3"],
        cwd=cwd, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr


def test_the_resolved_recipe_compiles_to_the_same_commands(security):
    cwd, folder, _ = security
    made = run(folder / "recipe.yaml", "--dry-run", cwd=cwd).stdout
    kept = (folder / "commands.sh").read_text(encoding="utf-8")
    differ = {"# Made by", "export MLX_DISABLE_COMPILE", "export HF_HUB_OFFLINE"}
    lines = [
        [row for row in text.splitlines() if not row.startswith(tuple(differ))]
        for text in (made, kept)
    ]
    assert lines[0] == lines[1]


# A parser of the installed mlx-lm that reads one flag as another value: what a release may do.
CHANGED = """
import importlib.abc, importlib.util, sys

class Finder(importlib.abc.MetaPathFinder):
    def find_spec(self, name, path, target=None):
        if name != "mlx_lm.lora":
            return None
        sys.meta_path.remove(self)
        spec = importlib.util.find_spec(name)
        load = spec.loader.exec_module
        def changed(module):
            load(module)
            CHANGE
        spec.loader.exec_module = changed
        return spec

sys.meta_path.insert(0, Finder())
"""


def changed(project, change):
    (project / "sitecustomize.py").write_text(
        CHANGED.replace("CHANGE", change.replace("\n", "\n            ")), encoding="utf-8"
    )
    return {"PYTHONPATH": str(project)}


def test_a_parser_that_reads_another_value_stops_the_stage_before_a_model_loads(project):
    env = changed(
        project,
        "build = module.build_parser\n"
        "def build_parser():\n"
        "    parser = build()\n"
        "    next(a for a in parser._actions if a.dest == 'batch_size').type = lambda text: int(text) + 1\n"
        "    return parser\n"
        "module.build_parser = build_parser",
    )
    done = run("r.yaml", "--smoke", cwd=project, env=env, code=6)
    folder = newest(project)
    assert "batch_size: planned 1, but mlx_lm.lora has 2" in done.stderr
    assert "Loading pretrained model" not in (folder / "train" / "log.txt").read_text(
        encoding="utf-8"
    )
    assert not (folder / "train" / "adapters").exists()
    assert run("audit", cwd=project, code=6).stdout.count(" NO") == 1


def test_a_trainer_that_gets_another_value_stops_the_stage_before_the_first_step(project):
    env = changed(
        project,
        "arguments = module.TrainingArgs\n"
        "module.TrainingArgs = lambda **known: arguments(**{**known, 'steps_per_save': 7})",
    )
    done = run("r.yaml", "--smoke", cwd=project, env=env, code=6)
    assert "save_every: planned 6, but mlx_lm.lora has 7" in done.stderr
    assert not (newest(project) / "train" / "metrics.jsonl").exists()


def test_layers_of_another_rank_stop_the_stage_before_the_first_step(project):
    env = changed(
        project,
        "convert = module.linear_to_lora_layers\n"
        "def linear_to_lora_layers(model, n, config, **rest):\n"
        "    return convert(model, n, {**config, 'rank': 4}, **rest)\n"
        "module.linear_to_lora_layers = linear_to_lora_layers",
    )
    done = run("r.yaml", "--smoke", cwd=project, env=env, code=6)
    assert "lora_parameters: planned" in done.stderr


def test_a_failed_stage_stops_the_run_with_its_log_and_one_clear_line(project):
    done = run("r.yaml", cwd=project, env={"HF_HUB_OFFLINE": "1"}, code=1)
    assert "train failed: hub not reachable (exit 1)" in done.stderr
    assert "  | " in done.stderr
    assert "LocalEntryNotFoundError" in done.stderr
    states = [stage["state"] for stage in manifest(newest(project))["stages"]]
    assert states == ["failed", "pending"]
    said = run("audit", cwd=project).stdout.splitlines()
    assert said[-1] == "34 of 34 parameters as planned (only parsed)"
    assert {line.split()[-2] for line in said[2:-1]} == {"parser"}


def test_a_timeout_ends_the_stage(project):
    text = RECIPE.replace("train: {tool", "train: {timeout: 0.05, tool")
    (project / "r.yaml").write_text(text, encoding="utf-8")
    done = run("r.yaml", "--smoke", cwd=project, code=124)
    assert "train failed: timeout" in done.stderr


@pytest.mark.parametrize(("sign", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_a_signal_ends_the_child_too(project, sign, code):
    (project / "r.yaml").write_text(RECIPE.replace("iters: 12", "iters: 12, max_seq_length: 2048"))
    # A shell starts what runs in its background with SIGINT ignored; a terminal does not.
    heed = "import signal; signal.signal(signal.SIGINT, signal.default_int_handler)"
    code_ = (
        f"{heed}; import sys; sys.argv[0] = 'run-recipe'; from runner.cli.main import main; main()"
    )
    process = subprocess.Popen(
        [sys.executable, "-c", code_, "r.yaml", "--smoke"],
        cwd=project,
        stderr=subprocess.DEVNULL,
        env={**os.environ, "PATH": PATH},
    )
    wait_for(lambda: list(project.glob("runs/r/2*/train/metrics.jsonl")))
    process.send_signal(sign)
    assert process.wait(30) == code
    assert manifest(newest(project))["state"] == "interrupted"
    stopper = "Ctrl-C" if sign == signal.SIGINT else "SIGTERM"
    assert f"interrupted: {stopper} stopped it.\n" in run("status", cwd=project).stdout
    assert children_of(newest(project)) == []


def test_a_killed_runner_takes_its_child_along(project):
    process = subprocess.Popen([*RUN, "r.yaml", "--smoke"], cwd=project, stderr=subprocess.DEVNULL)
    wait_for(lambda: list(project.glob("runs/r/2*/train/log.txt")))
    process.kill()
    process.wait()
    wait_for(lambda: children_of(newest(project)) == [])
    assert "its process is no longer running" in run("status", cwd=project).stdout


def test_json_events_are_all_that_stdout_holds(project):
    done = run("r.yaml", "--smoke", "--format", "json", cwd=project)
    events = [json.loads(line) for line in done.stdout.splitlines()]
    kinds = [event["event"] for event in events]
    assert next(kind for kind in kinds if kind != "problem") == "run"
    assert kinds[-1] == "run-ended"
    assert {"stage-started", "metric", "stage-ended"} <= set(kinds)
    assert done.stderr == ""


def test_only_one_stage_can_run(project):
    run("r.yaml", "--smoke", "--to", "train", cwd=project)
    states = [stage["state"] for stage in manifest(newest(project))["stages"]]
    assert states == ["finished", "finished", "pending"]
    done = run("r.yaml", "--only", "test", cwd=project, code=2)
    assert "stage 'test' reads from train, which would not run" in done.stderr


def test_an_expectation_that_is_not_met_fails_the_run(project):
    from runner.tools import tiny_model

    tiny_model.build(project / "model")
    text = RECIPE.replace("some/model", "model").replace(
        "seed: 3}}", "seed: 3}, expect: [metrics.val_loss < 0.1]}"
    )
    (project / "r.yaml").write_text(text, encoding="utf-8")
    done = run("r.yaml", cwd=project, code=4)
    said = re.search(r"r.yaml:\d+:\d+: expected metrics.val_loss < 0.1, but metrics.val_loss is ([\d.]+)",
                     done.stderr)  # fmt: skip
    assert float(said[1]) > 0.1
    line, column = map(int, re.search(r"r.yaml:(\d+):(\d+)", said[0]).groups())
    assert text.splitlines()[line - 1][column - 1 :].startswith("metrics.val_loss < 0.1")


def test_an_expectation_that_is_not_met_at_toy_scale_is_told_everywhere_and_stops_nothing(project):
    text = RECIPE.replace(
        'adapter_path }}"}', 'adapter_path }}"}\n    expect: [metrics.test_loss <= 2]'
    )
    (project / "r.yaml").write_text(text, encoding="utf-8")
    done = run("r.yaml", "--smoke", cwd=project)
    line = re.compile(r"not enforced in a smoke run: metrics\.test_loss <= 2 \(\d\.\d{3}\)\n")
    assert line.search(done.stderr)
    assert line.search(run("status", cwd=project).stdout)
    shown = "no, not enforced in a smoke run ("
    assert shown in (newest(project) / "report.html").read_text(encoding="utf-8")
    assert (
        "| **no**, not enforced in a" in run("report", "--format", "markdown", cwd=project).stdout
    )
    assert manifest(newest(project))["stages"][-1]["unenforced"][0]["held"] is False


def test_an_expectation_is_judged_anew_where_what_it_reads_has_another_value(project):
    text = RECIPE.replace("warmup: 2", "warmup: 2, limit: 100").replace(
        "seed: 3}}", "seed: 3}, expect: [metrics.val_loss < vars.limit]}"
    )
    (project / "r.yaml").write_text(text, encoding="utf-8")
    run("r.yaml", "--smoke", "--to", "train", cwd=project)
    words = ("r.yaml", "--smoke", "--to", "train", "--resume", "-n")
    assert "skip  train: finished" in run(*words, cwd=project).stdout
    lower = run(*words, "--set", "vars.limit=0.1", cwd=project).stdout
    assert "judge train: its expectations changed" in lower


PLACES = """
version: 1
extends: builtin:base/lora
vars: {warmup: 2}
defaults: {mlx_lm.lora: {model: some/model, data: data, max_seq_length: 64}}
stages:
  train:
    tool: mlx_lm.lora
    params: {train: true, iters: 12, save_every: 6, seed: 3, adapter_path: adapters/one}
  more:
    extends: train
    params:
      adapter_path: adapters/two
      resume_adapter_file: adapters/one/0000006_adapters.safetensors
  test: {tool: mlx_lm.lora, params: {test: true, adapter_path: ./adapters/two}}
  fuse:
    tool: mlx_lm.fuse
    params: {model: some/model, adapter_path: adapters/two, save_path: fused_model}
"""


def test_a_smoke_run_leaves_everything_of_a_real_one_as_it_is(project):
    (project / "r.yaml").write_text(PLACES, encoding="utf-8")
    real = [project / "adapters" / name / "adapters.safetensors" for name in ("one", "two")]
    real.append(project / "fused_model" / "model.safetensors")
    for file in real:
        file.parent.mkdir(parents=True)
        file.write_text("weeks of training", encoding="utf-8")
    first = run("r.yaml", "--smoke", cwd=project)
    again = run("r.yaml", "--smoke", "--resume", "--set", "stages.more.params.seed=9", cwd=project)
    assert "in-use" not in first.stderr + again.stderr
    assert (project / "runs" / ".gitignore").read_text(encoding="utf-8").endswith("\n*\n")
    assert "[2/5] train: reused from " in again.stderr
    assert "[3/5] more: mlx_lm.lora, rerun: seed changed" in again.stderr
    assert [file.read_text(encoding="utf-8") for file in real] == ["weeks of training"] * 3
    assert sorted(path.name for path in project.iterdir()) == [
        "adapters", "data", "fused_model", "r.yaml", "runs",
    ]  # fmt: skip
    assert [len(list(file.parent.iterdir())) for file in real] == [1, 1, 1]
    made = newest(project)
    for place in ("train/adapters/adapters.safetensors", "fuse/model/model.safetensors"):
        assert (made / place).is_file()
    assert run("audit", cwd=project).stdout.count(" NO") == 0
    script = run("r.yaml", "--smoke", "-n", cwd=project).stdout
    assert '--save-path="$RUN_DIR/fuse/model"' in script
    assert "adapters/one" not in script


def children_of(folder):
    """The processes that still work on a run."""
    done = subprocess.run(["ps", "-Ao", "args"], capture_output=True, text=True, check=True)
    return [
        line for line in done.stdout.splitlines() if folder.name in line and "runner.worker" in line
    ]


def wait_for(condition, seconds=30):
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, "it did not happen"
        time.sleep(0.05)


@pytest.mark.slow
def test_a_smoke_run_of_a_downloaded_model_of_experts_asks_no_hub(project):
    text = """
version: 1
extends: builtin:base/lora
stages:
  get: {tool: hf.download, params: {repo_id: owner/experts}}
  train:
    tool: mlx_lm.lora
    params:
      model: "{{ stages.get.path }}"
      data: data
      train: true
      max_seq_length: 64
      lora_parameters: {keys: [mlp.switch_mlp.up_proj, self_attn.q_proj]}
  fuse:
    tool: mlx_lm.fuse
    params: {model: "{{ stages.get.path }}", adapter_path: "{{ stages.train.adapter_path }}"}
  say: {tool: mlx_lm.generate, params: {model: "{{ stages.fuse.model }}", prompt: hi, max_tokens: 4}}
"""
    (project / "r.yaml").write_text(text, encoding="utf-8")
    away = {"HF_ENDPOINT": "http://127.0.0.1:9", "HF_HOME": str(project / "none")}
    done = run("r.yaml", "--smoke", "--from", "train", cwd=project, env=away)
    why = "qwen3_moe, which has the layers of lora_parameters.keys."
    assert f"Make the tiny base model of a smoke run: {why}" in done.stderr
    made = newest(project) / "smoke_model" / "model" / "config.json"
    assert json.loads(made.read_text(encoding="utf-8"))["model_type"] == "qwen3_moe"
    assert "[4/4] say: finished" in done.stderr
