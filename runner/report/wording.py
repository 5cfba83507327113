"""The events and results of a run in words that all its views share."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

from runner.base import visible
from runner.base.formatting import duration, figure
from runner.base.visible import code, markdown
from runner.plan import train_options
from runner.plan.model import Stage
from runner.plan.training import Training
from runner.report import run_rows
from runner.runs.audit import summary
from runner.runs.decisions import FIRST, Action
from runner.runs.manifest import Manifest, StageRecord, State
from runner.runs.next_steps import going_on
from runner.runs.remedies import Adjustment


def why(action: Action) -> str:
    """Return why a stage of an earlier run runs again."""
    if action.do == "judge":
        return f", checked again: {action.cause}"
    if action.do == "reuse":
        return f", {action.cause.partition(';')[0]}"
    return f", rerun: {action.cause}" if action.cause != FIRST else ""


def begins(manifest: Manifest, actions: Sequence[Action]) -> str:
    """Return what is taken from other runs, which run begins and where it is."""
    count = len(actions)
    stages = f"{count} stage{'s' * (count != 1)}"
    taken = [f"{one.stage}: {one.cause}" for one in actions if one.do == "reuse"]
    begin = f"{manifest.plan.name}: {stages}, in {visible.line(manifest.folder)}"
    return "\n".join([*taken, begin])


def origin(record: StageRecord) -> str:
    """Return where a stage's result was taken from, and the time that saved; '' for its own."""
    if not record.reused or record.state is not State.FINISHED:
        return ""
    run, saved = record.reused["run"], duration(record.reused["seconds"])
    return f"reused from {run} ({saved} saved)"


def metric(
    training: Training | None, event: Mapping[str, Any], remaining: float | None = None
) -> str:
    """Return one metric event as a line; `remaining` are the seconds the stage still takes."""
    of = f"/{training.iterations}" if training and training.iterations else ""
    match event.get("event"):
        case "train":
            memory = event.get("peak_memory")
            parts = [
                f"iteration {event['iteration']}{of}",
                f"train loss {figure('train_loss', event.get('train_loss'))}",
                *(f"{lead}{figure(n, event[n])}{end}" for n, lead, end in _MAYBE if n in event),
                *([f"{memory:.3g} GB"] if isinstance(memory, int | float) else []),
            ]
            # Never hidden while it is short: it would come and go with the speed.
            if remaining:
                parts.append(f"{duration(remaining) if remaining >= 1 else 'less than 1 s'} left")
            return ", ".join(parts)
        case "val":
            loss = figure("val_loss", event.get("val_loss"))
            return f"iteration {event.get('iteration')}{of}, validation loss {loss}"
        case "test":
            loss = figure("test_loss", event.get("test_loss"))
            return f"test loss {loss}, perplexity {figure('test_ppl', event.get('test_ppl'))}"
        case "said":
            return str(event.get("text"))
        case str(kind):
            return train_options.line(kind, event)
    return ""


# Not every trainer reports them.
_MAYBE = (("learning_rate", "learning rate ", ""), ("tokens_per_second", "", " tokens/s"))


def success_text(record: StageRecord) -> str:
    """Return how a stage ended well, with its last figures."""
    parts = [
        f"{text} loss {figure(name, record.metrics[name])}"
        for name, text in (
            ("train_loss", "train"),
            ("val_loss", "validation"),
            ("test_loss", "test"),
        )
        if name in record.metrics
    ]
    if "score" in record.metrics:
        parts.append(f"score {record.metrics['score']:.4g}")
    if "kept_iteration" in record.metrics:
        choice, last = (record.metrics.get(f"{n}_iteration", 0) for n in ("kept", "last"))
        parts.append(
            f"kept checkpoint {choice:.0f}, not the last ({last:.0f})"
            if choice < last
            else "kept the last checkpoint"
        )
    audit = [summary(record.audit)] if record.audit else []
    if record.reused and audit:
        audit = [f"audited there: {audit[0]}"]
    done = origin(record) or f"finished in {duration(record.seconds)}"
    return ", ".join([done, *parts, *audit])


def unenforced(record: StageRecord) -> list[str]:
    """Return each expectation that did not hold and stopped nothing, with the figures it read."""
    lead = "not enforced in a smoke run"
    return [f"{lead}: {one['expected']} ({_because(one)})" for one in record.unenforced]


def gates(record: StageRecord, *, smoke: bool) -> list[tuple[str, bool, str]]:
    """Return each expectation of a stage, whether it held, and the same in words.

    A smoke run enforces none of them, whether it held or not.
    """
    free = {one["expected"]: _because(one) for one in record.unenforced}
    return [
        (
            text,
            held,
            ", ".join([_HELD[held], *["not enforced in a smoke run"] * smoke])
            + (f" ({free[text]})" if text in free else ""),
        )
        for text, held in record.expectations
    ]


_HELD = {True: "yes", False: "no"}


def _because(judgement: Mapping[str, Any]) -> str:
    """Return the figures that an expectation read, or why it has no answer."""
    read = judgement["figures"]
    texts = {name: figure(name.rpartition(".")[2], value) for name, value in read.items()}
    if len(texts) > 1:
        return ", ".join(f"{name} is {text}" for name, text in texts.items())
    return judgement["trouble"] or "".join(texts.values()) or "it is false"


