"""The verb diff."""

import os
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import click

from runner.base import visible
from runner.base.errors import Exit, RecipeError
from runner.base.patterns import pattern
from runner.cli import guess as words_of
from runner.cli import options
from runner.system import printer

if TYPE_CHECKING:
    from runner.diff.sides import DiffRequest, Place
    from runner.diff.text import Review

_ID = pattern(r"\d{8}T\d{6}Z-")


@click.command("diff")
@click.argument(
    "words",
    metavar="RECIPE… [REV|RECIPE|RUN]",
    nargs=-1,
    required=True,
    shell_complete=options.completes("sides"),
)
@options.together(options.overrides, options.profiles, options.smoke, options.runs)
@click.option(
    "--set-now",
    "now",
    multiple=True,
    metavar="PATH=VALUE",
    help="Override a value on the new side only; --set applies to both.",
)
@click.option("--check", is_flag=True, help="Exit with 3 if anything changes.")
@click.option(
    "--format",
    "style",
    type=click.Choice(["text", "json", "github", "markdown"]),
    default="text",
    show_default=True,
    help="Output format; github annotates lines, markdown is for a pull request comment.",
)
def command(
    words: tuple[str, ...],
    sets: tuple[str, ...],
    profiles: tuple[str, ...],
    smoke: bool,
    runs: str,
    now: tuple[str, ...],
    check: bool,
    style: str,
) -> int:
    """Show which MLX parameters change, and why.

    RECIPE is one or more recipes or folders. They are compared with HEAD, a revision (REV, or A..B
    and A...B as in git), another recipe (also REV:PATH), or a run (its folder or id, or latest for
    the recipe's last run). Data is not compared.
    """
    from runner.diff import github, text
    from runner.diff.sides import DiffRequest
    from runner.recipe.load import Overrides

    request = DiffRequest(
        overrides=Overrides(profiles=profiles, environ=os.environ, sets=sets), smoke=smoke, now=now
    )
    if sets:
        printer.say("--set applies to both sides; --set-now applies to the new side only")
    reviews = _reviews(words, Path(runs), request)
    if style == "json":
        printer.show_json(text.as_dict(reviews))
    elif style == "github":
        printer.payload(f"{_annotations(reviews)}\n")
    else:
        printer.show(github.markdown(reviews) if style == "markdown" else text.text(reviews))
    if any(one.state == "invalid" for one in reviews):
        return Exit.INVALID
    changed = any(one.difference or one.state != "compared" for one in reviews)
    return Exit.DRIFT if check and changed else Exit.OK


def _annotations(reviews: "Sequence[Review]") -> str:
    from runner.diff import github
    from runner.system import git

    return github.annotations(reviews, git.in_workspace())


def _reviews(words: Sequence[str], runs: Path, request: "DiffRequest") -> "list[Review]":
    from runner import workflow
    from runner.diff import sides

    *files, last = words
    if len(files) == 1 and _recipe(files[0]) and _recipe(last):
        printer.say(
            "comparing these two recipes with each other (add HEAD to compare each with HEAD)"
        )
        return [sides.between(files[0], last, request)]
    if not files or _recipe(last) or (Path(last).is_dir() and not _is_run(last)):
        files, last = [*words], "HEAD"
    for file in files:
        _require_recipe(file)
    if run := _run(last, files, runs, request):
        return [_since_run(files, run, runs, request)]
    rev, _, path = last.partition(":")
    if path:
        return [_against(files, rev, path, request)]
    try:
        old, new = _places(last, files[0])
    except RecipeError:
        if len(files) == 1 and not Path(files[0]).exists():
            workflow.load(files[0])  # says what is wrong with its name
        raise
    pairs = list(sides.recipe_files(files, old, new))
    if not pairs:
        raise RecipeError(
            f"there is no recipe in {', '.join(files)}", "name recipe files or their folder"
        )
    return list(sides.reviews(pairs, old, new, request))


def _recipe(word: str) -> bool:
    """Return whether a word is a recipe's file, and not one at a revision."""
    at = not word.startswith("builtin:") and ":" in word
    return words_of.is_recipe(word) and (Path(word).is_file() or not at)


def _require_recipe(word: str) -> None:
    if not _recipe(word) and not Path(word).is_dir():
        there = "recipes/" if Path("recipes").is_dir() else "."
        first = f"name recipes first: run-recipe diff {there} {visible.word(word)}"
        raise RecipeError(f"'{word}' is not a recipe", words_of.suggestion(word) or first)


def _is_run(word: str) -> bool:
    """Return whether a word is a run: its folder, or its id."""
    return bool(_ID.match(word)) or (Path(word) / "run.json").is_file()


def _is_short(word: str, file: str, runs: Path) -> bool:
    """Return whether a word is short for a run. Raises RecipeError if it is a revision, too."""
    from runner.runs import history
    from runner.system import git

    if not any(history.is_short(word, one.name) for one in history.folders(runs)):
        return False
    try:
        revision = git.revision(word, file)
    except RecipeError:
        return True
    why = f"'{word}' is short for a run, and a revision ({revision.commit[:7]})"
    raise RecipeError(why, "write more of the run's id, or of the revision")


def _run(word: str, files: Sequence[str], runs: Path, request: "DiffRequest") -> str:
    """Return the run that a word is, "" if it is none; ``latest`` is the recipe's last one.

    Where the recipe has no runs, ``latest`` may be a revision.
    """
    from runner import workflow
    from runner.runs import history

    if word != history.LATEST:
        return word if _is_run(word) or _is_short(word, files[0], runs) else ""
    if len(files) > 1 or not _recipe(files[0]):
        return ""
    over = request.overrides
    name = workflow.load(files[0], over.profiles, over.sets, over.environ).name
    return name if any((runs / name).glob("*/run.json")) else ""


def _since_run(files: Sequence[str], run: str, runs: Path, request: "DiffRequest") -> "Review":
    from runner.diff import sides
    from runner.runs import history

    _one(files, "a run")
    manifest = history.find(runs, run)
    return sides.since(files[0], manifest.plan, f"run {manifest.id}", request)


def _against(files: Sequence[str], rev: str, path: str, request: "DiffRequest") -> "Review":
    from runner.diff import sides
    from runner.diff.sides import Place
    from runner.system import git

    _one(files, "one file of a revision")
    revision = git.revision(rev, files[0])
    return sides.across(revision.file_of(path), files[0], Place(revision=revision), request)


def _one(files: Sequence[str], what: str) -> None:
    if len(files) > 1 or not _recipe(files[0]):
        raise RecipeError(f"{what} is compared with one recipe", "name one recipe before it")


def _places(word: str, file: str) -> "tuple[Place, Place]":
    """Return the old and the new side of REV, A..B or A...B; an empty B is the checkout."""
    from runner.diff.sides import Place
    from runner.system import git

    one, dots, other = word.partition("...")
    if dots:
        old = git.fork(one or "HEAD", other or "HEAD", file)
    else:
        one, dots, other = word.partition("..")
        old = git.revision(one or "HEAD", file)
    return Place(revision=old), Place(revision=git.revision(other, file) if other else None)
