"""The survey of a split and a batch size -> how mlx-lm uses its rows, and which it drops."""

from collections.abc import Collection, Iterator, Mapping, Sequence
from shlex import quote
from typing import Any

from msgspec import Struct, to_builtins

from runner.base.patterns import pattern
from runner.base.problems import Mark, Problem, listing, plural, sort_problems
from runner.data.rows.parsing import data_of, holding, way
from runner.data.rows.row import SPLITS, Features
from runner.data.rows.survey import BUCKETS, Stats, Survey

MOST_PADDING = 0.5
"""A larger share of a split's computation that is padding is worth a word."""

COUNTED_PADDING = 0.2
"""A larger share of what the loss counts that is padding is worth a word (T74)."""


def split_problems(survey: Survey) -> Iterator[Problem]:
    """Yield what is wrong with a split as a whole."""
    mark, batch = Mark(file=survey.file, line=1, column=1), survey.use.batch_size
    if not survey.size:
        message = "the file is empty; mlx-lm fails with an IndexError"
        yield Problem(
            mark=mark, message=message, rule="split-empty", hint="add rows, or delete the file"
        )
        return
    if survey.use.mask_prompt and survey.format == "text":
        message = (
            "mask_prompt needs prompts, but these rows are text; mlx-lm fails with a ValueError"
        )
        hint = "train without mask_prompt, or write chat rows; mlx-lm reads all three files"
        yield Problem(mark=mark, message=message, rule="mask-prompt-with-text", hint=hint)
    yield from _padding_in_loss(survey, mark)
    if not batch:
        return
    rest = survey.rows % batch
    if survey.rows < batch:
        message = (
            f"{plural(survey.rows, 'row')} do not fill a batch of {batch}; mlx-lm fails with a "
            "ValueError"
        )
        hint = f"add rows, or set batch_size to at most {survey.rows}"
        yield Problem(mark=mark, message=message, rule="split-smaller-than-batch", hint=hint)
    elif rest and survey.classes.total() == survey.rows:
        lines = remainder_lines(survey.tails, rest)
        message = (
            f"{plural(rest, 'row')} of {survey.rows} are in no batch of {batch}: "
            f"line{'s' * (len(lines) > 1)} {listing(map(str, lines))}"
        )
        hint = (
            f"add {plural(batch - rest, 'row')}, or choose a batch_size that divides {survey.rows}"
        )
        place = Mark(file=survey.file, line=lines[0], column=1)
        yield Problem(
            mark=place,
            message=message,
            rule="rows-never-reached",
            hint=hint,
            notes=(),
            severity="warning",
        )
    yield from _silent(survey, batch)
    padding = 1 - survey.sums["content"] / (survey.sums["computed"] or 1)
    if survey.sums["computed"] and padding > MOST_PADDING:
        message = (
            f"{padding:.0%} of the tokens in batches of {batch} are padding: mlx-lm batches "
            "consecutive rows, regardless of length"
        )
        yield Problem(
            mark=mark,
            message=message,
            rule="batches-mostly-padding",
            hint=_shorter(survey, batch),
            notes=(),
            severity="warning",
        )


def _shorter(survey: Survey, batch: int) -> str:
    """Return what makes batches of less padding: another order, if there are several."""
    if survey.rows == batch:
        return "lower batch_size"
    data, split = quote(data_of(survey.file)), survey.file.rpartition("/")[2]
    every = " --all-splits" * (split in {f"{name}.jsonl" for name in SPLITS[1:]})
    defaults, features = Features(), survey.use.features
    keys = (
        f" --{name}-feature {quote(key)}"
        for name in ("prompt", "completion", "chat", "text")
        if (key := getattr(features, name)) != getattr(defaults, name)
    )
    command = f"run-recipe data sort --data {data} --out {data}-sorted --batch-size {batch}"
    return f"order them: {command}{every}{''.join(keys)}, or lower batch_size"


