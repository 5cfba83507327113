"""Differences of recipes in; a comment on a pull request out, and notes at the lines of it."""

import re
from collections.abc import Iterator, Sequence

from runner.core.problem import Mark
from runner.core.review import (
    OPTIONS,
    Review,
    because,
    count,
    grouped,
    headline,
    label,
    many,
    place,
    told,
    touches,
    values,
)

LIMIT = 60_000  # characters; a comment on GitHub holds 65,536


def markdown(reviews: Sequence[Review]) -> str:
    """Return what changes as a comment on a pull request, cut where GitHub would refuse it."""
    rows = ["### What MLX will be told", "", count(reviews)]
    for review in told(reviews):
        rows += _markdown(review)
    found = touches(reviews) if len(reviews) > 1 else []
    if found:
        rows += ["", "#### By line", "", "| line | touches |", "|---|---|"]
        for touch in found:
            line = f"{place(touch.cause)} {label(touch.cause)}"
            where = "<br>".join(
                f"{_code(recipe)}: {', '.join(map(_code, stages))}"
                for recipe, stages in touch.recipes.items()
            )
            rows.append(f"| {_code(line)} | {where} |")
    return _cut(rows)


def annotations(reviews: Sequence[Review]) -> str:
    """Return GitHub's workflow commands: a notice at each line that changes something."""
    said = []
    for touch in touches(reviews):
        title = label(touch.cause) or "changed"
        rows = [
            f"{recipe}: {stage}{'.' if stage else ''}{change.name} {values(change)}"
            for recipe, stages in touch.recipes.items()
            for stage, changes in stages.items()
            for change in changes
        ]
        said.append(_notice(touch.cause.mark, title, rows, gone=touch.cause.gone))
    for review in reviews:
        found = review.difference
        for what, names in (("new stage", found.added), ("removed stage", found.removed)):
            known = names if review.state == "compared" else ()
            said += [_notice(found.marks.get(n), what, [f"{review.recipe}: {n}"]) for n in known]
        loose = [one for one in found.changes if not one.causes]
        rows = [f"{review.recipe}: {one.stage}.{one.name} {values(one)}" for one in loose]
        said += [_notice(None, "changed", rows)] if rows else []
    return "\n".join((*said, _notice(None, "run-recipe diff", [count(reviews)])))


def _markdown(review: Review) -> Iterator[str]:
    found = review.difference
    yield from ("", f"#### {_code(review.recipe)}", "", _md(headline(review)))
    for note in review.notes:
        yield f"> {_md(note)}"
    yield ""
    for sign, names in (("added", found.added), ("removed", found.removed)):
        for name in names:
            mark = found.marks.get(name)
            at = f", {_code(f'{mark.file}:{mark.line}')}" if mark else ""
            yield f"- stage {_code(name)} {sign} ({_code(found.tools.get(name, ''))}{at})"
    for name, old in found.renamed.items():
        yield f"- stage {_code(old)} is now called {_code(name)}"
    if found.order:
        yield f"- order: {' → '.join(map(_code, found.order[1]))}"
    if found.changes:
        yield from (
            "",
            "| stages | parameter | before -> after | because of |",
            "|---|---|---|---|",
        )
    for stages, changes in grouped(found):
        who = ", ".join(map(_code, stages))
        for one in changes:
            why = _code(because(one))
            yield f"| {who} | {_code(one.name)} | {_code(values(one))} | {why} |"
    if found.carried:
        yield from ("", f"Made anew, for they read what changed: {', '.join(found.carried)}.")


def _code(said: str) -> str:
    """Return text as code in a table's cell, whatever is in it."""
    longest = max((len(run) for run in re.findall("`+", said)), default=0)
    fence = "`" * (longest + 1)
    pad = " " if longest else ""
    plain = said.replace("|", "\\|").replace("\n", " ")
    return f"{fence}{pad}{plain}{pad}{fence}" if said else ""


def _md(said: str) -> str:
    return re.sub(r"([\\`*_\[\]<>|#])", r"\\\1", said).replace("\n", " ")


def _cut(rows: Sequence[str]) -> str:
    """Return rows as one text that a comment can hold, with a count of what was cut."""
    size = 0
    for at, row in enumerate(rows):
        size += len(row) + 1
        if size > LIMIT:
            rest = many(len(rows) - at, "more line")
            return "\n".join((*rows[:at], "", f"… and {rest}: run-recipe diff says them all."))
    return "\n".join(rows)


def _notice(mark: Mark | None, title: str, rows: Sequence[str], *, gone: bool = False) -> str:
    """Return one workflow command; a line that is gone cannot be pointed at, its file can."""
    mark = None if mark and mark.file in OPTIONS else mark
    where = f"file={_property(mark.file)}," if mark else ""
    where += f"line={mark.line}," if mark and not gone else ""
    return f"::notice {where}title={_property(title)}::{_data(chr(10).join(rows))}"


def _data(said: str) -> str:
    return said.replace("%", "%25").replace("\r", "%0D").replace("\n", "%0A")


def _property(said: str) -> str:
    return _data(said).replace(":", "%3A").replace(",", "%2C")
