"""The commands of a script in, the stages of a recipe out, and what the script did not achieve.

A command becomes a stage; a path that an earlier command wrote becomes a reference to that stage.
"""

import posixpath
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import takewhile
from typing import Any

from runner.core import arguments, program
from runner.core.arguments import NOT_FOLLOWED, Argument
from runner.core.catalog import Catalog, Tool
from runner.core.expansion import Variables
from runner.core.fitting import Adopted, fitted, settle
from runner.core.naming import RUN_DIR
from runner.core.problem import Mark, Problem
from runner.core.quoting import Word
from runner.core.settings import File, settings, unreadable
from runner.core.shell import Command, commands, is_assignment
from runner.core.trainer import nested

Read = Callable[[str], bytes]
_OWN = re.compile(r"Made by run-recipe from (.*); it does the same without the runner\.")
_EXPECT = "expect: "
_CONTINUE = "continue: "
_VARS = re.compile(r"\bvars\.")
_COMPOUNDS = {"if": "a condition", "case": "a case", "function": "a function"}
_COMPOUNDS |= dict.fromkeys(("for", "while", "until", "select"), "a loop")


@dataclass(slots=True)
class Adoption:
    """What a script amounts to; `problems` are those of no stage.

    `own` says that the runner wrote it, `terse` that it says every parameter, chosen or not.
    """

    file: str
    variables: Variables = field(default_factory=Variables)
    stages: list[Adopted] = field(default_factory=list)
    problems: list[Problem] = field(default_factory=list)
    comments: list[str] = field(default_factory=list)
    name: str = ""
    description: str = ""
    own: bool = False
    terse: bool = False


def adopt(text: str, file: str, catalog: Catalog, read: Read) -> Adoption:
    """Read a script; `read` returns the bytes of the files it names, or raises OSError."""
    walk = _Walk(file, catalog, read)
    for command in commands(text, file):
        walk.command(command)
    walk.finish()
    return walk.adoption