def _padding_in_loss(survey: Survey, mark: Mark) -> Iterator[Problem]:
    """Yield a word where much of the loss is the padding that mlx-lm counts in every row."""
    padding, trained = survey.sums["padding"], survey.sums["trained"]
    if padding > COUNTED_PADDING * (padding + trained):
        message = (
            f"{padding / (padding + trained):.0%} of the tokens in the loss are padding: mlx-lm "
            f"counts one padding token per row, and the rows have {trained / padding:.1f} others"
        )
        hint = "it matters less with longer answers; compare losses only between similar rows"
        yield Problem(
            mark=mark,
            message=message,
            rule="loss-counts-padding",
            hint=hint,
            notes=(),
            severity="warning",
        )


def _silent(survey: Survey, batch: int) -> Iterator[Problem]:
    """Yield the batches in which no token is trained: 0/0 is NaN, and so is all after it (T71)."""
    batches = silent_batches(survey.silent, survey.classes, batch)
    for lines in batches[: survey.use.limit]:
        of = f"line{'s' * (len(lines) > 1)} {listing(map(str, lines))}"
        message = (
            f"no token of {of} is trained, and mlx-lm puts them into one batch: its loss is 0/0 "
            "= NaN, and all weights become NaN"
        )
        more = len(batches) - survey.use.limit
        hint = "raise max_seq_length, shorten the prompts, or remove the rows"
        rest = "one more batch is affected" if more == 1 else f"{more} more batches are so"
        hint += f"; {rest}" * (more > 0 and lines == batches[0])
        yield Problem(
            mark=Mark(file=survey.file, line=lines[0], column=1),
            message=message,
            rule="batch-learns-nothing",
            hint=hint,
        )


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


def remainder_lines(tails: Mapping[int, Sequence[int]], rest: int) -> list[int]:
    """Return the lines of the last rows in mlx-lm's order, which it means to be by length.

    It sorts by the number of keys of a row, and rows of as many keys stay as in the file.
    """
    in_order = [number for keys in sorted(tails) for number in tails[keys]]
    return sorted(in_order[-rest:])


OTHER_NAMES = {
    "train": ("training",),
    "valid": ("val", "validation", "validate", "dev", "eval", "evaluation"),
    "test": ("tests", "testing"),
}
_NAME = pattern(
    r"(?P<stem>[^.]+?)(?:-\d+-of-\d+)?(?P<suffixes>(?:\.(?:jsonl?|ndjson|jl|csv|tsv|parquet|arrow|"
    r"feather|xlsx?|gz|bz2|xz|zst|zip))+)"
)
_PACKED = pattern(r"\.(?:gz|bz2|xz|zst)\Z")


class FolderReport(Struct, frozen=True, kw_only=True):
    """Every problem of a data folder, and what the rows of each split are like."""

    problems: tuple[Problem, ...]
    splits: Mapping[str, Stats]

    @property
    def failed(self) -> bool:
        """Whether something is an error."""
        return any(problem.severity == "error" for problem in self.problems)

    def as_dict(self) -> dict[str, Any]:
        """Return the report as JSON-ready values."""
        return {
            "problems": [problem.as_dict() for problem in self.problems],
            "splits": to_builtins(dict(self.splits)),
        }


def report(
    folder: str,
    names: Collection[str],
    surveys: Mapping[str, Survey],
    *,
    splits: Sequence[str] = SPLITS,
    required: Collection[str] = ("train",),
    heads: Mapping[str, bytes] | None = None,
) -> FolderReport:
    """Put the surveys of a folder's splits together; `names` are the files in it.

    `heads` are the beginnings of those that `wrong_names` finds.
    """
    for split, number, first, other in _repeats(surveys):
        _show_repeat(surveys, split, number, first, other)
    problems = list(_absent(folder, names, splits, required, heads or {}))
    problems += _formats_differ(surveys)
    for survey in surveys.values():
        problems += sort_problems([*split_problems(survey), *survey.tally.problems()])
    return FolderReport(
        problems=tuple(problems),
        splits={split: survey.stats() for split, survey in surveys.items()},
    )


