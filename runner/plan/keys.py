"""The recipe around its parameters against schema/envelope.json: its own keys and its stages'."""

import math
import re
from collections.abc import Iterator, Sequence
from typing import Any

from msgspec.structs import replace

from runner.base.problems import Mark, Problem, as_yaml, suggest
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
    refusals = violations(envelope, bare)
    near_misses = {
        name
        for violation in refusals
        if violation.rule == "unknown-key"
        for name in violation.names
    }
    for refusal in refusals:
        violation = refusal
        if violation.rule == "missing-key":
            lacking = [n for n in envelope["required"] if n not in bare and n not in near_misses]
            if lacking and not recipe.missing_files:
                yield _lacking(recipe, lacking)
            continue
        at = locate(tree, violation.path)
        violation = _of_null(violation, at)
        if violation.path == ("name",) and ("name" not in tree.value or is_template(str(at.value))):
            yield _bad_name(recipe, violation)
        else:
            yield problem_at(violation, tree, "a recipe", recipe.inherited(at))
    folders: dict[str, str] = {}
    for name, node in recipe.section("stages").items():
        other = folders.setdefault(name.casefold(), name)
        if other != name:
            why = f"stages '{other}' and '{name}' are the same folder on most Macs"
            yield Problem(
                mark=node.key_mark, message=why, rule="stage-case", hint="rename one of them"
            )