class _Walk:
    """Follows a script command by command."""

    def __init__(self, file: str, catalog: Catalog, read: Read) -> None:
        self.adoption = Adoption(file)
        self.catalog, self.read = catalog, read
        self.files: dict[str, File] = {}
        self.variables = self.adoption.variables
        self.pending: tuple[str, Sequence[str]] | None = None
        self.told: set[Mark] = set()
        self.begun = False
        self.exported: list[Word] = []

    def command(self, command: Command) -> None:
        if not self.begun:
            self.head(command)
        words = list(command.words)
        own = list(takewhile(is_assignment, words))
        words = words[len(own) :]
        if not words:
            for word in own:
                self.assign(word, command)
            return
        for word in own:
            self.environment(word)
        said = [Argument(text, word.mark) for word in words for text in self.variables.words(word)]
        plain = [self.variables.text(one.text) for one in said]
        found = program.find(plain, self.catalog)
        if found.tool is not None and command.inside is not None:
            self.compound(command.inside)
        elif found.tool is not None and command.sign == "||":
            self.cannot(command.mark, "it runs only where the command before it fails")
        elif found.tool is not None:
            self.stage(found, said, command)
        else:
            self.other(plain, said, command, found)

    def head(self, command: Command) -> None:
        """Take the comments above a script's first command for the recipe's."""
        self.begun = True
        own = next((m for line in command.comments if (m := _OWN.match(line))), None)
        if own is not None:
            self.adoption.own = self.adoption.terse = True
            self.variables.assign("RUN_DIR", RUN_DIR, command.mark)
        lines = [line for line in command.comments if not _OWN.match(line)]
        if own is None and command.words and command.words[0].plain == "set":
            self.adoption.comments = lines
        elif own is not None and lines:
            self.adoption.name, _, first = lines[0].partition(": ")
            self.adoption.description = "\n".join([first, *lines[1:]]).strip()

    def assign(self, word: Word, command: Command) -> None:
        name, equals, first = word.parts[0].text.partition("=")
        parts = (replace(word.parts[0], text=first), *word.parts[1:])
        value = self.variables.word(replace(word, parts=parts))
        why = ""
        if command.inside is not None:
            kind, mark = command.inside
            why = f"it depends on {_COMPOUNDS[kind]} in line {mark.line}"
        if name.endswith("+") or not equals:
            name, why = name.rstrip("+"), "it is put together from several lines"
        self.variables.assign(name, value, word.mark, why)

    def other(
        self, plain: list[str], said: list[Argument], command: Command, found: program.Program
    ) -> None:
        """Follow a command that is no tool: what it assigns and what it writes."""
        name = posixpath.basename(plain[0])
        if name in {"export", "declare", "local", "readonly", "typeset"}:
            for word in filter(is_assignment, command.words[1:]):
                self.assign(word, command)
                if name == "export":
                    self.exported.append(word)
        elif name == "mkdir":
            self.folder(plain, command)
        elif name in {"cat", "tee", "echo", "printf"}:
            self.writes(name, plain, command)
        elif name == "cd" and not _to_itself(said[1:], self.variables):
            why = "cd: what follows is relative to another folder; the recipe says it as it stands"
            self.cannot(command.mark, why, "anchor the paths, as with {{ recipe.dir }}")
        elif found.unknown:
            self.cannot(command.mark, f"a recipe has no tool {found.unknown}", "run it yourself")
        elif not program.harmless(name) and command.inside is None:
            why = f"{name} is no tool of a recipe: it is left out"
            self.note(command.mark, why, "run it before, or beside the recipe")

    def environment(self, word: Word) -> None:
        """Say that a variable is for the commands themselves, and no value of a parameter."""
        name = word.parts[0].text.partition("=")[0]
        why = f"{name} is in the environment of the commands: a recipe does not set it"
        self.note(word.mark, why, f"export {name} before you run the recipe")

    def finish(self) -> None:
        """Say which exported variables no command reads itself."""
        for word in self.exported:
            if word.parts[0].text.partition("=")[0] not in self.variables.read:
                self.environment(word)

    def folder(self, plain: list[str], command: Command) -> None:
        """Take the name of the next stage from the folder our own scripts make for it."""
        found = re.fullmatch(re.escape(RUN_DIR) + r"/([A-Za-z_]\w*)", plain[-1])
        if self.adoption.own and found:
            self.pending = (found.group(1), command.comments)

    def writes(self, name: str, plain: list[str], command: Command) -> None:
        """Remember the text of a file that the script writes."""
        target = next((r.word for r in command.redirects if r.sign in {">", "1>", ">|"}), None)
        text = next((r.word for r in command.redirects if r.sign in {"<<", "<<-"}), None)
        if name == "tee" and len(plain) > 1:
            path = plain[-1]
        elif target is not None:
            path = self.variables.text(self.variables.word(target))
        else:
            return
        if text is not None:
            body = self.variables.text(self.variables.word(text))
            self.files[posixpath.normpath(path)] = File(body, text.mark)
        elif name in {"echo", "printf"}:
            mark = command.words[-1].mark
            words = [word for word in plain[1:] if not word.startswith("-")]
            body = " ".join(words).replace("\\n", "\n")
            self.files[posixpath.normpath(path)] = File(body, mark)

    def compound(self, inside: tuple[str, Mark]) -> None:
        kind, mark = inside
        if mark not in self.told:
            self.told.add(mark)
            why = f"{_COMPOUNDS[kind]}: its commands cannot be followed, and are left out"
            self.cannot(mark, why, "write a stage for each, or a profile")

    def cannot(self, mark: Mark, why: str, hint: str = "") -> None:
        self.adoption.problems.append(Problem(mark, why, NOT_FOLLOWED, hint))

    def note(self, mark: Mark, why: str, hint: str = "") -> None:
        self.adoption.problems.append(Problem(mark, why, "left-out", hint, severity="warning"))

    def stage(self, found: program.Program, said: list[Argument], command: Command) -> None:
        """Make a stage of a tool's command."""
        tool = found.tool
        if tool is None:
            return
        around: dict[str, Any] = {}
        rest = said[found.used :]
        while tool is not None and tool.name not in self.catalog.names:
            outer, inner = _divided(rest)
            parsed = arguments.parse(outer, tool, self.variables)
            self.adoption.problems += parsed.problems
            around |= self.keys(tool, {k: one.value for k, one in parsed.given.items()})
            plain = [self.variables.text(one.text) for one in inner]
            next_found = program.find(plain, self.catalog)
            if next_found.tool is None:
                self.cannot(command.mark, "what it starts is no tool of a recipe")
                return
            tool, rest = next_found.tool, inner[next_found.used :]
        parsed = arguments.parse(rest, tool, self.variables)
        adopted = Adopted("", tool, command.mark, parsed.given, around=around)
        adopted.notes += parsed.problems
        self.configure(adopted, parsed.config)
        self.dress(adopted, command)
        self.adoption.stages.append(adopted)

    def keys(self, outer: Tool, given: Mapping[str, Any]) -> dict[str, Any]:
        """Return what a launcher or a trainer is told, as a stage's own keys."""
        told = {k: value for k, value in given.items() if value != outer.defaults.get(k)}
        if outer is self.catalog.launcher:
            return {"launch": told or {"backend": outer.defaults["backend"]}}
        return nested(told)

    def configure(self, adopted: Adopted, config: Argument | None) -> None:
        """Add what a stage's configuration file says."""
        if config is None:
            return
        path = self.variables.text(config.text)
        file = self.files.get(posixpath.normpath(path))
        if file is None:
            try:
                text = self.read(path).decode("utf-8-sig", "replace")
            except OSError as error:
                self.adoption.problems.append(unreadable(config.mark, path, error))
                return
            file = File(text, Mark(path, 1, 1))
        more, problems = settings(file, adopted.tool, adopted.given)
        adopted.given = {**adopted.given, **more}
        adopted.notes += problems

    def dress(self, adopted: Adopted, command: Command) -> None:
        """Give a stage its name and its words, then settle its paths."""
        if self.pending is not None:
            adopted.name, comments = self.pending
            first = comments[0].partition(": ")[2] if comments else ""
            rows = [first, *comments[1:]] if first else [*comments[1:]]
            said = [r.removeprefix(_EXPECT) for r in rows if r.startswith(_EXPECT)]
            adopted.expect = [line for line in said if not _VARS.search(line)]
            for line in said:
                if line not in adopted.expect:
                    why = f"expect: {line} reads vars, which the script does not hold"
                    self.note(command.mark, why, "add them, and the expectation")
            if any(row.startswith(_CONTINUE) for row in rows):
                adopted.around["continue"] = True
            words = [row for row in rows if not row.startswith((_EXPECT, _CONTINUE))]
            adopted.description = "\n".join(words)
            self.pending = None
        else:
            adopted.comments = [] if self.adoption.own else list(command.comments)
        fitted(adopted)
        settle(adopted, self.adoption.stages)


def _divided(words: list[Argument]) -> tuple[list[Argument], list[Argument]]:
    """Return a launcher's own words and those of what it starts."""
    for at, word in enumerate(words):
        if word.text == "--":
            return words[:at], words[at + 1 :]
    for at, word in enumerate(words):
        before = words[at - 1].text if at else ""
        if not word.text.startswith("-") and (not before.startswith("-") or "=" in before):
            return words[:at], words[at:]
    return words, []


def _to_itself(words: list[Argument], variables: Variables) -> bool:
    """Say whether cd goes where the script stands, or nowhere."""
    text = "".join(str(getattr(p, "name", p)) for w in words for p in variables.parts(w.text))
    return text in {"", "."} or "dirname" in text or "BASH_SOURCE" in text
