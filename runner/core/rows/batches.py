"""The survey of a split and a batch size -> what mlx-lm does with its rows, and what it leaves."""

from collections.abc import Iterator, Mapping, Sequence

from runner.core.problem import Mark, Problem, listing
from runner.core.rows.survey import Survey

MOST_PADDING = 0.5
"""A larger share of a split's computation that is padding is worth a word."""


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
    if not batch:
        return
    rest = survey.rows % batch
    if survey.rows < batch:
        message = (
            f"{_rows(survey.rows)} cannot fill a batch of {batch}; mlx-lm stops with a ValueError"
        )
        hint = f"add rows, or set batch_size to at most {survey.rows}"
        yield Problem(mark, message, "split-smaller-than-batch", hint)
    elif rest and survey.sums["readable"] == survey.rows:
        lines = unreached(survey.tails, rest)
        message = (
            f"{_rows(rest)} of {survey.rows} never get into a batch of {batch}: "
            f"line{'s' * (len(lines) > 1)} {listing(map(str, lines))}"
        )
        hint = f"add {_rows(batch - rest)}, or choose a batch_size that divides {survey.rows}"
        place = Mark(survey.file, lines[0], 1)
        yield Problem(place, message, "rows-never-reached", hint, (), "warning")
    padding = 1 - survey.sums["content"] / (survey.sums["computed"] or 1)
    if survey.sums["computed"] and padding > MOST_PADDING:
        message = (
            f"{padding:.0%} of what a batch of {batch} computes is padding: mlx-lm batches rows "
            "that follow each other, whatever their lengths"
        )
        hint = "put rows of similar length next to each other, or lower batch_size"
        yield Problem(mark, message, "batches-mostly-padding", hint, (), "warning")


def unreached(tails: Mapping[int, Sequence[int]], rest: int) -> list[int]:
    """Return the lines of the last rows in mlx-lm's order, which it means to be by length.

    It sorts by the number of keys of a row, and rows of as many keys stay as in the file.
    """
    in_order = [number for keys in sorted(tails) for number in tails[keys]]
    return sorted(in_order[-rest:])


def _rows(number: int) -> str:
    return f"{number} row{'s' * (number != 1)}"
