"""What the data tools' command lines share: keys of rows, refusals, the summary at the end."""

from __future__ import annotations

import argparse
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from runner.base.errors import ToolError
from runner.data.reader import Reader
from runner.data.rows import Features
from runner.system import printer
from runner.system.progress import WORKERS, Meter
from runner.system.workers import Crew

if TYPE_CHECKING:
    from collections.abc import Iterator

_FEATURES = ("prompt", "completion", "chat", "text")


def parser(name: str, description: str) -> argparse.ArgumentParser:
    """Return the parser of ``run-recipe data NAME``."""
    return argparse.ArgumentParser(
        prog=f"run-recipe data {name}", description=description, allow_abbrev=False
    )


def key(text: str) -> str:
    """Return the name of a field, which is not empty."""
    if not text:
        raise argparse.ArgumentTypeError("a field name must not be empty")
    return text


def add_features(parser: argparse.ArgumentParser) -> None:
    """Add the keys of rows, called as in mlx-lm."""
    defaults = Features()
    for name in _FEATURES:
        parser.add_argument(
            f"--{name}-feature",
            default=getattr(defaults, name),
            metavar="KEY",
            help=f"the key of {'the messages' if name == 'chat' else f'the {name}'} in a row",
        )


def take_features(arguments: dict[str, Any]) -> Features:
    """Take the keys of rows out of a parser's result."""
    return Features(**{name: arguments.pop(f"{name}_feature") for name in _FEATURES})


@contextmanager
def reading(arguments: dict[str, Any]) -> Iterator[Reader]:
    """Yield the reader a command line asks for; what a tool refuses ends with 1 and a sentence."""
    meter = Meter()
    try:
        with Crew(WORKERS) as crew:
            yield Reader(features=take_features(arguments), crew=crew, meter=meter)
    except (OSError, ToolError) as error:
        meter.end()
        printer.say(f"error: {error}")
        raise SystemExit(1) from error
    meter.end()


def require_seed(seed: int) -> None:
    """Refuse a seed below 0: random.Random(-1) and random.Random(1) are the same dice."""
    if seed < 0:
        raise ToolError(f"seed is {seed}; it must be at least 0", "seed")
