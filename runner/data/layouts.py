"""A row of one layout -> the same row in another, and back: the conversions of data.format.

Every layout is read as chat and written from chat. Keys that no layout uses are kept. If a layout
has no room for something, a LayoutError names its path. Two layouts can only be read: ShareGPT
conversations, and pairs of a chosen and a rejected answer.
"""

from __future__ import annotations

import json
from contextlib import suppress
from functools import cached_property
from typing import TYPE_CHECKING, Any

from msgspec import Struct, field

from runner.data.rows import Features
from runner.data.rows.shapes import CHAT_ROLES, QUESTIONS, pair_of, share_gpt

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

Json = dict[str, Any]
LAYOUTS = ("chat", "completions", "instruction", "text")
PROMPT, COMPLETION = "{prompt}", "{completion}"


class LayoutError(ValueError):
    """A row that a layout cannot hold: why, where, and how to fix it."""

    def __init__(self, message: str, path: tuple[str | int, ...] = (), hint: str = "") -> None:
        super().__init__(message)
        self.path = path
        self.hint = hint


class Template(Struct, frozen=True, kw_only=True):
    """The text around prompt and completion in a row of text."""

    head: str
    middle: str
    tail: str

    @classmethod
    def of(cls, text: str) -> Template:
        """Cut a template at its two places. Raises ValueError if they are not clear."""
        head, prompt, rest = text.partition(PROMPT)
        middle, completion, tail = rest.partition(COMPLETION)
        again = PROMPT in middle + tail or COMPLETION in head + tail
        if not prompt or not completion or again or not middle:
            raise ValueError(
                f"template is {text!r}; it needs {PROMPT} and then {COMPLETION}, once each, "
                "with something between them"
            )
        return cls(head=head, middle=middle, tail=tail)

    def fill(self, prompt: str, completion: str) -> str:
        """Return the text."""
        return f"{self.head}{prompt}{self.middle}{completion}{self.tail}"

    def read(self, text: str) -> tuple[str, str]:
        """Return prompt and completion. Raises LayoutError if there is not one reading."""
        fits = text.startswith(self.head) and text.endswith(self.tail)
        inside = text[len(self.head) : len(text) - len(self.tail)]
        if not fits or len(self.head) + len(self.tail) > len(text):
            raise LayoutError("does not match the template")
        prompt, middle, completion = inside.partition(self.middle)
        if not middle:
            raise LayoutError(f"has no {self.middle!r} of the template")
        if inside.find(self.middle, len(prompt) + 1) >= 0:
            raise LayoutError(
                f"contains {self.middle!r} of the template twice, so that prompt and completion "
                "cannot be told apart"
            )
        return prompt, completion


class LayoutKeys(Struct, frozen=True, kw_only=True, dict=True):
    """The keys of every layout, and the template of a text."""

    features: Features = field(default_factory=Features)
    instruction: str = "instruction"
    input: str = "input"
    response: str = "response"
    template: Template | None = None

    @cached_property
    def names(self) -> Mapping[str, tuple[str, ...]]:
        """The keys that tell each layout."""
        features = self.features
        return {
            "chat": (features.chat,),
            "completions": (features.prompt, features.completion),
            "instruction": (self.instruction, self.response),
            "text": (features.text,),
            "sharegpt": ("conversations",),
            "pair": ("chosen", "rejected"),
        }

    def layouts(self, row: Mapping[str, Any]) -> list[str]:
        """Return every layout whose keys a row has; a pair's other keys are its question."""
        if pair_of(row):
            return ["pair"]
        if share_gpt(row):
            return ["sharegpt"]
        matches = [
            name
            for name, keys in self.names.items()
            if name not in {"sharegpt", "pair"} and all(key in row for key in keys)
        ]
        if "instruction" in matches and self.names["instruction"] == self.names["completions"]:
            matches.remove("completions")  # they were named because of the input beside them
        return matches


