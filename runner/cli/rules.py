"""The verb rules."""

import click

from runner.base.errors import Exit, RecipeError
from runner.cli import options
from runner.system import printer


@click.command("rules")
@click.argument("slug", required=False, shell_complete=options.completes("rules"))
@options.style()
def command(slug: str | None, style: str) -> int:
    """List the rules; for one, its page."""
    from runner.base.problems import suggest
    from runner.lint.rule import rules

    known = rules()
    if slug is not None and slug not in known:
        raise RecipeError(
            f"there is no rule '{slug}'", suggest(slug, known, "see: run-recipe rules")
        )
    chosen = [known[slug]] if slug else list(known.values())
    if style == "json":
        rows = [
            {"slug": one.slug, "severity": one.severity, "traps": one.traps, "page": one.page}
            for one in chosen
        ]
        printer.show_json(rows)
        return Exit.OK
    if slug:
        traps = f" ({', '.join(chosen[0].traps)})" if chosen[0].traps else ""
        printer.show(f"{slug}: {chosen[0].severity}{traps}\n\n{chosen[0].page}")
        printer.show(f"\nWhere it is meant, the stage says so: allow: [{slug}]")
        return Exit.OK
    width = max(map(len, known))
    for one in chosen:
        printer.show(f"{one.slug:{width}}  {one.severity:7}  {one.summary}")
    return Exit.OK
