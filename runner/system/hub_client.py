"""What the hub says of a repository: the commit of a revision, its files; and its files here.

All of it is huggingface_hub's: the hub's address, the token, the cache. It is imported when the hub
is asked, and never before.
"""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from runner.base.errors import UnfitError

_NO_CLIENT = "pip install huggingface_hub"


class HubError(UnfitError):
    """The hub does not give what it is asked for: the message says what, the hint why."""


class NotThereError(HubError):
    """The hub has no such repository, revision or file, or shows it to others."""


def commit_of(repository: str, kind: str, revision: str) -> str:
    """Return the commit that a revision is now. Raises HubError."""
    with _asking(f"{repository}@{revision}" if revision else repository):
        from huggingface_hub import HfApi

        info = HfApi().repo_info(repository, repo_type=kind, revision=revision or None)
        return str(info.sha)


def files_of(
    repository: str, kind: str, commit: str, patterns: Sequence[str]
) -> dict[str, tuple[int, str]]:
    """Return bytes and digest of a commit's files that fit one of the patterns, if there are any.

    A large file's digest is ``sha256:…``; of others the hub knows git's: ``git:…``.
    Raises HubError.
    """
    with _asking(f"{repository}@{commit}"):
        from huggingface_hub import HfApi
        from huggingface_hub.hf_api import RepoFile
        from huggingface_hub.utils._paths import filter_repo_objects

        tree = HfApi().list_repo_tree(repository, recursive=True, revision=commit, repo_type=kind)
        entries = {one.path: one for one in tree if isinstance(one, RepoFile)}
        names = filter_repo_objects(entries, allow_patterns=[*patterns] or None)
        return {name: (entries[name].size, _digest(entries[name])) for name in names}


def _digest(entry: object) -> str:
    large = getattr(entry, "lfs", None)
    return f"sha256:{large.sha256}" if large else f"git:{getattr(entry, 'blob_id', '')}"


def download(
    repository: str, kind: str, revision: str, patterns: Sequence[str], *, offline: bool = False
) -> Path:
    """Return the folder of a revision's files, downloaded where the cache lacks some.

    With `offline` nobody is asked. Raises HubError.
    """
    with _asking(f"{repository}@{revision}"):
        from huggingface_hub import snapshot_download

        folder = snapshot_download(
            repository,
            repo_type=kind,
            revision=revision,
            allow_patterns=[*patterns] or None,
            local_files_only=offline,
        )
        return Path(folder)


@contextmanager
def _asking(what: str) -> Iterator[None]:
    """Turn what the client raises into a HubError about `what`."""
    try:
        from huggingface_hub import errors
    except ImportError as error:
        raise UnfitError(f"the hub's client cannot be used: {error}", _NO_CLIENT) from error
    try:
        yield
    except errors.GatedRepoError as error:
        hint = "accept its terms on its page of the hub, and log in: hf auth login"
        raise NotThereError(f"the hub does not show {what} to you: it is gated", hint) from error
    except errors.RevisionNotFoundError as error:
        hint = "name a branch, a tag or a commit of it"
        raise NotThereError(f"the hub has no {what}", hint) from error
    except errors.RepositoryNotFoundError as error:
        hint = "correct the name; a private one needs a login: hf auth login"
        raise NotThereError(f"the hub has no {what}, or does not show it to you", hint) from error
    except errors.LocalEntryNotFoundError as error:
        hint = "connect to the network, or copy the hub's cache from a machine that has it"
        why = f"{what} is not whole in the hub's cache, and the hub cannot be reached"
        raise HubError(why, hint) from error
    # What its own client raises is its HTTPError, whichever package that is of.
    except (OSError, ValueError, getattr(errors, "HTTPError", OSError)) as error:
        raise _unreachable(what, error) from error


def _unreachable(what: str, error: Exception) -> HubError:
    reason = next((line for line in str(error).splitlines() if line.strip()), type(error).__name__)
    why = f"the hub cannot be asked about {what}: {reason}"
    return HubError(why, "try again later, or check HF_ENDPOINT and the network")
