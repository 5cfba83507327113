"""The survey of a split and a batch size -> what mlx-lm does with its rows, and what it leaves."""

from collections.abc import Iterator, Mapping, Sequence
from shlex import quote

from runner.core.problem import Mark, Problem, counted, listing
from runner.core.rows.column import data_of
from runner.core.rows.survey import Survey
from runner.core.rows.use import SPLITS, Features

MOST_PADDING = 0.5
"""A larger share of a split's computation that is padding is worth a word."""

COUNTED_PADDING = 0.2
"""A larger share of what the loss counts that is padding is worth a word (T74)."""


def split_problems(survey: Survey) -> Iterator[Problem]:
    """Yield what is wrong with a split as a whole."""
    mark, batch = Mark(survey.file, 1, 1), survey.use.batch_size
    if not survey.size:
        message = "the file is empty; mlx-lm stops with an IndexError"
        yield Problem(mark, message, "split-empty", "write rows, or delete the file")
        return
    if survey.use.mask_prompt and survey.format == "text":
        message = (
            "mask_prompt needs prompts and these rows are text; mlx-lm stops with a ValueError"
        )
        hint = "train without mask_prompt, or write chat rows; mlx-lm reads all three files"
        yield Problem(mark, message, "mask-prompt-with-text", hint)
    yield from _counted(survey, mark)
    if not batch:
        return
    rest = survey.rows % batch
    if survey.rows < batch:
        message = (
            f"{counted(survey.rows, 'row')} cannot fill a batch of {batch}; "
            "mlx-lm stops with a ValueError"
        )
        hint = f"add rows, or set batch_size to at most {survey.rows}"
        yield Problem(mark, message, "split-smaller-than-batch", hint)
    elif rest and survey.classes.total() == survey.rows:
        lines = unreached(survey.tails, rest)
        message = (
            f"{counted(rest, 'row')} of {survey.rows} never get into a batch of {batch}: "
            f"line{'s' * (len(lines) > 1)} {listing(map(str, lines))}"
        )
        hint = (
            f"add {counted(batch - rest, 'row')}, or choose a batch_size that divides {survey.rows}"
        )
        place = Mark(survey.file, lines[0], 1)
        yield Problem(place, message, "rows-never-reached", hint, (), "warning")
    yield from _silent(survey, batch)
    padding = 1 - survey.sums["content"] / (survey.sums["computed"] or 1)
    if survey.sums["computed"] and padding > MOST_PADDING:
        message = (
            f"{padding:.0%} of what a batch of {batch} computes is padding: mlx-lm batches rows "
            "that follow each other, whatever their lengths"
        )
        yield Problem(
            mark, message, "batches-mostly-padding", _shorter(survey, batch), (), "warning"
        )


def _shorter(survey: Survey, batch: int) -> str:
    """Return what makes batches of less padding: another order, where there are several."""
    if survey.rows == batch:
        return "lower batch_size"
    data, split = quote(data_of(survey.file)), survey.file.rpartition("/")[2]
    every = " --all-splits" * (split in {f"{name}.jsonl" for name in SPLITS[1:]})
    known, said = Features(), survey.use.features
    keys = (
        f" --{name}-feature {quote(key)}"
        for name in ("prompt", "completion", "chat", "text")
        if (key := getattr(said, name)) != getattr(known, name)
    )
    command = f"run-recipe data sort --data {data} --out {data}-sorted --batch-size {batch}"
    return f"order them: {command}{every}{''.join(keys)}, or lower batch_size"


def _counted(survey: Survey, mark: Mark) -> Iterator[Problem]:
    """Yield a word where much of the loss is the padding that mlx-lm counts in every row."""
    padding, trained = survey.sums["padding"], survey.sums["trained"]
    if padding > COUNTED_PADDING * (padding + trained):
        message = (
            f"{padding / (padding + trained):.0%} of what the loss counts is padding: mlx-lm "
            f"counts one padding token a row, and the rows have {trained / padding:.1f} others"
        )
        hint = "longer answers make it matter less; compare losses only between such rows"
        yield Problem(mark, message, "loss-counts-padding", hint, (), "warning")


def _silent(survey: Survey, batch: int) -> Iterator[Problem]:
    """Yield the batches in which no token is trained: 0/0 is NaN, and so is all after it (T71)."""
    found = silent_batches(survey.silent, survey.classes, batch)
    for lines in found[: survey.use.limit]:
        of = f"line{'s' * (len(lines) > 1)} {listing(map(str, lines))}"
        message = (
            f"no token of {of} is trained, which mlx-lm puts into one batch: its loss is 0/0, NaN, "
            "and every weight is NaN from there on"
        )
        more = len(found) - survey.use.limit
        hint = "raise max_seq_length, shorten the prompts before their answers, or remove them"
        rest = "one more batch is so" if more == 1 else f"{more} more batches are so"
        hint += f"; {rest}" * (more > 0 and lines == found[0])
        yield Problem(Mark(survey.file, lines[0], 1), message, "batch-learns-nothing", hint)


def silent_batches(
    silent: Mapping[int, Sequence[tuple[int, int]]], classes: Mapping[int, int], batch: int
) -> list[list[int]]:
    """Return the lines of each batch all of whose rows are silent, in mlx-lm's order of rows.

    `silent` has place and line by number of keys, `classes` how many rows have so many keys.
    """
    groups: dict[int, list[int]] = {}
    before = 0
    for keys in sorted(classes):
        for place, line in silent.get(keys, ()):
            groups.setdefault((before + place) // batch, []).append(line)
        before += classes[keys]
    return [sorted(lines) for lines in groups.values() if len(lines) == batch]


def unreached(tails: Mapping[int, Sequence[int]], rest: int) -> list[int]:
    """Return the lines of the last rows in mlx-lm's order, which it means to be by length.

    It sorts by the number of keys of a row, and rows of as many keys stay as in the file.
    """
    in_order = [number for keys in sorted(tails) for number in tails[keys]]
    return sorted(in_order[-rest:])
