"""Cold starts: one command of a user, from nothing to the prompt. Nothing is remembered."""

import sys
from collections.abc import Iterator

from benchmarks import graph
from benchmarks.harness import Command
from benchmarks.peers import OURS, TOP, WORK, Peers
from benchmarks.profiles import imports
from benchmarks.row import Goal, Row

RECIPE = "recipes/security_sequential.yaml"
HYDRA = "hydra --cfg job"
OMEGA = "OmegaConf"
NOTHING_KEPT = {"RUN_RECIPE_CACHE": ""}


def rows() -> Iterator[Row]:
    """Yield the rows."""
    folder = WORK / "cold"
    graph.write(graph.of_recipe(RECIPE), folder)
    far = folder / "far.yaml"
    far.write_text(_without_data((TOP / RECIPE).read_text()))
    peers = Peers()
    peers.add(HYDRA, "hydra", "python", "app.py", "--cfg", "job", cwd=folder / "hydra")
    peers.add(OMEGA, "hydra", "python", "omega.py", cwd=folder / "hydra")
    peers.add("dvc repro --dry", "dvc", "dvc", "repro", "--dry", cwd=folder / "dvc")
    peers.add("snakemake -n", "snakemake", "snakemake", "-n", "-p", "-c1", cwd=folder / "snakemake")
    peers.add("doit list", "doit", "doit", "list", "--all", cwd=folder / "doit")
    peers.add("task --dry", "task", "task", "--dry", cwd=folder / "task")
    peers.add("ninja -n", "ninja", "ninja", "-n", "-v", cwd=folder / "ninja")
    bare = Command("bare Python", [sys.executable, "-c", "pass"])
    told = tuple(peers.missing)
    goals = (Goal(0.45, HYDRA), Goal(1.0, OMEGA))
    dry = Command("run-recipe --dry-run", [OURS, RECIPE, "--dry-run"], TOP, NOTHING_KEPT)
    every, why = tuple(peers.found), imports(dry)
    yield Row("print what would run", dry, every, (bare,), goals, told, why=why)
    two = tuple(command for command in peers.found if command.name in {HYDRA, OMEGA})
    check = Command("run-recipe check", [OURS, "check", str(far)], TOP, NOTHING_KEPT)
    yield Row("check, no data read", check, two, (bare,), goals, told, why=imports(check))
    quick = (Goal(0.15, HYDRA),)
    one = two[:1]
    for flag in ("--help", "--version"):
        ours = Command(f"run-recipe {flag}", [OURS, flag], TOP)
        yield Row(flag, ours, one, (bare,), quick, told, why=imports(ours))
    env = {"_RUN_RECIPE_COMPLETE": "bash_complete", "COMP_SO_FAR": "run-recipe s"}
    ours = Command("run-recipe s[TAB]", [OURS], TOP, env)
    yield Row("completion of a word", ours, one, (bare,), quick, told, why=imports(ours))


def _without_data(text: str) -> str:
    """Return the recipe with data that stands on the hub, so that no rows are read."""
    return (
        text.replace('"{{ recipe.dir }}/data/security/analysis"', "mlx-community/wikisql")
        .replace('"{{ recipe.dir }}/data/security/codefix"', "mlx-community/wikisql")
        .replace("extends: base/", "extends: builtin:base/")
    )
