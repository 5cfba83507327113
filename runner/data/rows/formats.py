"""A row of text, or of prompt and completion -> its flaws; also flaws of any row's tools."""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from shlex import quote
from typing import Any

from runner.base.problems import as_yaml, listing, suggest
from runner.data.rows.parsing import parse
from runner.data.rows.preferences import FLAWS, is_of, strings_of, without_keys
from runner.data.rows.row import Features, Flaw, RowError, RowUse, empty, kind, strings, text_parts
from runner.data.rows.shapes import as_chat, without_format

MLX_LM = "mlx-lm"


def text_flaws(row: Mapping[str, Any], use: RowUse) -> Iterator[Flaw]:
    """Yield what is wrong with a row of text."""
    key = use.features.text
    if flaw := _string(row, key):
        yield flaw
    elif not row[key]:
        message = f"has an empty {key}; mlx-lm fails with an IndexError when a batch draws it"
        yield Flaw(rule="row-empty-text", message=message, hint="remove the row", path=(key,))
    elif row[key].isspace():
        yield Flaw(
            rule="row-empty-text",
            message=f"has only whitespace as {key}",
            hint="remove it",
            path=(key,),
            severity="warning",
        )


def completion_flaws(row: Mapping[str, Any], use: RowUse) -> Iterator[Flaw]:
    """Yield what is wrong with a row of prompt and completion."""
    for key in (use.features.prompt, use.features.completion):
        if flaw := _string(row, key):
            yield flaw
        elif not row[key] or row[key].isspace():
            yield empty(f"its {key} is empty", (key,), answer=key == use.features.completion)
    if row.get("tools"):
        yield from tools_flaws(row)


def tools_flaws(row: Mapping[str, Any]) -> Iterator[Flaw]:
    """Yield what is wrong with the tools of a row that has some."""
    tools = row["tools"]
    if not isinstance(tools, list) or not all(isinstance(tool, dict) for tool in tools):
        message = f"has {kind(tools)} as tools, not a list of objects"
        yield Flaw(
            rule="row-field-type",
            message=message,
            hint="write JSON schemas, not text",
            path=("tools",),
        )


def _string(row: Mapping[str, Any], key: str) -> Flaw | None:
    value = row[key]
    if isinstance(value, str):
        return None
    lists = isinstance(value, list)
    hint = "for messages, use a chat row: one list under one key" if lists else "write a string"
    return Flaw(
        rule="row-field-type",
        message=f"has {kind(value)} as {key}, not a string",
        hint=hint,
        path=(key,),
    )


def formats_of(row: Mapping[str, Any], features: Features, use: str = MLX_LM) -> list[str]:
    """Return every format a row could be read in, mlx-lm's choice first.

    `use` is the kind of rows that is read, as `RowUse` has it.
    """
    if use != MLX_LM:
        return [use] if is_of(use, row, features) else []
    formats = []
    if features.prompt in row and features.completion in row:
        formats.append("completions")
    if features.chat in row:
        formats.append("chat")
    if features.text in row:
        formats.append("text")
    return formats


def require_format(row: Any, features: Features, use: str = MLX_LM) -> list[str]:
    """Return the formats of a row that has at least one; else it is a RowError."""
    if not isinstance(row, dict):
        hint = "write one object per line, without [ ] around it" if isinstance(row, list) else ""
        raise RowError(Flaw(rule="row-not-object", message="is not a JSON object", hint=hint))
    formats = formats_of(row, features, use)
    if not formats and use != MLX_LM:
        raise RowError(without_keys(use, row, features))
    if not formats:
        raise RowError(without_format(row, features))
    return formats


def first_format(lines: Iterable[bytes], features: Features, use: str = MLX_LM) -> str | None:
    """Return the format mlx-lm reads a file in: that of its first row that has one."""
    for line in lines:
        try:
            return require_format(parse(line)[0], features, use)[0]
        except RowError:
            continue
    return None


