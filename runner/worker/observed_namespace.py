"""The parsed arguments -> the same, recording which values the tool reads."""

import argparse
import dis
import sys
import types
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

_BY_NAME = frozenset({"LOAD_ATTR", "LOAD_METHOD"})


class ReadLog:
    """The names that a tool's own code has read, of all that its parser gave it."""

    def __init__(self) -> None:
        self.names: set[str] = set()
        self.listens = True

    def add(self, *names: str) -> None:
        """Note names that were read."""
        if self.listens:
            self.names.update(names)

    @contextmanager
    def deaf(self) -> Iterator[None]:
        """Note nothing: what follows only shows the values, or keeps them."""
        before, self.listens = self.listens, False
        try:
            yield
        finally:
            self.listens = before

    def wrap_namespace(self, namespace: argparse.Namespace) -> argparse.Namespace:
        """Return a parser's result that tells.

        Who asks for all of it (vars), or for one name after the other in a loop, has read none: it
        may copy them, and never look at them.
        """
        log = self

        class ParsedArguments(argparse.Namespace):
            def __getattribute__(self, name: str) -> Any:
                if name != "__dict__" and _names_it(sys._getframe(1), name):  # noqa: SLF001
                    log.add(name)
                return super().__getattribute__(name)

        with self.deaf():
            return ParsedArguments(**vars(namespace))

    def wrap_settings(self, namespace: types.SimpleNamespace) -> types.SimpleNamespace:
        """Return what mlx_lm.lora merged, telling; it asks for all of it only to keep a record."""
        log = self

        class MergedSettings(types.SimpleNamespace):
            def __getattribute__(self, name: str) -> Any:
                if name != "__dict__" and _names_it(sys._getframe(1), name):  # noqa: SLF001
                    log.add(name)
                return super().__getattribute__(name)

        self.names.clear()
        return MergedSettings(**vars(namespace))


def _names_it(frame: types.FrameType, name: str) -> bool:
    """Return whether code that reads a value names it, as ``args.name`` or ``getattr(…, "name")``.

    A name that comes from a variable, as in a loop that copies defaults, is in no code.
    """
    code = frame.f_code
    if dis.opname[code.co_code[frame.f_lasti]] in _BY_NAME:
        return True
    return name in code.co_consts
