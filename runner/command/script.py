"""A plan in, a bash script out that does the same without run-recipe."""

import json
import re
from collections.abc import Iterable, Iterator, Sequence
from typing import Any

from runner.base import visible
from runner.base.constants import HUB, RUN_DIR
from runner.base.patterns import pattern
from runner.catalog.tools import Catalog, Tool
from runner.command.argv import Invocation, command
from runner.plan.model import Pin, Plan, Stage
from runner.plan.pins import downloads

_HEADER = pattern(
    r"^# Made by run-recipe from (.*); it does the same without the runner\.$", re.MULTILINE
)
_STAGE = pattern(r'mkdir -p "\$RUN_DIR/(.+)"')
_OPTION = pattern(r"  (--[\w.-]+)[= ]?(.*?)(?: \\)?\Z")
# What shlex.quote leaves as it is.
_PLAIN = pattern(r"[\w@%+=:,./-]+\Z", re.ASCII)
_SAFE = pattern(r"[A-Za-z0-9_./@:+,=%-]*\Z")
# What the script sets, and a recipe cannot say: recipe/yaml refuses it.
_VARIABLE = pattern(rf"\$\{{(RUN_DIR|{HUB}[A-Z0-9_]+)\}}")
_DOWNLOAD = ("hf", "download")


def script(plan: Plan, catalog: Catalog) -> str:
    """Return the plan as a script: one option a line, configuration files as here-documents."""
    return "".join(lines(plan, catalog))


def lines(plan: Plan, catalog: Catalog) -> Iterator[str]:
    """Yield the lines of the script, one after the other: a long one need never be whole."""
    invocations = [command(stage, catalog) for stage in plan.stages]
    parts = (_stage(*both) for both in zip(plan.stages, invocations, strict=True))
    pins = downloads(plan.stages, catalog)
    names = {*programs(invocations, catalog.launcher), *(_DOWNLOAD[:1] if pins else ())}
    fetches = (_download(one, catalog) for one in pins.values())
    for part in (_head(plan), path_lookup(sorted(names)), *fetches, *parts):
        for line in part:
            yield f"{line}\n"


def programs(invocations: Iterable[Invocation], launcher: Tool) -> list[str]:
    """Return the programs that commands start, each once, and those that a launcher starts."""
    names = set()
    for one in invocations:
        names.add(one.command[0])
        if one.command == launcher.command:
            names.add(next(words[1] for words in one.options if words[0] == "--"))
    return sorted(names)


def path_lookup(names: Sequence[str]) -> Iterator[str]:
    """Yield the lines that find programs on the PATH, or else beside run-recipe, or end there.

    An installation by ``uv tool`` or pipx puts run-recipe alone on the PATH, as a link to where all
    of them are.
    """
    if not names:
        return
    yield 'if here=$(readlink -f "$(command -v run-recipe)" 2> /dev/null); then'
    yield '  PATH="$PATH:${here%/*}"'
    yield "fi"
    yield f"if ! hash {' '.join(map(visible.word, names))}; then"
    yield '  echo "$0 needs these programs on the PATH: activate the environment that has them" >&2'
    yield "  exit 1"
    yield "fi"


def source_recipe(text: str) -> str | None:
    """Return the recipe that a script was made from, as it was called then; None for another."""
    match = _HEADER.search(text)
    return match[1] if match else None


def stage_words(text: str) -> dict[str, dict[str, Any]]:
    """Return the words of each stage's command in one of our scripts: its flags and its config."""
    stages: dict[str, dict[str, Any]] = {}
    here: dict[str, Any] = {}
    config: list[str] | None = None
    for line in text.splitlines():
        if config is not None and line != "JSON":
            config.append(line)
        elif config is not None:
            here |= _settings("\n".join(config))
            config = None
        elif stage := _STAGE.fullmatch(line):
            here = stages.setdefault(stage[1], {})
        elif line.startswith("cat > "):
            config = []
        elif option := _OPTION.match(line):
            here[option[1]] = option[2]
    return stages


def _settings(text: str) -> dict[str, Any]:
    """Return what a here-document says, {} if that is no JSON."""
    for document in (text, re.sub(r"\\([\\$`])", r"\1", text)):
        try:
            return dict(json.loads(document))
        except ValueError:
            continue
    return {}


def quote(word: str) -> str:
    """Return a word as bash reads it; the run directory stays a variable.

    All that a plan puts into a script goes through here, or is a comment or a here-document.
    """
    if _PLAIN.match(word):
        return word
    name, equals, value = word.partition("=")
    if word.startswith("--") and equals and _SAFE.match(name):
        return f"{name}={_quote(value)}" if value else f"{name}="
    return _quote(word)


