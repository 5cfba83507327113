"""A row of messages -> its flaws."""

from collections.abc import Iterator, Mapping, Sequence
from shlex import quote
from typing import Any

from runner.core.problem import listing, shown, suggest
from runner.core.rows.fields import tools_flaws
from runner.core.rows.flaw import Flaw, empty, kind
from runner.core.rows.row import text_parts
from runner.core.rows.shapes import as_chat
from runner.core.rows.use import Use

LONGEST = 64
"""Characters of a role that may be meant as one."""


def plain_texts(row: Mapping[str, Any], use: Use) -> list[str] | None:
    """Return the texts of a chat at whose flaws nobody has to look, None where one may be.

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


def chat_flaws(row: Mapping[str, Any], use: Use) -> Iterator[Flaw]:
    """Yield what is wrong with a row of messages."""
    key = use.features.chat
    messages = row[key]
    if not isinstance(messages, list):
        message = f"has {kind(messages)} as {key}, not a list of messages"
        hint = 'write [{"role": "user", "content": …}, {"role": "assistant", "content": …}]'
        yield Flaw("row-field-type", message, hint, (key,))
    elif not messages:
        message = f"has no message in {key}; mlx-lm stops with a ValueError when a batch draws it"
        yield Flaw("row-no-messages", message, "remove the row", (key,))
    else:
        last = len(messages) - 1
        for at, message in enumerate(messages):
            yield from _message_flaws(message, at, use, is_last=at == last)
        end = messages[last]
        if isinstance(end, dict) and (use.mask_prompt or end.get("role") != "assistant"):
            yield from _order_flaws(messages, use)
    if row.get("tools"):
        yield from tools_flaws(row)


def _message_flaws(message: Any, at: int, use: Use, *, is_last: bool) -> Iterator[Flaw]:
    path: tuple[str | int, ...] = (use.features.chat, at)
    name = f"{use.features.chat}[{at}]"
    if not isinstance(message, dict):
        hint = 'write {"role": …, "content": …}'
        yield Flaw("row-field-type", f"has {kind(message)} as {name}, not an object", hint, path)
        return
    share_gpt = "from" in message and "value" in message
    hint = as_chat() if share_gpt else ""
    if "role" not in message:
        yield Flaw("row-message-without-role", f"has no role in {name}", hint, path)
    else:
        yield from _role_flaws(message["role"], name, path, use)
    calls = bool(message.get("tool_calls"))
    answers = is_last and not calls and message.get("role") == "assistant"
    if "content" not in message and not calls:
        yield Flaw("row-message-without-content", f"has no content in {name}", hint, path)
    elif not calls or message.get("content") is not None:
        yield from _content_flaws(message["content"], name, path, answers=answers)


def _role_flaws(role: Any, name: str, path: tuple[str | int, ...], use: Use) -> Iterator[Flaw]:
    path = (*path, "role")
    if not isinstance(role, str):
        yield Flaw("row-field-type", f"has {kind(role)} as role of {name}, not a string", "", path)
    elif role not in use.roles:
        message = (
            f"has the unknown role {shown(role)} in {name}; chat templates leave such a message out"
        )
        others = {"human": "user", "gpt": "assistant", "bot": "assistant", "model": "assistant"}
        meant = others.get(role.casefold())
        hint = f"did you mean '{meant}'?" if meant else suggest(role, sorted(use.roles))
        adds = f"; --role {quote(role)} adds one" if len(role) <= LONGEST else ""
        otherwise = f"known are {listing(sorted(use.roles))}{adds}"
        yield Flaw("row-unknown-role", message, hint or otherwise, path)


def _content_flaws(
    content: Any, name: str, path: tuple[str | int, ...], *, answers: bool
) -> Iterator[Flaw]:
    path = (*path, "content")
    if isinstance(content, str):
        if not content or content.isspace():
            yield empty(f"the content of {name} is empty", path, answer=answers)
    elif text_parts(content) is not None:
        message = f"has a list of parts as content of {name}; many templates print it as it stands"
        yield Flaw("row-content-parts", message, "join the parts to one string", path, "warning")
    else:
        message = f"has {kind(content)} as content of {name}, not a string"
        yield Flaw("row-field-type", message, "", path)


def _order_flaws(messages: Sequence[Any], use: Use) -> Iterator[Flaw]:
    last = len(messages) - 1
    path = (use.features.chat, last)
    role = messages[last].get("role")
    if use.mask_prompt and not last:
        message = "has a single message; with mask_prompt mlx-lm stops with a ValueError there"
        yield Flaw(
            "row-single-message", message, "write the question, too, or remove the row", path
        )
    elif isinstance(role, str) and role in use.roles and role != "assistant":
        masked = f"; with mask_prompt only this message of the {role} is trained"
        message = f"ends with a message of the {role}, not the assistant" + masked * use.mask_prompt
        severity = "error" if use.mask_prompt else "warning"
        yield Flaw("row-last-not-assistant", message, "end with the answer", path, severity)
    elif use.mask_prompt:
        answers = sum(isinstance(m, dict) and m.get("role") == "assistant" for m in messages)
        if answers > 1:
            message = f"has {answers} answers; with mask_prompt mlx-lm trains only the last"
            hint = "write one row per answer, or train without mask_prompt"
            yield Flaw("row-answers-masked", message, hint, path, "warning")
