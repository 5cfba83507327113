"""Marks and Problems: what is wrong, where it stands, and the way out, as values."""

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from runner.core import visible

SLIPS = 3  # one slip in so many letters
NOTE = "note"
"""The severity of what could not be looked at: nothing is wrong with it, and nothing is right."""

_RANKS = {"error": 0, "warning": 1, NOTE: 2}


@dataclass(frozen=True, slots=True, order=True)
class Mark:
    """A place in a text: file as the user named it, line and column counted from 1."""

    file: str
    line: int
    column: int

    def __str__(self) -> str:
        return f"{visible.line(self.file)}:{self.line}:{self.column}"


@dataclass(frozen=True, slots=True)
class Problem:
    """One thing that is wrong: its place, a sentence, the rule's slug, a hint, further places."""

    mark: Mark
    message: str
    rule: str
    hint: str = ""
    notes: tuple[tuple[Mark | None, str], ...] = ()
    severity: str = "error"

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


def suggest(word: str, known: Iterable[str], otherwise: str = "") -> str:
    """Return ``did you mean 'x'?`` for the known word that `word` is near to, else `otherwise`."""
    near = nearest(word, known)
    return f"did you mean '{near}'?" if near else otherwise


def nearest(word: str, known: Iterable[str]) -> str:
    """Return the known word that `word` is near to, "" where none is.

    Near is what a slip of the fingers makes: at most one letter in three added, left out, changed
    or swapped with the next. So is a name that lacks whole words at one end (``batch`` of
    ``batch_size``), where only one name does. Case and dashes make no difference.
    """
    best, found, parts = len(word) // SLIPS, "", []
    meant = _folded(word)
    for name in known:
        folded = _folded(name)
        if folded == meant:
            return name
        apart = _apart(meant, folded, best)
        if apart is not None:
            best, found = apart - 1, name
        if _is_part(meant, folded):
            parts.append(name)
    return found or (parts[0] if len(parts) == 1 else "")


def _folded(word: str) -> str:
    return word.casefold().lstrip("-").replace("-", "_")


def _is_part(word: str, name: str) -> bool:
    """Say whether `word` is `name` without whole words at one end of it."""
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
    """Return how many slips make `one` of `other`, None where it takes more than `most`."""
    if one == other:
        return 0
    if abs(len(one) - len(other)) > most or most < 1:
        return None
    before: list[int] = []
    row = list(range(len(other) + 1))
    for at, letter in enumerate(one, start=1):
        above, row = row, [at]
        for column, theirs in enumerate(other, start=1):
            changed = above[column - 1] + (letter != theirs)
            row.append(min(row[-1] + 1, above[column] + 1, changed))
            swapped = letter != theirs and one[at - 2 : at] == other[column - 2 : column][::-1]
            if before and column > 1 and swapped:
                row[column] = min(row[column], before[column - 2] + 1)
        if min(row) > most:
            return None
        before = above
    return row[-1] if row[-1] <= most else None


def offer(word: str, known: Iterable[str]) -> str:
    """Return the known word nearest to `word` as a hint, else all there are, its kin first."""
    kin = f"{word.partition('.')[0]}."
    names = sorted(known, key=lambda name: "." in word and not name.startswith(kin))
    return suggest(word, names, f"there are: {listing(names)}" if names else "there are none")


def listing(names: Iterable[str], limit: int = 12) -> str:
    """Return names as ``a, b, c`` with a count of what was cut."""
    known = list(names)
    more = f", … ({len(known) - limit} more)" if len(known) > limit else ""
    return ", ".join(known[:limit]) + more


def counted(number: int, what: str) -> str:
    """Return ``1 row``, ``2 rows``."""
    return f"{number} {what}{'s' * (number != 1)}"


def tally(problems: Iterable[Problem]) -> str:
    """Return ``no problems``, ``1 error``, ``1 error, 2 warnings``.

    Notes say what was not looked at: where there are some, no problems are none in the rest.
    """
    kinds = [problem.severity for problem in problems]
    counts = [(kinds.count(kind), kind) for kind in ("error", "warning")]
    found = ", ".join(counted(count, kind) for count, kind in counts if count)
    return found or "no problems" + " in what was looked at" * (NOTE in kinds)


def ordered(problems: Iterable[Problem]) -> list[Problem]:
    """Return the problems once each: errors, warnings, notes, each in the order of their places."""
    once: dict[tuple[Mark, str, str], Problem] = {}
    for problem in problems:
        once.setdefault((problem.mark, problem.rule, problem.message), problem)
    return sorted((once[key] for key in sorted(once)), key=lambda one: _RANKS[one.severity])


def shown(value: object, limit: int = 60) -> str:
    """Return a scalar as YAML says it, long ones cut."""
    words = {None: "null", True: "true", False: "false"}
    if value is None or isinstance(value, bool):
        return words[value]
    if isinstance(value, float) and not math.isfinite(value):
        return ".nan" if math.isnan(value) else ".inf" if value > 0 else "-.inf"
    text = repr(value)
    return text if len(text) <= limit else f"{text[:limit]}…"


def picture(problem: Problem, sources: Mapping[str, str]) -> str:
    """Return the problem as a person reads it: place, message, source line, caret, hint."""
    kind = "" if problem.severity == "error" else f"{problem.severity}: "
    lines = [f"{problem.mark}: {kind}{visible.line(problem.message)} [{problem.rule}]"]
    lines += _excerpt(problem.mark, sources)
    for mark, said in problem.notes:
        text = visible.line(said)
        lines.append(f"    {mark}: {text}" if mark else f"    {text}")
    if problem.hint:
        lines.append(f"    hint: {visible.line(problem.hint)}")
    return "\n".join(lines)


def _excerpt(mark: Mark, sources: Mapping[str, str]) -> Sequence[str]:
    rows = sources.get(mark.file, "").splitlines()
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
