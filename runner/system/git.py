"""Files as git keeps them: read at a revision, without touching the checkout."""

import hashlib
import os
import re
import shutil
import signal
import subprocess
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import suppress
from functools import cache
from pathlib import Path, PurePosixPath

from msgspec import Struct, field

from runner.base.constants import BUILTIN, SUFFIXES
from runner.base.errors import RecipeError
from runner.base.patterns import pattern
from runner.base.problems import listing, suggest
from runner.system import files

# A hook runs with these set to the repository it is for; ours is the one a recipe lies in.
_FOREIGN = ("GIT_DIR", "GIT_WORK_TREE", "GIT_INDEX_FILE", "GIT_PREFIX", "GIT_COMMON_DIR")
# Nobody is asked, and nothing fetched: what a partial clone lacks may have a program for its URL.
_CALM = {
    "LC_ALL": "C",
    "GIT_OPTIONAL_LOCKS": "0",
    "GIT_TERMINAL_PROMPT": "0",
    "GIT_ALLOW_PROTOCOL": "none",
    "GIT_NO_LAZY_FETCH": "1",
}
# What git would start by itself, as git-config(1) has it, and how it is told not to.
_OFF = (
    ("core.fsmonitor", "false"),
    ("core.hooksPath", os.devnull),
    ("core.pager", "cat"),
    ("core.editor", "false"),
    ("core.sshCommand", "false"),
    ("core.askPass", ""),
    ("core.alternateRefsCommand", ""),
    ("credential.helper", ""),
    ("diff.external", ""),
    ("gpg.program", "false"),
    ("log.showSignature", "false"),
    ("status.submoduleSummary", "false"),
    ("protocol.allow", "never"),
    ("safe.bareRepository", "explicit"),
)
_PROGRAM = pattern(
    r"(alias|pager|interactive)\..+|filter\..+\.(clean|smudge|process|required)"
    r"|diff\..+\.command|merge\..+\.driver|(difftool|mergetool)\..+\.cmd"
    r"|credential\..+\.helper|gpg\..+\.program|submodule\..+\.update"
    r"|remote\..+\.(uploadpack|receivepack|vcs|proxy)|core\.gitproxy",
    re.DOTALL | re.IGNORECASE,
)


class Revision(Struct, kw_only=True):
    """A commit of the repository at `top`; `name` is what the user called it.

    `outside` are requested files that are not in the repository; they are read as they are now.
    """

    name: str
    commit: str
    top: Path
    outside: dict[str, None] = field(default_factory=dict)
    _texts: dict[str, bytes | None] = field(default_factory=dict)

    def __str__(self) -> str:
        return (
            self.name if self.commit.startswith(self.name) else f"{self.name} ({self.commit[:7]})"
        )

    def read(self, file: str) -> bytes:
        """Return a recipe's bytes as they were then. Raises OSError.

        A shipped recipe has no other revision than the installed one.
        """
        if file.startswith(BUILTIN):
            return files.read(file)
        path = self.path(file)
        if path is None:
            self.outside[file] = None
            return files.read(file)
        if path not in self._texts:
            self._texts[path] = self._blob(path)
        data = self._texts[path]
        if data is None:
            raise FileNotFoundError(2, f"not in {self}", file)
        return data

    def beside(self, file: str) -> tuple[str, ...]:
        """Return the names of recipes near a path as they were then, as a recipe would say them."""
        if file.startswith(BUILTIN):
            return files.beside(file)
        folder = str(PurePosixPath(file).parent)
        return tuple(self.recipes(folder, deep=False))

    def recipes(self, folder: str, *, deep: bool = True) -> Iterator[str]:
        """Yield the YAML files of a folder as they were then, named as files of `folder`."""
        path = self.path(f"{folder}/x")
        if path is None:
            return
        inside = path.removesuffix("x")
        words = ("ls-tree", "-z", "--name-only", *(("-r",) if deep else ()), self.commit)
        output = _git(self.top, *words, "--", *((inside,) if inside else ()))
        for name in (output or b"").decode("utf-8", "surrogateescape").split("\0"):
            if name.endswith(SUFFIXES):
                yield str(PurePosixPath(folder) / name.removeprefix(inside))

    def path(self, file: str) -> str | None:
        """Return what the repository calls a file, None if it lies outside."""
        real = _real(file)
        return real.relative_to(self.top).as_posix() if real.is_relative_to(self.top) else None

    def foreign(self, file: str) -> bool:
        """Return whether a file is neither the repository's nor a shipped one."""
        return not file.startswith(BUILTIN) and self.path(file) is None

    def file_of(self, path: str) -> str:
        """Return a path as git says it, from the repository's top, as a file of this process."""
        if path.startswith(("./", "../")):
            return path
        return os.path.relpath(self.top / path).replace(os.sep, "/")

    def before(self, file: str, now: "Revision | None" = None) -> str | None:
        """Return what a file was called then, where git takes it for a renamed one.

        `now` is the revision it has its name in, None for the checkout.
        """
        words = (
            "diff",
            "--name-status",
            "-z",
            "--find-renames",
            "--diff-filter=R",
            "--no-ext-diff",
            "--no-textconv",
            "--ignore-submodules=all",
        )
        output = _git(self.top, *words, self.commit, *((now.commit,) if now else ()), "--") or b""
        names = output.decode("utf-8", "surrogateescape").split("\0")
        moves = dict(zip(names[2::3], names[1::3], strict=False))
        path = moves.get(self.path(file) or "")
        return None if path is None else self.file_of(path)

    def _blob(self, path: str) -> bytes | None:
        """Return a file's bytes, following links inside the repository; None where it is none."""
        if "\n" in path:
            return None
        words = ("cat-file", "--batch", "--follow-symlinks")
        output = _git(self.top, *words, text=os.fsencode(f"{self.commit}:{path}\n")) or b""
        head, _, rest = output.partition(b"\n")
        kind = head.split(b" ")[1:2]
        return rest[:-1] if kind == [b"blob"] else None


