"""What can be known about a plan before anything runs: the files it names, and every row.

Modules that read rows are imported only if there are rows to read.
"""

from __future__ import annotations

import os
from collections import defaultdict
from contextlib import ExitStack
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from msgspec import Struct, field
from msgspec.structs import replace

from runner.base.constants import RUN_DIR
from runner.base.problems import Mark, Problem
from runner.catalog import load
from runner.data.rows import Features, FolderReport
from runner.lint import chats, read_facts
from runner.lint.facts import Finding
from runner.lint.read_model import read_model
from runner.plan.expectations import unknown_figures
from runner.plan.inputs import readings
from runner.plan.train_options import watch_data
from runner.system import files, hub

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterator, Mapping

    from runner.catalog.project import Project
    from runner.catalog.tools import Tool
    from runner.data import read as dataset
    from runner.data.rows import Encode
    from runner.lint import own_tools
    from runner.lint.facts import DiskFacts
    from runner.plan.model import Plan, Stage

# Said of a data set as a whole: the rules say them, at the recipe's own line.
OF_SPLITS = frozenset(
    {
        "split-missing",
        "split-smaller-than-batch",
        "rows-never-reached",
        "mask-prompt-with-text",
        "splits-of-two-formats",
    }
)
# Of rows in the order they are in: a stage that mixes them makes another.
OF_ORDER = frozenset({"batch-learns-nothing", "batches-mostly-padding"})
LIMIT = 3
"""So many problems of a kind are shown of a file, and how many more there are."""
SMALL = 4 << 20
"""Bytes of rows that are looked at in no time; a smoke run tokenizes no more."""


class FolderReading(Struct, frozen=True, kw_only=True):
    """How a stage reads a folder of this disk; `mixed` where a stage of the plan stands between.

    `writer` is the model whose template writes its rows, which are of a `kind`; a `bare` one has
    none, and the tool brings a template of its own.
    """

    folder: str
    batch_size: int
    mask_prompt: bool
    features: Features
    required: tuple[str, ...]
    max_seq_length: int
    mixed: bool
    kind: str
    writer: chats.Writer
    bare: bool


class RowFindings(Struct, kw_only=True):
    """The problems of rows and prompts.

    By stage, `gaps` is what was not checked, `template_refusals` what the model's chat template
    rejects of the recipe's own texts, and `tool_refusals` what our own tool would refuse.
    """

    problems: list[Problem] = field(default_factory=list)
    gaps: defaultdict[str, list[Finding]] = field(default_factory=lambda: defaultdict(list))
    template_refusals: defaultdict[str, list[Finding]] = field(
        default_factory=lambda: defaultdict(list)
    )
    tool_refusals: defaultdict[str, list[Finding]] = field(
        default_factory=lambda: defaultdict(list)
    )

    def add_to(self, facts: DiskFacts) -> DiskFacts:
        """Return facts that say so, too."""
        gaps, refusals, tool_refusals = (
            {name: tuple(of) for name, of in one.items()}
            for one in (self.gaps, self.template_refusals, self.tool_refusals)
        )
        tool_refusals = {**facts.tool_refusals, **tool_refusals}
        return replace(facts, gaps=gaps, template_refusals=refusals, tool_refusals=tool_refusals)


def facts(plan: Plan) -> DiskFacts:
    """Return what this disk says of the paths a plan names, and our tools of its parameters."""
    answers = {stage.name: answer.refusal for stage, answer in _own(plan, plan.stages, rows=False)}
    tool_refusals = {name: (refusal,) for name, refusal in answers.items() if refusal is not None}
    return replace(disk_facts(plan), tool_refusals=tool_refusals)


def disk_facts(plan: Plan) -> DiskFacts:
    """Return what this disk says of the paths a plan names; no tool is asked."""
    return read_facts.look(plan, hub.cache(os.environ))