def failure_text(stage: Stage, record: StageRecord) -> str:
    """Return how a stage failed: the log's tail, one clear line, how to fix it."""
    failure = record.failure
    if record.state is State.INTERRUPTED:
        return f"{stage.name}: {failure.get('guidance') or 'stopped'}"
    tail = [f"  | {line}" for line in str(failure.get("tail", "")).splitlines()]
    code = f" (exit {record.exit_code})" if record.exit_code else ""
    lines = [*tail, f"{stage.name} failed: {failure.get('kind', 'unknown')}{code}"]
    lines += [f"  {row}" for row in str(failure.get("guidance", "")).splitlines()]
    lines += changes(failure)
    lines += [f"  full log: {failure['log']}"] if failure.get("log") else []
    return "\n".join(lines)


def changes(failure: Mapping[str, Any]) -> list[str]:
    """Return what to change after a failure, and the words that do so."""
    texts = [
        str(
            Adjustment(path=one["path"], old=one["from"], new=one["to"], source=one.get("said", ""))
        )
        for one in failure.get("changes", ())
    ]
    lines = [f"  change {', '.join(texts)}"] if texts else []
    return lines + ([f"  try: {failure['try']}"] if failure.get("try") else [])


def ending(manifest: Manifest) -> str:
    """Return where everything of a run is."""
    done = [record for record in manifest.stages if record.state is State.FINISHED]
    lines = [f"{manifest.plan.name}: {manifest.state}"]
    for record in done:
        lines += [f"  {record.name}.{name}: {path}" for name, path in record.outputs.items()]
    if manifest.state is not State.FINISHED:
        lines.append(f"  resume with: {going_on(manifest)}")
    folder = visible.line(manifest.folder)
    lines.append(f"  run folder: {folder} (run.json, commands.sh, each stage's log.txt)")
    return "\n".join(lines)


def state_of(state: State, *, alive: bool) -> str:
    """Return a state in words: what runs in a run whose process is gone was interrupted."""
    return "cut off" if state is State.RUNNING and not alive else str(state)


def line(manifest: Manifest, *, alive: bool) -> str:
    """Return a run in one line: id, recipe, state, stages done, when."""
    done = sum(record.state is State.FINISHED for record in manifest.stages)
    state = f"{state_of(manifest.state, alive=alive)}, {done}/{len(manifest.stages)} stages"
    return f"{manifest.id}  {_asked(manifest)}  {state}, {manifest.started}"


def _asked(manifest: Manifest) -> str:
    """Return what a run was asked for: its recipe, and what was laid over it."""
    words = [manifest.plan.name, *(["(smoke)"] if manifest.plan.smoke else [])]
    for option in ("--profile", "--set"):
        words += [f"{option} {visible.word(value)}" for value in run_rows.asked(manifest, option)]
    return " ".join(words)


def listing(rows: Iterable[tuple[Manifest, bool]], metrics: Sequence[str]) -> Iterator[str]:
    """Yield a line a run, with whether it is alive, and the metrics behind it."""
    for one, alive in rows:
        figures = run_rows.values(one, metrics).items()
        parts = [f"{path} {'-' if v is None else f'{v:.6g}'}" for path, v in figures]
        yield ", ".join([line(one, alive=alive), *parts])


def table(runs: Iterable[tuple[Manifest, bool]], metrics: Sequence[str] = ()) -> Iterator[str]:
    """Yield a Markdown table of runs, each with whether its process is alive."""
    titles = "".join(f" {code(path)} |" for path in metrics)
    yield f"| run | recipe | state | stages | started |{titles}"
    yield f"|---|---|---|---:|---|{'---:|' * len(metrics)}"
    for one, alive in runs:
        done = sum(record.state is State.FINISHED for record in one.stages)
        state = state_of(one.state, alive=alive)
        stages = f"{done}/{len(one.stages)}"
        figures = run_rows.values(one, metrics).values()
        cells = "".join(f" {'' if v is None else f'{v:.6g}'} |" for v in figures)
        name = markdown(_asked(one))
        yield f"| {code(one.id)} | {name} | {state} | {stages} | {one.started} |{cells}"


def standing(manifest: Manifest, *, alive: bool) -> str:
    """Return where a run is, stage by stage; a run whose process is gone was interrupted."""
    cut = manifest.state is State.RUNNING and not alive
    lines = [line(manifest, alive=alive) + (": its process is no longer running" if cut else "")]
    for record in manifest.stages:
        state = state_of(record.state, alive=alive)
        text = success_text(record) if record.state is State.FINISHED else state
        lines.append(f"  {record.name}: {text}")
        lines += [f"    {row}" for row in unenforced(record)]
        if record.failure.get("guidance"):
            rows = f"{record.failure['kind']}: {record.failure['guidance']}".splitlines()
            lines += [f"    {row}" for row in rows]
            lines += [f"  {row}" for row in changes(record.failure)]
    return "\n".join([*lines, f"  {visible.line(manifest.folder)}"])
