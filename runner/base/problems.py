"""Marks and Problems: what is wrong, where, and how to fix it, as values."""

import math
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from functools import lru_cache
from itertools import islice
from typing import Any, Self

from msgspec import Struct

from runner.base import visible

SLIPS = 3  # one slip in so many letters
MAX_SHOWN = 100
"""Problems of a file that a person is shown; the rest are counted."""
MAX_LISTED = 5_000
"""Problems of a file that a program is given; the rest are counted in one of its own."""
MAX_NOTES = 20
MAX_SAID = 2_000
"""Notes of a problem, and letters of what is said in one, that a person is shown."""
MAX_WORD = 100
"""Letters of a word that is compared with others to find which one was meant."""
MAX_COMPARED = 1_500_000
"""Pairs of letters that are compared for suggestions in one answer; then there are none."""
MAX_KIN = 1_000
"""Names among which those of the same kin are looked for, to be listed first."""
NOTE = "note"
"""The severity of what could not be looked at: nothing is wrong with it, and nothing is right."""

_RANKS = {"error": 0, "warning": 1, NOTE: 2}


class Mark(Struct, frozen=True, kw_only=True, order=True):
    """A place in a text: the file as the user named it; line and column, counted from 1."""

    file: str
    line: int
    column: int

    @classmethod
    def at(cls, file: str, place: tuple[int, int]) -> Self:
        """Return the mark of a line and a column of a file."""
        line, column = place
        return cls(file=file, line=line, column=column)

    def __str__(self) -> str:
        return f"{visible.line(self.file)}:{self.line}:{self.column}"


class Problem(Struct, frozen=True, kw_only=True):
    """One problem: its place, a sentence, the rule's slug, a hint, and further places.

    `about` is the subject of the sentence, for the program: it never parses its own sentences.
    """

    mark: Mark
    message: str
    rule: str
    hint: str = ""
    notes: tuple[tuple[Mark | None, str], ...] = ()
    severity: str = "error"
    about: tuple[str, ...] = ()

    def as_dict(self) -> dict[str, Any]:
        """Return the problem as JSON-ready values."""
        return {
            "file": self.mark.file,
            "line": self.mark.line,
            "column": self.mark.column,
            "severity": self.severity,
            "rule": self.rule,
            "message": self.message,
            "hint": self.hint,
            "notes": [
                {"place": str(mark) if mark else None, "text": text} for mark, text in self.notes
            ],
        }


class _Effort:
    """How many pairs of letters may still be compared."""

    def __init__(self) -> None:
        self.budget = MAX_COMPARED

    def covers(self, word: str, name: str) -> bool:
        """Take the effort of comparing two words; False where it is spent."""
        apart = abs(len(word) - len(name))
        self.budget -= 8 if apart > len(word) // SLIPS else 8 + len(word) * len(name)
        return self.budget > 0


_effort: ContextVar[_Effort | None] = ContextVar("effort", default=None)


@contextmanager
def answering() -> Iterator[None]:
    """Let everything in one answer share its bounds: what is inside another is part of that."""
    if _effort.get() is not None:
        yield
        return
    token = _effort.set(_Effort())
    try:
        yield
    finally:
        _effort.reset(token)


def suggest(word: str, names: Iterable[str], otherwise: str = "") -> str:
    """Return ``did you mean 'x'?`` for the known word that `word` is near to, else `otherwise`."""
    neighbour = nearest(word, names)
    return f"did you mean '{neighbour}'?" if neighbour else otherwise


def nearest(word: str, names: Iterable[str]) -> str:
    """Return the known word that `word` is near to, "" if none is.

    Near is what a slip of the fingers makes: at most one letter in three added, left out, changed
    or swapped with the next. So is a name that lacks whole words at one end (``batch`` of
    ``batch_size``), where only one name does. Case and dashes make no difference.

    Thousands of wrong words beside thousands of known ones would take minutes: an answer compares
    so much and no more, and then nothing is near.
    """
    effort = _effort.get() or _Effort()
    if len(word) > MAX_WORD:
        return ""
    best, match, parts = len(word) // SLIPS, "", []
    target = _fold(word)
    for name in names:
        if not effort.covers(target, name):
            return ""
        key = _fold(name)
        if key == target:
            return name
        apart = _apart(target, key, best)
        if apart is not None:
            best, match = apart - 1, name
        if _is_part(target, key):
            parts.append(name)
    return match or (parts[0] if len(parts) == 1 else "")


