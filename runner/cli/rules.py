"""The verb rules."""

import click

from runner.base.errors import Exit, RecipeError
from runner.cli import options
from runner.system import printer


@click.command("rules")
@click.argument("slug", required=False, shell_complete=options.completes("rules"))
@options.style()
def command(slug: str | None, style: str) -> int:
    """List the rules, or explain one."""
    from runner.base.problems import suggest
    from runner.lint.rule import rules

    every = rules()
    if slug is not None and slug not in every:
        raise RecipeError(
            f"there is no rule '{slug}'", suggest(slug, every, "see: run-recipe rules")
        )
    selection = [every[slug]] if slug else list(every.values())
    if style == "json":
        rows = [
            {"slug": one.slug, "severity": one.severity, "traps": one.traps, "page": one.page}
            for one in selection
        ]
        printer.show_json(rows)
        return Exit.OK
    if slug:
        traps = f" ({', '.join(selection[0].traps)})" if selection[0].traps else ""
        printer.show(f"{slug}: {selection[0].severity}{traps}\n\n{selection[0].page}")
        printer.show(f"\nIf intended, allow it in the stage: allow: [{slug}]")
        return Exit.OK
    width = max(map(len, every))
    for one in selection:
        printer.show(f"{one.slug:{width}}  {one.severity:7}  {one.summary}")
    return Exit.OK