def _bad_name(recipe: Recipe, violation: Violation) -> Problem:
    """Return the problem of a name that is a template, or of a file's that cannot be a recipe's."""
    node = recipe.tree.get("name")
    if node is not None:
        return Problem(
            mark=node.mark, message="name cannot be a template", rule="bad-value", hint=FIXED
        )
    word = re.sub(r"[^A-Za-z0-9_.-]+", "_", recipe.name).strip("_.-")
    why = f"the recipe is named after its file, and the file name {violation.message}"
    return Problem(
        mark=recipe.tree.key_mark,
        message=why,
        rule=violation.rule,
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


def stage_problems(draft: Draft, options: Json, schema: Json, recipe: Recipe) -> list[Problem]:
    """Return what is wrong with a stage's own keys; `options` are their values, filled in."""
    owner = f"stage '{draft.name}'"
    refusals = []
    for one in violations(schema, options):
        if one.rule == "missing-key" and (not draft.sound or recipe.missing_files):
            continue
        refusals.append(_of_null(_advise(one, draft), locate(draft.node, one.path)))
    for path in (("timeout",), ("retry", "delay")):
        value: Any = options
        for step in path:
            value = value.get(step) if isinstance(value, dict) else None
        if any(one.path == path for one in refusals):
            continue
        length = seconds(value)
        if length is not None and length > LONGEST:
            why = f"must be at most {LONGEST // 86_400} days, not {as_yaml(value)}"
            hint = (
                "remove the line for no limit"
                if path == ("timeout",)
                else "write a shorter duration"
            )
            refusals.append(Violation(path=path, message=why, rule="bad-duration", hint=hint))
        if length is not None:
            continue
        if isinstance(value, int | float):
            why = f"must be more than 0, not {as_yaml(value)}"
            hint = "remove the line for no limit" if path == ("timeout",) else "leave it out"
            refusals.append(Violation(path=path, message=why, rule="bad-duration", hint=hint))
        elif isinstance(value, str):
            why = f"must be a duration, not {as_yaml(value)}"
            refusals.append(
                Violation(
                    path=path, message=why, rule="bad-duration", hint="write 90s, 30m, 2h or 1h30m"
                )
            )
    refusals += _waits(options.get("retry"), refusals)
    node = draft.node
    return [
        problem_at(one, node, owner, recipe.inherited(locate(node, one.path))) for one in refusals
    ]


def _waits(retry: Any, refusals: Sequence[Violation]) -> Iterator[Violation]:
    """Yield the violation of a delay that grows beyond any duration from try to try."""
    sound = isinstance(retry, dict) and not any(one.path[:1] == ("retry",) for one in refusals)
    if not sound or not isinstance(retry.get("backoff"), int | float):
        return
    tries, delay = retry.get("attempts", 1), seconds(retry.get("delay")) or 0.0
    times = retry["backoff"]
    if delay and math.log(delay) + max(tries - 2, 0) * math.log(times) > math.log(LONGEST):
        why = f"makes the last of {tries} attempts wait more than {LONGEST // 86_400} days"
        yield Violation(
            path=("retry", "backoff"),
            message=why,
            rule="bad-duration",
            hint="lower it, or attempts",
        )


def _advise(one: Violation, draft: Draft) -> Violation:
    """Return a violation with the hint only a stage's tool can give."""
    name = str(one.path[-1]) if one.path else ""
    hint = one.hint
    if one.rule == "unknown-key" and len(one.path) == 1 and draft.tool is not None:
        if name in draft.tool.parameters or name in draft.tool.schema.get("x-not", {}):
            hint = f"write it under params: {{{name}: …}}"
        elif not hint and suggest(name, draft.tool.parameters):
            hint = "parameters of the tool belong under params:"
    elif one.rule == "wrong-type" and one.path == ("params",):
        hint = "remove the line, or write params: {NAME: VALUE}"
    elif one.rule == "wrong-type" and one.path[:1] == ("expect",) and len(one.path) > 1:
        value = locate(draft.node, one.path).value
        if isinstance(value, dict) and len(value) == 1:
            (metric, limit), *_ = ((key, child.value) for key, child in value.items())
            hint = f"write: metrics.{metric} < {as_yaml(limit)}"
    return replace(one, hint=hint)


def _of_null(one: Violation, at: Node) -> Violation:
    """Return a violation of the recipe's own keys, which mlx-lm never sees."""
    if at.value is None and one.rule == "wrong-type" and one.path != ("params",):
        hint = "remove this entry" if isinstance(one.path[-1], int) else "remove the line"
        return replace(one, hint=hint)
    return one


def problem_at(violation: Violation, node: Node, owner: str, notes: Notes = ()) -> Problem:
    """Return a violation of `node`, which a person calls `owner`, as a problem at its place."""
    at = locate(node, violation.path)
    mark = at.key_mark if violation.key or violation.rule == "missing-key" else at.mark
    hint = violation.hint
    if violation.rule == "unknown-key" and is_template(str(violation.path[-1])):
        hint = "templates work in values, not in keys: write the name out"
    elif violation.rule == "bad-name" and not hint:
        word = re.sub(r"\W+", "_", str(violation.path[-1])).strip("_")
        hint = f"write {'_' if word[:1].isdigit() else ''}{word or 'a name'}"
    is_filled = isinstance(at.value, str) and is_template(at.value)
    if is_filled and violation.rule == "wrong-type":
        hint = ""
    return Problem(
        mark=mark,
        message=sentence(violation, owner),
        rule=violation.rule,
        hint=hint,
        notes=tuple(notes),
    )


def sentence(violation: Violation, owner: str) -> str:
    """Return what a violation says of what a person calls `owner`."""
    inside = dotted(violation.path[:-1])
    if violation.rule == "unknown-key":
        what = "key " if inside or " " in owner else "parameter "
        return f"{inside or owner} has no {what}'{violation.path[-1]}'"
    if violation.rule == "bad-name":
        return f"{_SINGULAR.get(inside, inside)} '{violation.path[-1]}' {violation.message}"
    if violation.rule == "not-read":
        return violation.message
    subject = violation.path if violation.about is None else violation.about
    return f"{dotted(subject) or owner} {violation.message}"


def from_template(violation: Violation, template: str, value: Any) -> str:
    """Return how to fix it where a template made the wrong value."""
    return hints.of_template(value, violation.types, template)


def seconds(duration: Any) -> float | None:
    """Return a duration in seconds from a number or text like ``1h30m``; None if it is neither."""
    if isinstance(duration, int | float) and not isinstance(duration, bool):
        return float(duration) if duration > 0 else None
    fit = (
        _DURATION.match(duration.replace(" ", ""))
        if isinstance(duration, str) and duration
        else None
    )
    if not fit:
        return None
    parts = [float(part or 0) for part in fit.groups()]
    return (parts[0] * 3600 + parts[1] * 60 + parts[2]) or None
