"""Differences of recipes in, text for people and JSON out."""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Any, Literal

from msgspec import Struct, field
from msgspec.structs import replace

from runner.base.formatting import pretty_json
from runner.base.problems import Mark
from runner.diff.diff import Change, Difference
from runner.provenance.causes import ABSENT, Cause, Edit
from runner.provenance.origins import Removal
from runner.recipe.merge import ENVIRONMENT, SET

Json = dict[str, Any]
State = Literal["compared", "new", "gone", "invalid"]
OPTIONS = (SET, ENVIRONMENT)  # places that are no file
_DURATIONS = {"timeout", "retry.delay"}


class Review(Struct, frozen=True, kw_only=True):
    """One recipe and what changes in it; `before` and `after` say what was compared.

    An `invalid` recipe cannot be compared; `notes` say what else a reader should know. It is of the
    recipe under each of these `profiles`, or of the recipe without one: `plain` is what changes
    without one, and `alike` are the profiles under which the very same changes.
    """

    recipe: str
    before: str
    after: str
    difference: Difference
    state: State = "compared"
    notes: tuple[str, ...] = ()
    profiles: tuple[str, ...] = ()
    alike: tuple[str, ...] = ()
    plain: Difference | None = None

    @property
    def title(self) -> str:
        """The recipe, and the profiles that this is about."""
        if self.profiles:
            return f"{self.recipe} --profile {' or '.join(self.profiles)}"
        also = f" (also --profile {' or '.join(self.alike)})" if self.alike else ""
        return f"{self.recipe}{also}"

    @property
    def shape(self) -> object:
        """What two reviews have in common that say the same."""
        one = self.difference
        values = [(value.stage, value.name, value.old, value.new) for value in one.values]
        return repr((self.state, one.added, one.removed, one.renamed, one.order, values))

    @property
    def own(self) -> Difference:
        """What changes that does not change without a profile as well."""
        whole, plain = self.difference, self.plain
        if plain is None:
            return whole
        known = [(one.stage, one.name, one.old, one.new) for one in plain.changes]
        return replace(
            whole,
            added=tuple(one for one in whole.added if one not in plain.added),
            removed=tuple(one for one in whole.removed if one not in plain.removed),
            renamed={} if whole.renamed == plain.renamed else whole.renamed,
            order=None if whole.order == plain.order else whole.order,
            changes=tuple(
                one for one in whole.changes if (one.stage, one.name, one.old, one.new) not in known
            ),
            carried=tuple(one for one in whole.carried if one not in plain.carried),
            whole={name: one for name, one in whole.whole.items() if name not in plain.whole},
        )

    @property
    def unlike(self) -> tuple[str, ...]:
        """The values that change without a profile, and not as much under these."""
        here = {(one.stage, one.name) for one in self.difference.changes}
        there = self.plain.changes if self.plain is not None else ()
        names = (f"{one.stage}.{one.name}" for one in there if (one.stage, one.name) not in here)
        return tuple(dict.fromkeys(names))


class Touch(Struct, kw_only=True):
    """One line and what it changes: for each recipe the stages and their values."""

    cause: Cause
    recipes: dict[str, dict[str, list[Change]]] = field(default_factory=dict)


def touches(reviews: Iterable[Review]) -> list[Touch]:
    """Return each line that changes something, with all that it changes."""
    by_line: dict[tuple[Mark, bool], Touch] = {}
    for review in reviews:
        for change in review.own.changes:
            for cause in change.causes:
                touch = by_line.setdefault((cause.mark, cause.gone), Touch(cause=cause))
                stages = touch.recipes.setdefault(review.title, {})
                stages.setdefault(change.stage, []).append(change)
    return [by_line[key] for key in sorted(by_line)]


def text(reviews: Sequence[Review]) -> str:
    """Return the changes as text for people.

    Equal changes of several recipes or profiles are printed once.
    """
    if len(reviews) == 1:
        return "\n".join(_text(reviews[0]))
    rows = [line for review in notable(reviews) for line in _beside_values(review)]
    for changes, places in together(reviews):
        rows += ["", *_rows(changes, values)]
        rows += (f"  {place}" for place in places)
    if not rows:
        return count(reviews)
    head = f"{reviews[0].before} -> {reviews[0].after}"
    return "\n".join([head, *([] if rows[0] == "" else [""]), *rows, "", count(reviews)])


def together(reviews: Sequence[Review]) -> list[tuple[list[Change], list[str]]]:
    """Return the values that change, with the recipes and stages in which they change alike."""
    alike: dict[str, tuple[list[Change], list[str]]] = {}
    for review in reviews:
        for stages, changes in groups(review.own) if review.state == "compared" else ():
            key = repr([(change.name, values(change), because(change)) for change in changes])
            places = alike.setdefault(key, (changes, []))[1]
            names = f": {', '.join(stages)}" if stages else ""
            places.append(f"{review.title}{names}")
    return list(alike.values())


