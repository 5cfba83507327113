"""A line of a prompts file in, a question with the rules for its answer out, or its problem.

docs/evaluation.md describes the file. A line is a question, or it describes a category.
"""

import json
import math
import re
import warnings
from collections.abc import Iterator, Mapping
from typing import Any

from msgspec import Struct
from msgspec.structs import replace

from runner.base.problems import as_yaml, listing, offer, suggest
from runner.data.rows import ROLES, Flaw
from runner.data.rows.row import dotted, kind

Json = Mapping[str, Any]
Path = tuple[str | int, ...]
PROMPT_KEYS = ("prompt", "messages", "text")
KINDS = ("contain", "match", "exact", "number", "not_contain", "not_match")
_MEMBERS = (*PROMPT_KEYS, "id", "category", "rules", "weight")
_OPTIONS = {
    "weight": KINDS,
    "ignore_case": ("contain", "not_contain", "exact"),
    "tolerance": ("number",),
}
_HALF = re.compile("[\ud800-\udfff]")
_NAME = re.compile(r"[a-z][a-z0-9_]*\Z")


class AnswerRule(Struct, frozen=True, kw_only=True):
    """What an answer must be like: one of KINDS, and what it asks for."""

    kind: str
    target: str | float
    weight: float = 1.0
    ignore_case: bool = False
    tolerance: float = 0.0


class Question(Struct, frozen=True, kw_only=True):
    """A prompt and what its answer is judged by; `key` says in which of PROMPT_KEYS it came.

    `prompt` is a text, or a list of messages.
    """

    key: str
    prompt: Any
    id: str | None
    category: str
    rules: tuple[AnswerRule, ...]
    weight: float


class Category(Struct, frozen=True, kw_only=True):
    """What holds for every question of a category: rules beside their own, and its weight."""

    name: str
    rules: tuple[AnswerRule, ...] = ()
    weight: float = 1.0


def read(row: Any) -> Question | Category | list[Flaw]:
    """Return what a row says, or everything that is wrong with it."""
    if not isinstance(row, dict):
        hint = 'write {"prompt": …, "rules": […]}'
        return [Flaw(rule="prompt-not-object", message=f"is {kind(row)}, not an object", hint=hint)]
    flaws = [*_half_flaws(row, ()), *_flaws(row)]
    if flaws:
        return flaws
    rules = tuple(_rule(rule) for rule in row.get("rules", ()))
    weight = float(row.get("weight", 1))
    key = next((name for name in PROMPT_KEYS if name in row), "")
    if not key:
        return Category(name=row["category"], rules=rules, weight=weight)
    return Question(
        key=key,
        prompt=row[key],
        id=row.get("id"),
        category=row.get("category", ""),
        rules=rules,
        weight=weight,
    )


def messages_of(question: Question, system_prompt: str | None) -> list[Any] | None:
    """Return what a question is through a chat template; None for one that goes without."""
    if question.key == "text":
        return None
    if question.key == "messages":
        messages: list[Any] = question.prompt
        return messages
    system = [{"role": "system", "content": system_prompt}] if system_prompt else []
    return [*system, {"role": "user", "content": question.prompt}]


def _rule(row: Json) -> AnswerRule:
    name = next(name for name in KINDS if name in row)
    options = {key: row[key] for key in _OPTIONS if key in row}
    return AnswerRule(kind=name, target=row[name], **options)


def _flaws(row: Json) -> Iterator[Flaw]:
    for name in row:
        if name not in _MEMBERS:
            hint = suggest(name, _MEMBERS, f"use one of: {listing(_MEMBERS)}")
            if name in KINDS:
                hint = f'write "rules": [{{"{name}": …}}]'
            yield Flaw(
                rule="prompt-unknown-key",
                message=f"has the unknown key '{name}'",
                hint=hint,
                path=(name,),
            )
    yield from _prompt_flaws(row)
    yield from _weight_flaws(row, ())
    if "id" in row and not isinstance(row["id"], str):
        yield _type(("id",), "a text", row["id"])
    if "category" in row:
        yield from _category_flaws(row["category"])
    rules = row.get("rules", [])
    if not isinstance(rules, list):
        hint = 'write "rules": [{"contain": "…"}]'
        yield replace(_type(("rules",), "a list", rules), hint=hint)
        return
    for at, rule in enumerate(rules):
        yield from _rule_flaws(rule, ("rules", at))


def _half_flaws(value: Any, path: Path) -> Iterator[Flaw]:
    """Yield the texts with half of a surrogate pair: no tokenizer takes one, nor does any file."""
    if isinstance(value, str):
        if not value.isascii() and _HALF.search(value):
            why = f"contains half of a surrogate pair in {dotted(path)}"
            yield Flaw(
                rule="prompt-lone-surrogate",
                message=why,
                hint="write the whole character, as UTF-8",
                path=path,
            )
        return
    pairs = value.items() if isinstance(value, dict) else ()
    for key, inner in enumerate(value) if isinstance(value, list) else pairs:
        yield from _half_flaws(key, path) if isinstance(key, str) else ()
        yield from _half_flaws(inner, (*path, key))


def _prompt_flaws(row: Json) -> Iterator[Flaw]:
    keys = [name for name in PROMPT_KEYS if name in row]
    if len(keys) > 1:
        hint = "keep one: prompt and messages use the chat template, text does not"
        yield Flaw(
            rule="prompt-asked-twice",
            message=f"has both {' and '.join(keys)}",
            hint=hint,
            path=(keys[1],),
        )
    elif not keys and "category" not in row:
        hint = 'write "prompt": …; a line without one describes a "category"'
        yield Flaw(rule="prompt-missing", message="has no question", hint=hint)
    elif keys == ["messages"]:
        yield from _message_flaws(row["messages"])
    elif keys:
        value = row[keys[0]]
        if not isinstance(value, str):
            yield _type((keys[0],), "a text", value)
        elif not value.strip():
            yield Flaw(
                rule="prompt-missing", message=f"has an empty {keys[0]}", hint="", path=(keys[0],)
            )


