"""The verb run."""

from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import click

from runner.base.errors import Exit, RecipeError
from runner.base.patterns import pattern
from runner.cli import options
from runner.cli.guess import is_recipe, of_folder
from runner.system import printer

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from runner.lint.findings import Findings
    from runner.plan.model import Plan, Stage
    from runner.runs.decide import Decision
    from runner.runs.job import Job
    from runner.runs.listener import Reporter
    from runner.runs.remedies import Adjustment, Step


LABEL = pattern(r"[A-Za-z0-9_]{1,40}")


@click.command("run")
@click.argument("recipe", required=False, shell_complete=options.completes("recipes"))
@options.together(
    options.overrides,
    options.profiles,
    options.smoke,
    options.stages,
    options.style(),
    options.color,
    options.runs,
)
@click.option(
    "-n",
    "--dry-run",
    is_flag=True,
    help="Print the shell script instead of running it (with --format json, the plan).",
)
@click.option(
    "--trust",
    is_flag=True,
    help="Allow what the recipe needs permission for; remembered for exactly these values.",
)
@click.option(
    "--trust-tools",
    is_flag=True,
    help="Allow the tools that come with the recipe; remembered for exactly these files.",
)
@click.option(
    "--name", "label", metavar="NAME", default="", help="Name the run: its id ends in NAME."
)
@click.option("--fresh", is_flag=True, help="Run every stage; reuse nothing from other runs.")
@click.option(
    "--reuse-from",
    metavar="DIR",
    multiple=True,
    type=click.Path(exists=True, file_okay=False),
    help="Reuse finished stages of the runs in DIR, too.",
)
@click.option(
    "--explain-reuse",
    is_flag=True,
    help="Print which stages would be reused, and what differs for the others; run nothing.",
)
@click.option("-q", "--quiet", is_flag=True, help="Print only errors.")
@click.option(
    "--resume",
    is_flag=False,
    flag_value="",
    metavar="[RUN]",
    help="Resume RUN, or the latest run.",
    shell_complete=options.completes("runs"),
)
def command(
    recipe: str | None,
    sets: tuple[str, ...],
    profiles: tuple[str, ...],
    smoke: bool,
    only: tuple[str, ...],
    first: str | None,
    last: str | None,
    style: str,
    color: str,
    dry_run: bool,
    trust: bool,
    trust_tools: bool,
    runs: str,
    label: str,
    fresh: bool,
    reuse_from: tuple[str, ...],
    explain_reuse: bool,
    quiet: bool,
    resume: str | None,
) -> int:
    """Run a recipe."""
    if recipe is None and resume and is_recipe(resume):
        recipe, resume = resume, ""  # --resume took the recipe for its run
    from msgspec.structs import replace

    from runner import workflow
    from runner.runs.job import Search

    place = Path(runs)
    file = recipe or _missing_recipe(resume, place)
    if Path(file).is_dir():
        raise of_folder(file)
    job = workflow.prepare(
        file,
        profiles,
        sets,
        runs=place,
        smoke=smoke,
        only=only,
        first=first,
        last=last,
        resume=resume,
    )
    more = tuple(map(Path, reuse_from))
    _require_label(label, resume)
    job = replace(job, label=label, search=Search(fresh=fresh, more=more, explain=explain_reuse))
    if explain_reuse:
        return _explain(job, style)
    if not dry_run:
        job = replace(
            job,
            trust=trust,
            trust_tools=trust_tools,
            options=_run_options(profiles, sets, only, first, last, runs),
            advise=partial(_advice, file, profiles, sets, smoke),
        )
        hear = partial(_hearers, style=style, color=color, quiet=quiet)
        return workflow.run(job, hear).exit_code
    findings = workflow.foresee(job)
    if style == "json":
        return _print_json(job, findings)
    _warn(findings, style, quiet=quiet)
    if job.before is not None:
        printer.show("\n".join(map(str, _decision(job).actions)))
    else:
        _print(job)
    return Exit.OK


def _require_label(label: str, resume: str | None) -> None:
    """Raise RecipeError for a name that no run can be given."""
    if label and resume is not None:
        raise RecipeError("--name is for a new run, not for one that is resumed", "remove --name")
    if label and not LABEL.fullmatch(label):
        raise RecipeError(f"'{label}' cannot name a run", "use letters, digits and _, at most 40")