def _repeats(surveys: Mapping[str, Survey]) -> Iterator[tuple[str, int, int, str]]:
    """Yield every row that stands before: its split and line, the line and split of the first."""
    for bucket in range(BUCKETS):
        first: dict[int, tuple[int, str]] = {}
        for split, survey in surveys.items():
            pairs = iter(survey.digests[bucket])
            for digest, number in zip(pairs, pairs, strict=True):
                if digest in first:
                    yield split, number, *first[digest]
                else:
                    first[digest] = (number, split)


def _show_repeat(
    surveys: Mapping[str, Survey], split: str, number: int, first: int, other: str
) -> None:
    tally, place = surveys[split].tally, Mark(file=surveys[other].file, line=first, column=1)
    rule = "row-repeated" if split == other else "row-in-two-splits"
    if not tally.count(rule, number):
        return
    message, hint = f"the row is the same as line {first}", "it counts twice in training"
    if split != other:
        message = f"the row is also in the {other} split, in line {first}"
        hint = f"remove one; the {split} loss means nothing on rows the model was trained on"
    mark = Mark(file=surveys[split].file, line=number, column=1)
    tally.show(
        Problem(
            mark=mark,
            message=message,
            rule=rule,
            hint=hint,
            notes=((place, "the first"),),
            severity="warning",
        )
    )


def wrong_names(names: Collection[str], split: str) -> list[str]:
    """Return the files that are meant for a split and that mlx-lm does not read as one."""
    expected = f"{split}.jsonl"
    wrong = [name for name in sorted(names) if name != expected and _means(name, split)]
    return [name for name in wrong if name.endswith(".jsonl") or expected not in names]


def _absent(
    folder: str,
    names: Collection[str],
    splits: Sequence[str],
    required: Collection[str],
    heads: Mapping[str, bytes],
) -> Iterator[Problem]:
    for split in splits:
        expected = f"{split}.jsonl"
        wrong = wrong_names(names, split)
        for name in wrong:
            message = f"mlx-lm does not read {name}; the {split} split is {expected}"
            missing = expected not in names
            other = holding(heads.get(name, b""), name) if missing else None
            hint = (
                f"rename it to {expected}"
                if missing
                else f"remove it, or move its rows to {expected}"
            )
            if other:
                message += f", and this is {other.what}"
                plain = _PACKED.sub("", name)
                hint = way(
                    other, f"{folder}/{name}", f"{folder}/{expected if plain == name else plain}"
                )
            severity = "error" if missing else "warning"
            yield Problem(
                mark=Mark(file=f"{folder}/{name}", line=1, column=1),
                message=message,
                rule="split-misnamed",
                hint=hint,
                notes=(),
                severity=severity,
            )
        if expected in names or wrong:
            continue
        mark, message = (
            Mark(file=f"{folder}/{expected}", line=1, column=1),
            f"there is no {expected}",
        )
        if split in required:
            yield Problem(
                mark=mark, message=message, rule="split-missing", hint="mlx-lm fails without it"
            )
        elif split == "valid":
            message += "; mlx-lm trains without validation after a one-line warning"
            yield Problem(
                mark=mark,
                message=message,
                rule="split-missing",
                hint="move some rows of train.jsonl to valid.jsonl",
                notes=(),
                severity="warning",
            )


def _means(name: str, split: str) -> bool:
    """Return whether a file is probably meant for a split although mlx-lm does not read it."""
    match = _NAME.fullmatch(name)
    stem = match["stem"].casefold() if match else ""
    return stem == split or stem in OTHER_NAMES.get(split, ())


def _formats_differ(surveys: Mapping[str, Survey]) -> Iterator[Problem]:
    by_split = {split: survey for split, survey in surveys.items() if survey.format}
    first = next(iter(by_split), "")
    for split, survey in by_split.items():
        if survey.format != by_split[first].format:
            message = (
                f"the {split} split is {survey.format} and {first} is {by_split[first].format}; "
                "mlx-lm accepts both, but their losses are not comparable"
            )
            hint = "write both in the same format"
            mark = Mark(file=survey.file, line=1, column=1)
            yield Problem(
                mark=mark,
                message=message,
                rule="splits-of-two-formats",
                hint=hint,
                notes=(),
                severity="warning",
            )
