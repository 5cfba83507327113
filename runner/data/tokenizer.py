"""The tokenizer and the chat template of a model folder, used as mlx-lm uses them.

transformers itself renders the template, as in a training, so both reject the same rows. A template
is a program by the author of the model, so it runs only with limits on time and memory.
"""

from __future__ import annotations

import os
from contextlib import contextmanager
from functools import cache, partial
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Any

from msgspec import Struct, field

from runner.system import reader
from runner.system.cells import ALONE, MEMORY, Bounds, Cells, StoppedError

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence


AT_ONCE = 256
"""So many chats are handed to a process at a time."""

_FILES = {".json", ".jinja", ".model", ".txt", ".tiktoken", ".py"}

THINKING = (
    {"<think>", "</think>"},
    {"<longcat_think>", "</longcat_think>"},
    {"<|think:start|>", "<|think:end|>"},
    {"<|channel>", "<channel|>"},
    {"<|open|>", "<|close|>", "<|sep|>", "<|end_of_msg|>"},
)
"""Where a vocabulary holds all of one of these, mlx-lm asks the chat template for thinking."""


class TokenizerError(RuntimeError):
    """A folder that looks like a model's, whose tokenizer cannot be loaded here."""


class LocalTokenizer(Struct, frozen=True, kw_only=True):
    """The tokenizer of a model folder, used as mlx-lm uses it; pickled as the folder's name."""

    path: str

    def __call__(
        self,
        content: str | Sequence[Any],
        *,
        tools: Any = None,
        answer_next: bool = False,
        tokenize: bool = True,
    ) -> Sequence[int]:
        """Return the tokens; what the tokenizer or its template refuses is a ValueError.

        Without `tokenize` there are none: a chat is only written by its template. It is loaded when
        it is first asked; raises TokenizerError where it cannot be.
        """
        tokenizer, thinking = self.load()
        if isinstance(content, str):
            tokens: list[int] = tokenizer.encode(content)
            end = [] if tokens[-1:] == [tokenizer.eos_token_id] else [tokenizer.eos_token_id]
            return tokens + end
        options = {"enable_thinking": thinking, "add_generation_prompt": answer_next}
        if not tokenize:
            self.write(content, {**options, "tools": tools})
            return ()
        chat: list[int] = _apply_template(
            tokenizer, content, {**options, "tools": tools, "return_dict": False}
        )
        return chat

    def write(self, messages: Sequence[Any], options: Mapping[str, Any]) -> str:
        """Return a chat as the template writes it. Raises ValueError, TokenizerError."""
        tokenizer, thinking = self.load()
        arguments = {"enable_thinking": thinking, **options, "tokenize": False}
        text: str = _apply_template(tokenizer, messages, arguments)
        return text

    def load(self) -> tuple[Any, bool]:
        """Return the tokenizer, and whether thinking is enabled. Raises TokenizerError."""
        try:
            return _load(self.path)
        except OSError as error:
            raise TokenizerError(f"{error.filename}: {error.strerror}") from error
        except Exception as error:  # whatever a stranger's files make of it
            raise TokenizerError(f"{type(error).__name__}: {error}") from error


def _apply_template(tokenizer: Any, messages: Sequence[Any], options: Mapping[str, Any]) -> Any:
    """Return what a template makes of a chat. Raises ValueError."""
    try:
        return tokenizer.apply_chat_template(messages, **options)
    except MemoryError:
        raise
    except Exception as error:
        # A template is a program: it may raise whatever Python can, and says so of this row.
        text = " ".join(str(error).split())
        is_other = type(error).__name__ not in {"TemplateError", "ValueError"}
        raise ValueError(f"{type(error).__name__}: {text}" if is_other else text) from error


