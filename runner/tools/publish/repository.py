"""A repository of the hub, written to in one commit and checked afterwards."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from runner.base.errors import ToolError
from runner.base.problems import listing

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

WEIGHTS = (".safetensors", ".gguf", ".safetensors.index.json")


class Repository:
    """A repository of models; huggingface_hub knows the hub's address and who is asking."""

    def __init__(self, repo_id: str, revision: str | None, *, private: bool) -> None:
        try:
            from huggingface_hub import HfApi
        except ImportError as error:
            why = f"the hub's client cannot be used: {error}; pip install huggingface_hub"
            raise ToolError(why) from error

        self.api = HfApi()
        self.repo_id = repo_id
        self.revision = revision
        self.private = private
        self.deleted: list[str] = []

    def open(self) -> None:
        """Make the repository and its branch where they are not there.

        Raises ToolError for one that everybody can read if a private one is wanted: the hub
        would take the files and leave it as it is.
        """
        self.api.create_repo(self.repo_id, private=self.private, exist_ok=True)
        info = self.api.repo_info(self.repo_id)
        if self.private and not info.private:
            raise ToolError(
                f"{self.repo_id} is already public, but the files should be private; set "
                "private: false, or name another repository"
            )
        if self.revision:
            self.api.create_branch(self.repo_id, branch=self.revision, exist_ok=True)

    def make_room(self, files: Mapping[str, Path], *, replace: bool) -> None:
        """Note the weights that must go: mlx-lm loads every model*.safetensors of a repository.

        Raises ToolError if there are some and they are not to be replaced.
        """
        stale = [name for name in self.entries() if name.endswith(WEIGHTS) and name not in files]
        if stale and not replace:
            raise ToolError(
                f"{self.repo_id} contains weights that this upload does not replace: "
                f"{listing(stale, 3)}; mlx-lm would load them too. Set replace: true to delete "
                "them, or name another repository or revision"
            )
        self.deleted = stale

    def entries(self, revision: str | None = None) -> dict[str, Any]:
        """Return the files of the repository by name."""
        from huggingface_hub.hf_api import RepoFile

        tree = self.api.list_repo_tree(
            self.repo_id, recursive=True, revision=revision or self.revision
        )
        return {one.path: one for one in tree if isinstance(one, RepoFile)}

    def upload(self, files: Mapping[str, Path], message: str) -> str:
        """Commit the files, look whether they arrived, and return the commit. Raises ToolError."""
        from huggingface_hub import CommitOperationAdd, CommitOperationDelete

        added = [
            CommitOperationAdd(path_in_repo=name, path_or_fileobj=path)
            for name, path in files.items()
        ]
        deletions = [CommitOperationDelete(path_in_repo=name) for name in self.deleted]
        done = self.api.create_commit(
            self.repo_id, [*added, *deletions], commit_message=message, revision=self.revision
        )
        commit = str(done.oid)
        entries = self.entries(commit)
        for one in added:
            there = entries.get(one.path_in_repo)
            large = getattr(there, "lfs", None)
            same = there is not None and there.size == one.upload_info.size
            if large is not None:
                same = same and large.sha256 == one.upload_info.sha256.hex()
            if not same:
                state = "is not there" if there is None else "has different content"
                raise ToolError(
                    f"the hub accepted commit {commit}, and {one.path_in_repo} {state}: upload "
                    "again"
                )
        return commit
