"""The program as a sequence: load, compile, select, run; for the command line and the library."""

import os
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

from msgspec.structs import replace

from runner.base.errors import InvalidRecipeError, RecipeError
from runner.base.problems import NOTE, Mark, Problem, answering, listing, sort_problems, suggest
from runner.base.secrets import Mask
from runner.catalog import load as schemas
from runner.catalog import packaged_tools, project, tool_files
from runner.catalog.tools import Catalog
from runner.lint import findings, rule
from runner.lint.findings import Findings
from runner.plan import compile as compiling
from runner.plan import reach
from runner.plan import smoke as smoke_plan
from runner.plan.budget import Counted
from runner.plan.compile import Compilation
from runner.plan.leaks import leaks, mask_problems
from runner.plan.model import Plan
from runner.plan.order import gap
from runner.plan.pins import pin
from runner.plan.stand_ins import NoStandInError
from runner.recipe import load as recipes
from runner.recipe import lock_file
from runner.recipe.load import Overrides, Recipe
from runner.recipe.node import locate
from runner.recipe.remote import is_remote
from runner.system import files as disk
from runner.system import hub
from runner.system.gc_paused import resting
from runner.system.progress import WORKERS, meter

if TYPE_CHECKING:
    from runner.runs.decide import Decision
    from runner.runs.job import Job
    from runner.runs.listener import Reporter
    from runner.runs.manifest import Manifest
    from runner.runs.result import Result


LEFT_OUT = "a smoke run leaves out stages that download or upload"


class RecipeFiles(Protocol):
    """The source of recipe files: this disk, or the files of a revision."""

    def read(self, file: str) -> bytes:
        """Return a recipe's bytes. Raises OSError."""

    def beside(self, file: str) -> Iterable[str]:
        """Return the names of recipes next to a path."""


def read(
    file: str,
    profiles: Sequence[str] = (),
    sets: Sequence[str] = (),
    environ: Mapping[str, str] | None = None,
    files: RecipeFiles = disk,
    origin: str = "",
) -> recipes.LoadResult:
    """Read a recipe and fold its layers; every problem is in the result.

    In the texts it was read from, which pictures of problems show, secrets are masked, and files
    outside of the project are left out. `origin` is the file that the user named, if not this one.
    """
    return fold(gather(file, environ, files, origin), profiles, sets, environ)


@answering()
@resting()
def gather(
    file: str,
    environ: Mapping[str, str] | None = None,
    files: RecipeFiles = disk,
    origin: str = "",
    lock: lock_file.LockFile | None = None,
) -> recipes.SourceTree:
    """Read the files of a recipe once, for `fold`."""
    here = project.of(origin or file)
    own, refusals = _lock(file, files)
    lock = lock or own
    read = _with_remote(here.recipes(files.read), file, lock)
    texts = recipes.gather(file, read, files.beside)
    tools = tool_files.read(
        texts.tree, here.tools(files.read), schemas.tool_schema(), schemas.catalog().names
    )
    mask = _mask(environ)
    every = {**texts.sources, **tools.sources}
    sources = {
        name: mask.text(text) if here.holds(name) or is_remote(name) else ""
        for name, text in every.items()
    }
    problems = (*texts.problems, *map(here.quotes, tools.problems), *refusals)
    return replace(texts, sources=sources, problems=problems, tools=tools.tools, lock=lock)


def _with_remote(read: recipes.Read, recipe: str, lock: lock_file.LockFile | None) -> recipes.Read:
    """Return what also reads files of other repositories, at the commits of the lock."""

    def either(file: str) -> bytes:
        if not is_remote(file):
            return read(file)
        from runner.cache import repositories  # most recipes extend what is here

        return repositories.reader(recipe, lock.entries if lock else {})(file)

    return either


def lock_of(recipe: str) -> lock_file.LockFile | None:
    """Return the lock beside a recipe on this disk, None where there is none that can be read."""
    return _lock(recipe, disk)[0]


def _lock(recipe: str, files: RecipeFiles) -> tuple[lock_file.LockFile | None, list[Problem]]:
    """Return the lock beside a recipe, None where there is none or it cannot be read."""
    file = lock_file.beside(recipe)
    try:
        data = files.read(file) if file else None
    except OSError as error:
        if isinstance(error, FileNotFoundError | NotADirectoryError):
            return None, []
        why = f"cannot read {file}: {error.strerror or error}"
        return None, [
            Problem(mark=Mark(file=file or "", line=1, column=1), message=why, rule="bad-lock")
        ]
    return lock_file.read(data, file) if data is not None and file else (None, [])


