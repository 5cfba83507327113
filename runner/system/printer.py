"""What the program prints -> its two streams. Nothing else in the package prints.

All text goes through `visible.text` here, so that nothing from outside acts where it is shown, and
through the mask of secrets. Output for programs (JSON, a script, a recipe) was escaped by the code
that wrote it; it is masked only if its values did not already pass the check for secrets.
"""

import json
import sys
from collections.abc import Iterable
from itertools import islice
from typing import Any, TextIO

import msgspec

from runner.base import visible
from runner.base.secrets import Mask
from runner.system import hub

_AT_ONCE = 200


def show(text: str, end: str = "\n") -> None:
    """Print a result on stdout. Raises BrokenPipeError if nobody reads any more."""
    _put(sys.stdout, _visible(text) + end)


def say(text: str, end: str = "\n") -> None:
    """Tell a person, on stderr."""
    _put(sys.stderr, _visible(text) + end)


def show_json(value: Any, *, indent: int | None = 2) -> None:
    """Print a value as JSON on stdout."""
    payload(_json(value, indent) + "\n")


def show_rows(rows: Iterable[Any]) -> None:
    """Print a list as JSON on stdout, with only some of its values in memory at a time."""
    before, rest = "[", iter(rows)
    while some := list(islice(rest, _AT_ONCE)):
        payload(before + _json(some, 2).removeprefix("[").removesuffix("\n]"))
        before = ","
    payload("[]\n" if before == "[" else "\n]\n")


def _json(value: Any, indent: int | None) -> str:
    """Return JSON in which nothing acts where it is shown.

    Python indents it ten times slower than msgspec, which takes neither NaN nor half a pair.
    """
    between = None if indent is None else (",", ":")
    text = visible.json_text(json.dumps(value, ensure_ascii=False, separators=between))
    if indent is None:
        return text
    try:
        return msgspec.json.format(text, indent=indent)
    except msgspec.DecodeError:
        return visible.json_text(json.dumps(value, indent=indent, ensure_ascii=False))


def payload(text: str) -> None:
    """Print on stdout what a program reads, sign by sign and as UTF-8."""
    stream, text = sys.stdout, Mask((), loose=False).text(text)
    if stream is None:
        return
    if hasattr(stream, "buffer"):
        stream.flush()
        stream.buffer.write(text.encode("utf-8", "surrogateescape"))
    else:
        stream.write(text)
    stream.flush()


def redraw(text: str = "") -> None:
    """Draw a line of progress on stderr's terminal in place of the one before; "" is none."""
    _put(sys.stderr, f"\r\033[K{visible.line(text)}")


def _visible(text: str) -> str:
    return visible.text(hub.mask().text(text))


def _put(stream: TextIO | None, text: str) -> None:
    if stream is None:  # closed by who started us
        return
    encoding = getattr(stream, "encoding", None) or "utf-8"
    stream.write(text.encode(encoding, "backslashreplace").decode(encoding))
    stream.flush()
