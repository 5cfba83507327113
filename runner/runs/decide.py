"""What a plan would do on this disk: identities, damaged outputs, and whether it can run."""

from collections.abc import Collection, Mapping, Sequence
from pathlib import Path

from msgspec import Struct, field
from msgspec.structs import replace

from runner.base.constants import RUN_DIR
from runner.base.errors import RecipeError, UnfitError
from runner.base.problems import listing
from runner.catalog.tools import Catalog, Tool
from runner.plan.inputs import readings
from runner.plan.model import Plan, Stage, bind
from runner.plan.order import gap
from runner.plan.training import training
from runner.recipe.template import expressions
from runner.runs import checkpoints, digests
from runner.runs import checkpoints as states
from runner.runs.decisions import Action, Identity, identities, schedule, was_cut_off
from runner.runs.job import Job, Search
from runner.runs.manifest import Manifest, StageRecord, State
from runner.runs.outputs import Places
from runner.runs.reused import Reuse, reused, taken
from runner.runs.setting import setting
from runner.system import machine
from runner.system.machine import MORE_FILES, PYTHON, few_files
from runner.system.progress import meter

MEMORY = ".digests.json"
NOWHERE = Search(fresh=True)


class Decision(Struct, frozen=True, kw_only=True):
    """What each stage would be made of, what happened to earlier outputs, and what to do.

    `reuse` holds the results of other runs that are taken, and why others are not.
    """

    identities: Mapping[str, Identity]
    damaged: Mapping[str, str]
    actions: Sequence[Action]
    settings: Mapping[str, Mapping[str, str]] = field(default_factory=dict)
    reuse: Reuse = field(default_factory=Reuse)

    @property
    def run(self) -> list[str]:
        """The names of the stages that will run."""
        return [action.stage for action in self.actions if action.do == "run"]


def decide(
    plan: Plan,
    catalog: Catalog,
    names: Sequence[str],
    before: Manifest | None,
    runs: Path,
    search: Search = NOWHERE,
) -> Decision:
    """Decide what to do with the named stages, each with its cause; a dry run decides here, too.

    What was read for it is remembered beside the `runs`. Finished stages of other runs are taken
    if they are the same work and it is to `search` there. Raises RecipeError if a stage reads
    from one that would not run and has no result.
    """
    records = {record.name: record for record in before.stages} if before else {}
    versions = machine.packages(distributions(plan, catalog)) | {"run_recipe": "1"}
    identity_of = identities(plan, catalog, versions, _inputs(plan, catalog, runs))
    damaged = {}
    for stage in plan.stages:
        record = records.get(stage.name)
        damage = _damage(record, Places(Path(before.folder), stage)) if record and before else ""
        if damage:
            damaged[stage.name] = damage
    doubted = _doubts(plan, before.plan) if before else ()
    actions = schedule(plan, names, identity_of, records, damaged, doubted)
    settings = {stage.name: setting(plan, stage, catalog) for stage in plan.stages}
    actions, reuse = reused(plan, catalog, actions, (identity_of, settings), before, runs, search)
    if before is not None:
        again = {action.stage for action in actions if action.do in {"run", "reuse"}}
        actions = [
            _with_state(one, plan.stage(one.stage), catalog, identity_of, before, again)
            if one.do == "run" and was_cut_off(records.get(one.stage))
            else one
            for one in actions
        ]
    decision = Decision(
        identities=identity_of, damaged=damaged, actions=actions, settings=settings, reuse=reuse
    )
    missing = gap(plan, [action.stage for action in actions], _reasons(plan, decision, before))
    if missing is not None:
        raise RecipeError(*missing)
    return decision


def decide_job(job: Job, catalog: Catalog) -> tuple[Job, Decision]:
    """Decide for a job; return the job too, which is that of a new run where `anew` asks for one.

    There every result of the finished run that would stay is taken over.
    """
    decision = decide(job.plan, catalog, job.names, job.before, job.runs, job.search)
    if job.before is None or not job.anew or not decision.run:
        return job, decision
    actions, sources = taken(job.plan, catalog, decision.actions, job.before)
    reuse = replace(decision.reuse, sources={**decision.reuse.sources, **sources})
    return replace(job, before=None), replace(decision, actions=actions, reuse=reuse)


def distributions(plan: Plan, catalog: Catalog) -> list[str]:
    """Return the packages that a plan's tools come with."""
    tools = (catalog.get(stage.tool) for stage in plan.stages)
    names = {tool.distribution for tool in tools if tool and tool.distribution and not tool.own}
    return sorted(names)


def _doubts(plan: Plan, before: Plan) -> set[str]:
    """Return the stages whose expectations read a variable that has another value now."""
    return {
        stage.name
        for stage in plan.stages
        for text in stage.expect
        for words in expressions.names(text)
        if words[0] == "vars" and plan.vars.get(words[1]) != before.vars.get(words[1])
    }


