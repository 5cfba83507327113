"""Walk a schedule: spawn each stage, record what happened, hand on."""

import json
import os
import secrets
import signal
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from types import FrameType
from typing import Any, Protocol

from runner.core.catalog import Catalog, Tool
from runner.core.invocation import laid_out
from runner.core.manifest import Manifest, StageRecord, State
from runner.core.plan import Plan, Stage
from runner.core.problem import listing
from runner.core.resolved import resolved
from runner.core.schedule import Action, Identity, identities, reads, schedule
from runner.core.script import script
from runner.edges import digest, disk, history, probe
from runner.edges.attempt import Attempt, Ending
from runner.edges.journal import Journal
from runner.errors import Exit, RecipeError, RunError, UnfitError

SIGNALS = (signal.SIGTERM, signal.SIGHUP)
REPLACED = ".replaced"


class Reporter(Protocol):
    """Who hears what happens; each call returns at once."""

    def run_started(self, manifest: Manifest, actions: Sequence[Action]) -> None:
        """Hear that a run begins, and what will be done."""

    def stage_started(self, stage: Stage, action: Action, number: int, total: int) -> None:
        """Hear that a stage begins, or is skipped."""

    def event(self, stage: Stage, event: Mapping[str, Any]) -> None:
        """Hear a metric of a running stage."""

    def stage_ended(self, stage: Stage, record: StageRecord) -> None:
        """Hear how a stage ended."""

    def run_ended(self, manifest: Manifest) -> None:
        """Hear how the run ended."""


class Interrupt(KeyboardInterrupt):
    """A signal that ends the run like Ctrl-C."""

    def __init__(self, number: int) -> None:
        super().__init__()
        self.number = number


def execute(
    plan: Plan,
    catalog: Catalog,
    runs: Path,
    names: Sequence[str],
    reporter: Reporter,
    before: Manifest | None = None,
) -> Manifest:
    """Run the named stages of a plan, going on from an earlier run if one is given.

    Raises RecipeError before anything is made where the run cannot work.
    """
    wanted, actions = decide(plan, catalog, names, before)
    _ready(plan, catalog, actions, _kept(plan, wanted, before))
    folder = Path(before.folder) if before else _folder(plan, runs)
    with _lock(folder), _signals():
        if before is not None:  # another runner may have gone on while we decided
            before = history.read(folder) or before
            wanted, actions = decide(plan, catalog, names, before)
        return _Run(plan, catalog, folder, reporter, before).walk(actions, wanted)


def decide(
    plan: Plan, catalog: Catalog, names: Sequence[str], before: Manifest | None
) -> tuple[dict[str, Identity], list[Action]]:
    """Return each stage's identity, and what to do with the named ones, with causes."""
    records = {record.name: record for record in before.stages} if before else {}
    versions = probe.facts()["packages"] | {"run_recipe": "1"}
    wanted = identities(plan, catalog, versions, _inputs(plan, catalog))
    damaged = {
        name: cause for name, record in records.items() if (cause := _damage(record)) is not None
    }
    return wanted, schedule(plan, names, wanted, records, damaged)


def _inputs(plan: Plan, catalog: Catalog) -> dict[str, str]:
    """Return the digests of what the plan reads from this disk."""
    paths = {path for stage in plan.stages for path in reads(stage, _tool(stage, catalog))}
    return {
        path: digest.digest(digest.prints(Path(path)))
        for path in sorted(paths)
        if Path(path).exists()
    }


def _damage(record: StageRecord) -> str | None:
    """Return what happened to the outputs of a finished stage, None where they are intact."""
    for path, known in record.prints.items():
        said = digest.difference(Path(path), known)
        if said:
            return said
    return None


def _kept(plan: Plan, wanted: Mapping[str, Identity], before: Manifest | None) -> dict[str, str]:
    """Return for each stage of an earlier run why its result is not this plan's; '' where it is."""
    if before is None:
        return {}
    records = {record.name: record for record in before.stages}
    kept = {}
    for stage in plan.stages:
        record = records.get(stage.name)
        if record is not None and record.state is State.FINISHED:
            changed = list(wanted[stage.name].changes(Identity(record.identity)))
            kept[stage.name] = listing(changed, 2) or _damage(record) or ""
    return kept


