"""Walk a plan: spawn each stage's child, watch it, record what happened, hand on."""

import os
import secrets
import signal
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from types import FrameType
from typing import Any, Protocol

from runner.core import failure as failures
from runner.core import manifest as manifests
from runner.core.catalog import Catalog, Tool
from runner.core.invocation import invoke, laid_out
from runner.core.manifest import Manifest, StageRecord, State
from runner.core.plan import Plan, Stage, bind
from runner.core.problem import listing
from runner.core.resolved import resolved
from runner.core.script import script
from runner.core.template import TemplateError, evaluate
from runner.edges import disk, probe
from runner.edges.journal import Journal, Tail, last_lines
from runner.edges.process import Child
from runner.errors import Exit, RecipeError, RunError, UnfitError

POLL = 0.05
SIGNALS = (signal.SIGTERM, signal.SIGHUP)


class Reporter(Protocol):
    """Who hears what happens; each call returns at once."""

    def run_started(self, manifest: Manifest, names: Sequence[str]) -> None:
        """Hear that a run begins, and with which stages."""

    def stage_started(self, stage: Stage, number: int, total: int) -> None:
        """Hear that a stage begins."""

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
    plan: Plan, catalog: Catalog, runs: Path, names: Sequence[str], reporter: Reporter
) -> Manifest:
    """Run the named stages of a plan in order. Raises RecipeError before anything is made."""
    _ready(plan, catalog, names)
    run = _Run(plan, catalog, _folder(plan, runs), reporter)
    with _signals():
        return run.walk(names)


def _ready(plan: Plan, catalog: Catalog, names: Sequence[str]) -> None:
    """Raise where the run cannot work: a stage left out that is read from, or no MLX."""
    for stage in plan.stages:
        missing = [name for name in stage.after if name not in names]
        if stage.name in names and missing:
            why = f"stage '{stage.name}' reads from {listing(missing)}, which would not run"
            raise RecipeError(why, f"run it too: --from {missing[0]}")
    for stage in plan.stages:
        if stage.name not in names:
            continue
        module = _tool(stage, catalog).main[0].partition(".")[0]
        needs_mlx = module != "runner" or stage.tool == "model.tiny"
        absent = [m for m in ("mlx", module) if needs_mlx and not probe.importable(m)]
        if absent:
            why = f"stage '{stage.name}' runs {stage.tool}, and {absent[0]} is not installed here"
            raise UnfitError(why, probe.how_to_install())


def _tool(stage: Stage, catalog: Catalog) -> Tool:
    tool = catalog.get(stage.tool)
    if tool is None:
        raise KeyError(stage.tool)
    return tool


def _folder(plan: Plan, runs: Path) -> Path:
    stamp = "".join(char for char in probe.now()[:19] if char not in "-:") + "Z"
    folder = runs / plan.name / f"{stamp}-{secrets.token_hex(2)}"
    try:
        folder.mkdir(parents=True)
    except OSError as error:
        raise RunError(
            f"cannot make {folder}: {error.strerror}", "choose another --runs"
        ) from error
    return folder


@contextmanager
def _signals() -> Iterator[None]:
    """Treat SIGTERM and SIGHUP like Ctrl-C for as long as a run lasts."""

    def interrupt(number: int, _: FrameType | None) -> None:
        raise Interrupt(number)

    try:
        before = {sign: signal.signal(sign, interrupt) for sign in SIGNALS}
    except ValueError:  # not the main thread: the caller's signals are the caller's
        before = {}
    try:
        yield
    finally:
        for sign, handler in before.items():
            signal.signal(sign, handler)


