"""What can be known of a plan before anything runs: the files it names, and every row it reads.

What reads rows is imported where there are rows to read.
"""

from __future__ import annotations

import os
from contextlib import ExitStack
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from runner.core.expect import unknown_figures
from runner.core.naming import RUN_DIR
from runner.core.problem import Mark, Problem
from runner.core.rules.chain import beneath
from runner.core.trainer import watched
from runner.edges import known, schemas

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator

    from runner.core.plan import Plan, Stage
    from runner.core.rows import Encode, Features
    from runner.core.rules import Known
    from runner.edges import dataset

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
# Of rows in the order they stand in: a stage that mixes them makes another.
OF_ORDER = frozenset({"batch-learns-nothing", "batches-mostly-padding"})
LIMIT = 3
"""So many problems of a kind are shown of a file, and how many more there are."""
SMALL = 4 << 20
"""A smoke run tokenizes no larger data set: it is there to be quick."""


@dataclass(frozen=True, slots=True)
class Reading:
    """How a stage reads a folder of this disk; `mixed` where a stage of the plan stands between.

    `tokenizer` is the folder of a model that has one, None where none is on this disk.
    """

    folder: str
    batch_size: int
    mask_prompt: bool
    features: Features
    required: tuple[str, ...]
    max_seq_length: int
    mixed: bool
    tokenizer: str | None


def facts(plan: Plan) -> Known:
    """Return what this disk says of the paths a plan names."""
    return known.look(plan, known.hub_cache(dict(os.environ)))


def places(plan: Plan) -> set[tuple[str, str]]:
    """Return every place of this disk that `facts` and `rows` read something of."""
    return known.named(plan, known.hub_cache(dict(os.environ)))


def rows(
    plan: Plan,
    stages: Collection[str] | None = None,
    *,
    smoke: bool = False,
    workers: int = 1,
    progress: dataset.Progress | None = None,
) -> list[Problem]:
    """Return what is wrong with the rows and prompts that the plan reads from this disk.

    A folder that several stages read in the same way is read once. Rows that a stage of the plan
    mixes are looked at where they come from; with `stages`, those that these read. A smoke run has
    the tiny model's tokenizer.
    """
    seen: dict[Reading, set[str]] = {}
    with ExitStack() as stack:
        tiny = _empty(stack) if smoke else None
        for stage in (one for one in plan.stages if stages is None or one.name in stages):
            for reading in _readings(plan, stage, tiny):
                seen.setdefault(reading, set()).update(stage.allow)
        check = partial(_check, smoke=smoke, workers=workers, progress=progress)
        found = [problem for one, allowed in seen.items() for problem in check(one, allowed)]
    return [*found, *_prompts(plan)]


def _empty(stack: ExitStack) -> str:
    """Return a folder that is gone with the stack."""
    from tempfile import TemporaryDirectory  # noqa: PLC0415

    return stack.enter_context(TemporaryDirectory())


def _readings(plan: Plan, stage: Stage, tiny: str | None) -> Iterator[Reading]:
    """Yield how a stage reads folders of this disk, nothing where it reads none."""
    params = stage.params
    if stage.tool != "mlx_lm.lora":
        return
    names = ("prompt_feature", "completion_feature", "chat_feature", "text_feature")
    tokenizer = tiny or _tokenizer(beneath(plan, str(params["model"])))
    for path, wanted in _data(stage):
        for folder, mixed in _folders(plan, path):
            from runner.core.rows import Features  # noqa: PLC0415

            yield Reading(
                folder,
                params["batch_size"],
                bool(params["mask_prompt"]),
                Features(*(params[name] for name in names)),
                () if mixed else wanted,
                params["max_seq_length"],
                mixed,
                tokenizer,
            )


def _data(stage: Stage) -> Iterator[tuple[str, tuple[str, ...]]]:
    """Yield the data sets a stage reads with the splits it needs: its own, and what it watches."""
    params = stage.params
    if params["hf_dataset"] is None:
        yield str(params["data"]), tuple(split for split in ("train", "test") if params[split])
    path = watched(stage.trainer)
    if path is not None:
        yield path, (stage.trainer["watch.retention.split"],)


def _prompts(plan: Plan) -> Iterator[Problem]:
    """Yield what is wrong with prompts files, and expectations of categories they do not have."""
    ends: dict[str, Collection[str]] = {}
    read = sorted({one for stage in plan.stages for one in known.reads(stage)})
    for path in (path for kind, path in read if kind == "prompts"):
        if os.path.lexists(path):
            from runner.edges import prompts  # noqa: PLC0415

            try:
                found = prompts.survey(Path(path))
            except OSError as error:
                why = f"the file cannot be read: {error.strerror}"
                yield Problem(Mark(path, 1, 1), why, "prompts-unreadable")
                continue
            yield from found.problems
            ends[path] = [name for name in found.rows if name]
    yield from unknown_figures(plan, schemas.catalog(), ends)


def _folders(plan: Plan, path: str) -> Iterator[tuple[str, bool]]:
    """Yield the folders of this disk that rows come from, and whether a stage makes others of them.

    Those a tool for data makes are its own sources' rows.
    """
    waiting, seen = [(path, False)], set()
    while waiting:
        path, mixed = waiting.pop()
        if (path, mixed) in seen:
            continue
        seen.add((path, mixed))
        maker = plan.maker(path)
        if maker is None and RUN_DIR not in path and Path(path).is_dir():
            yield path, mixed
        elif maker is not None and maker.tool.startswith("data."):
            sources = known.reads(maker, inside=True)
            waiting += reversed([(source, True) for kind, source in sources if kind == "data"])


def _tokenizer(model: str) -> str | None:
    """Return the folder of a model that is on this disk and has a tokenizer."""
    folder = known.folder_of(model, known.hub_cache(dict(os.environ)))
    return (
        str(folder.resolve()) if folder and (folder / "tokenizer_config.json").is_file() else None
    )


def _check(
    said: Reading,
    allowed: Collection[str],
    *,
    smoke: bool,
    workers: int,
    progress: dataset.Progress | None,
) -> Iterator[Problem]:
    from runner.edges import dataset  # noqa: PLC0415

    check = partial(
        dataset.check,
        said.folder,
        batch_size=said.batch_size,
        mask_prompt=said.mask_prompt,
        features=said.features,
        required=said.required,
        max_seq_length=said.max_seq_length,
        limit=LIMIT,
        every=False,
        workers=workers,
        progress=progress,
    )
    try:
        report = check(tokenizer=_encode(said, smoke=smoke))
    except dataset.TokenizerError:
        report = check()
    silent = OF_SPLITS | set(allowed)
    if said.mixed and said.batch_size > 1:
        silent |= OF_ORDER
    for problem in report.problems:
        if problem.rule not in silent and not (smoke and problem.rule in dataset.OF_TOKENS):
            yield problem


def _encode(said: Reading, *, smoke: bool) -> Encode | None:
    """Return the tokenizer for a folder's rows; it is loaded when the first row asks for it."""
    if said.tokenizer is None:
        return None
    if smoke:
        sizes = (file.stat().st_size for file in Path(said.folder).glob("*.jsonl"))
        if sum(sizes) > SMALL:
            return None
        from runner.tools.tiny import write_tokenizer  # noqa: PLC0415  (few runs need it)

        write_tokenizer(Path(said.tokenizer))
    from runner.edges import dataset  # noqa: PLC0415

    return dataset.LocalTokenizer(said.tokenizer)