def _ready(
    plan: Plan, catalog: Catalog, actions: Sequence[Action], kept: Mapping[str, str]
) -> None:
    """Raise where the run cannot work: a stage left out that is read from, or no MLX."""
    will = {action.stage for action in actions}
    for stage in plan.stages:
        for name in stage.after if stage.name in will else ():
            if name in will or kept.get(name) == "":
                continue
            said = f"stage '{stage.name}' reads from {name}, which"
            if name in kept:
                why = f"{said} is not as planned: {kept[name]}"
                raise RecipeError(why, f"run it too: --from {name}")
            hint = f"run it too: --from {name}, or go on from a run that has it: --resume"
            raise RecipeError(f"{said} would not run", hint)
    for action in actions:
        stage = plan.stage(action.stage)
        module = _tool(stage, catalog).main[0].partition(".")[0]
        needs_mlx = module.startswith("mlx") or stage.tool == "model.tiny"
        needed = ("mlx", module, *_tool(stage, catalog).needs) if needs_mlx else ()
        needed += tuple(str(stage.params.get("report_to") or "").split(",")) if needs_mlx else ()
        absent = [name for name in needed if name and not probe.importable(name)]
        if absent and action.do == "run":
            why = f"stage '{stage.name}' runs {stage.tool}, and {absent[0]} is not installed here"
            hint = (
                probe.how_to_install()
                if absent[0].startswith("mlx")
                else f"pip install {absent[0]}"
            )
            raise UnfitError(why, hint)


def _tool(stage: Stage, catalog: Catalog) -> Tool:
    tool = catalog.get(stage.tool)
    if tool is None:
        raise KeyError(stage.tool)
    return tool


def _folder(plan: Plan, runs: Path) -> Path:
    folder = runs / plan.name / f"{probe.stamp()}-{secrets.token_hex(2)}"
    try:
        folder.mkdir(parents=True)
    except OSError as error:
        raise RunError(
            f"cannot make {folder}: {error.strerror}", "choose another --runs"
        ) from error
    return folder


@contextmanager
def _lock(folder: Path) -> Iterator[None]:
    """Hold a run's folder; a second runner is told who has it."""
    from filelock import FileLock, Timeout  # noqa: PLC0415  (only to run)

    holder = folder / ".holder.json"
    try:
        with FileLock(folder / ".lock", timeout=0):
            disk.write(holder, json.dumps({"pid": os.getpid(), "since": probe.now()}))
            yield
            holder.unlink(missing_ok=True)
    except Timeout as error:
        said = disk.read_json(holder) or {}
        who = f"process {said.get('pid', '?')} since {said.get('since', '?')}"
        raise RunError(f"{folder} is being run by {who}", "wait for it, or stop it") from error
    except PermissionError as error:
        raise RunError(
            f"cannot write in {folder}: {error.strerror}", "choose another --runs"
        ) from error


@contextmanager
def _signals() -> Iterator[None]:
    """Treat SIGTERM and SIGHUP like Ctrl-C for as long as a run lasts."""

    def interrupt(number: int, _: FrameType | None) -> None:
        raise Interrupt(number)

    try:
        # What nohup had ignored stays ignored.
        heeded = [one for one in SIGNALS if signal.getsignal(one) is not signal.SIG_IGN]
        before = {sign: signal.signal(sign, interrupt) for sign in heeded}
    except ValueError:  # not the main thread: the caller's signals are the caller's
        before = {}
    try:
        yield
    finally:
        for sign, handler in before.items():
            signal.signal(sign, handler)


