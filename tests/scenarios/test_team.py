"""A team's project: six recipes in two folders over one base with two profiles, and ten pull requests.

A reviewer who has not seen an edit reads only what ``diff`` prints: five change nothing, and of five
it says what MLX gets otherwise, where, and by which line.
"""

import itertools
import shlex
import shutil
import subprocess
from pathlib import Path

import pytest
from click.testing import CliRunner

from runner.base.errors import RecipeError
from runner.cli.verbs import cli
from runner.recipe import lock_file
from runner.recipe.lock_file import Entry, FileDigest

pytestmark = pytest.mark.slow

PROJECT = Path(__file__).parent / "team"
RECIPES = sorted(path.relative_to(PROJECT).as_posix() for path in PROJECT.glob("[at]*/*.yaml"))
OLD, NEW, OTHER = ("1" * 40, "2" * 40, "3" * 40)


def call(command, code=0):
    done = CliRunner().invoke(cli, shlex.split(command)[1:], standalone_mode=False)
    if isinstance(done.exception, RecipeError):
        raise done.exception
    assert done.exception is None, done.exception
    assert int(done.return_value or 0) == code, done.output
    return done.output


def lock(recipe, commit, name="team/base-4bit@v1", digest="a"):
    """Write what ``run-recipe lock`` writes of a recipe, of a hub that nobody has to ask here."""
    files = {"model.safetensors": FileDigest(size=9, digest=f"sha256:{digest * 64}")}
    entries = {("model", name): Entry(commit=commit, files=files)}
    Path(lock_file.beside(recipe)).write_text(lock_file.text(entries), encoding="utf-8")


@pytest.fixture(scope="module")
def committed(tmp_path_factory):
    """The project in a repository, locked."""
    place = tmp_path_factory.mktemp("team") / "project"
    shutil.copytree(PROJECT, place)
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(place)
        for recipe in RECIPES:
            lock(recipe, OLD)
        for name, split in itertools.product(("sql", "code", "chat"), ("train", "valid")):
            Path("data", name).mkdir(parents=True, exist_ok=True)
            rows = "".join(f'{{"text": "{split} {name} {n}"}}\n' for n in range(8))
            Path("data", name, f"{split}.jsonl").write_text(rows, encoding="utf-8")
        for words in ("init -q", "add -A", "-c user.name=n -c user.email=e commit -qm one"):
            subprocess.run(["git", *shlex.split(words)], check=True)
    return place


@pytest.fixture
def project(committed, monkeypatch):
    monkeypatch.chdir(committed)
    yield
    subprocess.run(["git", "reset", "-q", "--hard"], check=True)
    subprocess.run(["git", "clean", "-qfd"], check=True)


def edit(file, *changes):
    text = Path(file).read_text(encoding="utf-8")
    for old, new in changes:
        assert old in text
        text = text.replace(old, new)
    Path(file).write_text(text, encoding="utf-8")


BASE = "base/shared.yaml"


def a_var_is_renamed():
    edit(BASE, ("learning_rate: 1e-5", "lr: 1e-5"), ("{{ vars.learning_rate }}", "{{ vars.lr }}"),
         ("learning_rate: 5e-6", "lr: 5e-6"))  # fmt: skip


def what_all_say_moves_into_the_base():
    for recipe in RECIPES:
        text = Path(recipe).read_text(encoding="utf-8")
        Path(recipe).write_text(
            text.replace(", batch_size: 4", "").replace("batch_size: 4, ", ""), encoding="utf-8"
        )
    edit(BASE, ("    train: true\n", "    train: true\n    batch_size: 4\n"))


def the_base_is_split():
    edit(BASE, ('    model: "{{ vars.model }}"\n', ""), ("  model: team/base-4bit@v1\n", ""),
         ("version: 1\n", "version: 1\nextends: model.yaml\n"))  # fmt: skip
    text = 'version: 1\nvars: {model: team/base-4bit@v1}\ndefaults: {mlx_lm.lora: {model: "{{ vars.model }}"}}\n'
    Path("base/model.yaml").write_text(text, encoding="utf-8")


def an_anchor_is_written_out_and_comments_move():
    edit(BASE, ("x-lora: &lora {rank: 8, scale: 20.0, dropout: 0.0, keys: null}\n", ""),
         ("*lora", "{rank: 8, keys: null}"), ("# What every", "# All that each"))  # fmt: skip


def a_number_is_computed():
    new = 'vars: {epochs: 5, iters: "{{ vars.epochs * 400 }}"}'
    edit("ablations/long.yaml", ("vars: {iters: 2000}", new))


def a_profile_takes_more_steps():
    edit(BASE, ("iters: 100", "iters: 150"))


def the_model_moves_to_another_revision():
    edit(BASE, ("@v1", "@v2"))
    for recipe in RECIPES:
        lock(recipe, NEW, "team/base-4bit@v2")


def a_lock_is_renewed():
    lock("train/sql.yaml", OTHER)


def the_default_of_a_tool_is_another():
    edit("tools/score.json", ('"default": 0.5', '"default": 0.7'))


def an_anchor_has_another_rank():
    edit(BASE, ("rank: 8", "rank: 16"))


HARMLESS = [
    a_var_is_renamed,
    what_all_say_moves_into_the_base,
    the_base_is_split,
    an_anchor_is_written_out_and_comments_move,
    a_number_is_computed,
]
CHANGES = {
    a_profile_takes_more_steps: (
        f"iters  100 -> 150  <- {BASE}:18 vars.iters",
        "train/sql.yaml --profile laptop: train",
        "6 of 6 recipes change: 6 stages, 6 values",
    ),
    the_model_moves_to_another_revision: (
        f'model  "team/base-4bit@{OLD}" -> "team/base-4bit@{NEW}"  <- {BASE}:5 vars.model',
        "6 of 6 recipes change",
    ),
    a_lock_is_renewed: (
        f'model  "team/base-4bit@{OLD}" -> "team/base-4bit@{OTHER}"  <- train/sql.lock:4',
        "1 of 6 recipes changes",
    ),
    the_default_of_a_tool_is_another: (
        "threshold                                0.5 -> 0.7",
        "ablations/scored.yaml (also --profile laptop or careful): score",
        "1 of 6 recipes changes",
    ),
    an_anchor_has_another_rank: (
        f"lora_parameters.rank  8 -> 16  <- {BASE}:3",
        "6 of 6 recipes change",
    ),
}


def test_the_project_is_sound_and_pinned(project):
    said = call("run-recipe check .")
    assert "6 recipes: " in said
    assert "error" not in said
    assert "moving-target" not in said
    lines = call("run-recipe show . --file base/shared.yaml")
    assert "ablations/long.yaml" in lines  # which of its lines another recipe lays something over


@pytest.mark.parametrize("edits", HARMLESS, ids=lambda one: one.__name__)
def test_a_refactoring_changes_nothing(project, edits):
    edits()
    assert call("run-recipe diff . --check").startswith("no MLX parameters change in 6 recipes")


@pytest.mark.parametrize("edits", CHANGES, ids=lambda one: one.__name__)
def test_a_change_is_told_with_its_line_and_where_it_reaches(project, edits):
    edits()
    said = call("run-recipe diff . --check", code=3)
    for words in CHANGES[edits]:
        assert words in said, said


def test_a_mistake_in_the_base_is_told_once(project):
    edit(BASE, ("mlx_lm.lora:", "mlx_lm.loar:"))
    said = call("run-recipe check .", code=2)
    assert said.count("did you mean 'mlx_lm.lora'?") == 1
