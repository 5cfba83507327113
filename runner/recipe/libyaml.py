"""A YAML text in, libyaml's tree out, with limits; only this module imports PyYAML.

PyYAML's constructors are not used: they are YAML 1.1, and importing mlx_lm changes them for the
whole process (T25).
"""

from collections.abc import Iterator
from importlib import import_module
from itertools import islice
from typing import Any

import yaml

from runner.recipe.template.allowance import MAX_DEPTH

YAMLError = yaml.YAMLError
SAFE_DEPTH = 5_000

_TAG = "tag:yaml.org,2002:"
_Parser: Any = vars(yaml.cyaml)["CParser"] if yaml.__with_libyaml__ else yaml.SafeLoader
# Before 0.2.6 libyaml has no limit, and its composer recurses in C until the process is gone.
_BOTTOMLESS = not yaml.__with_libyaml__ or import_module("yaml._yaml").get_version() < (0, 2, 6)


class _PlaceError(Exception):
    """Something is wrong at a place, whose line and column are counted from 1."""

    def __init__(self, event: Any) -> None:
        super().__init__()
        self.line, self.column = event.start_mark.line + 1, event.start_mark.column + 1


class TooManyError(_PlaceError):
    """A text has more nodes than it may; the place is the first beyond."""


class TooDeepError(_PlaceError):
    """Collections nest too deeply; the place is where they first do."""


class _EnoughError(Exception):
    """The composer has made as many nodes as it may."""


class _LibyamlComposer(_Parser):  # type: ignore[misc]
    """libyaml's composer with implicit tags left to us; it stops if there is too much."""

    most, nodes = 0, 0

    def resolve(self, kind: type, _: Any, implicit: Any) -> str:
        self.nodes += 1
        if self.nodes > self.most:
            raise _EnoughError
        if kind is yaml.ScalarNode:
            return "plain" if implicit[0] else f"{_TAG}str"
        return f"{_TAG}map" if kind is yaml.MappingNode else f"{_TAG}seq"

    def descend_resolver(self, parent: Any, index: Any) -> None:
        """Do nothing: paths resolve no tags here."""

    def ascend_resolver(self) -> None:
        """Do nothing: paths resolve no tags here."""


def compose(text: str, most: int) -> Any:
    """Return the tree of a text with at most this many nodes, None if it is empty.

    Raises YAMLError, TooDeepError, TooManyError.
    """
    if _BOTTOMLESS:
        # A level takes a bracket, or half a column of the longest line (a list may be at a key).
        columns = max(map(len, text.splitlines()), default=0)
        if text.count("[") + text.count("{") + 2 * columns > SAFE_DEPTH:
            _refuse_depth(text)
    composer = _LibyamlComposer(text)
    composer.most = most
    try:
        return composer.get_single_node()
    except _EnoughError:
        raise TooManyError(_last(text, most)) from None
    except yaml.MarkedYAMLError as error:
        if error.problem_mark and "depth" in str(error.problem):
            _refuse_depth(text[: error.problem_mark.index])  # libyaml looks ahead
        raise
    finally:
        composer.dispose()


def tokens(text: str) -> Iterator[Any]:
    """Yield YAML's tokens of a text that it can read, each with its marks."""
    yield from yaml.scan(text, Loader=_Parser)


def foreign(text: str, file: str) -> YAMLError | None:
    """Return the error of the first character that YAML does not have, None if it has all."""
    sign = yaml.reader.Reader.NON_PRINTABLE.search(text)
    if sign is None:
        return None
    return yaml.reader.ReaderError(file, sign.start(), ord(sign[0]), "unicode", "")


def _last(text: str, most: int) -> Any:
    """Return the first node of a text that is too much, as its event."""
    kinds = (yaml.ScalarEvent, yaml.CollectionStartEvent)
    nodes = (one for one in yaml.parse(text, Loader=_Parser) if isinstance(one, kinds))
    return next(islice(nodes, most, None))


def _refuse_depth(text: str) -> None:
    """Raise TooDeepError if collections nest deeper than a recipe's may.

    libyaml says so itself since 0.2.6, a thousand levels down.
    """
    depth = 0
    for event in yaml.parse(text, Loader=_Parser):
        if isinstance(event, yaml.CollectionStartEvent):
            depth += 1
            if depth > MAX_DEPTH + 1:  # the root is a level, too
                raise TooDeepError(event)
        elif isinstance(event, yaml.CollectionEndEvent):
            depth -= 1
