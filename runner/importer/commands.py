"""The words of a command in, the tool of the catalogue they start out."""

import posixpath
import re
from collections.abc import Mapping, Sequence
from typing import Any

from msgspec import Struct
from msgspec.structs import replace

from runner.catalog.tools import Catalog, Tool, applies

_STARTERS = {
    "arch", "caffeinate", "command", "conda", "doas", "env", "exec", "gtimeout", "hatch",
    "ionice", "mamba", "micromamba", "nice", "nohup", "pdm", "pipenv", "pixi", "poetry", "rye",
    "setsid", "stdbuf", "sudo", "taskset", "time", "timeout", "unbuffer", "uv", "uvx",
}  # fmt: skip
_HARMLESS = {
    ":", "[", "[[", "((", "cat", "cd", "date", "df", "du", "echo", "exit", "false", "free", "grep",
    "hash", "head", "hostname", "ls", "mkdir", "printf", "pwd", "return", "set", "shift", "shopt",
    "sleep", "sort", "tail", "tee", "test", "trap", "true", "ulimit", "umask",
    "uname", "unset", "wait", "wc", "which", "conda", "deactivate", "tput", "clear", "sysctl",
    "top",
}  # fmt: skip
_ASIDE = {
    "alias", "apt", "apt-get", "awk", "aws", "basename", "bg", "brew", "builtin", "chmod", "chown",
    "cmp", "complete", "cp", "curl", "cut", "defaults", "diff", "dirname", "dirs", "disown", "expr",
    "fg", "file", "getopts", "git", "gsutil", "gunzip", "gzip", "huggingface-cli", "install",
    "jobs", "jq", "kill", "killall", "less", "let", "ln", "logger", "lsof", "mail", "md5",
    "md5sum", "mkfifo", "mktemp", "module", "more", "mv", "nproc", "nvidia-smi", "open", "pbcopy",
    "pgrep", "ping", "pip", "pip3", "pkill", "pmset", "popd", "ps", "purge", "pushd", "read",
    "readlink", "realpath", "rm", "rmdir", "rsync", "say", "scp", "sed", "seq", "sha256sum",
    "shasum", "stat", "stty", "sw_vers", "sync", "tar", "times", "tmutil", "touch", "tr", "type",
    "unalias", "uniq", "unzip", "wget", "xattr", "xz", "yes", "zip", "zstd",
}  # fmt: skip
"""Programs that do something a recipe does not, and train nothing."""
_PARTS = {
    "conda": {"activate", "create", "deactivate", "env", "info", "install", "list"},
    "docker": {"image", "images", "info", "login", "ps", "pull", "rm", "rmi", "start", "stop"},
    "hf": {"auth", "cache", "env", "version"},
    "poetry": {"install", "lock", "sync", "update"},
    "uv": {"add", "cache", "lock", "pip", "python", "self", "sync", "tool", "venv"},
    "wandb": {"login", "offline", "online", "off", "on", "status", "sync"},
}
"""Of these it is the second word that says so."""
_MODULES = {"pip", "venv", "ensurepip", "compileall", "json.tool", "virtualenv"}
_ASKING = {
    "((", "[", "[[", "cmp", "command", "diff", "expr", "false", "grep", "hash", "let", "pgrep",
    "ping", "read", "test", "type", "which",
}  # fmt: skip
_INTERPRETERS = ("python", "bash", "sh", "zsh", "node", "perl", "ruby")
_SHELLS = {".", "source", "bash", "dash", "ksh", "sh", "zsh"}
_SPEAKING = {
    "[",
    "[[",
    "cat",
    "echo",
    "grep",
    "hash",
    "head",
    "ls",
    "printf",
    "tail",
    "tee",
    "test",
    "which",
}
SAYS_NOTHING = {"adapter", "adapters", "lora", "model", "out", "output", "outputs", "results"}


class Program(Struct, frozen=True, kw_only=True):
    """What a command starts: a tool and how many words name it, or one the catalogue lacks."""

    tool: Tool | None = None
    used: int = 0
    unknown: str = ""


def find(words: Sequence[str], catalog: Catalog) -> Program:
    """Return the tool that a command starts, also by a path, python -m, uv run and their like."""
    start = 0
    if words[:1] == ["command"] and words[1:2] in (["-v"], ["-V"]):
        return Program()  # it asks whether there is one
    if words and posixpath.basename(words[0]) in _STARTERS:
        start = 1
    for at in range(min(len(words), start + 1) if start == 0 else len(words)):
        program = _at(list(words[at:]), catalog)
        if program is not None:
            return Program(tool=program.tool, used=program.used + at, unknown=program.unknown)
    return Program()


def asks(name: str) -> bool:
    """Return whether a command is a condition: what follows it may not run."""
    return name in _ASKING


def aside(words: Sequence[str]) -> bool:
    """Return whether a command surely trains nothing: a program that is known, and no other."""
    words = without_starters(words)
    name = posixpath.basename(words[0]) if words else ":"
    if name in _PARTS:
        return bool(words[1:]) and words[1] in _PARTS[name]
    if re.fullmatch(r"python[\d.]*", name):
        module = words[2:3] if words[1:2] == ["-m"] else []
        return (module != [] and module[0] in _MODULES) or words[1:] in (["-V"], ["--version"])
    if name == "command":
        return words[1:2] in (["-v"], ["-V"])
    if name in _SHELLS:
        return not script(words) and "-c" not in words and words[1:] != []
    return harmless(name) or name in _ASIDE or (name == "find" and not _executes(words))


