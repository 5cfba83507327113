"""A data folder on disk, read once, piece by piece, by one process or several -> its report."""

import os
from collections.abc import Callable, Collection, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace
from functools import cache, partial
from importlib import import_module
from io import BufferedReader
from itertools import islice
from pathlib import Path
from typing import Any

from runner.core.problem import Mark, Problem
from runner.core.rows import (
    HEAD,
    ROLES,
    SPLITS,
    Encode,
    Features,
    Report,
    Survey,
    Use,
    first_format,
    foreign,
    parse_for,
    report,
)
from runner.edges import reader
from runner.edges.crew import Crew
from runner.edges.pieces import Piece, each, lines

Progress = Callable[[int, int], None]
OF_TOKENS = frozenset(
    {"row-cut", "row-answer-lost", "row-mask-hides-answer", "loss-counts-padding"}
)
"""What another tokenizer would not say, but for a whole batch that trains nothing."""

SCAN = 1000
"""So many rows are looked at for the first one of a known format."""


def check(
    folder: str | Path,
    *,
    batch_size: int | None = None,
    mask_prompt: bool = False,
    features: Features = Features(),  # noqa: B008 - frozen
    splits: Sequence[str] = SPLITS,
    required: Collection[str] = ("train",),
    roles: Collection[str] = ROLES,
    max_seq_length: int = 2048,
    limit: int = 20,
    tokenizer: Encode | None = None,
    progress: Progress | None = None,
    workers: int = 1,
    every: bool = True,
) -> Report:
    """Check every row of a data folder, in bounded memory, and say what its splits are like.

    Without `every`, the tokenizer is asked only about rows that could be cut or masked.
    More than one worker are spawned processes: call it below ``if __name__ == "__main__"`` then,
    with a tokenizer that can be pickled.
    """
    use = Use(features, mask_prompt, batch_size, max_seq_length, frozenset(roles), limit, every)
    path = Path(folder)
    if not path.is_dir():
        return Report((_no_folder(str(folder)),), {})
    names = sorted(entry.name for entry in path.iterdir())
    files = {split: path / f"{split}.jsonl" for split in splits if f"{split}.jsonl" in names}
    unread = {
        split: problem
        for split, file in files.items()
        if (problem := _unreadable(file, f"{folder}/{file.name}"))
    }
    files = {split: file for split, file in files.items() if split not in unread}
    step = _steps(progress, sum(file.stat().st_size for file in files.values()))
    with Crew(workers) as crew:
        surveys = {
            split: _surveyed(file, f"{folder}/{file.name}", use, tokenizer, step, crew)
            for split, file in files.items()
        }
    found = report(str(folder), names, surveys, splits=splits, required=required)
    return replace(found, problems=(*unread.values(), *found.problems))


def _no_folder(folder: str) -> Problem:
    message = (
        f"there is no folder {folder}; mlx-lm would look for a data set of that name on the hub"
    )
    return Problem(Mark(folder, 1, 1), message, "data-folder-missing")


def _unreadable(file: Path, name: str) -> Problem | None:
    """Return why a file as a whole holds no rows, None where each of its lines is one."""
    try:
        with reader.opened(file) as stream:
            return foreign(stream.read(HEAD), name)
    except OSError as error:
        message = f"the file cannot be read: {error.strerror}"
        return Problem(Mark(str(file), 1, 1), message, "split-unreadable")


def _steps(progress: Progress | None, total: int) -> Callable[[int], None]:
    done = 0

    def step(size: int) -> None:
        nonlocal done
        done += size
        if progress:
            progress(done, total)

    return step


# --- one file, in pieces


def _surveyed(
    file: Path,
    name: str,
    use: Use,
    encode: Encode | None,
    step: Callable[[int], None],
    crew: Crew,
) -> Survey:
    with reader.opened(file) as stream:
        kind = first_format(_head(stream), use.features)
    whole = Survey(name, kind, use)
    work = partial(_piece, file, name, kind, use, encode)
    for part in each(work, file, crew):
        whole.merge(part)
        step(part.size)
    return whole


def _head(stream: BufferedReader) -> Iterator[bytes]:
    """Yield the first lines, as far as each can be looked at."""
    with suppress(OSError):
        yield from islice(reader.lines(stream), SCAN)


def _piece(
    file: Path, name: str, kind: str | None, use: Use, encode: Encode | None, piece: Piece
) -> Survey:
    survey, parse = Survey(name, kind, use), parse_for(piece.size)
    number = piece.line
    for number, line in enumerate(lines(file, piece), piece.line):
        survey.take(number, line, encode, parse)
    if piece.long:
        survey.skip(number + (piece.size > 0), piece.long, lost=piece.lost)
    return survey


# --- the tokenizer of a model

THINKING = (
    ("<think>", "</think>"),
    ("<longcat_think>", "</longcat_think>"),
    ("<|think:start|>", "<|think:end|>"),
    ("<|channel>", "<channel|>"),
)
"""Where a vocabulary holds such a pair, mlx-lm asks the chat template for thinking."""


class TokenizerError(RuntimeError):
    """A folder that looks like a model's, whose tokenizer cannot be loaded here."""


@dataclass(frozen=True)
class LocalTokenizer:
    """The tokenizer of a model folder, used as mlx-lm uses it; pickled as the folder's name."""

    path: str

    def __call__(
        self, content: str | Sequence[Any], *, tools: Any = None, answer_next: bool = False
    ) -> Sequence[int]:
        """Return the tokens; what the tokenizer or its template refuses is a ValueError.

        It is loaded when it is first asked; raises TokenizerError where it cannot be.
        """
        try:
            loaded, thinking = _loaded(self.path)
        except Exception as error:
            raise TokenizerError(str(error)) from error
        try:
            if isinstance(content, str):
                found: list[int] = loaded.encode(content)
                end = [] if found[-1:] == [loaded.eos_token_id] else [loaded.eos_token_id]
                return found + end
            chat: list[int] = loaded.apply_chat_template(
                content,
                tools=tools,
                add_generation_prompt=answer_next,
                enable_thinking=thinking,
                return_dict=False,
            )
        except (
            import_module("jinja2").TemplateError,
            TypeError,
            AttributeError,
            LookupError,
        ) as error:
            raise ValueError(str(error)) from error
        return chat


def load_tokenizer(model_path: str | Path) -> Encode | None:
    """Return the tokenizer of a local model folder; None where none can be loaded here."""
    path = str(model_path)
    if not Path(path).is_dir():
        return None
    try:
        _loaded(path)
    except (ImportError, OSError, ValueError):
        return None
    return LocalTokenizer(path)


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
def _loaded(path: str) -> tuple[Any, bool]:
    """Load a tokenizer; it takes a second, so every process does it once.

    Templates that mlx-lm writes in Python (``chat_template_type``) would need mlx-lm itself.
    """
    with _quietly():
        loaded = import_module("transformers").AutoTokenizer.from_pretrained(
            path, local_files_only=True, trust_remote_code=False
        )
    if loaded.init_kwargs.get("chat_template_type"):
        raise ValueError("the chat template is one of mlx-lm's own")
    vocabulary = loaded.get_vocab()
    return loaded, any(start in vocabulary and end in vocabulary for start, end in THINKING)
