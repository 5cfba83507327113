"""The keys of a row -> its intended format, if mlx-lm reads it differently, and a hint."""

from collections.abc import Collection, Iterator, Mapping, Sequence
from shlex import quote
from typing import Any

from runner.base.problems import as_yaml, listing
from runner.data.rows.row import DATA, Features, Flaw

QUESTIONS = ("prompt", "instruction", "question", "query", "problem", "input")
ANSWERS = ("completion", "response", "output", "answer", "target", "solution")
TALKS = (
    "messages",
    "conversations",
    "conversation",
    "dialog",
    "dialogue",
    "chat",
    "turns",
    "message",
)
TEXTS = ("text", "content", "document")
BESIDE = ("input", "context", "passage", "system", "system_prompt", "history")
"""What is part of a question, and is in its own key."""

PAIRS = (
    ("chosen", "rejected"),
    ("preferred_output", "non_preferred_output"),
    ("chosen_response", "rejected_response"),
)
"""The answer that is better and the one that is worse: DPO, ORPO, reward models, OpenAI's own."""
RANKED = ("rejected", "chosen", "non_preferred_output", "preferred_output", "rejected_response",
    "chosen_response", "response_j", "response_k", "response_0", "response_1", "response_a",
    "response_b", "better_response_id")  # fmt: skip

CHAT_ROLES = {
    "human": "user",
    "user": "user",
    "gpt": "assistant",
    "chatgpt": "assistant",
    "assistant": "assistant",
    "bing": "assistant",
    "bard": "assistant",
    "bot": "assistant",
    "model": "assistant",
    "system": "system",
    "tool": "tool",
    "observation": "tool",
    "function_response": "tool",
}
"""The roles of ShareGPT, and what chat templates call them."""

_LONGEST, _MOST = 64, 1000
_COUNTED = frozenset({*BESIDE, *RANKED, "label"})


def pair_of(row: Mapping[str, Any]) -> tuple[str, str] | None:
    """Return the keys of a pair of answers, the better one first; None for no pair."""
    return next((pair for pair in PAIRS if pair[0] in row and pair[1] in row), None)


def share_gpt(row: Mapping[str, Any]) -> str:
    """Return the key of turns that have ``from`` and ``value``, '' for none."""
    return next((key for key in TALKS if key in row and _turns(row[key], "from")), "")


def _turns(value: Any, key: str) -> bool:
    first = value[0] if isinstance(value, list) and value else None
    return isinstance(first, dict) and key in first


def without_format(row: Mapping[str, Any], features: Features) -> Flaw:
    """Return the flaw of a row in which mlx-lm finds nothing to train on."""
    if any(key in row for key in RANKED):
        message = (
            "contains answers to compare; mlx_lm.lora trains on a single answer and reads none "
            "of these"
        )
        return Flaw(rule="row-of-preferences", message=message, hint=_preference_hint(row))
    message = (
        "has no format mlx-lm knows: a row needs "
        f"{features.prompt} and {features.completion}, {features.chat}, or {features.text}"
    )
    return Flaw(rule="row-without-format", message=message, hint=_way_out(row, features))


def unread(row: Mapping[str, Any], read: Collection[str], texts: Sequence[str]) -> Iterator[Flaw]:
    """Yield what a row says beside the `texts` that mlx-lm reads of it, under the keys `read`."""
    fields = _COUNTED & row.keys()
    if not fields or fields <= set(read):
        return
    ranked = [key for key in RANKED if key in fields and key not in read and row[key]]
    if ranked:
        message = (
            f"contains {listing(map(repr, ranked))}, answers to compare: mlx_lm.lora trains on the "
            "one answer it reads and ignores these"
        )
        yield Flaw(
            rule="row-of-preferences",
            message=message,
            hint=_preference_hint(row),
            path=(ranked[0],),
            severity="warning",
        )
    elif row.get("label") is False and len(texts) > 1:
        message = "has label false, which marks a bad answer: mlx_lm.lora still trains on it"
        yield Flaw(
            rule="row-of-preferences",
            message=message,
            hint="remove the row",
            path=("label",),
            severity="warning",
        )
    whole = "\n".join(texts)
    for key in BESIDE:
        value = row.get(key) if key in fields and key not in read else None
        if value and not (isinstance(value, str) and value.strip() in whole):
            message = f"has '{key}', which mlx-lm never reads: the model would not see it"
            yield Flaw(
                rule="row-key-unread",
                message=message,
                hint=_joined(row, key),
                path=(key,),
                severity="warning",
            )


