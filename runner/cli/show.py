"""The verb show."""

from pathlib import Path
from typing import TYPE_CHECKING

import click

from runner.base.errors import Exit, RecipeError
from runner.cli import options
from runner.system import printer

if TYPE_CHECKING:
    from collections.abc import Sequence

    from runner.provenance.origins import Origin
    from runner.recipe.load import Recipe


@click.command("show")
@click.argument("recipe", metavar="RECIPE|FOLDER", shell_complete=options.completes("recipes"))
@click.argument("paths", metavar="[PATH]...", nargs=-1, shell_complete=options.completes("values"))
@options.together(options.overrides, options.profiles, options.smoke, options.style())
@click.option(
    "--changed", is_flag=True, help="Show only values that differ from the tools' defaults."
)
@click.option("--file", metavar="FILE", help="Show only what this file of the recipe contributes.")
@click.option("--used", is_flag=True, help="Show the reverse: the values each line sets.")
def command(
    recipe: str,
    paths: tuple[str, ...],
    sets: tuple[str, ...],
    profiles: tuple[str, ...],
    smoke: bool,
    style: str,
    changed: bool,
    file: str | None,
    used: bool,
) -> int:
    """Show every value, where it comes from, and what it overrode.

    PATH is a stage, STAGE.PARAMETER, vars, vars.NAME, or a parameter of every stage that has it.
    You can give several. For a folder, it shows what each line of a shared base sets in the
    recipes that extend it.
    """
    from runner.system.files import is_folder

    if is_folder(Path(recipe)):
        if paths:
            hint = f"name a recipe of it, or leave out {paths[0]}"
            raise RecipeError(f"{recipe} is a folder: PATH needs a single recipe", hint)
        _folder(recipe, profiles, sets, file, smoke=smoke, changed=changed, as_json=style == "json")
        return Exit.OK
    from runner import workflow
    from runner.provenance import show
    from runner.provenance.origins import MAX_FOLLOWED, origins

    source = workflow.load(recipe, profiles, sets)
    compilation = workflow.compile_recipe(source)
    plan = workflow.plan(compilation, source, smoke=smoke)
    rows = list(origins(plan, compilation.resolver, compilation.plan if smoke else None))
    formatter = show.Formatter(origins={row.path: row for row in rows}, sources=source.sources)
    # A line that lost contributes nothing, and is asked for nevertheless.
    rows = _select(rows, source, paths, None if used else file, changed=changed)
    if used:
        lines = {
            mark: use
            for mark, use in show.line_uses(rows).items()
            if not file or mark.file == _file(source, file)
        }
        if style == "json":
            printer.show_rows(show.line_use_dict(*line) for line in lines.items())
        else:
            printer.show(show.line_uses_text(lines, formatter))
            if any(row.cut for row in rows):
                printer.say(f"only the first {MAX_FOLLOWED} values are explained")
    elif style == "json":
        printer.show_rows(show.as_dict(row, formatter) for row in rows)
    elif rows:
        printer.show(show.text(rows, plan, formatter))
    return Exit.OK


def _folder(
    folder: str,
    profiles: "Sequence[str]",
    sets: "Sequence[str]",
    file: str | None,
    *,
    smoke: bool,
    changed: bool,
    as_json: bool,
) -> None:
    """Print what the lines of shared bases became. Raises RecipeError if there are none."""
    from runner import workflow
    from runner.base.problems import offer
    from runner.provenance import show
    from runner.provenance.origins import origins
    from runner.recipe import find

    recipes: dict[str, Sequence[Origin]] = {}
    formatters: dict[str, show.Formatter] = {}
    for name in find.recipes([folder]):
        source = workflow.load(name, profiles, sets)
        if source.tree.get("stages") is None:
            continue
        compilation = workflow.compile_recipe(source)
        plan = workflow.plan(compilation, source, smoke=smoke)
        rows = list(origins(plan, compilation.resolver, compilation.plan if smoke else None))
        recipes[name] = _select(rows, source, (), None, changed=changed)
        formatters[name] = show.Formatter(origins={}, sources=source.sources)
    lines = show.shared_lines(recipes, lambda name, mark: formatters[name].place(mark))
    if not lines:
        raise RecipeError(
            f"no recipe in {folder} extends a base", "for one recipe: run-recipe show RECIPE"
        )
    files = dict.fromkeys(mark.file for mark in lines)
    if file and file not in files:
        raise RecipeError(f"no recipe in {folder} uses a value of '{file}'", offer(file, files))
    lines = {mark: line for mark, line in lines.items() if not file or mark.file == file}
    if as_json:
        printer.show_rows(show.shared_line_dict(*line) for line in lines.items())
    else:
        printer.show(show.shared_lines_text(lines))


def _select(
    rows: "Sequence[Origin]",
    recipe: "Recipe",
    paths: "Sequence[str]",
    file: str | None,
    *,
    changed: bool,
) -> "list[Origin]":
    """Return the values that were asked for. Raises RecipeError if there is none such."""
    from runner.provenance import show

    selection = _at(rows, paths) if paths else list(rows)
    if file:
        selection = show.contributions(selection, _file(recipe, file))
    return [row for row in selection if row.stage and row.changed] if changed else selection


def _at(rows: "Sequence[Origin]", paths: "Sequence[str]") -> "list[Origin]":
    """Return the values at any of the paths, in the plan's order.

    Words that are one path with a space for its dot are told so.
    """
    from runner.provenance import show

    hits: set[str] = set()
    one = ".".join(paths)
    whole = len(paths) > 1 and bool(show.find(rows, one))
    for path in paths:
        some = show.find(rows, path)
        if not some:
            hint = f"write {one}" if whole else show.near(rows, path)
            raise RecipeError(f"the recipe has no '{path}'", hint)
        hits |= {row.path for row in some}
    if whole:
        printer.say(f"showing values at any of {len(paths)} paths; for a single value, write {one}")
    return [row for row in rows if row.path in hits]


def _file(recipe: "Recipe", word: str) -> str:
    """Return the recipe's file that is meant: as it is named, or the only one that ends so."""
    from runner.base.problems import offer

    names = list(recipe.sources)
    fits = [name for name in names if name == word] or [
        name for name in names if f"/{name}".endswith(f"/{word}")
    ]
    if len(fits) != 1:
        raise RecipeError(f"the recipe does not use a file '{word}'", offer(word, names))
    return fits[0]
