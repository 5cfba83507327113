"""What the hub's client stores on this machine: its folder, and the token in it."""

import os
from collections.abc import Mapping
from pathlib import Path

from runner.base import secrets as secret
from runner.base.secrets import Mask
from runner.system import reader


def secrets(environ: Mapping[str, str]) -> frozenset[str]:
    """Return the secrets of an environment and of the hub's client, which must not slip out."""
    path = environ.get("HF_TOKEN_PATH")
    file = Path(path) if path else hub_home() / "token"
    try:
        token = reader.read_text(file, reader.NOTE).strip()
    except OSError:
        token = ""
    return secret.values(environ, [token])


def mask() -> Mask:
    """Return what masks the secrets of this process in all it prints and writes."""
    return Mask(secrets(os.environ))


def cache(environ: Mapping[str, str]) -> Path:
    """Return the folder where the hub's client keeps repositories."""
    home = environ.get("HF_HOME") or str(Path(environ.get("HOME", ".")) / ".cache" / "huggingface")
    return Path(environ.get("HF_HUB_CACHE") or Path(home) / "hub")


def snapshot(repository: str, kind: str, commit: str, folder: Path) -> Path:
    """Return where the hub's client keeps the files of a commit, below its cache `folder`."""
    return folder / f"{kind}s--{repository.replace('/', '--')}" / "snapshots" / commit


def commit(repository: str, kind: str, folder: Path, revision: str = "main") -> str:
    """Return the commit of a repository's revision in the client's cache `folder`, '' if none.

    The client asks the hub for a newer one when it loads, so this is what was loaded last.
    """
    place = folder / f"{kind}s--{repository.replace('/', '--')}"
    try:
        return reader.read_text(place / "refs" / revision, reader.NOTE).strip()
    except (OSError, ValueError):
        return ""


def hub_home() -> Path:
    """Return the folder where the hub's client keeps what it knows."""
    home = os.environ.get("HF_HOME")
    return Path(home) if home else Path("~").expanduser() / ".cache" / "huggingface"