def _own(
    plan: Plan,
    stages: Collection[Stage],
    *,
    rows: bool,
    workers: int = 1,
    own: Collection[str] = (),
) -> Iterator[tuple[Stage, own_tools.PrecheckResult]]:
    """Yield the stages of our own tools, each with what its tool says of it."""
    catalog = load.catalog(plan.tools)
    for stage in stages:
        tool = catalog.get(stage.tool)
        if tool is not None and tool.own:
            from runner.lint import own_tools  # most recipes have no such tool

            answer = own_tools.precheck(plan, stage, tool, rows=rows, workers=workers, own=own)
            yield stage, answer


def rows(
    plan: Plan,
    stages: Collection[str] | None = None,
    *,
    here: Project,
    smoke: bool = False,
    workers: int = 1,
    progress: dataset.Progress | None = None,
) -> RowFindings:
    """Return what is wrong with the rows and prompts that the plan reads from this disk.

    A folder that several stages read in the same way is read once. Rows that a stage of the plan
    mixes are looked at where they come from; with `stages`, those that these read. A smoke run has
    the tiny model's tokenizer, and nothing is said of the other. Of what lies outside of the
    project `here` nothing is quoted.
    """
    findings = RowFindings()
    selection = [one for one in plan.stages if stages is None or one.name in stages]
    folders: dict[FolderReading, list[Stage]] = {}
    with ExitStack() as stack:
        tiny = _empty(stack) if smoke else None
        for stage in selection:
            findings.gaps[stage.name] += () if smoke else _unread(plan, stage)
            for reading in _readings(plan, stage, tiny):
                folders.setdefault(reading, []).append(stage)
        check = partial(_check, smoke=smoke, workers=workers, progress=progress)
        for reading, readers in folders.items():
            problems, gap = check(reading, {slug for one in readers for slug in one.allow})
            findings.problems += problems
            if gap and not smoke:
                findings.gaps[readers[0].name].append(gap)
    _prompts(plan, selection, findings, here, smoke=smoke)
    findings.problems[:] = map(here.quotes, findings.problems)
    return findings


def ask(
    plan: Plan,
    findings: RowFindings,
    names: Collection[str] | None = None,
    *,
    workers: int = 1,
    own: Collection[str] = (),
) -> None:
    """Add what our own tools report about a plan's stages; no row is reported twice.

    `own` are outputs that may already exist.
    """
    stages = [one for one in plan.stages if names is None or one.name in names]
    rows = {(one.mark.file, one.mark.line, one.rule) for one in findings.problems}
    for stage, answer in _own(plan, stages, rows=True, workers=workers, own=own):
        row = answer.row
        if row is not None and (row.mark.file, row.mark.line, row.rule) not in rows:
            findings.problems.append(row)
        findings.tool_refusals[stage.name] += [answer.refusal] if answer.refusal else ()
        findings.gaps[stage.name] += [answer.gap] if answer.gap else ()


def _empty(stack: ExitStack) -> str:
    """Return a folder that is gone with the stack."""
    from tempfile import TemporaryDirectory

    return stack.enter_context(TemporaryDirectory())


def _readings(plan: Plan, stage: Stage, tiny: str | None) -> Iterator[FolderReading]:
    """Yield how a stage reads folders of this disk, nothing if it reads none."""
    params = stage.params
    tool = load.catalog(plan.tools).get(stage.tool)
    if tool is None or not tool.reads_rows:
        return
    names = (name for name in Features.__struct_fields__ if f"{name}_feature" in params)
    features = Features(**{name: params[f"{name}_feature"] for name in names})
    model = str(params["model"])
    writer = chats.Writer(model=model, folder=tiny) if tiny else chats.writer(plan, model)
    for path, splits in _data(stage):
        for folder, mixed in _folders(plan, path):
            yield FolderReading(
                folder=folder,
                batch_size=params["batch_size"],
                mask_prompt=_masks(tool, params),
                features=features,
                required=() if mixed else splits,
                max_seq_length=params["max_seq_length"],
                mixed=mixed,
                writer=writer,
                kind=tool.row_kind(params),
                bare=tool.own_template and _bare(writer),
            )


