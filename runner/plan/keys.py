"""The recipe around its parameters against schema/envelope.json: its own keys and its stages'."""

import math
import re
from collections.abc import Iterator, Sequence
from typing import Any

from msgspec.structs import replace

from runner.base.problems import Mark, Problem, shown, suggest
from runner.catalog import hints
from runner.catalog.validate import Violation, dotted, violations
from runner.plan.inheritance import FIXED, Draft
from runner.recipe.load import Recipe
from runner.recipe.node import MISSING, Node, locate
from runner.recipe.template.render import is_template

Json = dict[str, Any]
Notes = Sequence[tuple[Mark | None, str]]
_DURATION = re.compile(r"(?:(\d+(?:\.\d+)?)h)?(?:(\d+(?:\.\d+)?)m)?(?:(\d+(?:\.\d+)?)s)?\Z")
LONGEST = 366 * 86_400  # seconds of any duration: what every system can wait
_SINGULAR = {"stages": "stage", "vars": "var", "profiles": "profile"}


def recipe_problems(recipe: Recipe, envelope: Json) -> Iterator[Problem]:
    """Yield what is wrong with the recipe around its stages."""
    tree = recipe.tree
    bare: Json = {}
    for key, child in tree.value.items():
        deep = key in {"vars", "stages", "defaults"} and isinstance(child.value, dict)
        bare[key] = dict.fromkeys(child.value, MISSING) if deep else child.plain()
    if "version" in bare:
        bare["version"] = 1  # each file's own is judged where it is read
    bare.setdefault("name", recipe.name)  # which is the file's then
    found = violations(envelope, bare)
    meant = {name for one in found if one.rule == "unknown-key" for name in one.names}
    for said in found:
        one = said
        if one.rule == "missing-key":
            lacking = [n for n in envelope["required"] if n not in bare and n not in meant]
            if lacking and not recipe.lost:
                yield _lacking(recipe, lacking)
            continue
        at = locate(tree, one.path)
        if one.rule == "unknown-key" and str(one.path[-1]).startswith("x-"):
            one = replace(one, hint="an anchor may stand where it is first used; or use vars")
        one = _of_null(one, at)
        if one.path == ("name",) and ("name" not in tree.value or is_template(str(at.value))):
            yield _named(recipe, one)
        else:
            yield placed(one, tree, "a recipe", recipe.inherited(at))
    folded: dict[str, str] = {}
    for name, node in recipe.section("stages").items():
        other = folded.setdefault(name.casefold(), name)
        if other != name:
            why = f"stages '{other}' and '{name}' are one folder on most Macs"
            yield Problem(
                mark=node.key_mark, message=why, rule="stage-case", hint="rename one of them"
            )


def _named(recipe: Recipe, found: Violation) -> Problem:
    """Return the problem of a name that is a template, or of a file's that cannot be a recipe's."""
    said = recipe.tree.get("name")
    if said is not None:
        return Problem(mark=said.mark, message="name is a template", rule="bad-value", hint=FIXED)
    word = re.sub(r"[^A-Za-z0-9_.-]+", "_", recipe.name).strip("_.-")
    why = f"the recipe takes its file's name, which {found.message}"
    return Problem(
        mark=recipe.tree.key_mark,
        message=why,
        rule=found.rule,
        hint=f"write name: {word or 'NAME'}",
    )


def _lacking(recipe: Recipe, names: Sequence[str]) -> Problem:
    """Return the problem of keys that a recipe needs; what holds only a base's keys is a base."""
    if list(names) == ["stages"] and recipe.tree.value.keys() & {"vars", "defaults", "profiles"}:
        why = f"{recipe.file} has no stages of its own"
        hint = "run or name a recipe that extends it; or write stages: {NAME: {tool: …}}"
    else:
        what = " and ".join(f"'{name}'" for name in names)
        why = f"a recipe needs {what}"
        hint = "write version: 1" if "version" in names else "write stages: {NAME: {tool: …}}"
    return Problem(mark=recipe.tree.key_mark, message=why, rule="missing-key", hint=hint)


def stage_problems(draft: Draft, said: Json, schema: Json, recipe: Recipe) -> list[Problem]:
    """Return what is wrong with a stage's own keys; `said` are their values, filled in."""
    owner = f"stage '{draft.name}'"
    found = []
    for one in violations(schema, said):
        if one.rule == "missing-key" and (not draft.sound or recipe.lost):
            continue
        found.append(_of_null(_advised(one, draft), locate(draft.node, one.path)))
    for path in (("timeout",), ("retry", "delay")):
        value: Any = said
        for step in path:
            value = value.get(step) if isinstance(value, dict) else None
        if any(one.path == path for one in found):
            continue
        length = seconds(value)
        if length is not None and length > LONGEST:
            why = f"must be at most {LONGEST // 86_400} days, not {shown(value)}"
            hint = (
                "leave the line out for no limit" if path == ("timeout",) else "write a shorter one"
            )
            found.append(Violation(path=path, message=why, rule="bad-duration", hint=hint))
        if length is not None:
            continue
        if isinstance(value, int | float):
            why = f"must be more than 0, not {shown(value)}"
            hint = "leave the line out for no limit" if path == ("timeout",) else "leave it out"
            found.append(Violation(path=path, message=why, rule="bad-duration", hint=hint))
        elif isinstance(value, str):
            why = f"must be a duration, not {shown(value)}"
            found.append(
                Violation(
                    path=path, message=why, rule="bad-duration", hint="write 90s, 30m, 2h or 1h30m"
                )
            )
    found += _waits(said.get("retry"), found)
    node = draft.node
    return [placed(one, node, owner, recipe.inherited(locate(node, one.path))) for one in found]