class _Run:
    """One run directory and what is known of it."""

    def __init__(self, plan: Plan, catalog: Catalog, folder: Path, reporter: Reporter) -> None:
        self.plan = plan
        self.catalog = catalog
        self.folder = folder
        self.reporter = reporter
        self.journal = Journal(folder / "events.jsonl")
        records = tuple(StageRecord(stage.name) for stage in plan.stages)
        facts = probe.facts()
        self.manifest = Manifest(
            folder.name, str(folder), plan, facts, records, State.RUNNING, probe.now()
        )

    def walk(self, names: Sequence[str]) -> Manifest:
        """Run the stages; stop at the first that does not end well."""
        self.keep(self.manifest)
        disk.write(self.folder / "recipe.yaml", resolved(self.plan))
        disk.write(self.folder / "commands.sh", script(self.plan, self.catalog))
        self.link()
        self.journal.write(event="run", at=self.manifest.started, stages=list(names))
        self.reporter.run_started(self.manifest, names)
        code = Exit.OK
        for number, name in enumerate(names, start=1):
            stage = self.plan.stage(name)
            self.reporter.stage_started(stage, number, len(names))
            record, code = self.stage(stage)
            self.reporter.stage_ended(stage, record)
            if code != Exit.OK:
                break
        state = {Exit.OK: State.FINISHED, Exit.INTERRUPTED: State.INTERRUPTED}
        state[Exit.TERMINATED] = State.INTERRUPTED
        ended = replace(
            self.manifest,
            state=state.get(code, State.FAILED),
            ended=probe.now(),
            exit_code=int(code),
        )
        self.keep(ended)
        self.journal.write(event="run-ended", at=ended.ended, state=ended.state)
        self.reporter.run_ended(ended)
        return ended

    def keep(self, manifest: Manifest) -> None:
        """Write the manifest so that a crash leaves the old one or the new one."""
        self.manifest = manifest
        disk.write(self.folder / "run.json", laid_out(manifest.as_dict()) + "\n")

    def link(self) -> None:
        """Point ``latest`` at this run; a file system without links does without."""
        latest = self.folder.parent / "latest"
        beside = self.folder.parent / f".latest-{self.folder.name}"
        try:
            beside.symlink_to(self.folder.name)
            beside.replace(latest)
        except OSError:
            beside.unlink(missing_ok=True)

    def record(self, record: StageRecord) -> StageRecord:
        """Keep a stage's record in journal and manifest."""
        self.journal.write(event="stage", stage=record.name, state=record.state, at=probe.now())
        self.keep(self.manifest.with_stage(record))
        return record

    def stage(self, stage: Stage) -> tuple[StageRecord, Exit]:
        """Run one stage, again where trying again can help."""
        record = StageRecord(stage.name, State.RUNNING, started=probe.now())
        begun = time.monotonic()
        delay = stage.retry.delay
        try:
            for attempt in range(1, stage.retry.attempts + 1):
                record = self.record(replace(record, attempts=attempt))
                ended, code, again = self.attempt(stage, record)
                if code == Exit.OK or not again or attempt == stage.retry.attempts:
                    break
                time.sleep(delay)
                delay *= stage.retry.backoff
        except KeyboardInterrupt as interrupt:
            stopped = isinstance(interrupt, Interrupt) and interrupt.number != signal.SIGINT
            code = Exit.TERMINATED if stopped else Exit.INTERRUPTED
            failure = {"kind": "interrupted", "guidance": "It was stopped from outside."}
            ended = replace(record, state=State.INTERRUPTED, failure=failure)
        seconds = round(time.monotonic() - begun, 3)
        return self.record(replace(ended, ended=probe.now(), seconds=seconds)), code

    def attempt(self, stage: Stage, record: StageRecord) -> tuple[StageRecord, Exit, bool]:
        """Run one stage once; say how it ended and whether trying again can help."""
        place = self.folder / stage.name
        self.prepare(stage, place)
        tail = Tail(place / "metrics.jsonl")
        list(tail.new())  # what an earlier attempt left is not this one's
        events: list[Mapping[str, Any]] = []
        child = Child(self.argv(stage), self.env(), place / "log.txt")
        try:
            code, timed_out = self.watch(stage, child, tail, events)
        except KeyboardInterrupt:
            child.stop()
            raise
        finally:
            child.finish()
        metrics = {**manifests.summary(events), **self.left(stage)}
        audit = self.audit(place)
        record = replace(record, exit_code=code, metrics=metrics, audit=audit)
        if code != 0:
            return self.failed(stage, record, place, timed_out=timed_out)
        outputs = {k: str(bind(path, str(self.folder))) for k, path in stage.outputs.items()}
        record = replace(record, state=State.FINISHED, outputs=outputs)
        return self.judge(stage, record)

    def prepare(self, stage: Stage, place: Path) -> None:
        """Make the stage's folder and its configuration file."""
        place.mkdir(exist_ok=True)
        config = invoke(stage, _tool(stage, self.catalog)).config
        if config is not None:
            disk.write(place / "config.json", str(bind(config, str(self.folder))))

    def argv(self, stage: Stage) -> list[str]:
        """Return the command of a stage's child."""
        return [sys.executable, "-m", "runner.child", str(self.folder), stage.name]

    def env(self) -> dict[str, str]:
        """Return the child's environment: ours, the plan's, and plain text in the log."""
        plain = {"NO_COLOR": "1", "TERM": "dumb", "COLUMNS": "100", "PYTHONUNBUFFERED": "1"}
        watch = {"RUN_RECIPE_PARENT": str(os.getpid())}
        return {**os.environ, **plain, **watch, **self.plan.env}

    def watch(
        self, stage: Stage, child: Child, tail: Tail, events: list[Mapping[str, Any]]
    ) -> tuple[int, bool]:
        """Follow a child to its end; return its exit code and whether its time ran out."""
        deadline = time.monotonic() + stage.timeout if stage.timeout else None
        code = None
        while code is None:
            code = child.wait(POLL)
            for event in tail.new():
                events.append(event)
                self.reporter.event(stage, event)
            if code is None and deadline is not None and time.monotonic() > deadline:
                child.stop()
                return Exit.TIMEOUT, True
        return code, False

    def left(self, stage: Stage) -> dict[str, float]:
        """Return the figures a tool left in a file of its own."""
        tool = _tool(stage, self.catalog)
        said = tool.report
        if said is None:
            return {}
        path = bind(said.format(**stage.params), str(self.folder))
        found = disk.read_json(Path(path)) or {}
        return {name: found[name] for name in tool.metrics if name in found}

    def audit(self, place: Path) -> dict[str, int]:
        """Return how many parameters were compared, and how many differ."""
        rows = (disk.read_json(place / "effective.json") or {}).get("parameters", [])
        wrong = sum(not row["equal"] for row in rows)
        return {"parameters": len(rows), "different": wrong} if rows else {}

    def failed(
        self, stage: Stage, record: StageRecord, place: Path, *, timed_out: bool
    ) -> tuple[StageRecord, Exit, bool]:
        """Say how a stage failed, and whether trying again can help."""
        tail = last_lines(place / "log.txt")
        if timed_out:
            guidance = f"It ran longer than its timeout of {stage.timeout:g} s."
            found = failures.Failure("timeout", guidance, retry=True)
        else:
            found = failures.classify(record.exit_code or 0, tail)
        code = Exit.AUDIT if record.exit_code == Exit.AUDIT else Exit.STAGE_FAILED
        said = {"kind": found.kind, "guidance": found.guidance, "tail": tail}
        said["log"] = str(place / "log.txt")
        ended = replace(record, state=State.FAILED, failure=said)
        return ended, Exit.TIMEOUT if timed_out else code, found.retry

    def judge(self, stage: Stage, record: StageRecord) -> tuple[StageRecord, Exit, bool]:
        """Hold a finished stage against its expectations; a smoke run's figures mean nothing."""
        known = {one.name: one for one in self.plan.stages}
        rows = [row for row in self.manifest.stages if row.name != stage.name]
        stages = {
            row.name: {
                **known[row.name].outputs,
                "params": known[row.name].params,
                "metrics": row.metrics,
            }
            for row in (*rows, record)
        }
        own = {**stages[stage.name], "name": stage.name}
        scope = {
            "metrics": record.metrics,
            "stages": stages,
            "stage": own,
            "vars": self.plan.vars,
        }
        results = []
        for text in stage.expect:
            try:
                held = bool(evaluate(text, scope))
            except TemplateError as error:
                raise RunError(f"stage '{stage.name}': expect '{text}': {error}") from error
            results.append((text, held))
        record = replace(record, expectations=tuple(results))
        if self.plan.smoke or all(held for _, held in results):
            return record, Exit.OK, False
        missed = "; ".join(text for text, held in results if not held)
        figures = ", ".join(f"{name} {value:g}" for name, value in record.metrics.items())
        why = f"expected {missed}, measured {figures}"
        failure = {"kind": "expectation", "guidance": why}
        return replace(record, state=State.FAILED, failure=failure), Exit.EXPECTATION, False
