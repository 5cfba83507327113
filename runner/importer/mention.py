"""A script's text in, the commands of mlx-lm that it names out: whatever they are in."""

import re
from collections.abc import Iterable, Iterator, Sequence
from functools import cache

from runner.catalog.tools import Catalog

# What mlx-lm has beside the tools of a recipe.
_OTHERS = ("server", "chat", "manage", "share")
_QUOTED = r"""(?:\.py)?["'\s,\\]+[-$@{"'*\[]"""
_STARTED = r"""^[ \t]*(?:[\w./=+@$"'{}-]+[ \t]+)*?["'@]?(?:[\w.~$/{}-]*/)?"""


def name(text: str, catalog: Catalog) -> str:
    """Return the first command of mlx-lm that a text names, "" if it names none."""
    match = _pattern(_words(catalog)).search(text)
    return match.group() if match else ""


def call(text: str, catalog: Catalog) -> str:
    """Return the first that a text names with arguments: so it is started, and not spoken of."""
    match = re.search(_pattern(_words(catalog)).pattern + _QUOTED, text)
    return re.split(r"[\"'\s,]", match.group())[0] if match else ""


def line_starts(text: str, catalog: Catalog) -> Iterator[tuple[int, str]]:
    """Yield offset and name of each command that begins a line of a text, with arguments."""
    pattern = re.compile(_STARTED + _pattern(_words(catalog)).pattern + _QUOTED, re.MULTILINE)
    for match in pattern.finditer(text):
        if not match.group().lstrip().startswith("#"):
            inside = _pattern(_words(catalog)).search(match.group())
            if inside:
                yield match.start() + inside.start(), inside.group()


def outside(
    text: str, known_spans: Iterable[tuple[int, int]], catalog: Catalog
) -> Iterator[tuple[int, str]]:
    """Yield offset and name of each command that is in none of the `known_spans`."""
    spans: Sequence[tuple[int, int]] = sorted(known_spans)
    at = 0
    for match in _pattern(_words(catalog)).finditer(text):
        while at < len(spans) and spans[at][1] <= match.start():
            at += 1
        if at == len(spans) or not spans[at][0] <= match.start() < spans[at][1]:
            yield match.start(), match.group()


def _words(catalog: Catalog) -> tuple[str, ...]:
    parts = [name.partition(".") for name in catalog.names]
    return (*sorted(own for package, _, own in parts if package == "mlx_lm"), *_OTHERS)


@cache
def _pattern(names: tuple[str, ...]) -> re.Pattern[str]:
    return re.compile(rf"\bmlx_lm(?:\.|[ \t]+|/)(?:{'|'.join(map(re.escape, names))})\b(?![.(=:])")
