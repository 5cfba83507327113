"""A stage in, the names of the hub among its parameters out: repository, kind, revision.

A name may carry a revision, ``org/name@REV``. Where a parameter reads a model or a data set of the
hub stands in its tool's file (``x-input``).
"""

import posixpath
import re
from collections.abc import Callable, Iterator, Mapping
from typing import Any

from msgspec import Struct

from runner.base.patterns import pattern
from runner.catalog.tools import Parameter, Tool
from runner.catalog.validate import Violation
from runner.recipe.lock_file import COMMIT

MODEL, DATASET = "model", "dataset"
_KINDS = {"model": MODEL, "dataset": DATASET, "hub": MODEL}
_REPOSITORY = pattern(r"[A-Za-z0-9_][\w.-]*/[A-Za-z0-9_][\w.-]*\Z", re.ASCII)
_REVISION = pattern(r"[A-Za-z0-9_][\w./-]*\Z", re.ASCII)
_SNAPSHOT = pattern(r"(?:.*/)?(?:model|dataset)s--([^/]+?)--([^/]+)/snapshots/([0-9a-f]+)/?\Z")


class HubName(Struct, frozen=True, kw_only=True):
    """A name of the hub as a parameter says it; an empty revision is the main branch.

    `whole` says that the tool downloads it itself, whatever is in it.
    """

    name: str
    repository: str
    kind: str
    revision: str
    parameter: str
    whole: bool = False

    @property
    def key(self) -> tuple[str, str]:
        """What a lock calls it."""
        said = f"@{self.revision}" if self.revision else ""
        return self.kind, f"{self.repository}{said}"

    @property
    def commit(self) -> str:
        """The commit that the revision itself is, '' where it is a branch or a tag."""
        return self.revision if COMMIT.match(self.revision) else ""


def split(text: str) -> tuple[str, str]:
    """Return a name and the revision it carries, '' where it carries none.

    What has no form of a name of the hub is left as it is, so that a path may hold an ``@``.
    """
    name, _, revision = text.partition("@")
    return (name, revision) if revision and _REPOSITORY.match(name) else (text, "")


def is_hub_name(text: str) -> bool:
    """Say whether a text has the form of a name of the hub, ``org/name``, or that and ``@REV``."""
    return bool(_REPOSITORY.match(split(text)[0]))


def bare(text: str) -> str:
    """Return a name without its revision; of a folder of the hub's cache, what it is a copy of."""
    copy = _SNAPSHOT.match(text)
    return f"{copy[1]}/{copy[2]}" if copy else split(text)[0]


def hub_names(tool: Tool, params: Mapping[str, Any]) -> Iterator[HubName]:
    """Yield the names of the hub in a tool's parameters; a relative path may look like one."""
    for parameter, kind in _readers(tool, params):
        option = parameter.schema["x-input"].get("revision")
        for text in parameter.paths(params):
            name, revision = split(text)
            if _REPOSITORY.match(name):
                yield HubName(
                    name=text,
                    repository=name,
                    kind=kind,
                    revision=revision or (params.get(option) if option else None) or "",
                    parameter=parameter.name,
                    whole=option is not None,
                )


def _readers(tool: Tool, params: Mapping[str, Any]) -> Iterator[tuple[Parameter, str]]:
    """Yield the parameters that read something of the hub by its name, each with its kind."""
    for parameter in tool.inputs:
        read = parameter.input_kind(params) if parameter.name in params else None
        if read not in _KINDS:
            continue
        option = parameter.schema["x-input"].get("type")
        kind = (params.get(option) if option else None) or _KINDS[read]
        if kind in {MODEL, DATASET}:
            yield parameter, kind


def bad_revisions(tool: Tool, params: Mapping[str, Any]) -> Iterator[Violation]:
    """Yield each name of the hub whose revision is none, or that is given a second one."""
    for parameter, _ in _readers(tool, params):
        option = parameter.schema["x-input"].get("revision")
        for text in parameter.paths(params):
            name, at, revision = text.partition("@")
            if not at or not _REPOSITORY.match(name):
                continue
            path = (parameter.name,)
            if not _REVISION.match(revision) or ".." in revision:
                why = (
                    f"has '{revision}' for a revision, which is none" if revision else "ends in '@'"
                )
                hint = f"write {name}@REV with a branch, a tag or a commit, or {name} alone"
                yield Violation(path=path, message=why, rule="bad-revision", hint=hint)
            elif option and params.get(option):
                why = f"has a revision, and '{option}' names one, too"
                hint = f"write {name}, or remove {option}"
                yield Violation(path=path, message=why, rule="bad-revision", hint=hint)


def rewrite(tool: Tool, params: Mapping[str, Any], other: Callable[[str, str], str]) -> Any:
    """Return parameters with other texts for names of the hub: `other` gets kind and name."""
    values = dict(params)
    for parameter, kind in _readers(tool, params):
        values[parameter.name] = _rewritten(
            params[parameter.name], parameter.schema["x-input"].get("at"), kind, other
        )
    return values


def _rewritten(value: Any, key: str | None, kind: str, other: Callable[[str, str], str]) -> Any:
    if isinstance(value, list):
        return [_rewritten(one, key, kind, other) for one in value]
    if isinstance(value, Mapping):
        inside = value.get(key)
        return {**value, key: other(kind, inside)} if isinstance(inside, str) else dict(value)
    return other(kind, value) if isinstance(value, str) else value


def word(repository: str) -> str:
    """Return the last part of a repository's name as a word of capitals."""
    name = posixpath.basename(repository).upper()
    return "".join(sign if sign.isascii() and sign.isalnum() else "_" for sign in name)
