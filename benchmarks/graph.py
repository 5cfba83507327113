"""One graph of stages, written down for each of the programs that are compared."""

import json
import subprocess
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from benchmarks.harness import environment
from benchmarks.peers import OURS, TOP

RUN_DIR = "${RUN_DIR}"


@dataclass(frozen=True, slots=True)
class Step:
    """A stage: every parameter of its command, and the steps whose output it reads."""

    name: str
    tool: str
    params: Mapping[str, Any]
    after: tuple[str, ...] = ()

    def words(self, folder: str) -> str:
        """Return its command line, the run's folder written as `folder`."""
        said = " ".join(f"--{key}='{_text(value)}'" for key, value in self.params.items())
        return f"{self.tool} {said} > {folder}/{self.name}.out".replace(RUN_DIR, folder)


def of_recipe(recipe: str) -> list[Step]:
    """Return the stages of a recipe with all their parameters."""
    argv = [OURS, recipe, "--dry-run", "--format", "json"]
    out = subprocess.run(argv, cwd=TOP, env=environment(), capture_output=True, check=True).stdout
    said = json.loads(out)["stages"]
    return [Step(one["name"], "train", one["params"], tuple(one["after"])) for one in said]


def hydra(steps: Sequence[Step], folder: Path) -> list[Path]:
    """Write a configuration for Hydra; what stages share stands once, under an anchor."""
    (folder / "conf").mkdir(parents=True, exist_ok=True)
    config = folder / "conf" / "config.yaml"
    config.write_text("".join(_hydra(steps)))
    (folder / "app.py").write_text(
        "import hydra\n\n\n"
        "@hydra.main(version_base=None, config_path='conf', config_name='config')\n"
        "def main(config):\n    pass\n\n\nmain()\n"
    )
    (folder / "omega.py").write_text(
        "from omegaconf import OmegaConf\n\n"
        "config = OmegaConf.load('conf/config.yaml')\n"
        "print(OmegaConf.to_yaml(config, resolve=True))\n"
    )
    return [config]


def _hydra(steps: Sequence[Step]) -> Iterator[str]:
    yield "RUN_DIR: runs/1\nvars:\n  model: base/model\n"
    shared = {name: _shared(name, steps) for name in _forms(steps)}
    for number, (_, values) in enumerate(shared.items()):
        yield f"base{number}: &base{number}\n" + pairs(values, "  ")
    yield "stages:\n"
    for step in steps:
        form = tuple(step.params)
        own = {k: v for k, v in step.params.items() if k not in shared[form]}
        number = list(shared).index(form)
        yield f"  {step.name}:\n    <<: *base{number}\n" + pairs(own, "    ")


def _forms(steps: Sequence[Step]) -> dict[tuple[str, ...], None]:
    return dict.fromkeys(tuple(step.params) for step in steps)


def _shared(form: tuple[str, ...], steps: Sequence[Step]) -> dict[str, Any]:
    of_form = [step.params for step in steps if tuple(step.params) == form]
    first = of_form[0]
    return {k: v for k, v in first.items() if all(other[k] == v for other in of_form)}


def pairs(values: Mapping[str, Any], lead: str) -> str:
    """Return a mapping as lines of YAML."""
    return "".join(f"{lead}{key}: {json.dumps(value)}\n" for key, value in values.items())


def dvc(steps: Sequence[Step], folder: Path) -> None:
    """Write dvc.yaml, in a folder that DVC takes for a project."""
    (folder / ".dvc").mkdir(parents=True, exist_ok=True)
    (folder / ".dvc" / "config").write_text("[core]\n    no_scm = true\n    analytics = false\n")
    (folder / "runs").mkdir(exist_ok=True)
    rows = ["vars:\n  - RUN_DIR: runs\nstages:\n"]
    for step in steps:
        (folder / "runs" / f"{step.name}.out").touch()  # even a dry run looks for what is read
        words = step.words(RUN_DIR)
        deps = "".join(f"      - {RUN_DIR}/{name}.out\n" for name in step.after)
        rows.append(f"  {step.name}:\n    cmd: {json.dumps(words)}\n")
        rows.append(f"    deps:\n{deps}" if deps else "")
        rows.append(f"    outs:\n      - {RUN_DIR}/{step.name}.out\n")
    (folder / "dvc.yaml").write_text("".join(rows))


def snakemake(steps: Sequence[Step], folder: Path) -> None:
    """Write a Snakefile with a rule for every step."""
    folder.mkdir(parents=True, exist_ok=True)
    outs = ", ".join(f"'runs/{step.name}.out'" for step in steps)
    rows = [f"rule all:\n    input: {outs}\n"]
    for step in steps:
        ins = ", ".join(f"'runs/{name}.out'" for name in step.after)
        rows.append(f"rule {step.name}:\n" + (f"    input: {ins}\n" if ins else ""))
        words = json.dumps(step.words("runs").replace("{", "{{").replace("}", "}}"))
        rows.append(f"    output: 'runs/{step.name}.out'\n    shell: {words}\n")
    (folder / "Snakefile").write_text("".join(rows))


def doit(steps: Sequence[Step], folder: Path) -> None:
    """Write a dodo.py that makes its tasks of a table."""
    folder.mkdir(parents=True, exist_ok=True)
    table = [
        (step.name, step.words("runs"), [f"runs/{n}.out" for n in step.after]) for step in steps
    ]
    (folder / "dodo.py").write_text(
        f"TABLE = {table!r}\n\n\n"
        "def task_stage():\n"
        "    for name, words, reads in TABLE:\n"
        "        yield {'name': name, 'actions': [words], 'file_dep': reads,\n"
        "               'targets': [f'runs/{name}.out']}\n"
    )


def task(steps: Sequence[Step], folder: Path) -> None:
    """Write a Taskfile.yml; its templates are filled in as ours are."""
    folder.mkdir(parents=True, exist_ok=True)
    rows = ["version: '3'\nvars:\n  RUN_DIR: runs\ntasks:\n"]
    last = "".join(f"      - {step.name}\n" for step in steps)
    rows.append(f"  default:\n    deps:\n{last}")
    for step in steps:
        deps = "".join(f"      - {name}\n" for name in step.after)
        rows.append(f"  {step.name}:\n    run: once\n" + (f"    deps:\n{deps}" if deps else ""))
        rows.append(f"    cmds:\n      - {json.dumps(step.words('{{.RUN_DIR}}'))}\n")
    (folder / "Taskfile.yml").write_text("".join(rows))


def ninja(steps: Sequence[Step], folder: Path) -> None:
    """Write a build.ninja with a rule for every step."""
    folder.mkdir(parents=True, exist_ok=True)
    rows = []
    for step in steps:
        words = step.words("runs").replace("$", "$$")
        reads = " ".join(f"runs/{name}.out" for name in step.after)
        rows.append(f"rule r_{step.name}\n  command = {words}\n")
        rows.append(f"build runs/{step.name}.out: r_{step.name} {reads}\n")
    (folder / "build.ninja").write_text("".join(rows))


WRITERS: tuple[Callable[[Sequence[Step], Path], object], ...] = (
    hydra,
    dvc,
    snakemake,
    doit,
    task,
    ninja,
)


def write(steps: Sequence[Step], folder: Path) -> None:
    """Write the graph for all of them, each in a folder of its name."""
    for writer in WRITERS:
        writer(steps, folder / writer.__name__)


def _text(value: Any) -> str:
    return value if isinstance(value, str) else json.dumps(value)