def _executes(words: Sequence[str]) -> bool:
    return any(word.startswith(("-exec", "-ok")) for word in words)


def without_starters(words: Sequence[str]) -> Sequence[str]:
    """Return a command without what only starts it: ``nohup``, ``timeout 10``, ``env A=1``."""
    while words and posixpath.basename(words[0]) in _STARTERS - _PARTS.keys() - {"command"}:
        words = words[1:]
        while words and (
            words[0].startswith("-") or re.fullmatch(r"[\d.]+[smhd]?|\w+=.*", words[0])
        ):
            words = words[1:]
    return words


def signature(words: Sequence[str]) -> str:
    """Return the words by which a command is left out: its name, and what that is given first."""
    name = posixpath.basename(words[0])
    plain = words[1:] and not words[1].startswith("-")
    count = 2 if plain or name.startswith(_INTERPRETERS) else 1
    return " ".join([name, *words[1:count]])


def harmless(name: str) -> bool:
    """Return whether a command changes nothing that a recipe would have to say."""
    return name in _HARMLESS


def script(words: Sequence[str]) -> str:
    """Return the file whose commands a command runs, "" for none: `bash FILE`, `. FILE`, `./FILE`.

    What activates an environment of Python is none.
    """
    name = posixpath.basename(words[0])
    files = [word for word in words[1:] if not word.startswith("-")] if name in _SHELLS else words
    file = files[0] if files and (name in _SHELLS or "/" in words[0]) else ""
    return "" if posixpath.basename(file) == "activate" else file


def speaks(name: str) -> bool:
    """Return whether a command takes its words for text, and runs none of them."""
    return name in _SPEAKING


def outputs(tool: Tool, params: Mapping[str, Any]) -> dict[str, str]:
    """Return the paths that a stage with these parameters makes; defaults count."""
    paths = {}
    for name, output in tool.outputs.items():
        if applies({"when": output.when}, params):
            path = params.get(output.param) if output.param else output.path
            if not output.param and path:
                values = {o.param: params.get(o.param) for o in tool.outputs.values() if o.param}
                path = path.format(**values)
            if isinstance(path, str) and path:
                paths[name] = path
    return paths


def _at(words: list[str], catalog: Catalog) -> Program | None:
    """Return the tool that these words begin with."""
    head = posixpath.basename(words[0])
    at = _option(words)
    if words[at : at + 1] and re.fullmatch(r"-m[A-Za-z]\S*", words[at]):  # as -m NAME
        program = _at([*words[:at], "-m", words[at][2:], *words[at + 1 :]], catalog)
        return None if program is None else replace(program, used=program.used - 1)
    if words[at : at + 1] == ["-m"] and len(words) > at + 1:
        if harmless(head):
            return None
        program = _module(words[at + 1 :], catalog)  # also "$PYTHON" -m
        return None if program is None else replace(program, used=program.used + at - 1)
    line = [head, *words[1:]]
    wrappers = (catalog.launcher, catalog.trainer)
    tools = [*wrappers, *(tool for name in catalog.names if (tool := catalog.get(name)))]
    for tool in sorted(tools, key=lambda tool: -len(tool.command)):
        if line[: len(tool.command)] == list(tool.command):
            return Program(tool=tool, used=len(tool.command))
    return _family(line, catalog)


def _option(words: Sequence[str]) -> int:
    """Return where the first word stands that is no option of Python's own, as -u or -W WORD."""
    at = 1
    while at < len(words) and re.fullmatch(r"-[bBdEiIOPqsSuvxWX]+\S*", words[at]):
        at += 2 if words[at] in {"-W", "-X"} else 1
    return at


def _module(words: list[str], catalog: Catalog) -> Program | None:
    """Return the tool that ``python -m`` with these words starts."""
    for name in catalog.names:
        tool = catalog.get(name)
        if tool is not None and words[0] == tool.main[0] and words[0] != "huggingface_hub.cli.hf":
            return Program(tool=tool, used=3)
    if words[0] == "runner":
        program = _at(["run-recipe", *words[1:]], catalog)
        return (
            None
            if program is None
            else Program(tool=program.tool, used=program.used + 2, unknown=program.unknown)
        )
    program = _family(words, catalog)
    return (
        None
        if program is None
        else Program(tool=program.tool, used=program.used + 2, unknown=program.unknown)
    )


def _family(words: list[str], catalog: Catalog) -> Program | None:
    """Return a tool of a package of trainers named as ``mlx_lm lora`` or ``mlx_lm.lora``."""
    head, *rest = words
    package = head.partition(".")[0]
    if package not in {name.partition(".")[0] for name in catalog.names if name.startswith("mlx")}:
        return None
    if head == package and rest:
        name, used = f"{package}.{rest[0]}", 2
    elif head.startswith(f"{package}."):
        name, used = head, 1
    else:
        return None
    tool = catalog.get(name)
    return Program(tool=tool, used=used) if tool else Program(tool=None, used=used, unknown=name)
