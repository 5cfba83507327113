"""``git+https://HOST/ORG/REPO@REF#path/base.yaml``: a parent in another repository, by its parts.

Only https and ssh are spoken, and nothing in the repository is named outside of it. What REF stands
for is in the recipe's lock.
"""

import posixpath
import re

from msgspec import Struct

from runner.base.constants import SUFFIXES
from runner.base.patterns import pattern

LEAD = "git+"
_FORM = pattern(
    r"git\+(?P<url>(?P<scheme>https|ssh)://(?P<user>[\w.-]+@)?[A-Za-z0-9][\w.-]*(?::\d+)?"
    r"/[\w.~/-]+?)@(?P<revision>[A-Za-z0-9_][\w./-]*)#(?P<path>[^#]+)\Z",
    re.ASCII,
)
FORM = "git+https://HOST/ORG/REPO@REF#path/base.yaml"


class Remote(Struct, frozen=True, kw_only=True):
    """A file of a repository: its address, the revision as it is said, its path in there."""

    url: str
    revision: str
    path: str

    @property
    def key(self) -> tuple[str, str]:
        """What a lock calls the repository at its revision."""
        return "base", f"{LEAD}{self.url}@{self.revision}"


class RemoteError(OSError):
    """A parent elsewhere cannot be read: `hint` is the way out."""

    def __init__(self, message: str, hint: str = "") -> None:
        super().__init__(message)
        self.hint = hint


def is_remote(file: str) -> bool:
    """Return whether a file is said to be in a repository elsewhere."""
    return file.startswith(LEAD)


def parse(file: str) -> Remote:
    """Return the parts of a file elsewhere. Raises RemoteError where it has another form."""
    match = _FORM.match(file)
    if match is None:
        raise RemoteError("this is no address of a file in a repository", f"write {FORM}")
    if match["scheme"] == "https" and match["user"]:
        why = "an https address names no user: git asks your credential helper"
        raise RemoteError(why, f"write {FORM}")
    path = match["path"]
    if posixpath.isabs(path) or posixpath.normpath(path) != path or path.startswith("../"):
        raise RemoteError(f"'{path}' leaves the repository", "name a file in it")
    if ".." in f"{match['url']}{match['revision']}":
        raise RemoteError("'..' is in its address or its revision", f"write {FORM}")
    if not path.endswith(SUFFIXES):
        raise RemoteError(f"a recipe's name ends in {' or '.join(SUFFIXES)}", "name a recipe")
    return Remote(url=match["url"], revision=match["revision"], path=path)


def join(file: str, target: str) -> str:
    """Return the parent that a file elsewhere names as `target`, in the same repository."""
    repository, _, path = file.partition("#")
    return f"{repository}#{posixpath.normpath(posixpath.join(posixpath.dirname(path), target))}"