def _bare(writer: chats.Writer) -> bool:
    """Say whether a model on this disk has no chat template."""
    folder = writer.folder
    facts = read_model(writer.model, Path(folder)) if folder is not None else None
    return facts is not None and facts.chat_template is False


def _masks(tool: Tool, params: Mapping[str, Any]) -> bool:
    """Return whether the prompts of a stage's rows are masked."""
    return bool(params["mask_prompt"]) and tool.parameters["mask_prompt"].is_read(params)


def _unread(plan: Plan, stage: Stage) -> Iterator[Finding]:
    """Yield the data sets of which no row was looked at: those not on this disk yet, or read apart.

    A tool of ours says so itself.
    """
    hint = "if intended, allow this rule"
    catalog = load.catalog(plan.tools)
    tool = catalog.get(stage.tool)
    if tool is None or not tool.reads_rows:
        for reading in readings(stage, catalog):
            name, kind, path = reading.parameter, reading.kind, reading.path
            if kind == "data" and tool is not None and not tool.own:
                reason = f"only {tool.name} knows how it reads them"
                if "datasets" in tool.needs:
                    reason = "the hub's library loads them during the run"
                why = f"the rows of '{path}' were not checked: {reason}"
                yield Finding(parameter=name, message=why, hint=hint)
        return
    if stage.params.get("hf_dataset") is not None:
        why = "the rows of hf_dataset were not checked: the hub's library loads them during the run"
        yield Finding(parameter="hf_dataset", message=why, hint=hint)
    for path, _ in _data(stage):
        if not any(_folders(plan, path)):
            maker = plan.maker(path)
            reason = (
                f"stage '{maker.name}' creates them" if maker else "there is no such folder here"
            )
            yield Finding(
                parameter="data",
                message=f"the rows of '{path}' were not checked: {reason}",
                hint=hint,
            )


def _data(stage: Stage) -> Iterator[tuple[str, tuple[str, ...]]]:
    """Yield the data sets a stage reads with the splits it needs: its own, and what it watches."""
    params = stage.params
    if params.get("hf_dataset") is None:
        yield str(params["data"]), tuple(split for split in ("train", "test") if params[split])
    path = watch_data(stage.trainer)
    if path is not None:
        yield path, (stage.trainer["watch.retention.split"],)


def _prompts(
    plan: Plan, stages: Collection[Stage], findings: RowFindings, here: Project, *, smoke: bool
) -> None:
    """Add what is wrong with prompts, and expectations of categories that a file of them lacks."""
    ends: dict[str, Collection[str]] = {}
    catalog = load.catalog(plan.tools)
    for stage in plan.stages:
        for path in (path for kind, path in read_facts.reads(stage, catalog) if kind == "prompts"):
            if not os.path.lexists(path):
                continue
            from runner.tools.evaluate import prompts_file

            try:
                read = prompts_file.survey(Path(path))
            except OSError as error:
                why = f"the file cannot be read: {error.strerror}"
                findings.problems.append(
                    Problem(
                        mark=Mark(file=path, line=1, column=1),
                        message=why,
                        rule="prompts-unreadable",
                    )
                )
                continue
            findings.problems += [] if path in ends else read.problems
            ends[path] = [name for name in read.rows if name]
            if stage in stages and not read.problems and not smoke:
                for one in chats.of_prompts(plan, stage, read):
                    if isinstance(one, Problem):
                        findings.problems.append(one)
                    else:
                        findings.gaps[stage.name].append(one)
        for looked, finding in () if smoke or stage not in stages else chats.of_stage(plan, stage):
            (findings.template_refusals if looked else findings.gaps)[stage.name].append(finding)
    own = {path: names for path, names in ends.items() if here.holds(path)}
    findings.problems += unknown_figures(plan, catalog, own)
    foreign = {path: names for path, names in ends.items() if path not in own}
    unnamed = unknown_figures(plan, catalog, foreign)
    findings.problems += (replace(one, hint="") for one in unnamed)


