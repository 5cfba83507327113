"""Prompts in, answers out: mlx-lm's own generation, several prompts at a time if possible.

Only functions that all releases from 0.31.3 to 0.32.2 share are called: BatchGenerator for several
prompts at a time, stream_generate for one after another.
"""

from __future__ import annotations

import importlib
import inspect
from pathlib import Path
from typing import TYPE_CHECKING, Any

from msgspec import Struct

from runner.base.errors import ToolError
from runner.system import reader
from runner.tools.evaluate.prompts import messages_of

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

    from runner.tools.evaluate.prompts import Question

LAG = 16
"""Answers are at most so many batches ahead of the oldest one that is still being made."""


class Answer(Struct, frozen=True, kw_only=True):
    """What a model said: its text, how many tokens, and whether max_tokens cut it off."""

    text: str
    tokens: int
    cut: bool


class Sampling(Struct, frozen=True, kw_only=True):
    """How a token is chosen; a temperature of 0 takes the most likely one."""

    temp: float = 0.0
    top_p: float = 1.0
    top_k: int = 0
    min_p: float = 0.0


class Model:
    """A model and its tokenizer, loaded once."""

    def __init__(self, model: str, adapter_path: str | None, *, trust_remote_code: bool) -> None:
        load = importlib.import_module("mlx_lm.utils").load
        extra: dict[str, Any] = {}
        if "trust_remote_code" in inspect.signature(load).parameters:
            extra["trust_remote_code"] = trust_remote_code
        if not trust_remote_code:
            refuse_code(Path(model))
        config = {"trust_remote_code": trust_remote_code}
        self.model, self.tokenizer = load(
            model, adapter_path=adapter_path, tokenizer_config=config, **extra
        )

    def require_template(self, place: str) -> None:
        """Raise ToolError if the model has no chat template; `place` is a prompt for one."""
        if not self.tokenizer.has_chat_template:
            raise ToolError(
                f"{place}: the model has no chat template for this prompt; "
                'write "text" in place of "prompt" to ask without one'
            )

    def tokens(
        self, question: Question, system_prompt: str | None, template: Mapping[str, Any]
    ) -> list[int]:
        """Return a prompt's tokens: through the chat template, but for a text."""
        messages = messages_of(question, system_prompt)
        if messages is None:
            return list(self.tokenizer.encode(question.prompt))
        text = self.tokenizer.apply_chat_template(
            messages, tokenize=False, add_generation_prompt=True, **template
        )
        return list(self.tokenizer.encode(text, add_special_tokens=False))

    def batches(self) -> bool:
        """Return whether mlx-lm can answer several prompts of this model at once."""
        make = importlib.import_module("mlx_lm.models.cache").make_prompt_cache
        return all(hasattr(cache, "merge") for cache in make(self.model))

    def answers(
        self,
        prompts: Iterable[tuple[int, list[int]]],
        *,
        max_tokens: int,
        batch_size: int,
        sampling: Sampling,
    ) -> Iterator[tuple[int, Answer]]:
        """Yield an answer to each prompt with its number, in the order they are finished."""
        make = importlib.import_module("mlx_lm.sample_utils").make_sampler
        sampler = make(
            temp=sampling.temp, top_p=sampling.top_p, top_k=sampling.top_k, min_p=sampling.min_p
        )
        if batch_size == 1:
            return self._singly(prompts, max_tokens, sampler)
        return self._together(prompts, max_tokens, sampler, batch_size)

    def _singly(
        self, prompts: Iterable[tuple[int, list[int]]], max_tokens: int, sampler: Any
    ) -> Iterator[tuple[int, Answer]]:
        stream = importlib.import_module("mlx_lm.generate").stream_generate
        for number, prompt in prompts:
            tokens: list[int] = []
            reason = None
            for one in stream(
                self.model, self.tokenizer, prompt, max_tokens=max_tokens, sampler=sampler
            ):
                reason = one.finish_reason
                if reason != "stop":
                    tokens.append(one.token)
            yield number, self._answer(tokens, cut=reason == "length")

    def _together(
        self,
        prompts: Iterable[tuple[int, list[int]]],
        max_tokens: int,
        sampler: Any,
        batch_size: int,
    ) -> Iterator[tuple[int, Answer]]:
        generator = importlib.import_module("mlx_lm.generate").BatchGenerator(
            self.model,
            stop_tokens=[[token] for token in self.tokenizer.eos_token_ids],
            sampler=sampler,
            completion_batch_size=batch_size,
            prefill_batch_size=batch_size,
        )
        waiting = iter(prompts)
        numbers: dict[int, int] = {}  # the number of each prompt the generator has, by its own
        tokens: dict[int, list[int]] = {}
        try:
            while True:
                for number, prompt in _feed(waiting, numbers, batch_size):
                    (uid,) = generator.insert([prompt], [max_tokens])
                    numbers[uid], tokens[uid] = number, []
                if not numbers:
                    return
                for one in generator.next_generated():
                    if one.finish_reason != "stop":
                        tokens[one.uid].append(one.token)
                    if one.finish_reason is not None:
                        cut = one.finish_reason == "length"
                        yield numbers.pop(one.uid), self._answer(tokens.pop(one.uid), cut=cut)
        finally:
            generator.close()

    def _answer(self, tokens: list[int], *, cut: bool) -> Answer:
        return Answer(text=self.tokenizer.decode(tokens), tokens=len(tokens), cut=cut)


def _feed(
    waiting: Iterator[tuple[int, list[int]]], numbers: Mapping[int, int], batch_size: int
) -> Iterator[tuple[int, list[int]]]:
    """Yield prompts until a generator has two batches, none too far ahead of its oldest."""
    oldest = min(numbers.values(), default=None)
    while len(numbers) < 2 * batch_size:
        following = next(waiting, None)
        if following is None:
            return
        yield following
        oldest = following[0] if oldest is None else oldest
        if following[0] - oldest >= LAG * batch_size:
            return


def refuse_code(folder: Path) -> None:
    """Raise ToolError for a model that brings code: mlx-lm before 0.32 runs it without a word."""
    try:
        config = reader.read_object(folder / "config.json", reader.CONFIG)
    except (OSError, reader.NotJsonError):
        return
    if "model_file" in config:
        raise ToolError(
            f"{folder} contains its own code ({config['model_file']}); set trust_remote_code: "
            "true to run it"
        )