def _with_state(
    action: Action,
    stage: Stage,
    catalog: Catalog,
    identity_of: Mapping[str, Identity],
    before: Manifest,
    again: Collection[str],
) -> Action:
    """Return the decision, with where an interrupted training resumes or why it restarts."""
    if not stage.continues:
        return action
    remade = [name for name in stage.after if name in again]
    place = Path(before.folder) / stage.name
    state, why = checkpoints.look(place, identity_of[stage.name].digest, thorough=False)
    if remade:
        state, why = None, f"stage {remade[0]} runs again"
    numbers = training(stage, catalog.get(stage.tool))
    text = states.goes_on(state, numbers) if state else states.starts_over(why)
    return replace(action, cause=f"{action.cause}; {text}")


def _inputs(plan: Plan, catalog: Catalog, runs: Path) -> dict[str, str]:
    """Return the digests of what the plan reads from this disk and no stage of it makes."""
    paths = {one.path for stage in plan.stages for one in readings(stage, catalog)}
    memory = digests.Memory(runs / MEMORY)
    with meter() as progress:
        digest_of = {
            path: digests.digest(memory.prints(Path(path), progress))
            for path in sorted(paths)
            if RUN_DIR not in path and Path(path).exists() and plan.maker(path) is None
        }
    memory.save()
    return digest_of


def _damage(record: StageRecord, places: Places) -> str:
    """Return what happened to the outputs a stage made, '' if they are intact."""
    for path, prints in record.prints.items():
        if path not in places.finals:
            return f"its record lists {path}, which is not one of its outputs"
        difference = digests.difference(places.now(path), prints)
        if difference:
            return difference
    return ""


def own(plan: Plan, before: Manifest, damaged: Collection[str]) -> set[str]:
    """Return the outputs that an earlier run made, unchanged since: they may be replaced."""
    paths = {record.name: [Path(path) for path in record.prints] for record in before.stages}
    return {
        output
        for stage in plan.stages
        for output in stage.outputs.values()
        for path in paths.get(stage.name, ())
        if stage.name not in damaged and Path(str(bind(output, before.folder))).is_relative_to(path)
    }


def _reasons(plan: Plan, decision: Decision, before: Manifest | None) -> dict[str, str]:
    """Return for each stage of an earlier run why its result is not this plan's; '' where it is."""
    records = {record.name: record for record in before.stages} if before else {}
    reasons = {}
    for stage in plan.stages:
        record = records.get(stage.name)
        if record is not None and record.state is State.FINISHED:
            changed = list(decision.identities[stage.name].changes(Identity(parts=record.identity)))
            reasons[stage.name] = listing(changed, 2) or decision.damaged.get(stage.name, "")
    return reasons


def ready(plan: Plan, catalog: Catalog, decision: Decision) -> None:
    """Raise UnfitError if this machine lacks what a stage that will run imports."""
    for action in decision.actions:
        if action.do == "run":
            _require_modules(plan.stage(action.stage), catalog)


def _require_modules(stage: Stage, catalog: Catalog) -> None:
    tool = tool_of(stage, catalog)
    if tool.is_program:
        _require_program(stage, tool)
    module = tool.main[0].partition(".")[0]
    heavy = module.startswith("mlx")
    few = few_files(machine.files()) if heavy else ""
    if few:
        raise UnfitError(f"stage '{stage.name}' runs {stage.tool}: {few}", MORE_FILES)
    reporters = str(stage.params.get("report_to") or "").split(",")
    rows = ["datasets"] if "dataset" in {one.kind for one in readings(stage, catalog)} else []
    modules = (*(("mlx",) if heavy else ()), module, *tool.needs, *rows, *reporters)
    absent = [name for name in modules if name and not machine.importable(name)]
    if absent:
        why = f"stage '{stage.name}' needs {absent[0]}, which is not installed here"
        raise UnfitError(why, _how_to_install(absent[0], module, tool))


def _require_program(stage: Stage, tool: Tool) -> None:
    """Raise UnfitError if a tool's program, or a file of its command, is not here."""
    first = tool.command[0]
    if first not in PYTHON and not machine.program(first):
        why = f"stage '{stage.name}' runs {stage.tool}, and there is no program {first} here"
        raise UnfitError(why, "put it on the PATH, or write its path into the tool's file")
    absent = [path for path in tool.program_files if not Path(path).exists()]
    if absent:
        why = f"stage '{stage.name}' runs {stage.tool}, and there is no {absent[0]} here"
        raise UnfitError(why, "paths of a command are relative to the working directory")


def _how_to_install(absent: str, module: str, tool: Tool) -> str:
    if absent in {"mlx", "mlx_lm"}:
        return machine.how_to_install()
    if absent != module:
        return f"pip install {absent}"
    if tool.distribution:
        return f"pip install {tool.distribution}"
    return f"its file names the module {absent}: put that where Python finds it"


def tool_of(stage: Stage, catalog: Catalog) -> Tool:
    """Return a stage's tool. Raises KeyError for a plan of another catalogue."""
    tool = catalog.get(stage.tool)
    if tool is None:
        raise KeyError(stage.tool)
    return tool