@answering()
@resting()
def fold(
    texts: recipes.SourceTree,
    profiles: Sequence[str] = (),
    sets: Sequence[str] = (),
    environ: Mapping[str, str] | None = None,
    *,
    alone: bool = False,
    without: Collection[tuple[str, int]] = (),
) -> recipes.LoadResult:
    """Lay over a recipe what a caller says; with `alone` it has no other profiles than these.

    `without` are the places of options, ``(file, line)``, that are left out.
    """
    variables = os.environ if environ is None else environ
    overrides = Overrides(
        profiles=tuple(profiles), environ=variables, sets=tuple(sets), without=frozenset(without)
    )
    reading = recipes.fold(texts, overrides, alone=alone)
    mask = _mask(environ)
    own = reading.sources.keys() - texts.sources.keys()
    reading.sources |= {name: mask.text(reading.sources[name]) for name in own}
    reading.problems[:] = mask_problems(reading.problems, mask)
    return reading


def load(
    file: str,
    profiles: Sequence[str] = (),
    sets: Sequence[str] = (),
    environ: Mapping[str, str] | None = None,
    files: RecipeFiles = disk,
) -> Recipe:
    """Read a recipe. Raises InvalidRecipeError with all problems of the recipe."""
    reading = read(file, profiles, sets, environ, files)
    if reading.recipe is None or reading.problems:
        raise InvalidRecipeError(problems(reading, environ), reading.sources)
    return reading.recipe


def problems(
    reading: recipes.LoadResult, environ: Mapping[str, str] | None = None
) -> list[Problem]:
    """Return all problems of a recipe: those of its layers and those of its stages."""
    if reading.recipe is None:
        return reading.problems
    return reading.problems + compile_recipe(reading.recipe, environ).problems


@answering()
@resting()
def compile_recipe(
    recipe: Recipe, environ: Mapping[str, str] | None = None, *, budgets: bool = True
) -> Compilation:
    """Compile a recipe; every problem is in the result.

    A stage's ``budget`` asks for the rows of its data; without `budgets` it says no ``iters``.
    """
    variables, mask = os.environ if environ is None else environ, _mask(environ)
    tools, envelope = _tools(recipe), schemas.envelope()
    rows = _count_rows if budgets else None
    catalog = schemas.catalog(tools)
    result = compiling.build(recipe, catalog, envelope, variables, rule.rules(), rows)
    result = _with_tools(result, tools)
    if result.plan is not None:
        result = replace(result, plan=pin(result.plan, catalog, recipe.lock))
    exposures = list(leaks(result, recipe, mask))
    problems = sort_problems(mask_problems([*result.problems, *exposures], mask))
    return replace(result, plan=None if exposures else result.plan, problems=problems)


def _tools(recipe: Recipe) -> Mapping[str, dict[str, Any]]:
    """Return the tools of a recipe: those it names, and those of installed packages it uses."""
    named = (node.get("tool") for node in recipe.section("stages").values())
    names = {node.value for node in named if node is not None and isinstance(node.value, str)}
    unknown = names - {*schemas.catalog().names, *recipe.tools}
    return {**packaged_tools.tools(unknown), **recipe.tools} if unknown else recipe.tools


def _with_tools(result: Compilation, tools: Mapping[str, dict[str, Any]]) -> Compilation:
    """Return a compilation whose plan keeps the files of the tools that it uses."""
    if result.plan is None or not tools:
        return result
    used = {one.tool: tools[one.tool] for one in result.plan.stages if one.tool in tools}
    return replace(result, plan=replace(result.plan, tools=used))


def _count_rows(data: str, makers: Plan) -> Counted:
    from runner.lint.read_facts import count_rows  # most recipes have no budget

    return count_rows(data, makers)


def reaching(result: Compilation) -> list[Problem]:
    """Return a warning at each value of a compiled recipe that needs permission to run."""
    tools = result.plan.tools if result.plan else {}
    return list(reach.problems(result, schemas.catalog(tools), schemas.envelope()))


def _mask(environ: Mapping[str, str] | None) -> Mask:
    return hub.mask() if environ is None else Mask(hub.secrets(environ))


