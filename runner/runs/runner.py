"""Walks a schedule: runs each stage, records what happened, and goes to the next."""

import errno
import secrets
import signal
import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from functools import partial
from pathlib import Path
from threading import Thread
from typing import Any

from msgspec.structs import replace

from runner.base.errors import WAYS_OUT, Exit, RunError
from runner.base.formatting import duration, pretty_json
from runner.catalog.tools import Catalog
from runner.command.argv import command
from runner.command.resolved_recipe import TOOLS, recipe_text
from runner.command.script import script
from runner.plan.model import Stage
from runner.plan.pins import entries
from runner.recipe import lock_file
from runner.runs import history, signals, snapshots
from runner.runs.attempt import Attempt, Ending
from runner.runs.decide import Decision, distributions, tool_of
from runner.runs.decisions import Action, Identity, was_cut_off
from runner.runs.job import Job
from runner.runs.journal import Journal
from runner.runs.listener import Reporter
from runner.runs.manifest import Manifest, StageRecord, State, Text
from runner.runs.outputs import Places
from runner.runs.reuse import Source
from runner.runs.setting import setting
from runner.runs.taking import ChangedError, take
from runner.runs.warm_start import WarmStart
from runner.system import files, git, machine

FULL = frozenset({errno.ENOSPC, errno.EDQUOT})
RESERVE, RESERVED = ".reserve", 1 << 18
# A repository of that size would make a run wait for its own record.
GIT_PATIENCE, GIT_LIMIT = 10.0, 30.0