def _preference_hint(row: Mapping[str, Any]) -> str:
    pair = pair_of(row)
    if pair is None:
        worse = next((key for key in row if key in RANKED), "")
        return f"remove {as_yaml(worse)} if the answer that is read is the better one"
    command = f"run-recipe data format --data {DATA} --out {DATA}-chat --to chat --drop {pair[1]}"
    return f"train only on the better answers: {command}"


def _joined(row: Mapping[str, Any], key: str) -> str:
    """Return how what is in its own key gets into the question."""
    question = next((one for one in QUESTIONS if one in row and one != key), None)
    answer = next((one for one in ANSWERS if one in row), None)
    if question and answer and isinstance(row[key], str) and not key.startswith("system"):
        return as_chat(instruction=question, input=key, response=answer)
    return "move it into the question or into its own message, or remove it"


def as_chat(**keys: str) -> str:
    """Return the command that writes rows of these keys as chat."""
    options = (f" --{name}-feature {quote(key)}" for name, key in keys.items() if name != key)
    command = f"run-recipe data format --data {DATA} --out {DATA}-chat --to chat{''.join(options)}"
    return f"write them as chat: {command}"


def as_text(path: str, features: Features) -> str:
    """Return the command that writes questions and answers as text, for a model without turns."""
    options = (
        f" --{name}-feature {quote(key)}"
        for name in ("prompt", "completion", "chat")
        if (key := getattr(features, name)) != getattr(_OWN, name)
    )
    lead = f"run-recipe data format --data {quote(path)} --out {quote(f'{path}-text')} --to text"
    return f"write them as text: {lead} --template '{_TEXT}'{''.join(options)}"


_OWN = Features()
_TEXT = "Question: {prompt} Answer: {completion}"


def way_out(path: str, row: Mapping[str, Any], features: Features) -> str:
    """Return what makes the rows of a folder readable, '' if that is not known."""
    return without_format(row, features).hint.replace(DATA, quote(path))


def _way_out(row: Mapping[str, Any], features: Features) -> str:
    """Return what makes rows with these keys readable, '' if that is not known."""
    if share_gpt(row):
        return as_chat()
    talk = next((key for key in TALKS if key in row and _turns(row[key], "role")), None)
    if talk:
        return (
            f"'{talk}' contains messages: rename it to {features.chat}, or set chat_feature: {talk}"
        )
    names = [key for key in list(row)[:_MOST] if len(key) <= _LONGEST]
    question, answer = (_key_for(names, row, standard) for standard in (QUESTIONS, ANSWERS))
    if question and answer:
        more = _key_for([key for key in names if key != question], row, BESIDE)
        if more and not more.casefold().startswith("system"):
            return as_chat(instruction=question, input=more, response=answer)
        pairs = [("prompt", features.prompt, question), ("completion", features.completion, answer)]
        settings = [
            f"set {name}_feature: {key}" for name, standard, key in pairs if standard != key
        ]
        return f"'{question}' and '{answer}' are prompt and completion: {' and '.join(settings)}"
    from difflib import get_close_matches

    text = _key_for(names, row, TEXTS)
    if text and not question:
        return f"'{text}' looks like '{features.text}': rename it, or set text_feature: {text}"
    standard = (features.prompt, features.completion, features.chat, features.text)
    near = ((name, get_close_matches(name, names, n=1, cutoff=0.75)) for name in standard)
    return next((f"rename '{match[0]}' to '{name}'" for name, match in near if match), "")


def _key_for(names: Sequence[str], row: Mapping[str, Any], candidates: Sequence[str]) -> str | None:
    """Return the key of a text that is called as one of these, the first of them that is there."""
    texts = {key.casefold(): key for key in names if isinstance(row[key], str | None)}
    return next((texts[name] for name in candidates if name in texts), None)