def two_formats(formats: Sequence[str], expected: str) -> Flaw:
    """Return the flaw of a row in the wanted format and in others."""
    others = listing(kind for kind in formats if kind != expected)
    message = f"can be read as {expected} and as {others}; mlx-lm reads it as {expected}"
    return Flaw(
        rule="row-two-formats",
        message=message,
        hint="leave only the keys you mean",
        path=(),
        severity="warning",
    )


def other_format(row: Mapping[str, Any], actual: str, expected: str, features: Features) -> Flaw:
    """Return the flaw of a row in another format than the first row of its file."""
    keys = {"completions": (features.prompt, features.completion)}
    needed = keys.get(expected, (features.chat if expected == "chat" else features.text,))
    missing = next((key for key in needed if key not in row), needed[0])
    message = (
        f"is {actual} and the first row is {expected}: mlx-lm reads it as {expected}, and fails "
        f"with KeyError '{missing}' in the middle of training"
    )
    return Flaw(rule="row-other-format", message=message, hint="keep one format per file")


LONGEST = 64
"""Characters of a role that may be meant as one."""


def plain_texts(row: Mapping[str, Any], use: RowUse) -> list[str] | None:
    """Return the texts of a chat at whose flaws nobody has to look, None if one may be.

    Nearly all are known roles and texts, with an answer at the end.
    """
    messages = row[use.features.chat]
    if type(messages) is not list or not messages or use.mask_prompt or row.get("tools"):
        return None
    roles, texts, role = use.roles, [], None
    for message in messages:
        if type(message) is not dict:
            return None
        role, content = message.get("role"), message.get("content")
        if type(role) is not str or role not in roles:
            return None
        if type(content) is not str or not content or content.isspace():
            return None
        texts.append(content)
    return texts if role == "assistant" else None


def chat_flaws(row: Mapping[str, Any], use: RowUse) -> Iterator[Flaw]:
    """Yield what is wrong with a row of messages."""
    key = use.features.chat
    messages = row[key]
    if not isinstance(messages, list):
        message = f"has {kind(messages)} as {key}, not a list of messages"
        hint = 'write [{"role": "user", "content": …}, {"role": "assistant", "content": …}]'
        yield Flaw(rule="row-field-type", message=message, hint=hint, path=(key,))
    elif not messages:
        message = f"has no message in {key}; mlx-lm fails with a ValueError when a batch draws it"
        yield Flaw(rule="row-no-messages", message=message, hint="remove the row", path=(key,))
    else:
        last = len(messages) - 1
        for at, message in enumerate(messages):
            yield from _message_flaws(message, at, use, is_last=at == last)
        end = messages[last]
        if isinstance(end, dict) and (use.mask_prompt or end.get("role") != "assistant"):
            yield from _order_flaws(messages, use)
    if row.get("tools"):
        yield from tools_flaws(row)


def _message_flaws(message: Any, at: int, use: RowUse, *, is_last: bool) -> Iterator[Flaw]:
    path: tuple[str | int, ...] = (use.features.chat, at)
    name = f"{use.features.chat}[{at}]"
    if not isinstance(message, dict):
        hint = 'write {"role": …, "content": …}'
        yield Flaw(
            rule="row-field-type",
            message=f"has {kind(message)} as {name}, not an object",
            hint=hint,
            path=path,
        )
        return
    share_gpt = "from" in message and "value" in message
    hint = as_chat() if share_gpt else ""
    if "role" not in message:
        yield Flaw(
            rule="row-message-without-role", message=f"has no role in {name}", hint=hint, path=path
        )
    else:
        yield from _role_flaws(message["role"], name, path, use)
    calls = bool(message.get("tool_calls"))
    answers = is_last and not calls and message.get("role") == "assistant"
    if "content" not in message and not calls:
        yield Flaw(
            rule="row-message-without-content",
            message=f"has no content in {name}",
            hint=hint,
            path=path,
        )
    elif not calls or message.get("content") is not None:
        yield from _content_flaws(message["content"], name, path, answers=answers)


