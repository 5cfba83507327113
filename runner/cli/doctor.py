"""The verb doctor."""

import click
from msgspec.structs import asdict

from runner.base.errors import Exit
from runner.cli import options
from runner.system import printer


@click.command("doctor")
@options.style()
def command(style: str) -> int:
    """Check whether this machine can run recipes.

    If it cannot, each line says what to do.
    """
    from runner.cli.health import examine, fit, health
    from runner.lint import installed_tools
    from runner.system.machine import few_files

    facts = health()
    asks = "mlx-lm" in facts["packages"] and not few_files(facts["files"])
    differences, absent = installed_tools.drift([]) if asks else ([], {})
    # What is not installed is none of this machine's faults: not every recipe needs it.
    unasked = {name: why for name, why in absent.items() if why.startswith("LookupError")}
    findings = examine(facts, differences, unasked)
    if style == "json":
        printer.show_json([asdict(finding) for finding in findings])
    else:
        signs = {"good": "ok", "warning": "warning", "unfit": "NOT FIT"}
        for finding in findings:
            printer.show(f"{signs[finding.level]:8} {finding.subject}: {finding.detail}")
            if finding.hint:
                printer.show(f"         hint: {finding.hint}")
        printer.show("ready to run recipes" if fit(findings) else "not ready to run recipes")
    return Exit.OK if fit(findings) else Exit.UNFIT
