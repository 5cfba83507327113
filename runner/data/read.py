"""A data folder on disk, read once, in pieces, by one or several processes -> its report."""

from collections.abc import Callable, Collection, Iterator, Sequence
from contextlib import suppress
from functools import partial
from io import BufferedReader
from itertools import islice
from pathlib import Path
from typing import Self

from msgspec.structs import replace

from runner.base.problems import Mark, Problem
from runner.data.pieces import Piece, each, lines
from runner.data.rows import (
    HEAD,
    ROLES,
    SPLITS,
    Encode,
    Features,
    FolderReport,
    RowUse,
    Survey,
    first_format,
    foreign,
    quick_parse,
    report,
    wrong_names,
)
from runner.data.tokenizer import LocalTokenizer, Paced, too_much
from runner.system import reader
from runner.system.cells import Bounds, Cells, StoppedError
from runner.system.workers import Crew

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
    kind: str = "mlx-lm",
) -> FolderReport:
    """Check every row of a data folder, in bounded memory, and say what its splits are like.

    The rows are for mlx-lm's trainer, or of a `kind` that trainers from preferences read.
    Without `every`, rows that could neither be cut nor masked are written by the chat template, and
    not tokenized. A `LocalTokenizer` is asked in other processes, within bounds; raises
    TokenizerError where it cannot be loaded there. Else more than one worker are spawned processes:
    call it below ``if __name__ == "__main__"`` then, with a tokenizer that can be pickled.
    """
    use = RowUse(
        features=features,
        mask_prompt=mask_prompt,
        batch_size=batch_size,
        max_seq_length=max_seq_length,
        roles=frozenset(roles),
        limit=limit,
        every=every,
        kind=kind,
    )
    path = Path(folder)
    if not path.is_dir():
        return FolderReport(problems=(_no_folder(str(folder)),), splits={})
    names = sorted(entry.name for entry in path.iterdir())
    files = {split: path / f"{split}.jsonl" for split in splits if f"{split}.jsonl" in names}
    unread = {
        split: problem
        for split, file in files.items()
        if (problem := _unreadable(file, f"{folder}/{file.name}"))
    }
    files = {split: file for split, file in files.items() if split not in unread}
    step = _steps(progress, sum(file.stat().st_size for file in files.values()))
    with _Look(use, tokenizer, step, workers) as look:
        surveys = {
            split: look.survey(file, f"{folder}/{file.name}") for split, file in files.items()
        }
    heads = {name: _begins(path / name) for split in splits for name in wrong_names(names, split)}
    whole_report = report(
        str(folder), names, surveys, splits=splits, required=required, heads=heads
    )
    return replace(whole_report, problems=(*unread.values(), *whole_report.problems))


def _no_folder(folder: str) -> Problem:
    message = (
        f"there is no folder {folder}; mlx-lm would look for a data set with that name on the hub"
    )
    return Problem(
        mark=Mark(file=folder, line=1, column=1), message=message, rule="data-folder-missing"
    )


def _unreadable(file: Path, name: str) -> Problem | None:
    """Return why a file as a whole holds no rows, None if each of its lines is one."""
    try:
        with reader.open_file(file) as stream:
            return foreign(stream.read(HEAD) or b"", name)  # None: it would wait for more
    except OSError as error:
        message = f"the file cannot be read: {error.strerror}"
        return Problem(
            mark=Mark(file=str(file), line=1, column=1), message=message, rule="split-unreadable"
        )


def _begins(file: Path) -> bytes:
    """Return how a file begins, nothing of one that cannot be read."""
    with suppress(OSError), reader.open_file(file) as stream:
        return stream.read(HEAD) or b""
    return b""


def _steps(progress: Progress | None, total: int) -> Callable[[int], None]:
    done = 0

    def step(size: int) -> None:
        nonlocal done
        done += size
        if progress:
            progress(done, total)

    return step


# --- one file, in pieces


class _Look:
    """A look at files: what their rows are for, who does it, and who hears how far it is."""

    def __init__(
        self, use: RowUse, encode: Encode | None, step: Callable[[int], None], workers: int
    ) -> None:
        self.use = use
        self.encode = encode
        self.step = step
        self.workers = workers
        # What a stranger's template does is done apart, however small the file.
        apart = isinstance(encode, LocalTokenizer)
        self.crew: Crew | Cells = Cells(workers) if apart else Crew(workers)

    def __enter__(self) -> Self:
        """Wait for files."""
        return self

    def __exit__(self, *_: object) -> None:
        """End the processes."""
        self.crew.__exit__()

    def survey(self, file: Path, name: str) -> Survey:
        """Return the survey of a file; at a row the template does not get over it is given up."""
        with reader.open_file(file) as stream:
            kind = first_format(_head(stream), self.use.features, self.use.kind)
        whole = Survey(file=name, format=kind, use=self.use)
        done = 0
        try:
            for part in each(partial(_piece, whole, file, self.encode), file, self.crew):
                done += 1
                self._took(whole, part)
        except StoppedError as error:
            whole.given_up(too_much(error), error.step)
            self.crew.__exit__()
            self.encode, self.crew = None, Crew(self.workers)
            for part in each(partial(_piece, whole, file, None), file, self.crew, done):
                self._took(whole, part)
        return whole

    def _took(self, whole: Survey, part: Survey) -> None:
        whole.merge(part)
        self.step(part.size)


def _head(stream: BufferedReader) -> Iterator[bytes]:
    """Yield the first lines, as far as each can be looked at."""
    with suppress(OSError):
        yield from islice(reader.lines(stream), SCAN)


def _piece(
    of: Survey, file: Path, encode: Encode | None, piece: Piece, bounds: Bounds | None = None
) -> Survey:
    """Return the survey of a piece of a file, which is looked at as all `of` it is."""
    survey, parse = Survey(file=of.file, format=of.format, use=of.use), quick_parse()
    paced = (
        Paced(encode=encode, bounds=bounds)
        if bounds and isinstance(encode, LocalTokenizer)
        else None
    )
    number = piece.line
    for number, line in enumerate(lines(file, piece), piece.line):
        if paced:
            paced.line, paced.size = number, len(line)
        survey.take(number, line, paced or encode, parse)
        if survey.unread and survey.too_many(number):
            break
    if piece.long:
        survey.skip(number + (piece.size > 0), piece.long, endless=piece.endless)
    return survey