def _folders(plan: Plan, path: str) -> Iterator[tuple[str, bool]]:
    """Yield the folders of this disk that rows come from, and whether a stage makes others of them.

    Those a tool for data makes are its own sources' rows.
    """
    waiting, visits = [(path, False)], set()
    catalog = load.catalog(plan.tools)
    while waiting:
        path, mixed = waiting.pop()
        if (path, mixed) in visits:
            continue
        visits.add((path, mixed))
        maker = plan.maker(path)
        if maker is None and RUN_DIR not in path and files.is_folder(Path(path)):
            yield path, mixed
        elif maker is not None and (tool := catalog.get(maker.tool)) and _passes_rows(tool):
            sources = read_facts.reads(maker, catalog, inside=True)
            waiting += reversed([(source, True) for kind, source in sources if kind == "data"])


def _passes_rows(tool: Tool) -> bool:
    """Return whether the rows a tool makes are those of its sources."""
    return tool.own and any(tool.makes("data"))


def _check(
    reading: FolderReading,
    allowed: Collection[str],
    *,
    smoke: bool,
    workers: int,
    progress: dataset.Progress | None,
) -> tuple[list[Problem], Finding | None]:
    """Return what is wrong with a folder, and what of it could not be looked at."""
    from runner.data import read as dataset
    from runner.data.tokenizer import TokenizerError

    check = partial(
        dataset.check,
        reading.folder,
        batch_size=reading.batch_size,
        mask_prompt=reading.mask_prompt,
        features=reading.features,
        required=reading.required,
        kind=reading.kind,
        max_seq_length=reading.max_seq_length,
        limit=LIMIT,
        every=False,
        workers=workers,
        progress=progress,
    )
    encode, writer = _encode(reading, smoke=smoke), reading.writer
    look = partial(check, tokenizer=encode)
    try:
        report = look() if smoke else _kept(reading, look, encode)
    except TokenizerError as error:
        report, encode, writer = check(), None, chats.without_tokenizer(writer, str(error))
    silent = OF_SPLITS | set(allowed)
    if reading.mixed and reading.batch_size > 1:
        silent |= OF_ORDER
    silent |= dataset.OF_TOKENS if smoke else set()
    problems = [problem for problem in report.problems if problem.rule not in silent]
    complete = encode is not None or reading.bare or not _chats(report)
    return problems, None if complete else writer.absent(f"row of '{reading.folder}'")


def _kept(
    reading: FolderReading, look: Callable[[], FolderReport], encode: Encode | None
) -> FolderReport:
    """Return what is found in a folder; where it takes seconds, as found before."""
    places = [Path(one) for one in (reading.folder, reading.writer.folder) if one]
    if encode is None and _size(reading.folder) <= SMALL:
        return look()
    from runner.cache.kept import kept

    return kept(reading, places, look, FolderReport)


def _size(folder: str) -> int:
    """Return the bytes of a folder's rows."""
    return sum(file.stat().st_size for file in Path(folder).glob("*.jsonl"))


def _chats(report: FolderReport) -> bool:
    """Return whether rows go through a chat template."""
    return any(split.format not in {"text", "tokens", None} for split in report.splits.values())


def _encode(reading: FolderReading, *, smoke: bool) -> Encode | None:
    """Return the tokenizer for a folder's rows; it is loaded when the first row asks for it."""
    folder = reading.writer.folder
    if folder is None or reading.bare:
        return None
    if smoke:
        if _size(reading.folder) > SMALL:
            return None
        from runner.tools.tiny_model import write_tokenizer  # few runs need it

        write_tokenizer(Path(folder))
    from runner.data.tokenizer import LocalTokenizer

    return LocalTokenizer(path=folder)
