"""What a recipe names and its lock in, the lock as it should be out, and what is another there."""

from collections.abc import Mapping, Sequence
from typing import Literal

from msgspec import Struct

from runner.base.errors import RecipeError
from runner.base.problems import offer
from runner.catalog import load
from runner.lock.names import LockNeed
from runner.recipe.lock_file import Entries, Entry, FileDigest
from runner.system import hub_client

ALL = ""
"""What renews every entry, where a name renews one."""


class LockChange(Struct, frozen=True, kw_only=True):
    """An entry that comes, goes or is another: its name, the commits, and files that differ."""

    what: Literal["new", "gone", "moved", "changed"]
    name: str
    old: str = ""
    new: str = ""
    files: tuple[str, ...] = ()


def renewed(
    needs: Sequence[LockNeed], bases: Entries, before: Entries, update: str | None
) -> Entries:
    """Return the entries that a lock should hold; those it has stay, but for what is renewed.

    `bases` are those of repositories, which are renewed already.

    `update` is None for nothing, ALL, or a name. Raises RecipeError for a name that is not there,
    HubError.
    """
    if update:
        _require(update, needs, bases)
    entries = dict(bases)
    for need in needs:
        stays = need.key in before and not (update == ALL or update in _words(need))
        entries[need.key] = before[need.key] if stays else entry(need)
    return entries


def entry(need: LockNeed) -> Entry:
    """Return what the hub says of a name now. Raises HubError."""
    commit = hub_client.commit_of(need.repository, need.kind, need.revision)
    patterns = () if need.whole else load.catalog().loads(need.kind)
    files = hub_client.files_of(need.repository, need.kind, commit, patterns)
    digests = {path: FileDigest(size=size, digest=text) for path, (size, text) in files.items()}
    return Entry(commit=commit, files=digests)


def _words(need: LockNeed) -> set[str | None]:
    return {need.name, need.repository}


def _require(name: str, needs: Sequence[LockNeed], bases: Entries) -> None:
    names = [*(need.name for need in needs), *(base for _, base in bases)]
    here = {word for need in needs for word in _words(need)}
    here |= {
        word for base in names for word in (base, base.removeprefix("git+").rpartition("@")[0])
    }
    if name not in here:
        raise RecipeError(f"the recipe names no '{name}'", offer(name, names))


def changes(before: Entries, after: Entries) -> list[LockChange]:
    """Return what is another in a lock, by name."""
    rows = []
    for key in sorted({*before, *after}):
        old, new = before.get(key), after.get(key)
        if old is None and new is not None:
            rows.append(LockChange(what="new", name=key[1], new=new.commit))
        elif new is None and old is not None:
            rows.append(LockChange(what="gone", name=key[1], old=old.commit))
        elif old is not None and new is not None and old != new:
            moved = old.commit != new.commit
            files = tuple(_differing(old.files, new.files))
            rows.append(
                LockChange(
                    what="moved" if moved else "changed",
                    name=key[1],
                    old=old.commit,
                    new=new.commit,
                    files=files,
                )
            )
    return rows


def _differing(old: Mapping[str, FileDigest], new: Mapping[str, FileDigest]) -> list[str]:
    return [path for path in sorted({*old, *new}) if old.get(path) != new.get(path)]
