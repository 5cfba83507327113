"""The files of a data folder and the surveys of its splits -> its report."""

import re
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from runner.core.problem import Mark, Problem, ordered
from runner.core.rows.batches import split_problems
from runner.core.rows.foreign import holding, way
from runner.core.rows.survey import BUCKETS, Stats, Survey
from runner.core.rows.use import SPLITS

OTHER_NAMES = {
    "train": ("training",),
    "valid": ("val", "validation", "validate", "dev", "eval", "evaluation"),
    "test": ("tests", "testing"),
}
_NAME = re.compile(
    r"(?P<stem>[^.]+?)(?:-\d+-of-\d+)?(?P<suffixes>(?:\.(?:jsonl?|ndjson|jl|csv|tsv|parquet|arrow|"
    r"feather|xlsx?|gz|bz2|xz|zst|zip))+)"
)
_PACKED = re.compile(r"\.(?:gz|bz2|xz|zst)\Z")


@dataclass(frozen=True, slots=True)
class Report:
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
            "splits": {name: asdict(stats) for name, stats in self.splits.items()},
        }


def report(
    folder: str,
    names: Collection[str],
    surveys: Mapping[str, Survey],
    *,
    splits: Sequence[str] = SPLITS,
    required: Collection[str] = ("train",),
    heads: Mapping[str, bytes] | None = None,
) -> Report:
    """Put the surveys of a folder's splits together; `names` are the files in it.

    `heads` are the beginnings of those that `misnamed` finds.
    """
    for split, number, first, other in _repeats(surveys):
        _repeated(surveys, split, number, first, other)
    found = list(_absent(folder, names, splits, required, heads or {}))
    found += _formats_differ(surveys)
    for survey in surveys.values():
        found += ordered([*split_problems(survey), *survey.tally.problems()])
    return Report(tuple(found), {split: survey.stats() for split, survey in surveys.items()})


def _repeats(surveys: Mapping[str, Survey]) -> Iterator[tuple[str, int, int, str]]:
    """Yield every row that stands before: its split and line, the line and split of the first."""
    for bucket in range(BUCKETS):
        first: dict[int, tuple[int, str]] = {}
        for split, survey in surveys.items():
            pairs = iter(survey.seen[bucket])
            for digest, number in zip(pairs, pairs, strict=True):
                if digest in first:
                    yield split, number, *first[digest]
                else:
                    first[digest] = (number, split)


def _repeated(
    surveys: Mapping[str, Survey], split: str, number: int, first: int, other: str
) -> None:
    tally, place = surveys[split].tally, Mark(surveys[other].file, first, 1)
    rule = "row-repeated" if split == other else "row-in-two-splits"
    if not tally.count(rule, number):
        return
    message, hint = f"the row is the same as in line {first}", "it counts twice in the training"
    if split != other:
        message = f"the row stands in the {other} split, too, in line {first}"
        hint = f"remove one; the {split} loss says nothing of rows the model has seen"
    mark = Mark(surveys[split].file, number, 1)
    tally.show(Problem(mark, message, rule, hint, ((place, "the first"),), "warning"))


def misnamed(names: Collection[str], split: str) -> list[str]:
    """Return the files that are meant for a split and that mlx-lm does not read as one."""
    wanted = f"{split}.jsonl"
    wrong = [name for name in sorted(names) if name != wanted and _means(name, split)]
    return [name for name in wrong if name.endswith(".jsonl") or wanted not in names]


def _absent(
    folder: str,
    names: Collection[str],
    splits: Sequence[str],
    required: Collection[str],
    heads: Mapping[str, bytes],
) -> Iterator[Problem]:
    for split in splits:
        wanted = f"{split}.jsonl"
        wrong = misnamed(names, split)
        for name in wrong:
            message = f"mlx-lm does not read {name}; the {split} split is {wanted}"
            lost = wanted not in names
            other = holding(heads.get(name, b""), name) if lost else None
            hint = f"rename it to {wanted}" if lost else f"remove it, or move its rows to {wanted}"
            if other:
                message += f", and this is {other.what}"
                plain = _PACKED.sub("", name)
                hint = way(
                    other, f"{folder}/{name}", f"{folder}/{wanted if plain == name else plain}"
                )
            severity = "error" if lost else "warning"
            yield Problem(
                Mark(f"{folder}/{name}", 1, 1), message, "split-misnamed", hint, (), severity
            )
        if wanted in names or wrong:
            continue
        mark, message = Mark(f"{folder}/{wanted}", 1, 1), f"there is no {wanted}"
        if split in required:
            yield Problem(mark, message, "split-missing", "mlx-lm stops without it")
        elif split == "valid":
            message += "; mlx-lm trains without validation and says so in one line"
            yield Problem(
                mark,
                message,
                "split-missing",
                "keep some rows of train.jsonl out of it, as valid.jsonl",
                (),
                "warning",
            )


def _means(name: str, split: str) -> bool:
    """Say whether a file is probably meant for a split although mlx-lm does not read it."""
    match = _NAME.fullmatch(name)
    stem = match["stem"].casefold() if match else ""
    return stem == split or stem in OTHER_NAMES.get(split, ())


def _formats_differ(surveys: Mapping[str, Survey]) -> Iterator[Problem]:
    known = {split: survey for split, survey in surveys.items() if survey.format}
    first = next(iter(known), "")
    for split, survey in known.items():
        if survey.format != known[first].format:
            message = (
                f"the {split} split is {survey.format} and {first} is {known[first].format}; "
                "mlx-lm takes both, and their losses cannot be compared"
            )
            hint = "write both in one format"
            mark = Mark(survey.file, 1, 1)
            yield Problem(mark, message, "splits-of-two-formats", hint, (), "warning")