def convert_row(row: Json, source: str, target: str, keys: LayoutKeys) -> Json:
    """Return a row in the target layout. Raises LayoutError if it would lose something."""
    if source == target:
        return row
    messages, rest = READERS[source](row, keys)
    result = {**WRITERS[target](messages, rest, keys), **rest}
    back, other = READERS[target](result, keys)
    if (back, other) != (messages, rest):
        raise LayoutError(f"would not convert back from {target} unchanged")
    return result


def _without(row: Json, *names: str) -> Json:
    return {key: value for key, value in row.items() if key not in names}


def _text(row: Json, name: str) -> str:
    value = row[name]
    if not isinstance(value, str):
        raise LayoutError(f"has no text as '{name}'", (name,))
    return value


def _pair(prompt: str, completion: str) -> list[Json]:
    return [
        {"role": "user", "content": prompt},
        {"role": "assistant", "content": completion},
    ]


def _of_chat(row: Json, keys: LayoutKeys) -> tuple[list[Json], Json]:
    name = keys.features.chat
    if not isinstance(row[name], list):
        raise LayoutError(f"has no list of messages as '{name}'", (name,))
    return row[name], _without(row, name)


def _of_completions(row: Json, keys: LayoutKeys) -> tuple[list[Json], Json]:
    prompt, completion = keys.names["completions"]
    messages = _pair(_text(row, prompt), _text(row, completion))
    return messages, _without(row, prompt, completion)


def _of_instruction(row: Json, keys: LayoutKeys) -> tuple[list[Json], Json]:
    """Join instruction and input; the input stays in the row, so that the way back is open."""
    prompt, more = _text(row, keys.instruction), row.get(keys.input)
    if isinstance(more, str) and more:
        prompt = f"{prompt}\n\n{more}"
    elif more:
        raise LayoutError(f"has no text as '{keys.input}'", (keys.input,))
    messages = _pair(prompt, _text(row, keys.response))
    return messages, _without(row, keys.instruction, keys.response)


def _of_text(row: Json, keys: LayoutKeys) -> tuple[list[Json], Json]:
    name = keys.features.text
    text, rest = _text(row, name), _without(row, name)
    if keys.template is None:
        return [{"role": "assistant", "content": text}], rest
    try:
        return _pair(*keys.template.read(text)), rest
    except LayoutError as error:
        raise LayoutError(str(error), (name,)) from error


def _of_share_gpt(row: Json, _: LayoutKeys) -> tuple[list[Json], Json]:
    """Return the turns of ShareGPT as messages; a system text beside them is the first."""
    name = share_gpt(row)
    messages = [_turn(turn, (name, at)) for at, turn in enumerate(row[name])]
    system, rest = row.get("system"), _without(row, name)
    if isinstance(system, str):
        rest.pop("system")
        messages = [{"role": "system", "content": system}] * bool(system) + messages
    if isinstance(rest.get("tools"), str):  # as LLaMA-Factory writes them
        with suppress(ValueError):
            rest["tools"] = json.loads(rest["tools"] or "[]")
    return messages, rest


def _turn(turn: Any, path: tuple[str | int, ...]) -> Json:
    if not isinstance(turn, dict) or not {"from", "value"} <= turn.keys():
        raise LayoutError("has a turn without 'from' and 'value'", path)
    role = CHAT_ROLES.get(str(turn["from"]).casefold())
    if role is None:
        raise LayoutError(f"has a turn of {turn['from']!r}, whose role is unknown", path)
    return {"role": role, "content": turn["value"], **_without(turn, "from", "value")}


def _of_pair(row: Json, keys: LayoutKeys) -> tuple[list[Json], Json]:
    """Return the question and the chosen answer; the other answer stays in the row."""
    preferred, _ = pair_of(row) or ("", "")
    rest = _without(row, preferred)
    answer = _messages(row[preferred], "assistant", (preferred,))
    if len(answer) > 1:  # the whole conversation
        return answer, rest
    if share_gpt(row):
        turns, rest = _of_share_gpt(rest, keys)
        return [*turns, *answer], rest
    name = next((n for n in (keys.features.chat, *QUESTIONS) if n in row), "")
    if not name:
        raise LayoutError("has answers but no question", (preferred,))
    question = rest.pop(name)
    if isinstance(question, dict) and "messages" in question:  # as OpenAI writes them
        rest |= {key: question[key] for key in question if key != "messages"}
        question = question["messages"]
    messages = _messages(question, "user", (name,))
    more = rest.get(keys.input) if name != keys.input else None
    if more and isinstance(more, str) and isinstance(question, str):
        messages[0]["content"] += f"\n\n{more}"
    system = rest.get("system")
    if isinstance(system, str) and system:
        messages = [{"role": "system", "content": rest.pop("system")}, *messages]
    return [*messages, *answer], rest


