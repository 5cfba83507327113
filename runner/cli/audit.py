"""The verb audit."""

from pathlib import Path

import click

from runner.base.errors import Exit
from runner.cli import options
from runner.system import printer


@click.command("audit")
@click.argument("run", required=False, shell_complete=options.completes("runs"))
@options.together(options.runs, options.style())
def command(run: str | None, runs: str, style: str) -> int:
    """Compare what MLX received with the plan.

    It covers every parameter of every stage.
    """
    from runner.runs import history
    from runner.runs.audit import ASIDE, sentence, table, total
    from runner.runs.manifest import State

    manifest = history.find(Path(runs), run)
    rows = history.audits(manifest)
    wrong = any(not verdict.equal for verdicts in rows.values() for verdict in verdicts)
    if style == "json":
        printer.show_json({name: [one.as_dict() for one in rows[name]] for name in rows})
        return Exit.AUDIT if wrong else Exit.OK
    for name, verdicts in rows.items():
        origin = manifest.stage(name).reused
        there = f" (audited in {origin['run']}, which its result was taken from)" if origin else ""
        printer.show(f"{name}: {sentence(verdicts)}{there}")
        printer.show("\n".join(f"  {row}" for row in table(verdicts)))
        for word in history.observations(Path(manifest.folder) / name).get(ASIDE, ()):
            printer.show(f"  beside looking: {word}")
    every = [verdict for verdicts in rows.values() for verdict in verdicts]
    unaudited = [
        r.name for r in manifest.stages if r.state is State.FINISHED and r.name not in rows
    ]
    for name in unaudited:
        printer.show(f"{name}: finished, but its parameters were not recorded")
    none = "no stages of this run have been audited"
    printer.show(total(every) if every else none)
    return Exit.AUDIT if wrong or unaudited or not every else Exit.OK