def _quote(word: str) -> str:
    if not _VARIABLE.search(word):
        return visible.word(word)
    parts = _VARIABLE.split(word)  # a text, a variable, a text, …
    texts = parts[::2]
    if all(_SAFE.match(part) for part in texts):
        texts = [*texts]
        return '"' + "".join(_woven(texts, [f"${name}" for name in parts[1::2]])) + '"'
    texts = [visible.word(part) if part else "" for part in texts]
    return "".join(_woven(texts, [f'"${name}"' for name in parts[1::2]]))


def _woven(texts: Sequence[str], variables: Sequence[str]) -> Iterator[str]:
    for text, variable in zip(texts, variables, strict=False):
        yield text + variable
    yield texts[-1]


def _head(plan: Plan) -> Iterator[str]:
    yield "#!/usr/bin/env bash"
    yield from _comment(f"{plan.name}: {plan.description}" if plan.description else plan.name)
    yield f"# Made by run-recipe from {_line(plan.file)}; it does the same without the runner."
    yield "set -euo pipefail"
    yield from _run_dir(f"runs/{plan.name}/script")
    yield 'if [ -e "$RUN_DIR" ]; then'
    yield '  echo "$RUN_DIR exists: name a new one, as in RUN_DIR=runs/again bash $0" >&2'
    yield "  exit 1"
    yield "fi"
    for name, value in plan.env.items():
        yield f"export {name}={quote(value)}"


def _run_dir(path: str) -> Iterator[str]:
    """Yield what names the run's folder where the environment does not."""
    if _SAFE.match(path):
        yield f': "${{RUN_DIR:={path}}}"'
    else:
        yield f'[ -n "${{RUN_DIR:-}}" ] || RUN_DIR={quote(path)}'


def _download(one: Pin, catalog: Catalog) -> Iterator[str]:
    """Yield what names the folder of a pinned name; it is quiet to print that and nothing else."""
    yield ""
    yield from _comment(f"{one.repository} at {one.commit or one.revision}")
    kind = () if one.kind == "model" else (f"--repo-type={one.kind}",)
    words = (*_DOWNLOAD, one.repository, "--revision", one.commit or one.revision)
    lines = [_option((*words, *kind, "--quiet"))]
    lines += [_option((f"--include={pattern}",)) for pattern in catalog.loads(one.kind)]
    yield f'{one.variable}="$({f" {chr(92)}{chr(10)}  ".join(lines)})"'


def _stage(stage: Stage, invocation: Invocation) -> Iterator[str]:
    yield ""
    yield from _comment(f"{stage.name}: {stage.description}" if stage.description else stage.name)
    if stage.continues:
        yield "# continue: run-recipe --resume resumes it; this script restarts from the beginning"
    if stage.timeout is not None:
        yield f"# timeout: {stage.timeout:g} s under run-recipe; this script waits"
    if stage.retry.attempts > 1:
        yield f"# retry: {stage.retry.attempts} attempts under run-recipe; this script makes one"
    for condition in stage.expect:
        yield from _comment(f"expect: {condition}")
    yield f"mkdir -p {quote(f'{RUN_DIR}/{stage.name}')}"
    yield from _config(invocation)
    lines = [_option(invocation.command), *(_option(words) for words in invocation.options)]
    yield " \\\n  ".join(lines)


def _option(words: tuple[str, ...]) -> str:
    return " ".join(quote(word) for word in words)


def _config(invocation: Invocation) -> Iterator[str]:
    """Yield the here-document; only one that names the run directory is expanded by bash."""
    text, path = invocation.config, invocation.config_path
    if text is None or path is None:
        return
    expands = bool(_VARIABLE.search(text))
    if expands:
        parts = _VARIABLE.split(text)
        texts = [re.sub(r"[\\$`]", r"\\\g<0>", part) for part in parts[::2]]
        text = "".join(_woven(texts, [f"${{{name}}}" for name in parts[1::2]]))
    yield f"cat > {quote(path)} <<{'JSON' if expands else chr(39) + 'JSON' + chr(39)}"
    yield text.rstrip("\n")
    yield "JSON"


def _comment(text: str) -> Iterator[str]:
    for line in text.strip().splitlines():
        yield f"# {visible.line(line)}".rstrip()


def _line(text: str) -> str:
    return visible.line(" ".join(text.split()))
