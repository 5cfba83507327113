"""Which content may be shown of the files that a user's file names.

A stranger's recipe may name any file on this disk, and a message could quote its lines. So nothing
is quoted from a file outside the project, and such a file is refused if it is not a recipe. The
project is the repository of the file the user named, or its folder if there is no repository, with
everything below it. A home folder that is a repository is not a project.
"""

import errno
import os
import re
from collections.abc import Callable, Collection
from pathlib import Path

from msgspec import Struct
from msgspec.structs import replace

from runner.base.constants import BUILTIN, SUFFIXES
from runner.base.patterns import pattern
from runner.base.problems import Problem
from runner.catalog import load

Read = Callable[[str], bytes]
# From the first sign to the last one: what is quoted may hold such signs itself.
_QUOTED = pattern(r"['\"].*['\"]", re.DOTALL)
_TOOL = (b'"x-tool"', b'"properties"')
_KEY = pattern(rb"^(?:\xef\xbb\xbf)?([^\s#:'\"\[\]{}-][^\s:]*)\s*:(?:\s|$)", re.MULTILINE)


class Project(Struct, frozen=True, kw_only=True):
    """The folder that holds all that is shown of what `entry`, a file, is made of."""

    entry: str
    top: Path

    def holds(self, file: str) -> bool:
        """Return whether a file is the project's own, or shipped; a link is where it leads."""
        return (
            file == self.entry or file.startswith(BUILTIN) or _real(file).is_relative_to(self.top)
        )

    def quotes(self, problem: Problem) -> Problem:
        """Return a problem of rows or prompts; outside, without anything that is in them."""
        if self.holds(problem.mark.file):
            return problem
        notes = tuple((mark, _bare(text)) for mark, text in problem.notes)
        bare = replace(problem, message=_bare(problem.message), hint="", notes=notes)
        hint = "it is outside the project, so its content is not shown: open it to see"
        return bare if bare == problem else replace(bare, hint=hint)

    def recipes(self, read: Read) -> Read:
        """Return what reads recipes; another file is refused with an OSError."""

        def checked_read(file: str) -> bytes:
            data = self._read(file, read, "a recipe", load.envelope()["properties"])
            if file != self.entry and not file.startswith(BUILTIN):
                _suffix(file, SUFFIXES, "a recipe's")
            return data

        return checked_read

    def tools(self, read: Read) -> Read:
        """Return what reads files of tools; another file is refused likewise."""

        def checked_read(file: str) -> bytes:
            data = read(file)
            if not self.holds(file) and not all(key in data for key in _TOOL):
                raise _foreign(file, "a tool's file")
            return data

        return checked_read

    def settings(self, read: Read) -> Read:
        """Return what reads the configurations of commands; another file is refused likewise."""

        def checked_read(file: str) -> bytes:
            if not self.holds(file):
                _suffix(file, SUFFIXES, "a configuration's outside of the project")
            catalog = load.catalog()
            tools = filter(None, map(catalog.get, catalog.names))
            keys = {name for tool in tools for name in tool.parameters}
            return self._read(file, read, "a configuration", keys)

        return checked_read

    def _read(self, file: str, read: Read, what: str, keys: Collection[str]) -> bytes:
        """Return a file's bytes; outside, one with other keys is not `what` it is read as."""
        data = read(file)
        if not self.holds(file) and not _has_only(data, keys):
            raise _foreign(file, what)
        return data


def of(entry: str) -> Project:
    """Return the project of a file that a user names, which may be none of this disk."""
    folder = _real(entry).parent
    home = _real(os.path.expanduser("~"))  # noqa: PTH111  (a user may have none)
    top = next((one for one in (folder, *folder.parents) if (one / ".git").exists()), folder)
    return Project(entry=entry, top=folder if top == home else top)


def _foreign(file: str, what: str) -> OSError:
    why = f"it is outside the project and cannot be read as {what}: it is not shown"
    return OSError(errno.EACCES, why, file)


def _bare(text: str) -> str:
    return _QUOTED.sub("'…'", text)


def _suffix(file: str, endings: tuple[str, ...], whose: str) -> None:
    if not file.endswith(endings):
        why = f"{whose} name ends in {' or '.join(endings)}"
        raise OSError(errno.EACCES, why, file)


def _has_only(data: bytes, names: Collection[str]) -> bool:
    """Return whether all keys at a text's left edge are known ones, and some are there."""
    keys = {match.decode("utf-8", "replace") for match in _KEY.findall(data)}
    return bool(keys) and all(key in names or key.startswith("x-") for key in keys)


def _real(file: str) -> Path:
    try:
        return Path(os.path.realpath(file))
    except (OSError, ValueError):
        return Path("/", "no", "such", "place")
