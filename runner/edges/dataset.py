"""A data folder on disk, read once, piece by piece, by one process or several -> its report."""

import io
import os
from collections import deque
from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from concurrent.futures import Future, ProcessPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, replace
from functools import cache, partial
from importlib import import_module
from multiprocessing import get_context
from pathlib import Path
from typing import Any, NamedTuple

from runner.core.problem import Mark, Problem
from runner.core.rows import (
    ROLES,
    SPLITS,
    Encode,
    Features,
    Report,
    Survey,
    Use,
    first_format,
    report,
)

Progress = Callable[[int, int], None]
PIECE = 4 << 20
"""What is read at a time; a longer line makes a longer piece."""

LONGEST = 32 << 20
"""Longer lines are not looked at."""

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
    unread = {split: problem for split, file in files.items() if (problem := _unreadable(file))}
    files = {split: file for split, file in files.items() if split not in unread}
    step = _steps(progress, sum(file.stat().st_size for file in files.values()))
    surveys = {
        split: _surveyed(file, f"{folder}/{file.name}", use, tokenizer, step, workers)
        for split, file in files.items()
    }
    found = report(str(folder), names, surveys, splits=splits, required=required)
    return replace(found, problems=(*unread.values(), *found.problems))


def _no_folder(folder: str) -> Problem:
    message = (
        f"there is no folder {folder}; mlx-lm would look for a data set of that name on the hub"
    )
    return Problem(Mark(folder, 1, 1), message, "data-folder-missing")


def _unreadable(file: Path) -> Problem | None:
    try:
        file.open("rb").close()
    except OSError as error:
        message = f"the file cannot be read: {error.strerror}"
        return Problem(Mark(str(file), 1, 1), message, "split-unreadable")
    return None


def _steps(progress: Progress | None, total: int) -> Callable[[int], None]:
    done = 0

    def step(size: int) -> None:
        nonlocal done
        done += size
        if progress:
            progress(done, total)

    return step


# --- one file, in pieces


class Piece(NamedTuple):
    """Whole lines of a file: where they start, their bytes, the number of the first.

    `long` is the size of one more line after them that is too long to be looked at.
    """

    start: int
    size: int
    line: int
    long: int = 0


def _surveyed(
    file: Path,
    name: str,
    use: Use,
    encode: Encode | None,
    step: Callable[[int], None],
    workers: int,
) -> Survey:
    with file.open("rb") as stream:
        kind = first_format((stream.readline(LONGEST) for _ in range(SCAN)), use.features)
    whole = Survey(name, kind, use)
    work = partial(_piece, file, name, kind, use, encode)
    parallel = workers > 1 and file.stat().st_size > 4 * PIECE
    done = _parallel(work, pieces(file), workers) if parallel else map(work, pieces(file))
    for part in done:
        whole.merge(part)
        step(part.size)
    return whole


def pieces(file: Path, size: int = PIECE, longest: int = LONGEST) -> Iterator[Piece]:
    """Cut a file into pieces of whole lines."""
    with file.open("rb") as stream:
        start, line = 0, 1
        while block := stream.read(size):
            tail = b"" if block.endswith(b"\n") else stream.readline(longest)
            count = block.count(b"\n") + tail.endswith(b"\n")
            held, long = len(block) + len(tail), 0
            if len(tail) == longest and not tail.endswith(b"\n"):
                whole = block.rfind(b"\n") + 1
                long, held = held - whole + _rest(stream, size), whole
                count += 1
            yield Piece(start, held, line, long)
            start, line = start + held + long, line + count


def _rest(stream: io.BufferedReader, size: int) -> int:
    """Read to the end of the line, and return how much that was."""
    read = 0
    while part := stream.readline(size):
        read += len(part)
        if part.endswith(b"\n"):
            break
    return read


def _piece(
    file: Path, name: str, kind: str | None, use: Use, encode: Encode | None, piece: Piece
) -> Survey:
    with file.open("rb") as stream:
        stream.seek(piece.start)
        lines = io.BytesIO(stream.read(piece.size))
    survey = Survey(name, kind, use)
    number = piece.line
    for number, line in enumerate(lines, piece.line):
        survey.take(number, line, encode)
    if piece.long:
        survey.skip(number + (piece.size > 0), piece.long)
    return survey


def _parallel(
    work: Callable[[Piece], Survey], todo: Iterable[Piece], workers: int
) -> Iterator[Survey]:
    """Survey pieces in several processes; yield them in order, with only a few in flight."""
    flight: deque[Future[Survey]] = deque()
    with ProcessPoolExecutor(workers, mp_context=get_context("spawn")) as pool:
        for piece in todo:
            flight.append(pool.submit(work, piece))
            if len(flight) > 2 * workers:
                yield flight.popleft().result()
        while flight:
            yield flight.popleft().result()


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
