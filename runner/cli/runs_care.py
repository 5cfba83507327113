"""The verbs below runs: prune and du."""

import sys
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import click

from runner.base.errors import Exit, RecipeError
from runner.base.formatting import size_of
from runner.cli import options
from runner.system import printer

DAY = 86_400.0
EPILOG = "runs prune removes old runs, runs du shows what they take: see their --help."


class WithVerbs(click.Command):
    """A list of runs whose first word may be a verb of its own."""

    def make_context(
        self,
        info_name: str | None,
        args: list[str],
        parent: click.Context | None = None,
        **extra: Any,
    ) -> click.Context:
        """Let the first word choose the verb."""
        verb = {"prune": prune, "du": du}.get(args[0]) if args else None
        if verb is None:
            return super().make_context(info_name, args, parent, **extra)
        return verb.make_context(f"{info_name} {args[0]}", args[1:], parent, **extra)


@click.command("prune")
@click.argument("recipe", required=False, shell_complete=options.completes("ran"))
@click.option(
    "--keep", type=click.IntRange(min=0), metavar="N", help="Keep the newest N of each recipe."
)
@click.option("--older", metavar="TIME", help="Only runs that ended longer ago: 30d, 12h.")
@click.option("--failed", is_flag=True, help="Only runs that did not finish.")
@click.option("--yes", is_flag=True, help="Remove them without asking.")
@options.runs
def prune(
    recipe: str | None, keep: int | None, older: str | None, failed: bool, yes: bool, runs: str
) -> int:
    """List the runs that fit all options, and remove them if you confirm.

    A run that another run has read from stays. Outputs outside of the run folders are not touched.
    """
    from runner.runs import history
    from runner.runs import prune as pruning
    from runner.runs.prune import Choice

    if keep is None and older is None and not failed:
        raise RecipeError(
            "nothing says which runs to remove", "add --keep N, --older 30d or --failed"
        )
    everything = history.find_all(Path(runs))
    own = history.find_all(Path(runs), recipe) if recipe else everything
    names = frozenset(one.plan.name for one in own)
    choice = Choice(recipes=names, keep=keep, older=_age(older), failed=failed)
    plan = pruning.prune(everything, choice, datetime.now(UTC))
    for one, why in plan.needed:
        printer.say(f"keeps {one.id}: {why}")
    gone = {one.folder for one in plan.runs}
    rest = [one for one in everything if one.folder not in gone]
    for one in plan.runs:
        printer.show(f"{one.id}  {one.plan.name}  {one.state}, {one.started}")
    if not plan.runs:
        printer.say("no run fits")
        return Exit.OK
    freed = pruning.size(map(Path, gone), (Path(one.folder) for one in rest))
    up_to = "up to " if pruning.shared(everything) else ""
    if not _confirm(len(gone), f"{up_to}{size_of(freed)}", yes=yes):
        return Exit.OK
    pruning.sweep(Path(runs))
    for one in plan.runs:
        pruning.remove(one)
    printer.say(f"removed {len(gone)}, freed {up_to}{size_of(freed)}")
    return Exit.OK


@click.command("du")
@click.argument("recipe", required=False, shell_complete=options.completes("ran"))
@options.together(options.runs, options.style())
def du(recipe: str | None, runs: str, style: str) -> int:
    """Show the bytes that runs take on the disk: each alone, and all together."""
    from runner.runs import history
    from runner.runs.prune import size

    manifests = history.find_all(Path(runs), recipe)
    rows = [(one, size([Path(one.folder)])) for one in manifests]
    total = size(Path(one.folder) for one in manifests)
    if style == "json":
        each = [{"id": one.id, "folder": one.folder, "bytes": count} for one, count in rows]
        printer.show_json({"runs": each, "bytes": total})
        return Exit.OK
    for one, count in rows:
        printer.show(f"{size_of(count):>8}  {one.id}  {one.plan.name}")
    printer.show(f"{size_of(total):>8}  all; a file that runs share counts once")
    return Exit.OK


def _confirm(count: int, freed: str, *, yes: bool) -> bool:
    """Say whether to go on: asked on a terminal; elsewhere only with --yes."""
    what = f"{count} run{'s' * (count != 1)}, {freed}"
    if yes:
        return True
    if not sys.stdin.isatty():
        printer.say(f"{what}; nothing was removed: add --yes")
        return False
    return click.confirm(f"Remove {what}?", err=True)


def _age(text: str | None) -> float | None:
    """Return a duration in seconds. Raises RecipeError."""
    from runner.plan.keys import seconds

    if text is None:
        return None
    days = text.removesuffix("d")
    age = float(days) * DAY if days != text and days.isdecimal() else seconds(text)
    if age is None:
        raise RecipeError(f"--older must be a duration, not '{text}'", "write 30d, 12h or 90m")
    return age
