"""The verb tools."""

import json

import click

from runner.base.errors import Exit, RecipeError
from runner.base.formatting import pretty_json
from runner.cli import options
from runner.system import printer


@click.command("tools")
@click.argument("name", metavar="[TOOL]", required=False, shell_complete=options.completes("tools"))
@click.option("--drift", is_flag=True, help="Compare with the installed mlx-lm instead (exit 3).")
@click.option(
    "--draft",
    metavar="PROGRAM",
    help="Write a draft of the file for a tool: MODULE:MAIN, an installed command, or a script.",
)
@options.style()
def command(name: str | None, drift: bool, draft: str | None, style: str) -> int:
    """List the tools, or the parameters of one tool."""
    from runner.catalog import load, packaged_tools

    catalog = load.catalog(packaged_tools.tools(packaged_tools.names()))
    if draft is not None:
        return _print_draft(draft)
    if drift:
        return _print_drift(name, style)
    if name is None:
        rows = {
            tool_name: tool.description
            for tool_name in catalog.names
            if (tool := catalog.get(tool_name))
        }
        width = max(map(len, rows))
        text = "\n".join(f"{tool_name:{width}}  {what}" for tool_name, what in rows.items())
        if style == "json":
            printer.show_json(rows)
        else:
            printer.show(text)
        return Exit.OK
    fits = catalog.ending_in(name)
    tool = catalog.get(fits[0]) if len(fits) == 1 else None
    if tool is None:
        from runner.base.problems import listing, suggest

        hint = suggest(name, fits or catalog.names, "run-recipe tools lists them")
        raise RecipeError(
            f"there is no tool '{name}'", f"there are: {listing(fits)}" if fits else hint
        )
    if style == "json":
        printer.show_json(tool.schema)
        return Exit.OK
    printer.show(f"{tool.name}: {tool.description}\n")
    for parameter in tool.parameters.values():
        kinds = parameter.schema.get("type", "")
        kind = " or ".join(kinds) if isinstance(kinds, list) else kinds
        default = json.dumps(parameter.default, ensure_ascii=False)
        way = parameter.flag or f"in the {tool.config_flag} file"
        printer.show(f"  {parameter.name}  ({kind}, default {default}, {way})")
        printer.show(f"      {parameter.schema['description']}")
    return Exit.OK


def _print_draft(target: str) -> int:
    from runner.catalog import draft, load
    from runner.system import machine

    program = machine.ask("runner.worker.draft", target)
    if set(program) == {"error"}:
        raise RecipeError(
            f"cannot draft {target}: {program['error']}",
            "name MODULE:MAIN, an installed command, or a script that uses argparse or click",
        )
    catalog = load.catalog()
    known = [tool for name in catalog.names if (tool := catalog.get(name))]
    schema, gaps = draft.draft(program, known)
    printer.payload(f"{pretty_json(schema)}\n")
    printer.say("\n".join(draft.lines(gaps)))
    return Exit.OK


def _print_drift(name: str | None, style: str) -> int:
    from runner.lint import installed_tools

    differences, unavailable = installed_tools.drift([name] if name else [])
    if style == "json":
        printer.show_json({"differences": differences, "unavailable": unavailable})
    else:
        printer.show("\n".join(differences) or "the catalogue matches the installed tools")
        for tool, reason in unavailable.items():
            printer.say(f"{tool}: not compared: {reason}")
    return Exit.DRIFT if differences else Exit.OK