def _beside_values(review: Review) -> Iterator[str]:
    """Yield what is to be said of one recipe among several, but for values that change."""
    own = review.own
    rest = own if review.state != "compared" else replace(own, changes=())
    rows = [*(f"  note: {note}" for note in review.notes)]
    if review.state != "invalid":
        rows += (f"  {line}".rstrip() for line in lines(rest))
    if review.unlike:
        rows.append(f"  not as without a profile: {', '.join(review.unlike)}")
    if review.state != "compared":
        yield f"{review.title}: {headline(review)}"
    elif rows:
        yield review.title
    yield from rows


def notable(reviews: Sequence[Review]) -> list[Review]:
    """Return the reviews that say something; one alone always does."""
    return [
        one
        for one in reviews
        if len(reviews) == 1 or one.difference or one.notes or one.state != "compared" or one.unlike
    ]


def lines(difference: Difference) -> Iterator[str]:
    """Yield what changes in one recipe, a line each; stages first, then their values."""
    for name in difference.added:
        yield f"+ stage {_stage(name, difference)}{at(difference.marks.get(name))}"
        yield from _whole(difference.whole.get(name, ()))
    for name in difference.removed:
        yield f"- stage {_stage(name, difference)}{at(difference.marks.get(name), gone=True)}"
        yield from _whole(difference.whole.get(name, ()))
    for name, old in difference.renamed.items():
        yield f"stage {old} is now called {name}{at(difference.marks.get(name))}"
    if difference.order:
        yield f"order: {order(difference)}"
    for stages, changes in groups(difference):
        if stages:
            yield ", ".join(stages)
        yield from (f"{'  ' if stages else ''}{row}" for row in _rows(changes, values))
    if difference.carried:
        yield f"will rerun because their inputs changed: {', '.join(difference.carried)}"


def _whole(changes: Sequence[Change]) -> Iterator[str]:
    """Yield what a stage that comes or goes says, a line each."""
    yield from (f"    {row}" for row in _rows(changes, alone))


def _rows(changes: Sequence[Change], say: Callable[[Change], str]) -> Iterator[str]:
    """Yield values that change, a line each, with the lines that made them."""
    width = max((len(change.name) for change in changes), default=0)
    for change in changes:
        causes = "".join(f"  <- {text}" for text in [because(change)] if text)
        yield f"{change.name:{width}}  {say(change)}{causes}"


def order(difference: Difference) -> str:
    """Return the stages in their old and in their new order, "" if that is the same."""
    return " -> ".join(", ".join(names) for names in difference.order or ())


def alone(change: Change) -> str:
    """Return the one value of a stage that comes or goes."""
    return _value_text(change.name, change.old if change.new is ABSENT else change.new)


def groups(difference: Difference) -> list[tuple[tuple[str, ...], list[Change]]]:
    """Return the changes by stage; stages that change alike stand together, "" alone."""
    by_stage: dict[str, list[Change]] = {}
    for change in difference.changes:
        by_stage.setdefault(change.stage, []).append(change)
    groups: dict[str, tuple[tuple[str, ...], list[Change]]] = {}
    for stage, changes in by_stage.items():
        key = repr((not stage, [replace(change, stage="") for change in changes]))
        names = groups[key][0] if key in groups else ()
        groups[key] = ((*names, stage) if stage else (), changes)
    return list(groups.values())


def values(change: Edit) -> str:
    """Return a change's values, ``old -> new``; of lists of other lengths what came and went."""
    old, new = change.old, change.new
    if isinstance(old, list) and isinstance(new, list) and old and new:
        came = [one for one in new if one not in old]
        went = [one for one in old if one not in new]
        words = [f"+ {', '.join(map(_value, came))}"] if came else []
        words += [f"- {', '.join(map(_value, went))}"] if went else []
        if words:
            return "  ".join(words)
    return f"{_value_text(change.name, old)} -> {_value_text(change.name, new)}"


def because(change: Change) -> str:
    """Return the lines that made a change, ``file:line name``; "" where no line did."""
    return ", ".join(_cause(cause, change.name) for cause in change.causes)


def as_dict(reviews: Sequence[Review]) -> Json:
    """Return what changes as JSON-ready values; a value that is not there is left out."""
    return {
        "recipes": [_review(review) for review in reviews],
        "lines": [
            {
                **_cause_dict(touch.cause),
                "recipes": {recipe: [*stages] for recipe, stages in touch.recipes.items()},
            }
            for touch in touches(reviews)
        ],
    }


def _text(review: Review) -> Iterator[str]:
    yield f"{review.title}: {headline(review)}"
    yield from (f"  note: {note}" for note in review.notes)
    if review.state != "invalid":
        yield from (f"  {line}".rstrip() for line in lines(review.difference))


