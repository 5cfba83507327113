"""The verb lock."""

from pathlib import Path
from typing import TYPE_CHECKING

import click

from runner.base import visible
from runner.base.errors import Exit, RecipeError
from runner.cli import options
from runner.system import printer

if TYPE_CHECKING:
    from collections.abc import Sequence

    from runner.lock.entries import LockChange
    from runner.recipe.lock_file import Entries


@click.command("lock")
@click.argument(
    "recipes", metavar="RECIPE|FOLDER…", nargs=-1, shell_complete=options.completes("recipes")
)
@click.option("--check", is_flag=True, help="Write nothing; exit with 3 if the lock would change.")
@click.option(
    "--update",
    is_flag=False,
    flag_value="",
    metavar="[NAME]",
    help="Renew NAME (org/name, or org/name@REV), or without it everything.",
)
def command(recipes: tuple[str, ...], check: bool, update: str | None) -> int:
    """Pin the models and data sets of the hub that recipes name.

    NAME.lock beside each recipe holds the commit of each name, with size and digest of each file
    that is loaded, and the commit of each repository that the recipe extends a file of. Commit it:
    the script and each run then use these bytes. What a lock holds stays, unless --update renews
    it.
    """
    from runner.lock import entries
    from runner.lock.names import naming
    from runner.recipe import find

    if update and (find.has_recipe_suffix(update) or Path(update).is_dir()):
        recipes, update = (*recipes, update), entries.ALL
    if not recipes:
        raise RecipeError("no recipe is named", "write run-recipe lock RECIPE")
    if check and update is not None:
        raise RecipeError("--check writes nothing", "leave out --check or --update")
    stale = False
    for file in list(find.recipes(recipes)):
        one = naming(file, update, check=check)
        if one.base:
            if file in recipes:
                hint = "lock the recipes that extend it, or their folder"
                raise RecipeError(f"{file} is a base: it has no stages", hint)
            continue
        before = one.lock.entries if one.lock else {}
        # A check asks the hub about every name; else what is locked stays as it is.
        after = entries.renewed(one.needs, one.bases, before, entries.ALL if check else update)
        changes = entries.changes(before, after)
        stale = stale or bool(changes)
        _tell(file, changes, after, check=check)
        if changes and not check:
            _write(file, after)
    return Exit.DRIFT if check and stale else Exit.OK


def _write(recipe: str, entries: "Entries") -> None:
    from runner.recipe import lock_file
    from runner.system import files

    path = Path(lock_file.beside(recipe) or "")
    if entries:
        files.write(path, lock_file.text(entries))
    else:
        path.unlink(missing_ok=True)


def _tell(file: str, changes: "Sequence[LockChange]", after: "Entries", *, check: bool) -> None:
    from runner.base.problems import plural
    from runner.recipe import lock_file

    lock = visible.line(lock_file.beside(file) or file)
    if not changes:
        what = f"{plural(len(after), 'name')} locked, nothing moved" if after else "nothing to lock"
        printer.show(f"{lock if after else visible.line(file)}: {what}")
        return
    printer.show(f"{lock}: {plural(len(changes), 'change')}")
    for one in changes:
        printer.show(f"  {visible.line(_sentence(one, check=check))}")
    if check:
        printer.say(f"renew it: run-recipe lock {visible.word(file)} --update")


def _sentence(one: "LockChange", *, check: bool) -> str:
    from runner.base.problems import listing

    old, new = one.old[:_SHORT], one.new[:_SHORT]
    files = f": {listing(one.files, 5)}" if one.files else ""
    return {
        "new": f"{one.name} is not locked yet: {new} now" if check else f"{one.name}: {new}",
        "gone": f"{one.name} is no longer named" if check else f"{one.name}: removed",
        "moved": f"{one.name}: {old} -> {new}{files}",
        "changed": f"{one.name} at {old}: the hub serves other files than the locked ones{files}",
    }[one.what]


_SHORT = 12
