"""Decided actions -> the same, with what another run has finished taken instead of run."""

from collections.abc import Mapping, Sequence
from pathlib import Path

from msgspec import Struct, field
from msgspec.structs import replace

from runner.base.formatting import duration
from runner.base.problems import listing
from runner.catalog.tools import Catalog
from runner.plan.model import Plan, Stage
from runner.plan.reach import sender
from runner.runs.decisions import Action, Identity
from runner.runs.job import Search
from runner.runs.manifest import Manifest, State
from runner.runs.reuse import FinishedStages, Source, of_records, of_run, whole
from runner.runs.setting import unknown

MOST = 4
Parts = tuple[Mapping[str, Identity], Mapping[str, Mapping[str, str]]]


class Reuse(Struct, frozen=True, kw_only=True):
    """The results that are taken, by stage; for each other stage that runs, why none is."""

    sources: Mapping[str, Source] = field(default_factory=dict)
    reasons: Mapping[str, str] = field(default_factory=dict)


def reused(
    plan: Plan,
    catalog: Catalog,
    actions: Sequence[Action],
    parts: Parts,
    before: Manifest | None,
    runs: Path,
    search: Search,
) -> tuple[list[Action], Reuse]:
    """Return the actions, and what is taken for them.

    `parts` are the identities and settings of the stages. A stage is taken only where all that it
    reads from is, or is there already.
    """
    asked = [one for one in actions if one.do == "run"]
    if search.fresh or not asked:
        return list(actions), Reuse()
    begun = _begun(before)
    index = FinishedStages(runs, (runs, *search.more), smoke=plan.smoke)
    folder = Path(before.folder) if before else None
    made, runs_anew = _made(before, actions), {action.stage for action in asked}
    sources: dict[str, Source] = {}
    reasons: dict[str, str] = {}
    for action in asked:
        stage = plan.stage(action.stage)
        why = begun.get(stage.name) or _never(stage, catalog, parts) or _above(stage, runs_anew)
        above = {name: made[name].digest for name in stage.after if name in made}
        identity = whole(parts[0][stage.name].parts, parts[1][stage.name], above)
        made[stage.name] = identity
        source = None
        if not why and len(above) == len(stage.after):
            source, why = index.find(identity, stage, folder)
            if search.explain and not why:
                why = _nearest(index, stage, identity, folder)
        if source is None:
            reasons[stage.name] = why
        else:
            sources[stage.name] = source
            runs_anew.remove(stage.name)
    changed = [_action(one, sources.get(one.stage), plan, catalog) for one in actions]
    return changed, Reuse(sources=sources, reasons=reasons)


def taken(
    plan: Plan, catalog: Catalog, actions: Sequence[Action], before: Manifest
) -> tuple[list[Action], dict[str, Source]]:
    """Return the actions of a new run that takes over what would stay of a run, and from where."""
    sources, changed = {}, []
    for action in actions:
        if action.do in {"skip", "judge"}:
            source, why = of_run(before, plan.stage(action.stage))
            if source is None:
                changed.append(replace(action, do="run", cause=why))
                continue
            sources[action.stage] = source
            changed.append(_action(action, source, plan, catalog))
        else:
            changed.append(action)
    return changed, sources


def _made(before: Manifest | None, actions: Sequence[Action]) -> dict[str, Identity]:
    """Return what the stages of the run itself that stay were made of."""
    stay = {one.stage for one in actions if one.do != "run"}
    made = of_records(before.stages) if before else {}
    return {name: one for name, one in made.items() if name in stay}


def _begun(before: Manifest | None) -> dict[str, str]:
    """Return the stages that have begun in the run itself, but for those that were being taken.

    A resumed run goes on with what it began.
    """
    return {
        one.name: "it has begun in this run"
        for one in (before.stages if before else ())
        if one.state is not State.PENDING and (not one.reused or one.state is State.FINISHED)
    }


def _never(stage: Stage, catalog: Catalog, parts: Parts) -> str:
    """Return why nothing that another run has made can stand for a stage, '' where it may."""
    tool = catalog.get(stage.tool)
    if tool is None or not tool.reusable:
        known = tool is None or tool.distribution
        what = "acts outside of this disk, or measures this moment"
        return f"{stage.tool} {what if known else 'has no release'}"
    if sends := sender(stage, tool):
        return f"its {sends} sends something away"
    gap = unknown(parts[1][stage.name])
    return f"the {gap} is not known" if gap else ""


def _above(stage: Stage, runs_anew: set[str]) -> str:
    again = [name for name in stage.after if name in runs_anew]
    return f"stage {again[0]}, which it reads from, runs" if again else ""


def _nearest(index: FinishedStages, stage: Stage, identity: Identity, but: Path | None) -> str:
    """Return what differs from the finished stage of another run that differs least."""
    best: tuple[int, str] | None = None
    for run, name, other in index.others(stage, but):
        changes = [*identity.changes(other)]
        rank = len(changes) + 100 * (name != stage.name)
        if best is None or rank < best[0]:
            best = (rank, f"{run}, stage {name}: {listing(changes, MOST)}")
    return best[1] if best else f"no run has finished a stage of {stage.tool}"


def _action(action: Action, source: Source | None, plan: Plan, catalog: Catalog) -> Action:
    if source is None:
        return action
    stage = plan.stage(action.stage)
    tool = catalog.get(stage.tool)
    trains = "trains" if tool and tool.is_training(stage.params) else "runs"
    saved = f"{duration(source.seconds)} saved"
    cause = f"reused from {source.run} ({saved}); --fresh {trains} it again"
    return replace(action, do="reuse", cause=cause)