def _explain(job: "Job", style: str) -> int:
    """Print for each stage that would run whether another run has done it, and what differs."""
    decision = _decision(job)
    reasons = decision.reuse.reasons
    if style == "json":
        rows = [
            {"stage": one.stage, "do": one.do, "cause": reasons.get(one.stage, one.cause)}
            for one in decision.actions
        ]
        printer.show_json(rows)
    else:
        printer.show(
            "\n".join(
                f"{one.stage}: not reused: {reasons[one.stage]}"
                if one.stage in reasons
                else f"{one.stage}: {one.cause}"
                for one in decision.actions
            )
        )
    return Exit.OK


def _advice(
    file: str,
    profiles: "Sequence[str]",
    sets: "Sequence[str]",
    smoke: bool,
    stage: "Stage",
    steps: "Sequence[Step]",
) -> "tuple[Adjustment, ...]":
    """Return the changes that help a stage that failed, tried on its recipe."""
    from runner.cli.tried_remedies import Trial

    return Trial(file=file, profiles=profiles, sets=sets, smoke=smoke)(stage, steps)


def _print(job: "Job") -> None:
    """Print the script."""
    from runner.catalog import load
    from runner.command.script import lines

    printer.payload("".join(lines(_part(job), load.catalog(job.plan.tools))))


def _run_options(
    profiles: "Sequence[str]",
    sets: "Sequence[str]",
    only: "Sequence[str]",
    first: str | None,
    last: str | None,
    runs: str,
) -> tuple[str, ...]:
    """Return the options that make a run another one, or put it elsewhere, as they were said."""
    lists = {"--profile": profiles, "--set": sets, "--only": only}
    words = [word for name, all_of in lists.items() for one in all_of for word in (name, one)]
    places = {"--from": first, "--to": last, "--runs": runs if runs != options.RUNS else None}
    words += [word for name, one in places.items() if one for word in (name, one)]
    return tuple(words)


@contextmanager
def _hearers(
    plan: "Plan", findings: "Findings", *, style: str, color: str, quiet: bool
) -> "Iterator[Reporter]":
    """Give who hears of a run: terminal, trackers, and its page, which keeps what was found."""
    from runner.report.console import Several, reporter
    from runner.report.gather import Page
    from runner.report.trackers import trackers

    _warn(findings, style, quiet=quiet)
    with reporter(style, color, quiet=quiet, notes=findings.notes) as report:
        yield Several(report, Page(findings.lines), *trackers(plan))


def _warn(findings: "Findings", style: str, *, quiet: bool) -> None:
    from runner.base.problems import limit_problems, pictures

    if style == "json":
        for warning in limit_problems(findings.problems):
            printer.show_json({"event": "problem", **warning.as_dict()}, indent=None)
    elif not quiet:
        for picture in pictures(findings.problems, findings.sources):
            printer.say(picture)


def _missing_recipe(resume: str | None, runs: Path) -> str:
    """Raise RecipeError: no recipe given, and which may be meant."""
    from runner.base.problems import listing
    from runner.recipe import find
    from runner.runs import history
    from runner.runs.next_steps import going_on

    hint = "write: run-recipe RECIPE"
    if resume is not None:
        manifest = history.find(runs, resume or None)
        which = f"'{manifest.id}'" if resume else "the latest run"
        hint = f"{which} is of {manifest.plan.file}: {going_on(manifest)}"
        hint += f" {resume}" if resume else ""
    elif recipes := [*find.recipes(["recipes"] if Path("recipes").is_dir() else ["."])]:
        hint = f"{hint}; there are: {listing(recipes, 4)}"
    raise RecipeError("no recipe given", hint)


def _print_json(job: "Job", findings: "Findings") -> int:
    """Print the same as JSON: the commands, the decisions of a resume, and what was warned of."""
    from msgspec.structs import asdict

    from runner.catalog import load
    from runner.command.as_json import commands

    document = commands(_part(job), load.catalog(job.plan.tools))
    if job.before is not None:
        document["resume"] = [asdict(action) for action in _decision(job).actions]
    document["problems"] = [warning.as_dict() for warning in findings.problems]
    printer.show_json(document)
    return Exit.OK


def _decision(job: "Job") -> "Decision":
    from runner.catalog import load
    from runner.runs.decide import decide_job

    return decide_job(job, load.installed_catalog(job.plan.tools))[1]


def _part(job: "Job") -> "Plan":
    from msgspec.structs import replace

    stages = tuple(stage for stage in job.plan.stages if stage.name in job.names)
    return replace(job.plan, stages=stages)
