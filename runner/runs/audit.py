"""Planned and observed values compared: whether MLX used what the recipe says, as observed."""

from collections.abc import Collection, Iterable, Mapping
from types import MappingProxyType
from typing import Any

from msgspec import Struct
from msgspec.structs import asdict, replace

from runner.base.problems import listing, plural
from runner.base.values import same
from runner.plan.staging import relocate_path

ABSENT = "(absent)"
ASIDE = "aside"
"""Under this key of what was observed: what was done in the process beside looking, in words."""
PARSED, READ, NOBODY, UNREAD = "parser", "tool", "nobody", "unread"
_NAMED = 8


class Verdict(Struct, frozen=True, kw_only=True):
    """One parameter: what was planned, what the tool's parser made of it, what was seen in use.

    `effective` is what was in use, where the process shows it beside the parsed value, and
    `observed` whether it does. `seen` is how far it was followed: "nobody" saw what became of it;
    "parser"; "tool", whose own code read the value; "unread", which the tool does not read beside
    the values of others; "loader", "trainer", "test" or "end", where it was in use. `equal` is
    whether everything seen is what was planned: `compare` judges it, once, of the values
    themselves, and whoever reads a verdict back takes it as it was written. `instead` names the
    parameter that is used in its place, where one is. A verdict is written down as it is.
    """

    parameter: str
    planned: Any
    parsed: Any
    effective: Any
    observed: bool
    seen: str
    instead: str = ""
    equal: bool

    @property
    def used(self) -> bool:
        """Whether it is as planned and was seen in use."""
        return self.equal and self.seen not in {PARSED, READ, NOBODY, UNREAD}

    @property
    def followed(self) -> bool:
        """Whether anything was observed of it."""
        return self.seen != NOBODY

    @property
    def idle(self) -> bool:
        """Whether it is as planned, and the tool does not read it beside the values of others."""
        return self.equal and self.seen == UNREAD

    @property
    def read(self) -> bool:
        """Whether it is as planned and the tool's own code read it; its use was not observed."""
        return self.equal and self.seen == READ

    def as_dict(self) -> dict[str, Any]:
        """Return the verdict as JSON-ready values; nothing stands for what is not used instead."""
        return {key: one for key, one in asdict(self).items() if key != "instead" or one}


def compare(
    planned: Mapping[str, Any],
    parsed: Mapping[str, Any],
    effective: Mapping[str, Any],
    seen: Mapping[str, str],
    instead: Mapping[str, str] = MappingProxyType({}),
    unfollowed: Collection[str] = (),
) -> list[Verdict]:
    """Return a verdict for every planned parameter, in the plan's order.

    Of those that are `unfollowed` nothing can be seen, and nothing is compared with them.
    """
    return [
        _verdict(
            Verdict(
                parameter=name,
                planned=value,
                parsed=parsed.get(name, ABSENT),
                effective=effective.get(name),
                observed=name in effective,
                seen=NOBODY if name in unfollowed else seen.get(name, PARSED),
                equal=False,
            ),
            instead.get(name, ""),
        )
        for name, value in planned.items()
    ]


def _verdict(verdict: Verdict, instead: str) -> Verdict:
    if not verdict.followed:
        return replace(verdict, equal=True)
    in_effect = not verdict.observed or same(verdict.planned, verdict.effective)
    equal = same(verdict.planned, verdict.parsed) and in_effect
    return replace(verdict, equal=equal, instead=instead if verdict.seen == PARSED else "")


def differences(verdicts: Iterable[Verdict]) -> list[Verdict]:
    """Return the verdicts that differ from the plan."""
    return [verdict for verdict in verdicts if not verdict.equal]


def settle(verdict: Verdict, final: Mapping[str, str]) -> Verdict:
    """Return a verdict on a path that is as planned with the place it will be moved to."""
    place = relocate_path(verdict.planned, final) if isinstance(verdict.planned, str) else None
    if place is None or place == verdict.planned or not verdict.equal:
        return verdict
    effective = place if verdict.observed else None
    parsed = place if verdict.followed else verdict.parsed
    return replace(verdict, planned=place, parsed=parsed, effective=effective)


