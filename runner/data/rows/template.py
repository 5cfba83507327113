"""Why a model's chat template rejects a row -> the flaw of the row, and a hint."""

from collections.abc import Iterator, Mapping, Sequence
from itertools import pairwise
from typing import Any

from runner.data.rows.row import Flaw, Row, RowUse
from runner.data.rows.tokens import messages_of

MOST = 300
"""So many characters are shown of what a template says."""


def template_refusal(why: str, row: Row, use: RowUse) -> Flaw:
    """Return the flaw of a row that the template does not take."""
    messages = messages_of(row, use)
    what = "the model's chat template" if messages else "the model's tokenizer"
    message = f"is rejected by {what}: {_short(why)}; mlx-lm fails when a batch draws it"
    return Flaw(rule="row-template-error", message=message, hint=way_out(why, messages))


def given_up(why: str) -> Flaw:
    """Return the flaw of a row at which the template was given up: it takes too much."""
    message = (
        f"cannot be written by the model's chat template: {_short(why)}. The check stopped here, "
        "and later rows were not checked; mlx-lm would not stop"
    )
    hint = "check the template; training would hang at such a row"
    return Flaw(rule="row-template-endless", message=message, hint=hint)


def way_out(why: str, messages: Sequence[Any]) -> str:
    """Return what to change about messages that a template refuses with these words."""
    objects = [one for one in messages if isinstance(one, dict)]
    roles = [one.get("role") for one in objects]
    if any(isinstance(text, str) for text in _tool_call_arguments(objects)):
        return "write the arguments of tool_calls as an object, not as text"
    if "system" in roles and "tool" not in why:
        others = [role for role in roles if role != "system"]
        turns = ["user", "assistant"] * len(others)
        if "system" not in roles[1:] and others == turns[: len(others)]:
            return "the template accepts no system message: put its text before the first question"
        if "system" in roles[1:]:
            return "keep only one system message, at the start"
    if any(one == other for one, other in pairwise(roles)):
        return "join consecutive messages of the same role: user and assistant must alternate"
    return "change the row, or use a model whose template accepts it"


def _tool_call_arguments(messages: Sequence[Mapping[str, Any]]) -> Iterator[Any]:
    for message in messages:
        calls = message.get("tool_calls")
        for call in calls if isinstance(calls, list) else ():
            if isinstance(call, dict):
                inner = call.get("function")
                yield (inner if isinstance(inner, dict) else call).get("arguments")


def _short(why: str) -> str:
    return why if len(why) <= MOST else f"{why[:MOST]}…"