def _message_flaws(messages: Any) -> Iterator[Flaw]:
    if not isinstance(messages, list) or not messages:
        yield _type(("messages",), "a list of messages", messages)
        return
    for at, message in enumerate(messages):
        path: Path = ("messages", at)
        if not isinstance(message, dict) or not isinstance(message.get("content"), str):
            hint = 'write {"role": "user", "content": "…"}'
            yield Flaw(
                rule="prompt-message",
                message=f"has no message as {dotted(path)}",
                hint=hint,
                path=path,
            )
        elif message.get("role") not in ROLES:
            hint = offer(str(message.get("role")), sorted(ROLES))
            why = f"has the role {as_yaml(message.get('role'))} in {dotted(path)}"
            yield Flaw(rule="prompt-message", message=why, hint=hint, path=path)
    last = messages[-1]
    if isinstance(last, dict) and last.get("role") == "assistant":
        why, hint = "ends with an answer", "end with the question: the answer is the model's"
        yield Flaw(
            rule="prompt-answered", message=why, hint=hint, path=("messages", len(messages) - 1)
        )


def _category_flaws(name: Any) -> Iterator[Flaw]:
    if not isinstance(name, str):
        yield _type(("category",), "a text", name)
    elif not _NAME.match(name):
        word = re.sub(r"[^a-z0-9]+", "_", name.lower()).strip("_0123456789") or "name"
        why = f"has the category {as_yaml(name)}, which cannot be part of a metric name"
        yield Flaw(
            rule="prompt-category",
            message=why,
            hint=f"write {word}: its score is score_{word}",
            path=("category",),
        )


def _rule_flaws(rule: Any, path: Path) -> Iterator[Flaw]:
    where = dotted(path)
    if not isinstance(rule, dict):
        yield replace(_type(path, "an object", rule), hint='write {"contain": "…"}')
        return
    kinds = [name for name in rule if name in KINDS]
    unknown = [name for name in rule if name not in KINDS and name not in _OPTIONS]
    for name in unknown:
        hint = suggest(name, (*KINDS, *_OPTIONS), f"use one of: {listing(KINDS)}")
        why = f"has the unknown key '{name}' in {where}"
        yield Flaw(rule="prompt-unknown-key", message=why, hint=hint, path=(*path, name))
    if len(kinds) != 1:
        if kinds or not unknown:
            why = f"has {' and '.join(kinds) or 'no rule'} in {where}"
            yield Flaw(
                rule="prompt-rule", message=why, hint=f"one of {listing(KINDS)} each", path=path
            )
        return
    (name,) = kinds
    yield from _target_flaws(name, rule[name], (*path, name))
    yield from _weight_flaws(rule, path)
    yield from _option_flaws(name, rule, path)


def _target_flaws(name: str, value: Any, path: Path) -> Iterator[Flaw]:
    if name == "number":
        if not _is_number(value):
            yield _type(path, "a number", value)
    elif not isinstance(value, str):
        yield _type(path, "a text", value)
    elif not value and name != "exact":
        yield Flaw(
            rule="prompt-rule",
            message=f"has an empty {dotted(path)}, which every answer contains",
            hint="",
            path=path,
        )
    elif name in {"match", "not_match"}:
        why = ill_formed(value)
        if why:
            why = f"has an invalid regular expression as {dotted(path)}: {why}"
            plain = {"match": "contain", "not_match": "not_contain"}[name]
            text = json.dumps(value, ensure_ascii=False)
            hint = f'to match the text itself: "{plain}": {text}'
            yield Flaw(rule="prompt-pattern", message=why, hint=hint, path=path)


def _option_flaws(name: str, rule: Json, path: Path) -> Iterator[Flaw]:
    for option, kinds in _OPTIONS.items():
        if option in rule and name not in kinds:
            why = f"has {option} in {dotted(path)}, which '{name}' does not read"
            hint = "write (?i) in the pattern" if option == "ignore_case" else "remove it"
            yield Flaw(rule="prompt-rule", message=why, hint=hint, path=(*path, option))
    if not isinstance(rule.get("ignore_case", False), bool):
        yield _type((*path, "ignore_case"), "true or false", rule["ignore_case"])
    tolerance = rule.get("tolerance", 0)
    if not _is_number(tolerance) or tolerance < 0:
        yield _type((*path, "tolerance"), "a number of at least 0", tolerance)


def _weight_flaws(row: Json, path: Path) -> Iterator[Flaw]:
    weight = row.get("weight", 1)
    if not _is_number(weight) or weight <= 0:
        yield _type((*path, "weight"), "a number above 0", weight)


def ill_formed(pattern: str) -> str:
    """Return why a text is no regular expression of Python's, '' if it is one."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            re.compile(pattern)
    except (re.error, OverflowError, RecursionError) as error:
        return str(error) or "it is too deep"
    return ""


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)


def _type(path: Path, target: str, value: Any) -> Flaw:
    text = as_yaml(value) if isinstance(value, bool | int | float | str) else kind(value)
    return Flaw(
        rule="prompt-type",
        message=f"has {text} as {dotted(path)}, not {target}",
        hint="",
        path=path,
    )