def plan(result: Compilation, recipe: Recipe, *, smoke: bool = False, alone: bool = False) -> Plan:
    """Return the plan of a compiled recipe. Raises InvalidRecipeError."""
    if result.plan is None:
        raise InvalidRecipeError(result.problems, recipe.sources)
    try:
        return shrink(result.plan, alone=alone) if smoke else result.plan
    except NoStandInError as error:
        node = result.resolver.drafts[error.stage].node
        mark = locate(node, ("params", *error.path)).mark
        problem = Problem(mark=mark, message=str(error), rule="smoke", hint=error.hint)
        raise InvalidRecipeError([problem], recipe.sources) from error


def shrink(whole: Plan, *, alone: bool = False) -> Plan:
    """Return a plan at toy scale, with models like those on this disk; `alone` looks at no model.

    Raises NoStandInError if no tiny model fits it.
    """
    from runner.lint import read_facts  # most plans are real

    catalog = schemas.catalog(whole.tools)
    names = () if alone else smoke_plan.models(whole, catalog)
    cache, commits = hub.cache(os.environ), whole.model_commits
    configs = {
        name: config
        for name in names
        if (config := read_facts.config(commits.get(name, name), cache))
    }
    return smoke_plan.shrink(whole, catalog, schemas.architectures(), configs)


def select(
    whole: Plan, only: Sequence[str] = (), first: str | None = None, last: str | None = None
) -> tuple[str, ...]:
    """Return the names of the stages to run. Raises RecipeError for an unknown name."""
    names = [stage.name for stage in whole.stages]
    for name in (*only, *filter(None, (first, last))):
        if name not in names:
            left = f"; {LEFT_OUT}" if whole.smoke else ""
            hint = suggest(name, names, f"there are: {listing(names)}{left}")
            what = "smoke run" if whole.smoke else "recipe"
            raise RecipeError(f"the {what} has no stage '{name}'", hint)
    start = names.index(first) if first else 0
    stop = names.index(last) + 1 if last else len(names)
    selection = {name for name in names[start:stop] if not only or name in only}
    if not selection:
        away = whole.smoke and not whole.stages
        hint = LEFT_OUT if away else "check --only, --from and --to"
        raise RecipeError("no stages left to run", hint)
    own = smoke_plan.own(whole)  # others cannot do without
    return tuple(name for name in names if name in selection | own)


Hear = Callable[[Plan, Findings], AbstractContextManager["Reporter"]]
"""A plan and what was found -> who hears of its run."""


def hearers(*, progress: bool) -> Hear:
    """Return the listeners of a run that a program started; `progress` adds stderr."""
    from runner.report.console import Several
    from runner.report.console.plain import Plain, Silent
    from runner.report.gather import Page
    from runner.report.trackers import trackers

    def hear(plan: Plan, remarks: Findings) -> AbstractContextManager["Reporter"]:
        console = Plain(remarks.notes) if progress else Silent()
        return nullcontext(Several(console, Page(remarks.lines), *trackers(plan)))

    return hear


def prepare(
    file: str,
    profiles: Sequence[str] = (),
    sets: Sequence[str] = (),
    *,
    runs: Path,
    smoke: bool = False,
    only: Sequence[str] = (),
    first: str | None = None,
    last: str | None = None,
    resume: str | None = None,
) -> "Job":
    """Return the job of a recipe; `resume` names the run to resume.

    Raises RecipeError; InvalidRecipeError for problems of the recipe.
    """
    recipe = load(file, profiles, sets)
    compilation = compile_recipe(recipe)
    whole = plan(compilation, recipe, smoke=smoke)
    names = select(whole, only, first, last)
    todo = job(whole, compilation, runs=runs, names=names, resume=resume)
    anew = bool(sets) and len(names) == len(whole.stages) and _is_whole(todo.before)
    return replace(todo, anew=anew)


def _is_whole(before: "Manifest | None") -> bool:
    """Say whether a run has finished all of its stages, and all they made lies in its folder."""
    from runner.runs.manifest import State

    return before is not None and all(
        record.state is State.FINISHED
        and all(path.startswith(f"{before.folder}/") for path in record.prints)
        for record in before.stages
    )


def job(
    whole: Plan,
    compilation: Compilation | None,
    *,
    runs: Path,
    names: tuple[str, ...],
    resume: str | None = None,
) -> "Job":
    """Return the job of a plan. Raises RecipeError if stages that it needs are excluded."""
    from runner.runs.job import Job  # showing a recipe needs none of it

    before = None
    if resume is not None:
        from runner.runs import history

        before = history.to_resume(runs, resume, whole.name, smoke=whole.smoke)
    elif missing := gap(whole, names, {}):
        raise RecipeError(*missing)
    return Job(plan=whole, names=names, runs=runs, before=before, compilation=compilation)