class _Run:
    """One run directory and what is known of it."""

    def __init__(
        self,
        plan: Plan,
        catalog: Catalog,
        folder: Path,
        reporter: Reporter,
        before: Manifest | None,
    ) -> None:
        self.plan = plan
        self.catalog = catalog
        self.folder = folder
        self.reporter = reporter
        self.journal = Journal(folder / "events.jsonl")
        known = {record.name: record for record in before.stages} if before else {}
        records = tuple(known.get(s.name, StageRecord(s.name)) for s in plan.stages)
        started = before.started if before else probe.now()
        self.manifest = Manifest(
            folder.name, str(folder), plan, probe.facts(), records, State.RUNNING, started
        )

    def walk(self, actions: Sequence[Action], wanted: Mapping[str, Identity]) -> Manifest:
        """Do what was decided; stop at the first stage that does not end well."""
        self.keep(self.manifest)
        disk.write(self.folder / "recipe.yaml", resolved(self.plan))
        disk.write(self.folder / "commands.sh", script(self.plan, self.catalog))
        self.link()
        self.journal.write(event="run", at=probe.now(), actions=[str(one) for one in actions])
        self.reporter.run_started(self.manifest, actions)
        code = Exit.OK
        for number, action in enumerate(actions, start=1):
            stage = self.plan.stage(action.stage)
            self.reporter.stage_started(stage, action, number, len(actions))
            if action.do != "skip":
                again = action.do == "judge"
                ending = self.judge(stage) if again else self.stage(stage, wanted[stage.name])
                self.reporter.stage_ended(stage, ending.record)
                code = ending.code
            if code != Exit.OK:
                break
        return self.end(code)

    def end(self, code: Exit) -> Manifest:
        """Close the run."""
        states = {
            Exit.OK: State.FINISHED,
            Exit.INTERRUPTED: State.INTERRUPTED,
            Exit.TERMINATED: State.INTERRUPTED,
        }
        state = states.get(code, State.FAILED)
        self.keep(replace(self.manifest, state=state, ended=probe.now(), exit_code=int(code)))
        self.journal.write(event="run-ended", at=self.manifest.ended, state=state)
        self.reporter.run_ended(self.manifest)
        return self.manifest

    def keep(self, manifest: Manifest) -> None:
        """Write the manifest so that a crash leaves the old one or the new one."""
        self.manifest = manifest
        disk.write(self.folder / "run.json", laid_out(manifest.as_dict()) + "\n")

    def link(self) -> None:
        """Point ``latest`` at this run; a file system without links does without."""
        latest = self.folder.parent / "latest"
        beside = self.folder.parent / f".latest-{self.folder.name}"
        try:
            beside.unlink(missing_ok=True)
            beside.symlink_to(self.folder.name)
            beside.replace(latest)
        except OSError:
            beside.unlink(missing_ok=True)

    def record(self, record: StageRecord) -> StageRecord:
        """Keep a stage's record in journal and manifest."""
        self.journal.write(event="stage", stage=record.name, state=record.state, at=probe.now())
        self.keep(self.manifest.with_stage(record))
        return record

    def stage(self, stage: Stage, identity: Identity) -> Ending:
        """Run one stage, again where trying again can help."""
        self.outdate(stage.name)
        self.make_room(stage)
        record = StageRecord(
            stage.name, State.RUNNING, started=probe.now(), identity=dict(identity.parts)
        )
        begun = time.monotonic()
        try:
            ending = self.tries(stage, record)
        except KeyboardInterrupt as interrupt:
            stopped = isinstance(interrupt, Interrupt) and interrupt.number != signal.SIGINT
            failure = {"kind": "interrupted", "guidance": "It was stopped from outside."}
            record = self.manifest.stage(stage.name)
            ending = Ending(
                replace(record, state=State.INTERRUPTED, failure=failure),
                Exit.TERMINATED if stopped else Exit.INTERRUPTED,
            )
        seconds = round(time.monotonic() - begun, 3)
        ended = replace(ending.record, ended=probe.now(), seconds=seconds)
        return replace(ending, record=self.record(ended))

    def outdate(self, name: str) -> None:
        """Take back the results that were made of a stage that is about to be made again."""
        gone, manifest = {name}, self.manifest
        for other in self.plan.stages:
            if gone & set(other.after):
                gone.add(other.name)
                manifest = manifest.with_stage(StageRecord(other.name))
        self.keep(manifest)

    def judge(self, stage: Stage) -> Ending:
        """Hold what an earlier run measured against expectations that were changed since."""
        record = replace(self.manifest.stage(stage.name), state=State.FINISHED, failure={})
        ending = Attempt(self.manifest, stage, _tool(stage, self.catalog)).judge(record)
        return replace(ending, record=self.record(ending.record))

    def tries(self, stage: Stage, record: StageRecord) -> Ending:
        """Try a stage as often as its ``retry`` allows and its failures make sense of."""
        delay = stage.retry.delay
        for attempt in range(1, stage.retry.attempts + 1):
            record = self.record(replace(record, attempts=attempt))
            one = Attempt(self.manifest, stage, _tool(stage, self.catalog))
            ending = one.run(record, lambda event: self.reporter.event(stage, event))
            if ending.code == Exit.OK or not ending.again or attempt == stage.retry.attempts:
                break
            time.sleep(delay)
            delay *= stage.retry.backoff
        return ending

    def make_room(self, stage: Stage) -> None:
        """Move away what an earlier try left: a stage starts in an empty folder (T58)."""
        place = self.folder / stage.name
        if place.exists():
            aside = self.folder / REPLACED
            aside.mkdir(exist_ok=True)
            place.replace(aside / f"{stage.name}-{probe.stamp()}-{secrets.token_hex(2)}")