class Run:
    """One run directory and what is known of it."""

    def __init__(self, job: Job, catalog: Catalog, ahead: WarmStart, reporter: Reporter) -> None:
        plan, before = job.plan, job.before
        self.advise = job.advise
        self.folders = job.folders
        self.plan = plan
        self.catalog = catalog
        self.ahead = ahead
        self.folder = folder = ahead.folder
        self.reporter = reporter
        self.journal = Journal(folder / "events.jsonl")
        self.stopper = ""  # the signal that ended the run
        self.git: dict[str, Any] = {}
        self.revision = Thread(target=self.look_up, daemon=True)
        self.revision.start()
        record_of = {record.name: record for record in before.stages} if before else {}
        records = tuple(record_of.get(s.name, StageRecord(name=s.name)) for s in plan.stages)
        start = before.started if before else machine.now()
        self.text = Text()
        self.manifest = Manifest(
            id=folder.name,
            folder=str(folder),
            plan=plan,
            facts=machine.facts(distributions(plan, catalog)),
            stages=records,
            state=State.RUNNING,
            started=start,
            options=job.options,
        )

    def walk(self, decision: Decision) -> Manifest:
        """Do what was decided; stop at the first stage that does not end well."""
        code, actions = Exit.OK, decision.actions
        try:
            self.reserve()
            self.begin(actions)
            for number, action in enumerate(actions, start=1):
                stage = self.plan.stage(action.stage)
                self.reporter.stage_started(stage, action, number, len(actions))
                ending = self.act(action, actions[number:], decision)
                if ending is not None:
                    self.reporter.stage_ended(stage, ending.record)
                    code = ending.code
                if code != Exit.OK:
                    break
        except KeyboardInterrupt as interrupt:
            code, self.stopper = _code(interrupt), signals.name(interrupt)
        except OSError as error:
            self.give_up(error)
            raise _write_error(error, self.folder) from error
        finally:
            self.ahead.end()
        return self.end(code)

    def look_up(self) -> None:
        """Ask git which revision the recipe is of; in a large repository that takes a while."""
        self.git |= git.state(Path(self.plan.file).parent, GIT_LIMIT)

    def reserve(self) -> None:
        """Keep some of the disk, so that how the run ends can be written when it is full."""
        (self.folder / RESERVE).write_bytes(secrets.token_bytes(RESERVED))

    def give_up(self, error: OSError) -> None:
        """Write down that the disk failed, where it still takes that."""
        kind = "disk full" if error.errno in FULL else "disk"
        failure = {"kind": kind, "guidance": f"{error.filename or self.folder}: {error.strerror}."}
        manifest = self.manifest
        for record in manifest.stages:
            if record.state is State.RUNNING and not record.prints:
                manifest = manifest.with_stage(replace(record, state=State.FAILED, failure=failure))
        with suppress(OSError):
            self.keep(manifest)
            self.end(Exit.STAGE_FAILED)

    def begin(self, actions: Sequence[Action]) -> None:
        """Write down what will be done."""
        self.keep(self.manifest)
        files.write(self.folder / "recipe.yaml", recipe_text(self.plan))
        if self.plan.locks:
            files.write(self.folder / "recipe.lock", lock_file.text(entries(self.plan)))
        for name, schema in self.plan.tools.items():
            (self.folder / TOOLS).mkdir(exist_ok=True)
            files.write(self.folder / TOOLS / f"{name}.json", f"{pretty_json(schema)}\n")
        files.write(self.folder / "commands.sh", script(self.plan, self.catalog))
        history.link(self.folder)
        self.journal.write(event="run", at=machine.now(), actions=[str(one) for one in actions])
        self.reporter.run_started(self.manifest, actions)

    def act(self, action: Action, rest: Sequence[Action], decision: Decision) -> Ending | None:
        """Do what was decided for one stage; None where that is nothing."""
        stage = self.plan.stage(action.stage)
        if action.do == "skip":
            return None
        if action.do == "judge":
            return self.judge(stage)
        coming = [self.plan.stage(one.stage) for one in rest if one.do == "run"]
        made_of = (decision.identities[stage.name], decision.settings[stage.name])
        if action.do == "reuse":
            ending = self.reuse(stage, made_of, decision.reuse.sources[stage.name])
            if ending is not None:
                return ending
        return self.stage(stage, made_of[0], coming)

    def end(self, code: Exit) -> Manifest:
        """Close the run, even if a signal arrives meanwhile."""
        states = {
            Exit.OK: State.FINISHED,
            Exit.INTERRUPTED: State.INTERRUPTED,
            Exit.TERMINATED: State.INTERRUPTED,
        }
        state = states.get(code, State.FAILED)
        with signals.shield():
            self.revision.join(GIT_PATIENCE)
            (self.folder / RESERVE).unlink(missing_ok=True)
            manifest = self.manifest
            for record in manifest.stages if state is State.INTERRUPTED else ():
                if record.state is State.RUNNING and not record.prints:
                    manifest = manifest.with_stage(_interruption(record, self.stopper))
            self.keep(replace(manifest, state=state, ended=machine.now(), exit_code=int(code)))
            self.journal.write(event="run-ended", at=self.manifest.ended, state=state)
        self.reporter.run_ended(self.manifest)
        return self.manifest

    def keep(self, manifest: Manifest) -> None:
        """Write the manifest so that a crash leaves the old one or the new one."""
        if self.git and "git" not in manifest.facts:
            manifest = replace(manifest, facts={**manifest.facts, "git": dict(self.git)})
        self.manifest = manifest
        text = self.text.of(manifest)
        try:
            files.write(self.folder / "run.json", text)
        except OSError as error:
            if error.errno not in FULL:
                raise
            (self.folder / RESERVE).unlink(missing_ok=True)
            files.write(self.folder / "run.json", text)

    def note(self, record: StageRecord) -> None:
        """Keep a stage's record in the manifest alone: the journal has its state already."""
        self.keep(self.manifest.with_stage(record))

    def record(self, record: StageRecord) -> StageRecord:
        """Keep a stage's record in journal and manifest."""
        self.journal.write(event="stage", stage=record.name, state=record.state, at=machine.now())
        self.keep(self.manifest.with_stage(record))
        return record

    def stage(self, stage: Stage, identity: Identity, coming: Sequence[Stage]) -> Ending:
        """Run one stage, again where trying again can help, and write down how it ended.

        Signals wait meanwhile: what is made is not given up.
        """
        start = time.monotonic()
        try:
            last, ending = self.tries(stage, identity, coming)
        except KeyboardInterrupt as interrupt:
            last, ending = None, self.interruption(stage, interrupt)
        with signals.shield():
            if last is not None and ending.code == Exit.OK:
                # Only now: what a model's name stands for is known when it was loaded.
                now = setting(self.plan, stage, self.catalog)
                ending = replace(ending, record=replace(ending.record, setting=now))
                ending = last.settle(self.record(last.with_outputs(ending.record)))
            seconds = round(time.monotonic() - start, 3)
            outcome = replace(ending.record, ended=machine.now(), seconds=seconds)
            return replace(ending, record=self.record(outcome))

    def reuse(
        self, stage: Stage, made_of: tuple[Identity, Mapping[str, str]], source: Source
    ) -> Ending | None:
        """Take a stage's result from another run; None where it cannot be taken any more.

        Until all of it is here the record says only that it began, as of a stage that was cut off.
        """
        start, began = time.monotonic(), machine.now()
        before = self.manifest.stage(stage.name)
        self.outdate(stage.name)
        Places(self.folder, stage).clear(before)
        argv = command(stage, self.catalog).argv
        record = self.record(
            StageRecord(
                name=stage.name,
                state=State.RUNNING,
                started=began,
                argv=argv,
                reused=source.note,
            )
        )
        attempt = Attempt(self.manifest, stage, tool_of(stage, self.catalog), self.ahead)
        try:
            outcome = take(source, attempt, record)
        except KeyboardInterrupt as interrupt:
            ending = self.interruption(stage, interrupt)
            return replace(ending, record=self.record(ending.record))
        except (OSError, ChangedError) as error:
            if isinstance(error, OSError) and error.errno in FULL:
                raise
            text = f"cannot take the result of {source.run} ({error}), so it runs"
            self.reporter.event(stage, {"event": "said", "text": text})
            return None
        with signals.shield():
            identity, now = made_of
            whole = replace(outcome, identity=dict(identity.parts), setting=dict(now))
            ending = attempt.settle(self.record(whole))
            seconds = round(time.monotonic() - start, 3)
            outcome = replace(ending.record, ended=machine.now(), seconds=seconds)
            return replace(ending, record=self.record(outcome))

    def interruption(self, stage: Stage, interrupt: KeyboardInterrupt) -> Ending:
        """Return how a stage ended that a signal stopped."""
        self.stopper = signals.name(interrupt)
        record = self.manifest.stage(stage.name)
        if record.state is not State.RUNNING or not record.prints:
            record = _interruption(record, self.stopper)
        return Ending(record=record, code=_code(interrupt))

    def outdate(self, name: str) -> None:
        """Take back the results of a stage that is about to be made again, and those made of it.

        Their prints stay: what is outside of the run is known by them to be the run's own.
        """
        outdated_names, manifest = {name}, self.manifest
        for other in self.plan.stages:
            if other.name == name or outdated_names & set(other.after):
                outdated_names.add(other.name)
                record = manifest.stage(other.name)
                if (
                    record.prints or other.name != name
                ):  # else it may go on where it was interrupted
                    manifest = manifest.with_stage(
                        StageRecord(name=other.name, prints=record.prints)
                    )
        if manifest != self.manifest:
            self.keep(manifest)

    def judge(self, stage: Stage) -> Ending:
        """Compare what was made before with what is expected of it now."""
        record = replace(self.manifest.stage(stage.name), failure={})
        attempt = Attempt(self.manifest, stage, tool_of(stage, self.catalog), self.ahead)
        with signals.shield():
            ending = attempt.settle(record)
            return replace(ending, record=self.record(ending.record))

    def tries(
        self, stage: Stage, identity: Identity, coming: Sequence[Stage]
    ) -> tuple[Attempt, Ending]:
        """Try a stage as often as its ``retry`` allows and its failures make sense of.

        Return the last try and its end: of one that ended well what it made is yet to be taken.
        """
        before = self.manifest.stage(stage.name)
        self.outdate(stage.name)
        tool = tool_of(stage, self.catalog)
        parts = dict(identity.parts)
        goes_on = stage.continues and was_cut_off(before)
        keep = tool.resumes and before.state is not State.FINISHED and before.identity == parts
        Places(self.folder, stage).clear(before)
        argv = command(stage, self.catalog).argv
        record = StageRecord(
            name=stage.name,
            state=State.RUNNING,
            started=machine.now(),
            argv=argv,
            identity=parts,
            hub=dict(snapshots.of_stage(stage.pins, self.folders)),
        )
        hear = partial(self.reporter.event, stage)
        delay = stage.retry.delay
        for attempt in range(1, stage.retry.attempts + 1):
            record = self.record(replace(record, attempts=attempt))
            goes_on = goes_on or (stage.continues and attempt > 1)
            one = Attempt(
                self.manifest,
                stage,
                tool,
                self.ahead,
                coming,
                goes_on=goes_on,
                advise=self.advise,
            )
            one.keep = keep or (tool.resumes and attempt > 1)
            outcome, timed_out = one.run(record, hear, self.note)
            if outcome.exit_code == Exit.OK:
                return one, Ending(record=outcome, code=Exit.OK)
            ending = one.diagnose(outcome, timed_out=timed_out)
            if not ending.again or attempt == stage.retry.attempts:
                break
            kind = ending.record.failure["kind"]
            again = f"{kind}; attempt {attempt + 1} of {stage.retry.attempts} in {duration(delay)}"
            self.record(replace(ending.record, state=State.RUNNING))
            hear({"event": "said", "text": again})
            time.sleep(delay)
            delay *= stage.retry.backoff
        return one, ending


def _interruption(record: StageRecord, stopper: str) -> StageRecord:
    """Return the record of a stage that was stopped; one that is made misses only its place."""
    failure = {"kind": "interrupted", "guidance": f"{stopper} stopped it."}
    return replace(record, state=State.INTERRUPTED, failure=failure)


def _write_error(error: OSError, folder: Path) -> RunError:
    why = f"{error.filename or folder}: {error.strerror or error}"
    again = "then resume with --resume: finished stages are kept"
    free = WAYS_OUT.get(error.errno or 0, "make the folder writable")
    return RunError(f"the run cannot continue: {why}", f"{free}, {again}")


def _code(interrupt: KeyboardInterrupt) -> Exit:
    return Exit.INTERRUPTED if signals.number(interrupt) == signal.SIGINT else Exit.TERMINATED