def _waits(said: Any, found: Sequence[Violation]) -> Iterator[Violation]:
    """Yield the violation of a delay that grows beyond any duration from try to try."""
    sound = isinstance(said, dict) and not any(one.path[:1] == ("retry",) for one in found)
    if not sound or not isinstance(said.get("backoff"), int | float):
        return
    tries, delay = said.get("attempts", 1), seconds(said.get("delay")) or 0.0
    times = said["backoff"]
    if delay and math.log(delay) + max(tries - 2, 0) * math.log(times) > math.log(LONGEST):
        why = f"makes the last of {tries} tries wait more than {LONGEST // 86_400} days"
        yield Violation(
            path=("retry", "backoff"),
            message=why,
            rule="bad-duration",
            hint="lower it, or attempts",
        )


def _advised(one: Violation, draft: Draft) -> Violation:
    """Return a violation with the hint only a stage's tool can give."""
    name = str(one.path[-1]) if one.path else ""
    hint = one.hint
    if one.rule == "unknown-key" and len(one.path) == 1 and draft.tool is not None:
        if name in draft.tool.parameters or name in draft.tool.schema.get("x-not", {}):
            hint = f"write it under params: {{{name}: …}}"
        elif not hint and suggest(name, draft.tool.parameters):
            hint = "parameters of the tool stand under params:"
    elif one.rule == "wrong-type" and one.path == ("params",):
        hint = "leave the line out, or write params: {NAME: VALUE}"
    elif one.rule == "wrong-type" and one.path[:1] == ("expect",) and len(one.path) > 1:
        value = locate(draft.node, one.path).value
        if isinstance(value, dict) and len(value) == 1:
            (metric, limit), *_ = ((key, child.value) for key, child in value.items())
            hint = f"write: metrics.{metric} < {shown(limit)}"
    return replace(one, hint=hint)


def _of_null(one: Violation, at: Node) -> Violation:
    """Return a violation of the recipe's own keys, which mlx-lm never sees."""
    if at.value is None and one.rule == "wrong-type" and one.path != ("params",):
        hint = "remove this entry" if isinstance(one.path[-1], int) else "leave the line out"
        return replace(one, hint=hint)
    return one


def placed(found: Violation, node: Node, owner: str, notes: Notes = ()) -> Problem:
    """Return a violation of `node`, which a person calls `owner`, as a problem at its place."""
    at = locate(node, found.path)
    mark = at.key_mark if found.key or found.rule == "missing-key" else at.mark
    hint = found.hint
    if found.rule == "unknown-key" and is_template(str(found.path[-1])):
        hint = "templates are filled in in values, not in keys: write the name out"
    elif found.rule == "bad-name" and not hint:
        word = re.sub(r"\W+", "_", str(found.path[-1])).strip("_")
        hint = f"write {'_' if word[:1].isdigit() else ''}{word or 'a name'}"
    made = isinstance(at.value, str) and is_template(at.value)
    if made and found.rule == "wrong-type":
        hint = ""
    return Problem(
        mark=mark, message=sentence(found, owner), rule=found.rule, hint=hint, notes=tuple(notes)
    )


def sentence(found: Violation, owner: str) -> str:
    """Return what a violation says of what a person calls `owner`."""
    inside = dotted(found.path[:-1])
    if found.rule == "unknown-key":
        what = "" if inside or " " in owner else "parameter "
        return f"{inside or owner} has no {what}'{found.path[-1]}'"
    if found.rule == "bad-name":
        return f"{_SINGULAR.get(inside, inside)} '{found.path[-1]}' {found.message}"
    if found.rule == "not-read":
        return found.message
    subject = found.path if found.about is None else found.about
    return f"{dotted(subject) or owner} {found.message}"


def from_template(found: Violation, said: str, value: Any) -> str:
    """Return the way out where a template made the wrong value."""
    return hints.of_template(value, found.wanted, said)


def seconds(said: Any) -> float | None:
    """Return a duration in seconds from a number or text like ``1h30m``; None if it is neither."""
    if isinstance(said, int | float) and not isinstance(said, bool):
        return float(said) if said > 0 else None
    found = _DURATION.match(said.replace(" ", "")) if isinstance(said, str) and said else None
    if not found:
        return None
    parts = [float(part or 0) for part in found.groups()]
    return (parts[0] * 3600 + parts[1] * 60 + parts[2]) or None