def headline(review: Review) -> str:
    """Return what was compared, or why nothing was."""
    match review.state:
        case "new":
            return f"new since {review.before}"
        case "gone":
            return f"gone since {review.before}"
        case "invalid":
            return "not valid, so not compared"
    same = "" if review.difference else ": no MLX parameters change"
    return f"{review.before} -> {review.after}{same}"


def count(reviews: Sequence[Review]) -> str:
    """Return how many recipes, stages and values change."""
    changed = [one for one in reviews if one.difference or one.state in {"new", "gone"}]
    stages = sum(len(one.own.stages) for one in changed)
    total = sum(len(one.own.values) for one in changed)
    bad = sum(one.state == "invalid" for one in reviews)
    more = f"; {bad} not valid" if bad else ""
    every = dict.fromkeys(one.recipe for one in reviews)
    sound = dict.fromkeys(one.recipe for one in reviews if one.state != "invalid")
    profiles = sum(len(one.alike) + len(one.profiles) for one in reviews)
    under = (
        f", with or without {'its' if len(every) == 1 else 'their'} profiles" if profiles else ""
    )
    if not changed:
        return f"no MLX parameters change in {many(len(sound), 'recipe')}{under}{more}"
    number = len(dict.fromkeys(one.recipe for one in changed))
    of = f"{number} of {many(len(every), 'recipe')} change{'s' * (number == 1)}"
    return f"{of}: {many(stages, 'stage')}, {many(total, 'value')}{more}"


def _stage(name: str, difference: Difference) -> str:
    tool = difference.tools.get(name, "")
    return f"{name} ({tool})"


def at(mark: Mark | None, *, gone: bool = False) -> str:
    """Return where a stage is, or stood; "" where that is not known."""
    return f"  <- {'gone: ' * gone}{mark.file}:{mark.line}" if mark else ""


def _cause(cause: Cause, name: str) -> str:
    own_name = "" if cause.name in {name, name.partition("[")[0]} else f" {cause.name}"
    return f"{place(cause)}{own_name}{_removal(cause)}"


def place(cause: Cause) -> str:
    """Return where a line is, or stood."""
    mark = cause.mark
    where = mark.file if mark.file in OPTIONS else f"{mark.file}:{mark.line}"
    return f"gone: {where}" if cause.gone else where


def label(cause: Cause) -> str:
    """Return what a line says, before and after."""
    if cause.old is ABSENT and cause.new is ABSENT:
        return cause.name
    if removal := _removal(cause):
        return f"{cause.name}:{removal}"
    if cause.name == "extends":
        return f"extends {cause.new}"
    return f"{cause.name}: {values(cause)}"


def _removal(cause: Cause) -> str:
    """Return the tag of a line that takes away what is inherited, "" for any other line."""
    text = cause.old if cause.gone else cause.new
    return f" {text}" if isinstance(text, Removal) else ""


def _value_text(name: str, value: Any) -> str:
    if value is ABSENT:
        return "(nothing)"
    if name in _DURATIONS and isinstance(value, int | float):
        return f"{value:g}s"
    return _value(value)


def _value(value: Any) -> str:
    return pretty_json(value, width=10_000)


def _review(review: Review) -> Json:
    difference = review.difference
    return {
        "recipe": review.recipe,
        "profiles": [*review.profiles],
        "alike": [*review.alike],
        "before": review.before,
        "after": review.after,
        "state": review.state,
        "notes": [*review.notes],
        "changes": bool(difference),
        "added": [*difference.added],
        "removed": [*difference.removed],
        "renamed": {**difference.renamed},
        "order": [[*names] for names in difference.order] if difference.order else None,
        "stages": {
            name: {"tool": difference.tools.get(name, ""), **_where(difference.marks.get(name))}
            for name in (*difference.added, *difference.removed, *difference.renamed)
        },
        "values": [
            {
                "stage": one.stage,
                "name": one.name,
                **_there(old=one.old, new=one.new),
                "causes": [_cause_dict(cause) for cause in one.causes],
            }
            for one in difference.values
        ],
        "carried": [*difference.carried],
    }


def _where(mark: Mark | None) -> Json:
    return {"file": mark.file, "line": mark.line, "column": mark.column} if mark else {}


def _cause_dict(cause: Cause) -> Json:
    return {
        **_where(cause.mark),
        "name": cause.name,
        "gone": cause.gone,
        **_there(old=cause.old, new=cause.new),
    }


def _there(**values: Any) -> Mapping[str, Any]:
    return {name: value for name, value in values.items() if value is not ABSENT}


def many(number: int, what: str) -> str:
    """Return a number of things in words: 1 stage, 2 stages."""
    return f"{number} {what}{'s' * (number != 1)}"
