"""Marks and Problems: what is wrong, where it stands, and the way out, as values."""

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True, slots=True, order=True)
class Mark:
    """A place in a text: file as the user named it, line and column counted from 1."""

    file: str
    line: int
    column: int

    def __str__(self) -> str:
        return f"{self.file}:{self.line}:{self.column}"


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


def suggest(word: str, known: Iterable[str], otherwise: str = "", cutoff: float = 0.6) -> str:
    """Return ``did you mean 'x'?`` for the known word nearest to `word`, else `otherwise`."""
    from difflib import get_close_matches  # noqa: PLC0415  (needed where something is wrong)

    names = list(known)
    folded = {name.casefold().replace("-", "_"): name for name in names}
    near = get_close_matches(word.casefold().replace("-", "_"), folded, n=1, cutoff=cutoff)
    return f"did you mean '{folded[near[0]]}'?" if near else otherwise


def offer(word: str, known: Iterable[str]) -> str:
    """Return the known word nearest to `word` as a hint, else all there are."""
    names = list(known)
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
    """Return ``no problems``, ``1 error``, ``1 error, 2 warnings``."""
    kinds = [problem.severity for problem in problems]
    counts = [(kinds.count(kind), kind) for kind in ("error", "warning")]
    return ", ".join(counted(count, kind) for count, kind in counts if count) or "no problems"


def ordered(problems: Iterable[Problem]) -> list[Problem]:
    """Return the problems once each: errors, then warnings, in the order of their places."""
    once: dict[tuple[Mark, str, str], Problem] = {}
    for problem in problems:
        once.setdefault((problem.mark, problem.rule, problem.message), problem)
    return sorted((once[key] for key in sorted(once)), key=lambda one: one.severity != "error")


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
    lines = [f"{problem.mark}: {kind}{problem.message} [{problem.rule}]"]
    lines += _excerpt(problem.mark, sources)
    for mark, text in problem.notes:
        lines.append(f"    {mark}: {text}" if mark else f"    {text}")
    if problem.hint:
        lines.append(f"    hint: {problem.hint}")
    return "\n".join(lines)


def _excerpt(mark: Mark, sources: Mapping[str, str]) -> Sequence[str]:
    rows = sources.get(mark.file, "").splitlines()
    if not 0 < mark.line <= len(rows):
        return ()
    row, at = _window(rows[mark.line - 1], mark.column - 1)
    number = str(mark.line)
    lead = "".join("\t" if char == "\t" else " " for char in row[:at])
    return (f"  {number} | {row}", f"  {' ' * len(number)} | {lead}^")


def _window(row: str, at: int, width: int = 160) -> tuple[str, int]:
    """Cut a very long line around column `at` (from 0), so that the caret stays on the screen."""
    if len(row) <= width:
        return row, at
    start = max(0, min(at - width // 2, len(row) - width))
    lead, tail = "…" * (start > 0), "…" * (start + width < len(row))
    return f"{lead}{row[start : start + width]}{tail}", at - start + len(lead)
