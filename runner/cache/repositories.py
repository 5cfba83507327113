"""Repositories that recipes extend a file of: fetched once into the cache, then read offline.

Nothing of a repository is checked out, so that none of its hooks, filters, links or submodules ever
does anything: single files are read out of git's own store.
"""

import hashlib
from collections.abc import Callable
from pathlib import Path

from runner.base.errors import RecipeError, UnfitError
from runner.cache import folder as cache
from runner.recipe.lock_file import COMMIT, Entries
from runner.recipe.remote import Remote, RemoteError, parse
from runner.recipe.yaml import MAX_BYTES
from runner.system import git

_LINK, _FILES = "120000", ("100644", "100755")


class RepositoryError(UnfitError):
    """A repository elsewhere cannot be fetched."""


def reader(recipe: str, entries: Entries) -> Callable[[str], bytes]:
    """Return what reads files elsewhere at the commits of a lock, and never asks a server.

    It raises RemoteError, with `recipe` in the way out.
    """

    def read(file: str) -> bytes:
        one = parse(file)
        fetch = f"fetch it: run-recipe lock {recipe}"
        entry = entries.get(one.key)
        if entry is None:
            raise RemoteError("it is not locked yet", fetch)
        place = _place(one.url)
        if place is None or not git.has_commit(place, entry.commit):
            raise RemoteError(f"commit {entry.commit[:12]} is not in the cache", fetch)
        return _file(place, one, entry.commit)

    return read


def _file(place: Path, one: Remote, commit: str) -> bytes:
    mode, name, size = git.entry(place, commit, one.path) or ("", "", 0)
    if mode == _LINK:
        raise RemoteError(f"{one.path} is a link, which is not followed", "name the file itself")
    if mode not in _FILES:
        raise RemoteError(f"there is no file {one.path} at {commit[:12]}", "name a file in it")
    if size > MAX_BYTES:
        raise RemoteError(f"it has {size:,} bytes, and a recipe at most {MAX_BYTES:,}", "split it")
    return git.content(place, name)


def _place(url: str) -> Path | None:
    top = cache.folder()
    return top / "git" / hashlib.sha256(url.encode()).hexdigest()[:24] if top else None


def fetch(one: Remote, commit: str = "") -> str:
    """Fetch the commit that a revision is now, or the one that is asked for; return it.

    What is here is not fetched again. Raises RepositoryError.
    """
    place = _place(one.url)
    if place is None:
        why = "a parent in a repository is kept in the cache, and RUN_RECIPE_CACHE is empty"
        raise RepositoryError(why, "name a folder in RUN_RECIPE_CACHE, or unset it")
    if commit and git.has_commit(place, commit):
        return commit
    trouble: Exception | None = None
    for name in dict.fromkeys((commit or one.revision, one.revision)):
        try:
            cache.make(place.parent)
            git.make_store(place)
            result = git.fetch(place, one.url, name)
        except (OSError, RecipeError) as error:
            trouble = error  # many servers give no commit by its name: its branch may hold it
            continue
        trouble = None
        if not commit or git.has_commit(place, commit):
            return commit or result
    if trouble is not None:
        raise _unreachable(one, str(trouble)) from trouble
    why = f"{one.url} has no commit {commit[:12]} at {one.revision} any more"
    raise RepositoryError(why, "renew the lock: run-recipe lock RECIPE --update")


def head(one: Remote) -> str:
    """Return the commit that a revision is now, as the server says. Raises RepositoryError."""
    if COMMIT.match(one.revision):
        return one.revision
    try:
        commit = git.head(one.url, one.revision)
    except (OSError, RecipeError) as error:
        raise _unreachable(one, str(error)) from error
    if not commit:
        why = f"{one.url} has no branch and no tag {one.revision}"
        raise RepositoryError(why, "correct the revision behind the '@'")
    return commit


def _unreachable(one: Remote, reason: str) -> RepositoryError:
    why = f"{one.url} cannot be fetched at {one.revision}: {reason}"
    return RepositoryError(why, "try what git says: git ls-remote " + one.url)
