"""The tokens of a row, and how max_seq_length and the mask change them."""

from collections.abc import Iterator, Sequence
from typing import Any, Protocol

from runner.base.problems import plural
from runner.data.rows.preferences import FLAWS, chats_of
from runner.data.rows.row import Flaw, Row, RowUse


class Encode(Protocol):
    """Text (with its end) or messages -> tokens, as mlx-lm makes them; ValueError if it cannot.

    `answer_next` asks for the start of an answer after the messages; without `tokenize` a chat is
    only written by its template, and there are no tokens.
    """

    def __call__(
        self,
        content: str | Sequence[Any],
        *,
        tools: Any = None,
        answer_next: bool = False,
        tokenize: bool = True,
    ) -> Sequence[int]:
        """Return the tokens."""
        ...  # pragma: no cover


def messages_of(row: Row, use: RowUse) -> Sequence[Any]:
    """Return the messages that mlx-lm makes of a row, none of a row of text."""
    if row.format == "text":
        return ()
    if row.format in FLAWS:
        talks = chats_of(row.format, row.value, use.features)
        return talks[0] if talks else ()
    if row.format == "completions":
        prompt, completion = row.parts
        return [
            {"role": "user", "content": prompt},
            {"role": "assistant", "content": completion},
        ]
    messages: Sequence[Any] = row.value[use.features.chat]
    return messages


def talks_of(row: Row, use: RowUse) -> Sequence[Sequence[Any]]:
    """Return the chats that a trainer writes of a row: one, or one for each of two answers."""
    if row.format in FLAWS:
        return chats_of(row.format, row.value, use.features)
    messages = messages_of(row, use)
    return [messages] if messages else []


def write(row: Row, use: RowUse, encode: Encode) -> None:
    """Let the chat template write a row as it is written in a training. Raises ValueError."""
    for messages in talks_of(row, use):
        encode(messages, tools=row.value.get("tools"), tokenize=False)


def tokens(row: Row, use: RowUse, encode: Encode) -> tuple[Sequence[int], Sequence[int] | None]:
    """Return the tokens of a row and, where it matters, those mlx-lm takes for its prompt."""
    if row.format == "text":
        return encode(row.parts[0]), None
    if row.format in FLAWS:
        return _longest(row, use, encode), None
    messages, tools = messages_of(row, use), row.value.get("tools")
    whole = encode(messages, tools=tools)
    if len(messages) == 1 or not (use.mask_prompt or len(whole) > use.max_seq_length):
        return whole, None
    answers = messages[-1].get("role") == "assistant"
    try:
        return whole, encode(messages[:-1], tools=tools, answer_next=answers)
    except ValueError:
        if use.mask_prompt:
            raise
        return whole, None  # mlx-lm writes no prompt alone without a mask


def _longest(row: Row, use: RowUse, encode: Encode) -> Sequence[int]:
    """Return the tokens of the longest chat of a row: its answers are cut at the same length."""
    talks = talks_of(row, use)
    each = [encode(talk) for talk in talks] or [encode(row.parts[0])]
    return max(each, key=len)


def targets(size: int, start: int, use: RowUse) -> tuple[int, int]:
    """Return how many tokens of a row the loss counts, and how many of padding (T74).

    `size` and `start` are the tokens of the row and of its masked prompt. mlx-lm counts the steps
    from `start` to the row's end, one beyond its last token; a row that is cut has no step beyond.
    Source: mlx_lm.tuner.trainer.default_loss and iterate_batches.
    """
    end = min(size, use.max_seq_length)
    first = max(start, 1)
    return max(end - first, 0), int(first <= end < use.max_seq_length)


def token_flaws(whole: Sequence[int], prompt: Sequence[int] | None, use: RowUse) -> Iterator[Flaw]:
    """Yield what max_seq_length and the mask do to a row of these tokens."""
    size, longest = len(whole), use.max_seq_length
    start = 0 if prompt is None else len(prompt)
    if size > longest and start >= longest:
        message = (
            f"has {plural(start, 'token')} before its answer, but max_seq_length is {longest}: "
            "no token of the answer is trained"
        )
        alone = use.mask_prompt and not use.batch_size
        if alone:
            message += "; in a batch of such rows the loss becomes NaN, and so do all weights"
        hint = f"raise max_seq_length to {size}, or shorten the prompt"
        yield Flaw(
            rule="row-answer-lost",
            message=message,
            hint=hint,
            path=(),
            severity="error" if alone else "warning",
        )
    elif size > longest:
        message = f"has {plural(size, 'token')} but max_seq_length is {longest}: {_lost(size, use)}"
        yield Flaw(
            rule="row-cut",
            message=message,
            hint=f"raise max_seq_length to {size}, or split it",
            path=(),
            severity="warning",
        )
    if use.mask_prompt and prompt is not None:
        yield from _mask_flaws(whole, prompt)


def _lost(size: int, use: RowUse) -> str:
    """Return what becomes of a row that is longer than is trained on."""
    if use.kind == "tokens":
        return "the training leaves it out"
    rest = f"the last {_are(size - use.max_seq_length)} cut off"
    return (
        rest if use.kind in {"answers", "prompts"} else f"{rest}, including the end of the answer"
    )


def _mask_flaws(whole: Sequence[int], prompt: Sequence[int]) -> Iterator[Flaw]:
    pairs = zip(whole, prompt, strict=False)
    shared = next((at for at, (a, b) in enumerate(pairs) if a != b), min(len(whole), len(prompt)))
    if shared == len(prompt) < len(whole):
        return
    hidden = min(len(whole), len(prompt)) - shared
    everything = len(prompt) >= len(whole)
    amount = "all" if everything else plural(hidden, "token")
    message = (
        f"does not start with the tokens of its own prompt: they part at token {shared}, and "
        f"the mask of {len(prompt)} hides {amount} after it"
    )
    hint = "train without mask_prompt, or use a chat template that repeats the start of an answer"
    severity = "error" if everything else "warning"
    yield Flaw(rule="row-mask-hides-answer", message=message, hint=hint, path=(), severity=severity)


def _are(number: int) -> str:
    return f"{number} {'is' if number == 1 else 'are'}"