class Paced(Struct, kw_only=True):
    """A tokenizer that processes each line with limits on time and memory."""

    encode: LocalTokenizer
    bounds: Bounds
    line: int = 0
    size: int = 0

    def __call__(
        self,
        content: str | Sequence[Any],
        *,
        tools: Any = None,
        answer_next: bool = False,
        tokenize: bool = True,
    ) -> Sequence[int]:
        """Return what the tokenizer returns; a line that takes too much ends this process."""
        self.encode.load()
        with self.bounds.step(self.line, self.size):
            return self.encode(content, tools=tools, answer_next=answer_next, tokenize=tokenize)


class Chat(Struct, frozen=True, kw_only=True):
    """Messages for a template with its options; `number` identifies them."""

    number: int
    messages: Sequence[Any]
    options: Mapping[str, Any] = field(default_factory=dict)


def refusals(
    tokenizer: LocalTokenizer, chats: Iterable[Chat], *, bare: bool = False
) -> Iterator[tuple[int, str]]:
    """Yield the number of each chat that the template refuses, and why.

    The last one may be the one at which it was given up. With `bare` a model without a template
    refuses nothing. Raises TokenizerError.
    """
    with Cells() as cells:
        try:
            for answers in cells.each(partial(_refusals, tokenizer, bare), _some(chats)):
                yield from answers
        except StoppedError as error:
            yield error.step, too_much(error)


def too_much(error: StoppedError) -> str:
    """Return why a template was given up, as what it does."""
    return {
        "time": f"it takes more than {ALONE:g} s of work",
        "memory": f"it takes more than {MEMORY >> 20} MB of memory",
        "crash": "it crashes the process that renders it",
        "slow": "it is too slow to check all of them",
    }[error.why]


def _some(chats: Iterable[Chat]) -> Iterator[list[Chat]]:
    group: list[Chat] = []
    for chat in chats:
        group.append(chat)
        if len(group) == AT_ONCE:
            yield group
            group = []
    yield group


def _refusals(
    tokenizer: LocalTokenizer, bare: bool, chats: Sequence[Chat], bounds: Bounds
) -> list[tuple[int, str]]:
    pairs: list[tuple[int, str]] = []
    model_tokenizer, _ = tokenizer.load()
    if bare and model_tokenizer.chat_template is None:
        return pairs
    for chat in chats:
        try:
            with bounds.step(chat.number, len(str(chat.messages))):
                tokenizer.write(chat.messages, chat.options)
        except ValueError as error:
            pairs.append((chat.number, str(error)))
    return pairs


def load_tokenizer(model_path: str | Path) -> LocalTokenizer | None:
    """Return the tokenizer of a local model folder; None where none can be loaded here."""
    path = str(model_path)
    if not Path(path).is_dir():
        return None
    try:
        LocalTokenizer(path=path).load()
    except TokenizerError:
        return None
    return LocalTokenizer(path=path)


@contextmanager
def _quietly() -> Iterator[None]:
    """Keep transformers from telling that no torch is here, as mlx-lm does."""
    name = "TRANSFORMERS_NO_ADVISORY_WARNINGS"
    before = os.environ.get(name)
    os.environ[name] = "1"
    try:
        yield
    finally:
        if before is None:
            del os.environ[name]
        else:
            os.environ[name] = before


@cache
def _load(path: str) -> tuple[Any, bool]:
    """Load a tokenizer; it takes a second, so every process does it once.

    Templates that mlx-lm writes in Python (``chat_template_type``) would need mlx-lm itself. What
    transformers may open is a file of a disk, so that nothing waits for another.
    """
    for folder in (Path(path), Path(path, "additional_chat_templates")):
        for file in folder.iterdir() if folder.is_dir() else ():
            if file.suffix in _FILES and not file.is_dir():
                reader.require(file, reader.TOKENIZER)
    with _quietly():
        tokenizer = import_module("transformers").AutoTokenizer.from_pretrained(
            path, local_files_only=True, trust_remote_code=False
        )
    if tokenizer.init_kwargs.get("chat_template_type"):
        raise ValueError("its chat template is one of mlx-lm's own")
    vocabulary = tokenizer.get_vocab()
    return tokenizer, any(all(mark in vocabulary for mark in marks) for marks in THINKING)