def tally(verdicts: Iterable[Verdict]) -> dict[str, int]:
    """Return how many parameters there are; how many differ, were seen in use, read, not followed.

    How many the tool does not read, and how many were not followed, is left out if none is.
    """
    rows = list(verdicts)
    unfollowed = sum(not verdict.followed for verdict in rows)
    unread = sum(verdict.idle for verdict in rows)
    return {
        **({"unfollowed": unfollowed} if unfollowed else {}),
        **({"unread": unread} if unread else {}),
        "parameters": len(rows),
        "different": len(differences(rows)),
        "used": sum(verdict.used for verdict in rows),
        "read": sum(verdict.read for verdict in rows),
    }


def summary(counts: Mapping[str, int]) -> str:
    """Return a tally in words; one of an earlier release does not say how far it looked."""
    unfollowed = counts.get("unfollowed", 0)
    equal = counts["parameters"] - counts["different"] - unfollowed
    if unfollowed == counts["parameters"] and unfollowed:
        return f"{plural(unfollowed, 'parameter')} not followed"
    text = f"{equal} of {plural(counts['parameters'], 'parameter')} as planned"
    if "used" not in counts or not equal:
        return f"{text}, {unfollowed} not followed" if unfollowed else text
    used, read, unread = counts["used"], counts["read"], counts.get("unread", 0)
    parsed = equal - used - read - unread
    parts = {
        "seen in use": used,
        "read by the tool": read,
        "only parsed": parsed,
        "not read by the tool": unread,
    }
    ways = ", ".join(f"{count} {how}" for how, count in parts.items() if count)
    rest = f", {unfollowed} not followed" if unfollowed else ""
    return f"{text} ({'only parsed' if parsed == equal else ways}){rest}"


def total(verdicts: Iterable[Verdict]) -> str:
    """Return the audit of several stages in one line: counts, and what differs from the plan."""
    rows = list(verdicts)
    names = [verdict.parameter for verdict in differences(rows)]
    parts = [summary(tally(rows)), *([f"not as planned: {_names(names)}"] if names else [])]
    return "; ".join(parts)


def sentence(verdicts: Iterable[Verdict]) -> str:
    """Return the audit of a stage in one line: as `total`, and what was only parsed."""
    rows = list(verdicts)
    counts = tally(rows)
    parts = [total(rows)]
    if counts["used"] or counts["read"]:
        idle = [one for one in rows if one.equal and one.seen == PARSED]
        parts += [f"only parsed: {_names(map(_why, idle))}"] if idle else []
    lost = [one.parameter for one in rows if not one.followed]
    parts += [f"not followed: {_names(lost)}"] if len(lost) < len(rows) and lost else []
    return "; ".join(parts)


def _why(verdict: Verdict) -> str:
    if not verdict.instead:
        return verdict.parameter
    return f"{verdict.parameter} ({verdict.instead} is used instead)"


def _names(names: Iterable[str]) -> str:
    return listing(dict.fromkeys(names), _NAMED)


def table(verdicts: Iterable[Verdict]) -> list[str]:
    """Return the verdicts as aligned rows: planned value, observed value, and observer."""
    rows = [
        (
            verdict.parameter,
            _short(verdict.planned),
            "-" if verdict.parsed == ABSENT else _short(verdict.parsed),
            _short(verdict.effective) if verdict.observed else "-",
            verdict.seen,
            ("yes" if verdict.followed else "-") if verdict.equal else "NO",
        )
        for verdict in verdicts
    ]
    rows.insert(0, ("parameter", "planned", "parsed", "effective", "seen by", "equal"))
    widths = [max(len(row[at]) for row in rows) for at in range(len(rows[0]))]
    return [
        "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip()
        for row in rows
    ]


def _short(value: Any, width: int = 40) -> str:
    text = str(value)
    return text if len(text) <= width else f"{text[: width - 1]}…"
