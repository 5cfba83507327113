"""A row of preferences, answers, prompts or tokens, as preference trainers read it -> its flaws."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

from runner.base.problems import listing, suggest
from runner.data.rows.row import Features, Flaw, RowUse, empty, kind

CONTEXT, REJECTED, CHOSEN = (
    "context_with_chat_template",
    "rejected_decoded",
    "multi_chosen_decoded",
)
"""The keys of Antidoom's rows, which no parameter renames."""
QUESTION = "question"
"""ORPO takes the question under this key, too."""
SYSTEM = "You are given a problem."
"""GRPO and KLPO begin with a system prompt of their own where a row has none."""

_EXAMPLES = {
    "preferences": '{"prompt": …, "chosen": …, "rejected": …}',
    "replies": '{"prompt": …, "chosen": …, "rejected": …}',
    "answers": '{"prompt": …, "answer": …}',
    "prompts": '{"prompt": …}',
    "tokens": f'{{"{CONTEXT}": …, "{REJECTED}": …, "{CHOSEN}": […]}}',
}


def keys_of(kind_: str, features: Features) -> tuple[str, ...]:
    """Return the keys that a row of a kind must have."""
    return {
        "preferences": (features.prompt, features.chosen, features.rejected),
        "replies": (features.prompt, features.chosen, features.rejected),
        "answers": (features.prompt, features.answer),
        "prompts": (features.prompt,),
        "tokens": (CONTEXT, REJECTED, CHOSEN),
    }[kind_]


def is_of(kind_: str, row: Mapping[str, Any], features: Features) -> bool:
    """Return whether a row has all that a kind must have."""
    return not missing(kind_, row, features)


def missing(kind_: str, row: Mapping[str, Any], features: Features) -> list[str]:
    """Return the keys that a row lacks to be of a kind."""
    lacks = [key for key in keys_of(kind_, features) if key not in row]
    asked = kind_ == "replies" and QUESTION in row
    return [key for key in lacks if key != features.prompt] if asked else lacks


def without_keys(kind_: str, row: Mapping[str, Any], features: Features) -> Flaw:
    """Return the flaw of a row that is not of the kind its training reads."""
    lacks = missing(kind_, row, features)
    message = f"has no {listing(lacks)}, which rows of this training need: {_EXAMPLES[kind_]}"
    others = [key for key in row if key not in keys_of(kind_, features)]
    near = suggest(lacks[0], others) if others else ""
    named = next((hint for key in lacks if (hint := _named(key, row, features))), "")
    return Flaw(
        rule="row-without-format",
        message=message,
        hint=named or near or "write the missing keys, or choose another train_mode",
    )


_NAMES = {
    "prompt": ("question", "query", "instruction", "input"),
    "chosen": ("preferred_output", "chosen_response", "response_j", "preferred", "better"),
    "rejected": (
        "non_preferred_output",
        "rejected_response",
        "response_k",
        "dispreferred",
        "worse",
    ),
    "answer": ("solution", "target", "completion", "response", "output"),
}


def _named(key: str, row: Mapping[str, Any], features: Features) -> str:
    """Return the parameter that renames a key to what the row has, '' if none does."""
    for name, others in _NAMES.items():
        if getattr(features, name) == key:
            found = next((one for one in others if one in row), None)
            return f"set {name}_feature: {found}" if found else ""
    return ""


def preference_flaws(row: Mapping[str, Any], use: RowUse) -> Iterator[Flaw]:
    """Yield what is wrong with a pair of answers."""
    features = use.features
    for key in (features.prompt, features.chosen, features.rejected):
        yield from _text_flaws(row, key)
    yield from _same(row, features)


def reply_flaws(row: Mapping[str, Any], use: RowUse) -> Iterator[Flaw]:
    """Yield what is wrong with a pair of answers that may be messages, as ORPO reads it."""
    features = use.features
    yield from _text_flaws(row, _question(row, features))
    for key in (features.chosen, features.rejected):
        text = reply(row[key])
        if text is None:
            yield from _text_flaws(row, key)
        elif not text or text.isspace():
            yield empty(f"its {key} is empty", (key,), answer=False)
    yield from _same(row, features)


def reply(value: Any) -> str | None:
    """Return the text that ORPO takes of an answer, None if it takes none."""
    if isinstance(value, dict):
        value = value.get("messages", value.get("content"))
    if isinstance(value, list) and value:
        last = value[-1]
        value = last.get("content") if isinstance(last, dict) else last
    return value if isinstance(value, str) else None