def run(job: "Job", hear: Hear) -> "Result":
    """Run a job: decide what to do, check its inputs, do it; return the result.

    Raises RecipeError, InvalidRecipeError and UnfitError before anything is made.
    """
    from runner.runs import history, signals  # showing a plan needs none of it
    from runner.runs import trust as trusting
    from runner.runs.decide import decide_job
    from runner.runs.execute import execute
    from runner.runs.result import result
    from runner.runs.warm_start import early

    catalog = schemas.installed_catalog(job.plan.tools)
    trusting.require_tools(job.plan, job.names, consent=job.trust_tools)
    trusting.require(job.plan, catalog, job.names, consent=job.trust)
    with signals.interrupts(), early(job, catalog) as ahead:
        old, (job, decision) = job.before, decide_job(job, catalog)
        ahead.keep(decision.run)
        remarks = look(job, decision, ahead.folder)
        if old is not None and job.before is None:
            remarks = replace(remarks, notes=[stays(old), *remarks.notes])
        if job.before is None:  # what was looked at is sound: the second's imports may begin, too
            ahead.start((job.plan.stage(one) for one in decision.run), most=2)
        job = replace(job, folders=_folders(job, decision, catalog))
        with hear(job.plan, remarks) as reporter:
            manifest = execute(job, decision, ahead, reporter)
    return result(manifest, history.audits(manifest))


def _folders(job: "Job", decision: "Decision", catalog: Catalog) -> Mapping[str, str]:
    """Return where the pinned names of the hub are here that the stages which will run read."""
    stages = [job.plan.stage(one.stage) for one in decision.actions if one.do == "run"]
    if not any(stage.pins for stage in stages):
        return {}
    from runner.runs import digests, snapshots
    from runner.runs.decide import MEMORY

    names = [stage.name for stage in stages]
    memory = digests.Memory(job.runs / MEMORY)
    with meter() as progress:
        return snapshots.fetch(job.plan, names, catalog, memory, progress)


def stays(before: "Manifest") -> str:
    """Return that a finished run is not changed."""
    return f"{before.id} has finished and stays as it is: --set starts a new run"


def foresee(job: "Job") -> Findings:
    """Return what the rules find in a job without a look at this disk: what a dry run warns of.

    Raises InvalidRecipeError for errors.
    """
    if job.compilation is None:
        return Findings()
    sources = job.compilation.resolver.recipe.sources
    problems = findings.refuse(findings.rule_problems(job.compilation), sources)
    return Findings(problems=problems, sources=sources)


def look(job: "Job", decision: "Decision", folder: Path) -> Findings:
    """Check the inputs of the stages that will run, and the free space on the disk of `folder`.

    Raises InvalidRecipeError for errors, UnfitError if the disk has too little room.
    """
    from runner.lint import disk_space, preflight
    from runner.runs.decide import own

    plan, compilation = job.plan, job.compilation
    stages = decision.run
    if not stages:
        return Findings()  # nothing will be read or written
    sources = compilation.resolver.recipe.sources if compilation else {}
    outputs = own(plan, job.before, decision.damaged) if job.before else set()
    others = (stage for stage in plan.stages if stage.name not in stages)
    outputs |= {path for stage in others for path in stage.outputs.values()}
    with meter() as progress:
        if compilation is not None:
            examination = findings.all_problems(
                compilation,
                stages,
                plan=plan,
                outputs=outputs,
                workers=WORKERS,
                progress=progress,
            )
        else:  # of a plan alone the rows can be looked at, and nothing else
            examination = preflight.rows(
                plan,
                stages,
                here=project.of(plan.file),
                smoke=plan.smoke,
                workers=WORKERS,
                progress=progress,
            ).problems
    findings.refuse(examination, sources)
    problems = [one for one in examination if one.severity != NOTE]
    ahead = findings.forecasts(compilation, plan) if compilation else []
    notes = [str(one) for one in ahead if one.stage in job.names]
    gaps = [one.message for one in examination if one.severity == NOTE]
    notes += gaps
    notes = [*notes, *disk_space.look(plan, stages, folder)]
    return Findings(problems=problems, notes=notes, sources=sources)