def revision(name: str, file: str) -> Revision:
    """Return the commit that `name` means in the repository that contains `file`.

    Raises RecipeError if there is no git, no repository, or no such commit.
    """
    top = repository(file)
    output = _git(top, "rev-parse", "--verify", "--quiet", "--end-of-options", f"{name}^{{commit}}")
    if output is None:
        raise _unknown(name, top)
    return Revision(name=name, commit=output.decode().strip(), top=top)


def names(file: str) -> list[str]:
    """Return what revisions are called where a file lies: the last ones, branches and tags.

    Nothing if there is no git, no repository, or no commit in it.
    """
    try:
        top = repository(file)
    except RecipeError:
        return []
    output = _git(top, "rev-list", "--first-parent", "--max-count=4", "HEAD", "--") or b""
    last = ["HEAD", "HEAD~1", "HEAD~2", "HEAD~3"][: len(output.split())]
    return [*last, *_refs(top)]


def fork(one: str, other: str, file: str) -> Revision:
    """Return the last commit that two revisions have in common. Raises RecipeError."""
    first, second = revision(one, file), revision(other, file)
    output = _git(first.top, "merge-base", first.commit, second.commit)
    if output is None:
        hint = "the clone may be too shallow: git fetch --unshallow" if _shallow(first.top) else ""
        raise RecipeError(f"{one} and {other} have no commit in common", hint)
    return Revision(name=f"{one}...{other}", commit=output.decode().strip(), top=first.top)


def repository(file: str) -> Path:
    """Return the top folder of the repository a file or folder lies in. Raises RecipeError."""
    folder = Path(os.path.realpath(file if Path(file).is_dir() else Path(file).parent))
    folder = next(one for one in (folder, *folder.parents) if one.is_dir())
    hint = "compare it with another recipe or a run: run-recipe diff RECIPE OTHER"
    try:
        call = _run(folder, ("rev-parse", "--show-toplevel"))
    except FileNotFoundError:
        raise RecipeError(
            "git is not installed, and comparing with a revision needs it", hint
        ) from None
    if call.returncode == 0:
        return Path(os.path.realpath(call.stdout.decode("utf-8", "surrogateescape").rstrip("\n")))
    output = call.stderr.decode(errors="replace").strip().splitlines()
    if output and "not a git repository" not in output[0]:
        raise RecipeError(
            f"git: {output[0].removeprefix('fatal: ')}", "\n".join(output[1:]).strip()
        )
    raise RecipeError(f"{file} is not in a git repository", hint)


def state(folder: Path, patience: float) -> dict[str, object]:
    """Return the commit that is checked out and whether files differ; {} outside of git."""
    ask = ("status", "--porcelain", "--untracked-files=no", "--ignore-submodules=all")
    try:
        head = _run(folder, ("rev-parse", "HEAD"), patience=patience)
        status = _run(folder, ask, patience=patience)
    except (OSError, subprocess.SubprocessError):
        return {}
    if head.returncode or status.returncode:
        return {}
    return {"revision": head.stdout.decode().strip(), "dirty": bool(status.stdout.strip())}