def _question(row: Mapping[str, Any], features: Features) -> str:
    return features.prompt if features.prompt in row else QUESTION


def _same(row: Mapping[str, Any], features: Features) -> Iterator[Flaw]:
    chosen = row[features.chosen]
    if chosen and chosen == row[features.rejected]:
        message = f"has the same text in {features.chosen} and {features.rejected}"
        yield Flaw(
            rule="row-same-answers",
            message=f"{message}: there is no preference",
            hint="remove the row",
            path=(features.rejected,),
            severity="warning",
        )


def answer_flaws(row: Mapping[str, Any], use: RowUse) -> Iterator[Flaw]:
    """Yield what is wrong with a prompt and the answer that reward functions compare with."""
    for key in (use.features.prompt, use.features.answer):
        yield from _text_flaws(row, key)


def prompt_flaws(row: Mapping[str, Any], use: RowUse) -> Iterator[Flaw]:
    """Yield what is wrong with a prompt that the model is to answer: a text or messages."""
    key = use.features.prompt
    prompt = row[key]
    messages = isinstance(prompt, list) and all(
        isinstance(one, dict) and {"role", "content"} <= one.keys() for one in prompt
    )
    if not (messages and prompt):
        yield from _text_flaws(row, key)


def token_pair_flaws(row: Mapping[str, Any], _: RowUse) -> Iterator[Flaw]:
    """Yield what is wrong with a context and the tokens that may follow it."""
    for key in (CONTEXT, REJECTED):
        yield from _text_flaws(row, key)
    surfaces = row[CHOSEN]
    if not isinstance(surfaces, list) or not all(isinstance(one, str) for one in surfaces):
        message = f"has {kind(surfaces)} as {CHOSEN}, not a list of texts"
        yield Flaw(rule="row-field-type", message=message, hint='write ["…"]', path=(CHOSEN,))
    elif not surfaces:
        message = f"has no text in {CHOSEN}: the training skips the row"
        yield Flaw(
            rule="row-empty-field",
            message=message,
            hint="remove the row",
            path=(CHOSEN,),
            severity="warning",
        )


def _text_flaws(row: Mapping[str, Any], key: str) -> Iterator[Flaw]:
    value = row[key]
    if not isinstance(value, str):
        hint = "write a string"
        if isinstance(value, list) and value and isinstance(value[-1], dict):
            hint = "write the content of its last message, as a string"
        message = f"has {kind(value)} as {key}, not a string"
        yield Flaw(rule="row-field-type", message=message, hint=hint, path=(key,))
    elif not value or value.isspace():
        yield empty(f"its {key} is empty", (key,), answer=False)


def strings_of(kind_: str, row: Mapping[str, Any], features: Features) -> list[str]:
    """Return the texts of a sound row of a kind, in order."""
    if kind_ == "replies":
        both = (reply(row[key]) or "" for key in (features.chosen, features.rejected))
        return [row[_question(row, features)], *both]
    values: list[Any] = [row[key] for key in keys_of(kind_, features)]
    texts: list[str] = []
    for value in values:
        if isinstance(value, str):
            texts.append(value)
        else:
            texts += [one if isinstance(one, str) else str(one.get("content")) for one in value]
    return texts


def chats_of(kind_: str, row: Mapping[str, Any], features: Features) -> list[Sequence[Any]]:
    """Return the chats that a trainer writes of a row with the model's template."""
    if kind_ == "tokens":
        return []
    system = row.get(features.system, SYSTEM if kind_ == "answers" else None)
    first = [{"role": "system", "content": system}] if isinstance(system, str) else []
    prompt = row[_question(row, features)]
    asked = prompt if isinstance(prompt, list) else [{"role": "user", "content": prompt}]
    lead = [*(first if kind_ != "prompts" else []), *asked]
    if kind_ in {"answers", "prompts"}:
        return [lead]
    answers = [reply(row[key]) for key in (features.chosen, features.rejected)]
    return [[*lead, {"role": "assistant", "content": answer}] for answer in answers]


FLAWS: Mapping[str, Callable[[Mapping[str, Any], RowUse], Iterator[Flaw]]] = {
    "preferences": preference_flaws,
    "replies": reply_flaws,
    "answers": answer_flaws,
    "prompts": prompt_flaws,
    "tokens": token_pair_flaws,
}
