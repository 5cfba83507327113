"""Differences of recipes in, a pull request comment and annotations of its lines out."""

from collections.abc import Iterator, Sequence

from runner.base.problems import Mark
from runner.base.visible import code
from runner.base.visible import markdown as markup
from runner.diff import text as reviewing
from runner.diff.diff import Change, Difference
from runner.diff.text import (
    Review,
    Touch,
    alone,
    because,
    count,
    groups,
    headline,
    label,
    many,
    notable,
    order,
    together,
    touches,
    values,
)
from runner.report.annotations import FileNamer, notice, place

LIMIT = 60_000  # characters; a comment on GitHub holds 65,536


def markdown(reviews: Sequence[Review]) -> str:
    """Return what changes as a comment on a pull request, cut where GitHub would refuse it."""
    rows = ["### MLX parameters that change", "", count(reviews)]
    for review in notable(reviews):
        rows += _markdown(review, values=len(reviews) == 1)
    if len(reviews) > 1 and (alike := together(reviews)):
        rows += ["", "| parameter | before -> after | because of | where |", "|---|---|---|---|"]
        for changes, places in alike:
            where = "<br>".join(map(code, places))
            for one in changes:
                cells = (one.name, values(one), because(one))
                rows.append(f"| {' | '.join(map(code, cells))} | {where} |")
    return _cut(rows)


def annotations(reviews: Sequence[Review], path_of: FileNamer = str) -> str:
    """Return GitHub's workflow commands: a notice at each line that changes something.

    `path_of` says what a file is called in the workspace, which is where GitHub looks for it.
    """
    notices = [_touch_notice(touch, path_of) for touch in touches(reviews)]
    for review in reviews:
        notices += (
            _whole(review, path_of) if review.state != "compared" else _stages(review, path_of)
        )
        loose = [one for one in review.own.changes if not one.causes]
        rows = [_row(review.title, one, values(one)) for one in loose]
        notices += [notice("notice", {"title": "changed"}, "\n".join(rows))] if rows else []
    return "\n".join((*notices, notice("notice", {"title": "run-recipe diff"}, count(reviews))))


def _touch_notice(touch: Touch, path_of: FileNamer) -> str:
    """Return a line and all that it changes; one that is gone has no line to point at any more."""
    places: dict[str, dict[str, list[str]]] = {}
    for recipe, stages in touch.recipes.items():
        for stage, changes in stages.items():
            for change in changes:
                what = f"{change.name} {values(change)}"
                places.setdefault(what, {}).setdefault(recipe, []).extend([stage] if stage else [])
    rows = []
    for what, at in places.items():
        at_places = "; ".join(
            f"{recipe} {', '.join(stages)}".rstrip() for recipe, stages in at.items()
        )
        rows.append(f"{what}: {at_places}")
    cause = touch.cause
    where = place(cause.mark, path_of, line=not cause.gone)
    return notice("notice", {**where, "title": label(cause) or "changed"}, "\n".join(rows))


def _stages(review: Review, path_of: FileNamer) -> Iterator[str]:
    """Yield what becomes of whole stages, each at its place; of a removed one that is the file."""
    difference = review.own
    for title, names in (("new stage", difference.added), ("removed stage", difference.removed)):
        for name in names:
            where = place(difference.marks.get(name), path_of, line=name in difference.added)
            rows = [_row(review.title, one, alone(one)) for one in difference.whole.get(name, ())]
            head = f"{review.title}: {name} ({difference.tools.get(name, '')})"
            yield notice("notice", {**where, "title": title}, "\n".join((head, *rows)))
    for name, old in difference.renamed.items():
        where = place(difference.marks.get(name), path_of)
        text = f"{review.title}: {old} is now called {name}"
        yield notice("notice", {**where, "title": "renamed stage"}, text)
    if difference.order:
        then, now = difference.order
        first = next(name for was, name in zip(then, now, strict=True) if was != name)
        where = place(difference.marks.get(first), path_of)
        text = f"{review.title}: {order(difference)}"
        yield notice("notice", {**where, "title": "new order"}, text)


def _whole(review: Review, path_of: FileNamer) -> Iterator[str]:
    """Yield what is to be said of a recipe that is new, gone or not valid: no single line is."""
    difference = review.difference
    stages = [
        f"{name} ({difference.tools.get(name, '')})"
        for name in (*difference.added, *difference.removed)
    ]
    text = "\n".join((f"{review.title}: {headline(review)}", *review.notes, *stages))
    level = "error" if review.state == "invalid" else "notice"
    title = {"new": "new recipe", "gone": "removed recipe"}.get(review.state, "not valid")
    file = place(Mark(file=review.recipe, line=1, column=1), path_of, line=False)
    yield notice(level, {**file, "title": title}, text)


def _row(recipe: str, change: Change, text: str) -> str:
    inside = f"{change.stage}." if change.stage else ""
    return f"{recipe}: {inside}{change.name} {text}"


def _markdown(review: Review, *, values: bool) -> Iterator[str]:
    """Yield what is said of one recipe; among several `values` stand in a table of their own."""
    difference = review.own
    rows = [f"> {markup(note)}" for note in review.notes]
    rows += (
        [f"> not as without a profile: {markup(', '.join(review.unlike))}"] if review.unlike else []
    )
    inside = [*_stage_list(difference)]
    table = [*_table(difference, alone=values or review.state != "compared")]
    carried = [f"Will rerun because their inputs changed: {', '.join(difference.carried)}."]
    parts = [rows, inside, table, carried if difference.carried else []]
    if any(parts) or values or review.state != "compared":
        yield from ("", f"#### {code(review.title)}", "", markup(headline(review)))
        yield from (row for part in parts if part for row in ("", *part))


def _table(difference: Difference, *, alone: bool) -> Iterator[str]:
    """Yield the table of values; but for those of whole stages only where they are `alone`."""
    rows = [
        _cells(stages, one, values(one))
        for stages, changes in (groups(difference) if alone else ())
        for one in changes
    ]
    for name, entire in difference.whole.items():
        sign = "+" if name in difference.added else "-"
        rows += [_cells((name,), one, f"{sign} {reviewing.alone(one)}") for one in entire]
    if rows:
        yield from (
            "| stages | parameter | before -> after | because of |",
            "|---|---|---|---|",
            *rows,
        )


def _stage_list(difference: Difference) -> Iterator[str]:
    for sign, names in (("added", difference.added), ("removed", difference.removed)):
        for name in names:
            mark = difference.marks.get(name)
            gone = "gone: " * (sign == "removed")
            at = f", {code(f'{gone}{mark.file}:{mark.line}')}" if mark else ""
            yield f"- stage {code(name)} {sign} ({code(difference.tools.get(name, ''))}{at})"
    for name, old in difference.renamed.items():
        yield f"- stage {code(old)} is now called {code(name)}"
    if difference.order:
        yield f"- order: {' → '.join(map(code, difference.order[1]))}"


def _cells(stages: Sequence[str], change: Change, text: str) -> str:
    """Return one value as a row of the table."""
    who = ", ".join(map(code, stages))
    return f"| {who} | {code(change.name)} | {code(text)} | {code(because(change))} |"


def _cut(rows: Sequence[str]) -> str:
    """Return rows as one text that a comment can hold, with a count of what was cut."""
    size = 0
    for at, row in enumerate(rows):
        size += len(row) + 1
        if size > LIMIT:
            rest = many(len(rows) - at, "more line")
            return "\n".join((*rows[:at], "", f"… and {rest}: run-recipe diff shows them all."))
    return "\n".join(rows)
