"""The verb doctor."""

import click

from runner.edges import printer
from runner.errors import Exit
from runner.verbs import options


@click.command("doctor")
@options.style()
def command(style: str) -> int:
    """Say whether this machine is fit to run recipes.

    Where it is not, each line says what to do.
    """
    from dataclasses import asdict

    from runner import workflow
    from runner.core.health import examine, fit
    from runner.edges import probe

    facts = probe.health()
    differences, _ = workflow.drift([]) if "mlx-lm" in facts["packages"] else ([], {})
    findings = examine(facts, differences)
    if style == "json":
        printer.show_json([asdict(finding) for finding in findings])
    else:
        signs = {"good": "ok", "warning": "warning", "unfit": "NOT FIT"}
        for finding in findings:
            printer.show(f"{signs[finding.level]:8} {finding.subject}: {finding.detail}")
            if finding.hint:
                printer.show(f"         hint: {finding.hint}")
        printer.show("fit to run recipes" if fit(findings) else "not fit to run recipes")
    return Exit.OK if fit(findings) else Exit.UNFIT