def _messages(value: Any, role: str, path: tuple[str | int, ...]) -> list[Json]:
    """Return what is said: a text of this role, a message, or messages."""
    if isinstance(value, str):
        return [{"role": role, "content": value}]
    messages = value if isinstance(value, list) else [value]
    if not messages or not all(isinstance(one, dict) for one in messages):
        raise LayoutError(f"has neither text nor messages as '{path[0]}'", path)
    turns = all({"from", "value"} <= one.keys() for one in messages)
    if not turns and not all("role" in one for one in messages):
        raise LayoutError(f"has a message without a role in '{path[0]}'", path)
    return [_turn(one, path) for one in messages] if turns else messages


def _to_chat(messages: list[Json], _: Json, keys: LayoutKeys) -> Json:
    return {keys.features.chat: messages}


def _to_completions(messages: list[Json], _: Json, keys: LayoutKeys) -> Json:
    prompt, completion = keys.names["completions"]
    question, answer = _question(messages, keys)
    return {prompt: question, completion: answer}


def _to_instruction(messages: list[Json], rest: Json, keys: LayoutKeys) -> Json:
    question, answer = _question(messages, keys)
    more = rest.get(keys.input)
    if isinstance(more, str) and more:
        question = question.removesuffix(f"\n\n{more}")
    return {keys.instruction: question, keys.response: answer}


def _to_text(messages: list[Json], _: Json, keys: LayoutKeys) -> Json:
    name = keys.features.text
    if keys.template is not None:
        return {name: keys.template.fill(*_question(messages, keys))}
    if len(messages) == 1 and messages[0] == {
        "role": "assistant",
        "content": _content(messages[0]),
    }:
        return {name: messages[0]["content"]}
    hint = 'set how to write them: template "Question: {prompt}\\nAnswer: {completion}"'
    raise LayoutError("has messages, but text has no roles", (keys.features.chat,), hint)


def _question(messages: list[Json], keys: LayoutKeys) -> tuple[str, str]:
    """Return what the user asks and the assistant answers, if there is nothing else."""
    chat, roles = keys.features.chat, ("user", "assistant")
    for at, message in enumerate(messages):
        role = message.get("role") if isinstance(message, dict) else None
        if at >= len(roles) or role != roles[at]:
            raise LayoutError(
                f"has a message of {role!r} as {chat}[{at}]; only a user question and an "
                "assistant answer can be converted",
                (chat, at),
            )
        if set(message) != {"role", "content"} or _content(message) is None:
            raise LayoutError(
                f"has more than text in {chat}[{at}], which would be lost", (chat, at)
            )
    if len(messages) < len(roles):
        raise LayoutError(f"has no answer in {chat}", (chat,))
    return messages[0]["content"], messages[1]["content"]


def _content(message: Json) -> str | None:
    content = message.get("content") if isinstance(message, dict) else None
    return content if isinstance(content, str) else None


READERS: Mapping[str, Callable[[Json, LayoutKeys], tuple[list[Json], Json]]] = {
    "chat": _of_chat,
    "completions": _of_completions,
    "instruction": _of_instruction,
    "text": _of_text,
    "sharegpt": _of_share_gpt,
    "pair": _of_pair,
}
WRITERS: Mapping[str, Callable[[list[Json], Json, LayoutKeys], Json]] = {
    "chat": _to_chat,
    "completions": _to_completions,
    "instruction": _to_instruction,
    "text": _to_text,
}