def in_workspace() -> Callable[[str], str]:
    """Return what says a file's name in the workspace: where GitHub, or git, has its top folder.

    A file that lies outside keeps its name.
    """
    try:
        top = Path(os.path.realpath(os.environ.get("GITHUB_WORKSPACE") or repository("here")))
    except RecipeError:
        top = Path(os.path.realpath("."))

    def within(file: str) -> str:
        real = _real(file)
        return real.relative_to(top).as_posix() if real.is_relative_to(top) else file

    return within


def _real(file: str) -> Path:
    """Return where a file lies, itself not followed where it is a link."""
    return Path(os.path.realpath(Path(file).parent)) / Path(file).name


def _unknown(name: str, top: Path) -> RecipeError:
    """Return the error for a name that stands for no commit, with what may be in the way."""
    why = f"no revision '{name}'"
    if _git(top, "rev-parse", "--verify", "--quiet", "HEAD") is None:
        return RecipeError(why, "the repository has no commits yet")
    if _shallow(top):
        hint = "this clone is shallow: git fetch --unshallow, or fetch-depth: 0 in actions/checkout"
        return RecipeError(why, hint)
    refs = _refs(top)
    hint = suggest(name, refs, f"there are: {listing(refs, 6)}")
    return RecipeError(why, f"{hint}; a recipe ends with .yaml, a run is a folder or an id")


def _refs(top: Path) -> list[str]:
    """Return the short names of branches and tags, also those of other repositories."""
    output = _git(top, "for-each-ref", "--format=%(refname:short)") or b""
    return output.decode(errors="replace").split()


def _shallow(top: Path) -> bool:
    return _git(top, "rev-parse", "--is-shallow-repository") == b"true\n"


def _git(folder: Path, *words: str, text: bytes = b"") -> bytes | None:
    """Return what git prints, None if it fails."""
    process = _run(folder, words, text)
    return process.stdout if process.returncode == 0 else None


def _run(
    folder: Path, words: tuple[str, ...], text: bytes = b"", patience: float | None = None
) -> "subprocess.CompletedProcess[bytes]":
    """Call git in a folder: no program that the repository's own settings name is started.

    Every call of git goes through here. A repository may be a stranger's, with its ``.git/config``.
    Raises OSError, and TimeoutExpired after `patience` seconds.
    """
    settings = [word for name, value in _OFF for word in ("-c", f"{name}={value}")]
    return _plain(folder, (*settings, *words), _without(_programs(folder)), text, patience)


def _plain(
    folder: Path,
    words: Sequence[str],
    settings: Mapping[str, str],
    text: bytes = b"",
    patience: float | None = None,
) -> "subprocess.CompletedProcess[bytes]":
    env = {name: value for name, value in os.environ.items() if name not in _FOREIGN}
    return subprocess.run(
        ["git", "--no-pager", "--no-optional-locks", *words],
        cwd=folder,
        env={**env, **_CALM, **settings},
        input=text,
        capture_output=True,
        check=False,
        timeout=patience,
    )


@cache
def _programs(folder: Path) -> tuple[str, ...]:
    """Return the settings of a repository that name a program, under names of its own choice."""
    process = _plain(folder, ("config", "--list", "--name-only", "-z"), {})
    names = process.stdout.decode("utf-8", "surrogateescape").split("\0")
    return tuple(dict.fromkeys(name for name in names if _PROGRAM.fullmatch(name)))


def _without(names: Sequence[str]) -> dict[str, str]:
    """Return what empties settings for one call; as variables, for a name may hold a ``=``."""
    variables = {"GIT_CONFIG_COUNT": str(len(names))}
    for at, name in enumerate(names):
        value = "false" if name.endswith(".required") else ""
        variables |= {f"GIT_CONFIG_KEY_{at}": name, f"GIT_CONFIG_VALUE_{at}": value}
    return variables


# -- repositories elsewhere: the only calls of git that speak to a server

MAX_FETCH = 64 << 20
"""Bytes of a repository elsewhere that are kept, and stop a fetch."""
_PATIENCE = 300.0
_ONLINE = (
    ("core.hooksPath", os.devnull),
    ("core.fsmonitor", "false"),
    ("fetch.recurseSubmodules", "false"),
    ("fetch.fsckObjects", "true"),
    ("gc.auto", "0"),
    ("maintenance.auto", "false"),
    ("protocol.allow", "never"),
    ("protocol.https.allow", "always"),
    ("protocol.ssh.allow", "always"),
)


def make_store(place: Path) -> None:
    """Make an empty store of git, which has no files checked out. Raises OSError, RecipeError."""
    if not (place / "HEAD").exists():
        template = ("--template=", "--bare", "--quiet")
        _online(place.parent, ("init", *template, "--", str(place)))