def _role_flaws(role: Any, name: str, path: tuple[str | int, ...], use: RowUse) -> Iterator[Flaw]:
    path = (*path, "role")
    if not isinstance(role, str):
        yield Flaw(
            rule="row-field-type",
            message=f"has {kind(role)} as role of {name}, not a string",
            hint="",
            path=path,
        )
    elif role not in use.roles:
        word = as_yaml(role)
        message = f"has the unknown role {word} in {name}; chat templates drop such messages"
        others = {"human": "user", "gpt": "assistant", "bot": "assistant", "model": "assistant"}
        standard = others.get(role.casefold())
        hint = f"did you mean '{standard}'?" if standard else suggest(role, sorted(use.roles))
        adds = f"; --role {quote(role)} adds one" if len(role) <= LONGEST else ""
        otherwise = f"use one of: {listing(sorted(use.roles))}{adds}"
        yield Flaw(rule="row-unknown-role", message=message, hint=hint or otherwise, path=path)


def _content_flaws(
    content: Any, name: str, path: tuple[str | int, ...], *, answers: bool
) -> Iterator[Flaw]:
    path = (*path, "content")
    if isinstance(content, str):
        if not content or content.isspace():
            yield empty(f"the content of {name} is empty", path, answer=answers)
    elif text_parts(content) is not None:
        message = f"has a list of parts as content of {name}; many templates print it literally"
        yield Flaw(
            rule="row-content-parts",
            message=message,
            hint="join the parts into one string",
            path=path,
            severity="warning",
        )
    else:
        message = f"has {kind(content)} as content of {name}, not a string"
        yield Flaw(rule="row-field-type", message=message, hint="", path=path)


def _order_flaws(messages: Sequence[Any], use: RowUse) -> Iterator[Flaw]:
    last = len(messages) - 1
    path = (use.features.chat, last)
    role = messages[last].get("role")
    if use.mask_prompt and not last:
        message = "has a single message; with mask_prompt mlx-lm fails with a ValueError there"
        yield Flaw(
            rule="row-single-message",
            message=message,
            hint="add the question, or remove the row",
            path=path,
        )
    elif isinstance(role, str) and role in use.roles and role != "assistant":
        mask_note = f"; with mask_prompt only this {role} message is trained"
        message = (
            f"ends with a {role} message, not an assistant message" + mask_note * use.mask_prompt
        )
        severity = "error" if use.mask_prompt else "warning"
        yield Flaw(
            rule="row-last-not-assistant",
            message=message,
            hint="end with the answer",
            path=path,
            severity=severity,
        )
    elif use.mask_prompt:
        answers = sum(isinstance(m, dict) and m.get("role") == "assistant" for m in messages)
        if answers > 1:
            message = f"has {answers} answers; with mask_prompt mlx-lm trains only the last"
            hint = "write one row per answer, or train without mask_prompt"
            yield Flaw(
                rule="row-answers-masked", message=message, hint=hint, path=path, severity="warning"
            )


CHECKS: Mapping[str, Callable[[Mapping[str, Any], RowUse], Iterator[Flaw]]] = {
    "completions": completion_flaws,
    "chat": chat_flaws,
    "text": text_flaws,
    **FLAWS,
}


def look(row: Mapping[str, Any], kind: str, use: RowUse) -> tuple[list[str] | None, list[Flaw]]:
    """Return the strings of a row, None if a flaw is an error; and its flaws."""
    texts = plain_texts(row, use) if kind == "chat" else None
    if texts is not None:
        return texts, []
    flaws = list(CHECKS[kind](row, use))
    broken = any(flaw.severity == "error" for flaw in flaws)
    if broken:
        return None, flaws
    if kind in FLAWS:
        return strings_of(kind, row, use.features), flaws
    return strings(row, kind, use.features), flaws