def _fold(word: str) -> str:
    return word.casefold().lstrip("-").replace("-", "_")


def _is_part(word: str, name: str) -> bool:
    """Return whether `word` is `name` without whole words at one end of it."""
    whole = len(word) >= SLIPS
    return whole and (
        name.startswith((f"{word}_", f"{word}.")) or name.endswith((f"_{word}", f".{word}"))
    )


def _apart(one: str, other: str, most: int) -> int | None:
    """Return how many slips lie between two names, None for more than `most` or than are near.

    Of dotted names each word must be near to its counterpart.
    """
    words, others = one.split("."), other.split(".")
    pairs = zip(words, others, strict=True) if len(words) == len(others) else [(one, other)]
    total = 0
    for word, theirs in pairs:
        slips = _slips(word, theirs, min(most - total, len(word) // SLIPS, len(theirs) // SLIPS))
        if slips is None:
            return None
        total += slips
    return total


def _slips(one: str, other: str, most: int) -> int | None:
    """Return how many slips make `one` of `other`, None if it takes more than `most`."""
    if one == other:
        return 0
    if abs(len(one) - len(other)) > most or most < 1:
        return None
    before: list[int] = []
    row = list(range(len(other) + 1))
    for at, letter in enumerate(one, start=1):
        above, row = row, [at]
        for column, theirs in enumerate(other, start=1):
            substitution = above[column - 1] + (letter != theirs)
            row.append(min(row[-1] + 1, above[column] + 1, substitution))
            swap = letter != theirs and one[at - 2 : at] == other[column - 2 : column][::-1]
            if before and column > 1 and swap:
                row[column] = min(row[column], before[column - 2] + 1)
        if min(row) > most:
            return None
        before = above
    return row[-1] if row[-1] <= most else None


class Others(Collection[str]):
    """All known names except one, without copying them."""

    def __init__(self, names: Mapping[str, Any], name: str) -> None:
        self._names, self._name = names, name

    def __iter__(self) -> Iterator[str]:
        return (name for name in self._names if name != self._name)

    def __len__(self) -> int:
        return len(self._names) - (self._name in self._names)

    def __contains__(self, name: object) -> bool:
        return name in self._names and name != self._name


def offer(word: str, candidates: Iterable[str]) -> str:
    """Return the known name nearest to `word` as a hint, or else list all, similar ones first."""
    names = candidates if isinstance(candidates, Collection) else list(candidates)
    if "." in word and len(names) <= MAX_KIN:
        kin = f"{word.partition('.')[0]}."
        names = sorted(names, key=lambda name: not name.startswith(kin))
    return suggest(word, names, f"there are: {listing(names)}" if names else "there are none")


def listing(names: Iterable[str], limit: int = 12) -> str:
    """Return names as ``a, b, c`` with a count of what was cut."""
    items = names if isinstance(names, Collection) else list(names)
    more = f", … ({len(items) - limit} more)" if len(items) > limit else ""
    return ", ".join(brief(name) for name in islice(items, limit)) + more


def brief(text: str, limit: int = MAX_WORD) -> str:
    """Return a text, truncated if it is long."""
    return text if len(text) <= limit else f"{text[:limit]}…"


def plural(number: int, what: str) -> str:
    """Return ``1 row``, ``2 rows``."""
    return f"{number} {what}{'s' * (number != 1)}"


def tally(problems: Iterable[Problem]) -> str:
    """Return ``no problems``, ``1 error``, ``1 error, 2 warnings``.

    If there are notes about what was not checked, "no problems" is limited to what was checked.
    """
    kinds = [problem.severity for problem in problems]
    counts = [(kinds.count(kind), kind) for kind in ("error", "warning")]
    text = ", ".join(plural(count, kind) for count, kind in counts if count)
    return text or "no problems" + " in what was checked" * (NOTE in kinds)


def sort_problems(problems: Iterable[Problem]) -> list[Problem]:
    """Return the problems once each: errors, warnings, notes, each in the order of their places."""
    once: dict[tuple[Mark, str, str], Problem] = {}
    for problem in problems:
        once.setdefault((problem.mark, problem.rule, problem.message), problem)
    return sorted((once[key] for key in sorted(once)), key=lambda one: _RANKS[one.severity])


def as_yaml(value: object, limit: int = 60) -> str:
    """Return a scalar as YAML writes it, truncated if it is long."""
    words = {None: "null", True: "true", False: "false"}
    if value is None or isinstance(value, bool):
        return words[value]
    if isinstance(value, float) and not math.isfinite(value):
        return ".nan" if math.isnan(value) else ".inf" if value > 0 else "-.inf"
    text = repr(value)
    return text if len(text) <= limit else f"{text[:limit]}…"


def pictures(problems: Sequence[Problem], sources: Mapping[str, str]) -> Iterator[str]:
    """Yield problems formatted for people, and the number of those beyond the limit."""
    for problem in problems[:MAX_SHOWN]:
        yield picture(problem, sources)
    if problems[MAX_SHOWN:]:
        yield f"… and {tally(problems[MAX_SHOWN:])} more; fix these first"


def limit_problems(problems: Sequence[Problem]) -> Sequence[Problem]:
    """Return problems for programs; if there are too many, the last one counts the rest."""
    rest = problems[MAX_LISTED:]
    if not rest:
        return problems
    severity = "error" if any(one.severity == "error" for one in rest) else "warning"
    why = f"{tally(rest)} more are not listed: the limit per file is {MAX_LISTED:,}"
    last = Problem(
        mark=rest[0].mark,
        message=why,
        rule="more-problems",
        hint="fix the listed ones first",
        notes=(),
        severity=severity,
    )
    return [*problems[:MAX_LISTED], last]


def picture(problem: Problem, sources: Mapping[str, str]) -> str:
    """Return a problem formatted for people: place, message, source line, caret, hint."""
    kind = "" if problem.severity == "error" else f"{problem.severity}: "
    message = visible.line(brief(problem.message, MAX_SAID))
    lines = [f"{problem.mark}: {kind}{message} [{problem.rule}]"]
    lines += _excerpt(problem.mark, sources)
    for mark, note in problem.notes[:MAX_NOTES]:
        text = visible.line(brief(note, MAX_SAID))
        lines.append(f"    {mark}: {text}" if mark else f"    {text}")
    if problem.notes[MAX_NOTES:]:
        lines.append(f"    … ({len(problem.notes) - MAX_NOTES} more)")
    if problem.hint:
        lines.append(f"    hint: {visible.line(brief(problem.hint, MAX_SAID))}")
    return "\n".join(lines)


@lru_cache(maxsize=8)
def lines_of(text: str) -> Sequence[str]:
    """Return the lines of a text; the result is kept, because a file may have many problems."""
    return text.splitlines()


def _excerpt(mark: Mark, sources: Mapping[str, str]) -> Sequence[str]:
    rows = lines_of(sources.get(mark.file, ""))
    if not 0 < mark.line <= len(rows):
        return ()
    row, at = _window(rows[mark.line - 1], mark.column - 1)
    number = str(mark.line)
    before = visible.text(row[:at])
    lead = "".join("\t" if char == "\t" else " " for char in before)
    return (f"  {number} | {before}{visible.text(row[at:])}", f"  {' ' * len(number)} | {lead}^")


def _window(row: str, at: int, width: int = 160) -> tuple[str, int]:
    """Cut a very long line around column `at` (from 0), so that the caret stays on the screen."""
    if len(row) <= width:
        return row, at
    start = max(0, min(at - width // 2, len(row) - width))
    lead, tail = "…" * (start > 0), "…" * (start + width < len(row))
    return f"{lead}{row[start : start + width]}{tail}", at - start + len(lead)