def fetch(place: Path, url: str, revision: str) -> str:
    """Fetch a revision, without what came before it, into a store; return its commit.

    Only https and ssh are spoken, submodules left where they are. Raises OSError, RecipeError.
    """
    ref = f"refs/kept/{hashlib.sha256(revision.encode()).hexdigest()[:16]}"
    words = ("fetch", "--quiet", "--depth=1", "--no-tags", "--no-recurse-submodules", "--force")
    _online(place, ("--git-dir=.", *words, "--", url, f"{revision}:{ref}"), place)
    output = _git(place, "--git-dir=.", "rev-parse", "--verify", "--quiet", f"{ref}^{{commit}}")
    if output is None:
        raise RecipeError(f"{revision} is no commit")
    return output.decode().strip()


def head(url: str, revision: str) -> str:
    """Return the commit of a branch or a tag of a server, '' where it has none.

    Raises OSError, RecipeError.
    """
    names = (f"refs/tags/{revision}^{{}}", f"refs/tags/{revision}", f"refs/heads/{revision}")
    output = _online(Path.cwd(), ("ls-remote", "--quiet", "--", url, *names))
    rows = (line.split("\t") for line in output.decode(errors="replace").splitlines())
    commits = {row[1]: row[0] for row in rows if len(row) == 2}  # noqa: PLR2004
    return next((commits[name] for name in names if name in commits), "")


def has_commit(place: Path, commit: str) -> bool:
    """Return whether a store holds a commit."""
    return (
        place.is_dir()
        and _git(place, "--git-dir=.", "cat-file", "-e", f"{commit}^{{commit}}") is not None
    )


def entry(place: Path, commit: str, path: str) -> tuple[str, str, int] | None:
    """Return mode, name and bytes of a path of a commit, links not followed; None without one."""
    words = ("--git-dir=.", "--literal-pathspecs", "ls-tree", "--long", "-z", commit, "--", path)
    output = (_git(place, *words) or b"").decode("utf-8", "surrogateescape")
    rows = [row.partition("\t") for row in output.split("\0") if row]
    fields = next((head.split() for head, _, name in rows if name == path), None)
    if fields is None:
        return None
    mode, _, name, size = fields
    return mode, name, int(size) if size.isdigit() else 0


def content(place: Path, name: str) -> bytes:
    """Return the bytes that a store calls `name`. Raises FileNotFoundError."""
    output = _git(place, "--git-dir=.", "cat-file", "blob", name)
    if output is None:
        raise FileNotFoundError(2, "git cannot read it", name)
    return output


def _online(folder: Path, words: tuple[str, ...], store: Path | None = None) -> bytes:
    """Call git where it may ask a server; it is stopped where the `store` grows beyond MAX_FETCH.

    What the user's own configuration says of proxies and credentials holds; the store is ours.
    """
    env = {name: value for name, value in os.environ.items() if name not in _FOREIGN}
    env |= {
        "LC_ALL": "C",
        "GIT_TERMINAL_PROMPT": "0",
        "GIT_ALLOW_PROTOCOL": "https:ssh",
        "GIT_PROTOCOL_FROM_USER": "0",
    }
    env.setdefault("GIT_SSH_COMMAND", "ssh -o BatchMode=yes")
    settings = [word for name, value in _ONLINE for word in ("-c", f"{name}={value}")]
    end = time.monotonic() + _PATIENCE
    with subprocess.Popen(
        ["git", "--no-pager", *settings, *words],
        cwd=folder,
        env=env,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        start_new_session=True,
    ) as process:
        while True:
            try:
                output, errors = process.communicate(timeout=0.1)
                break
            except subprocess.TimeoutExpired:
                large = store is not None and _size(store) > MAX_FETCH
                if large or time.monotonic() > end:
                    os.killpg(process.pid, signal.SIGKILL)
                    process.communicate()
                    if large and store is not None:
                        shutil.rmtree(store, ignore_errors=True)
                    what = f"it has more than {MAX_FETCH:,} bytes" if large else "it takes too long"
                    raise RecipeError(what) from None
    if process.returncode:
        lines = errors.decode(errors="replace").strip().splitlines() or ["git failed"]
        raise RecipeError(lines[-1].removeprefix("fatal: "))
    if store is not None and _size(store) > MAX_FETCH:
        raise RecipeError(f"it has more than {MAX_FETCH:,} bytes")
    return output


def _size(store: Path) -> int:
    total = 0
    for above, _, names in os.walk(store):
        for name in names:
            with suppress(OSError):
                total += os.lstat(os.path.join(above, name)).st_size  # noqa: PTH118
    return total
