"""The commands of a script in, the stages of a recipe out, and what could not be imported.

A command becomes a stage; a path that an earlier command wrote becomes a reference to that stage.
"""

import posixpath
import re
import shlex
import textwrap
from collections.abc import Iterator, Mapping, Sequence
from itertools import pairwise, takewhile
from typing import Any

from msgspec import Struct, field
from msgspec.structs import replace

from runner.base.constants import RUN_DIR
from runner.base.problems import Mark, Problem
from runner.catalog.tools import Catalog, Tool
from runner.importer import arguments, commands, mention
from runner.importer.arguments import NOT_FOLLOWED, Argument, ScriptValue, missing_value
from runner.importer.bash import Command, Script, Word, WordPart, is_assignment, script
from runner.importer.config_file import settings
from runner.importer.files import Read, ScriptFiles, UnreadableError
from runner.importer.flow import Flow
from runner.importer.stages import StageDraft, StageOutputs, fit, settle
from runner.importer.variables import Variables, unfilled
from runner.plan.train_options import nested
from runner.recipe.node import MISSING

_OWN = re.compile(r"Made by run-recipe from (.*); it does the same without the runner\.")
MAX_COMMANDS = 1000
"""So many commands of a script become stages."""
_CALLED = 48
_EXPECT = "expect: "
_CONTINUE = "continue: "
_VARS = re.compile(r"\bvars\.")
_COMPOUNDS = {"if": "a condition", "case": "a case", "function": "a function"}
_COMPOUNDS |= {"&&": "a condition", "||": "a condition"}
_COMPOUNDS |= dict.fromkeys(("for", "while", "until", "select"), "a loop")


class Adoption(Struct, kw_only=True):
    """What a script amounts to; `problems` are those of no stage.

    `own` says that the runner wrote it, `terse` that it says every parameter, chosen or not;
    `unused` is what was to be left out, and is not there.
    """

    file: str
    variables: Variables = field(default_factory=Variables)
    stages: list[StageDraft] = field(default_factory=list)
    problems: list[Problem] = field(default_factory=list)
    comments: list[str] = field(default_factory=list)
    name: str = ""
    description: str = ""
    own: bool = False
    terse: bool = False
    unused: list[str] = field(default_factory=list)


def adopt(
    text: str, file: str, catalog: Catalog, read: Read, leave_out: Sequence[str] = ()
) -> Adoption:
    """Read a script; `read` returns the bytes of the files it names, or raises OSError.

    Commands that begin with the words of one of `leave_out` are left out: they train nothing.
    """
    walk = _Walk(file, catalog, read, leave_out)
    parse_tree = script(text, file)
    walk.functions = parse_tree.functions
    for command in parse_tree.commands:
        walk.command(command)
    walk.finish(text, parse_tree)
    return walk.adoption


class _Walk:
    """Follows a script command by command."""

    def __init__(self, file: str, catalog: Catalog, read: Read, leave_out: Sequence[str]) -> None:
        self.leave_out = [one.split() for one in leave_out]
        self.functions: frozenset[str] = frozenset()
        self.flow = Flow(label=lambda words: self.label(words[0], [*words]))
        self.adoption = Adoption(file=file)
        self.catalog = catalog
        self.variables = self.adoption.variables
        self.files = ScriptFiles(read, self.variables)
        self.pending: tuple[str, Sequence[str]] | None = None
        self.compounds: set[Mark] = set()
        self.outputs = StageOutputs()
        self.full = False
        self.matches: list[list[str]] = []
        self.begun = False
        self.exports: list[Word] = []
        self.before: tuple[Mark, str] | None = None  # the last command's words, as text

    def command(self, command: Command) -> None:
        if not self.begun:
            self.head(command)
        words = list(command.words)
        own = list(takewhile(is_assignment, words))
        words = words[len(own) :]
        self.flow.begin(command)
        self.inner(command)
        if not words:
            for word in own:
                self.assign(word, command)
            return
        for word in own:
            self.environment(word.parts[0].text, word.mark)
        argv = [
            Argument(text=text, mark=word.mark)
            for word in words
            for text in self.variables.words(word)
        ]
        plain = [self.variables.text(one.text) for one in argv]
        program = commands.find(plain, self.catalog)
        if self.flow.end is not None:
            self.behind(self.flow.end, program, command)
            return
        self.note_pipe(plain, program, command)
        if program.tool is not None and command.inside is not None:
            self.compound(command.inside)
        elif program.tool is not None and (why := self.flow.doubt(command)):
            self.cannot(command.mark, why, "write a stage for it, or a profile")
        elif program.tool is not None:
            self.stage(program, argv, command)
        else:
            self.other(plain, argv, command, program)
        if program.tool is None or plain[0] == "exec":
            self.flow.pass_by(plain, command)

    def behind(self, end: tuple[Mark, str], program: commands.Program, command: Command) -> None:
        """Tell a tool behind the end of the script, which never runs."""
        if program.tool is not None:
            mark, last = end
            why = (
                f"it never runs, so it is not a stage: '{last}' in line {mark.line} ends the script"
            )
            self.note(command.mark, why, "write a stage for it if it should run")

    def inner(self, command: Command) -> None:
        """Tell a command of mlx-lm inside of a substitution, which becomes no stage."""
        words = [*command.words, *(one.word for one in command.redirects if one.span is None)]
        for word in words:
            for part in _every(word):
                if part.kind == "unknown" and (name := mention.name(part.text, self.catalog)):
                    self.no_stage(word.mark, f"{name} runs in '{self.label(part.text, [''])}'")

    def note_pipe(self, plain: list[str], program: commands.Program, command: Command) -> None:
        """Tell a command of mlx-lm that is only text here, and that the next command runs."""
        runs = program.tool is None and not commands.harmless(posixpath.basename(plain[0]))
        if command.sign in {"|", "|&"} and runs and self.before is not None:
            mark, text = self.before
            if name := mention.call(text, self.catalog):
                self.no_stage(mark, f"'{self.label(plain[0], plain)}' runs {name}")
        self.before = (command.mark, " ".join(plain))

    def no_stage(self, mark: Mark, why: str) -> None:
        """Tell a command of mlx-lm that no stage does."""
        self.cannot(mark, f"{why}, but no stage does", "write a stage for it")

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
        """Follow what gives a variable its value, or an array its words."""
        name, _, first = word.parts[0].text.partition("=")
        plain = name.rstrip("+")
        parts = (replace(word.parts[0], text=first), *word.parts[1:])
        why = self.flow.dependency()
        if command.inside is not None:
            kind, mark = command.inside
            why = f"a value that depends on {_COMPOUNDS[kind]} in line {mark.line}"
        if "[" in name:
            self.variables.forget(name.partition("[")[0])
        elif word.items is not None:
            self.variables.array(plain, word.items, why, more=plain != name)
        else:
            value = self.variables.word(replace(word, parts=parts))
            set_ = self.variables.assign if plain == name else self.variables.append
            set_(plain, value, word.mark, why)

    def other(
        self, plain: list[str], words: list[Argument], command: Command, program: commands.Program
    ) -> None:
        """Follow a command that is not a tool: what it assigns and what it writes."""
        name = posixpath.basename(plain[0])
        if name in {"export", "declare", "local", "readonly", "typeset"}:
            for word in filter(is_assignment, command.words[1:]):
                self.assign(word, command)
                if name == "export":
                    self.exports.append(word)
        elif name == "shift" or plain[:2] == ["set", "--"]:
            self.shift(plain, command)
        elif name == "mkdir":
            self.folder(plain, command)
        elif name in {"cat", "tee", "echo", "printf"}:
            self.files.record(name, plain, command)
        elif name in {"cd", "pushd"}:
            self.moves(words[1:], command)
        else:
            self.omit(name, plain, command, program)

    def omit(
        self, name: str, plain: list[str], command: Command, program: commands.Program
    ) -> None:
        """Say that a command is left out, where that is to be said."""
        if program.unknown:
            self.cannot(command.mark, f"a recipe has no tool {program.unknown}", "run it yourself")
        elif (run := self.runs(name, plain)) or (
            run := self.files.runs(commands.script(plain), self.catalog)
        ):
            self.no_stage(command.mark, f"'{self.label(name, plain)}' runs {run}")
        elif self.is_silent(name, plain):
            return
        elif self.trains_nothing(plain):
            if (command.inside or ("",))[0] != "function":
                why = f"'{self.label(name, plain)}' is not a tool of a recipe: it is left out"
                self.note(command.mark, why, "run it before the recipe, or separately")
        else:
            self.unknown(name, plain, command)

    def is_silent(self, name: str, plain: list[str]) -> bool:
        """Return whether a command needs no report: those in a function are reported with it."""
        if name in {".", "source"} and not commands.script(plain):
            return True
        return commands.harmless(name) or name in self.functions

    def trains_nothing(self, plain: list[str]) -> bool:
        """Return whether a command surely trains nothing, by itself or because the user says so."""
        words = [self.variables.display(word) for word in commands.without_starters(plain)]
        words[:1] = [posixpath.basename(word) for word in words[:1]]
        matches = [one for one in self.leave_out if words[: len(one)] == one]
        self.matches += [one for one in matches if one not in self.matches]
        return bool(matches) or commands.aside(plain) or self.files.is_readable(plain)

    def unknown(self, name: str, plain: list[str], command: Command) -> None:
        """Tell a command that may train: nobody knows what it starts."""
        words = [self.variables.display(word) for word in commands.without_starters(plain)]
        short = shlex.quote(commands.signature(words)) if words else name
        why = f"'{self.label(name, plain)}' may train, but no stage does"
        hint = f"write a stage for it; if it trains nothing, import with --leave-out {short}"
        self.cannot(command.mark, why, hint)

    def runs(self, name: str, plain: list[str]) -> str:
        """Return the command of mlx-lm that a command may run, "" for none."""
        text = " ".join(plain)
        if name == "alias":
            return mention.name(text, self.catalog)
        if commands.speaks(name):
            return ""
        return mention.call(text, self.catalog) or self.files.runs(
            commands.script(plain), self.catalog
        )

    def moves(self, words: list[Argument], command: Command) -> None:
        """Tell that paths are relative to another folder: the script's own, or any other."""
        parts = [part for word in words for part in self.variables.parts(word.text)]
        text = "".join(str(getattr(part, "name", part)) for part in parts)
        folder = posixpath.dirname(command.mark.file)
        if "dirname" in text or "BASH_SOURCE" in text:
            if folder:
                why = f"cd: the script's paths are relative to '{folder}', where it is"
                self.note(command.mark, why, f"run the recipe in {folder}, or anchor the paths")
        elif text not in {"", "."}:
            why = "cd: what follows is relative to another folder; the recipe keeps it unchanged"
            self.cannot(command.mark, why, "anchor the paths, for example with {{ recipe.dir }}")

    def label(self, name: str, plain: list[str]) -> str:
        """Return a command as people recognize it."""
        line = " ".join([name, *plain[1:]])
        return textwrap.shorten(self.variables.display(line), _CALLED, placeholder=" …")

    def shift(self, plain: list[str], command: Command) -> None:
        """Follow where the arguments of the script move."""
        by = plain[1] if plain[1:] else "1"
        before = self.variables.shift_count
        sure = plain[0] == "shift" and by.isdigit() and command.inside is None
        self.variables.shift_count = before + int(by) if sure and before is not None else None

    def environment(self, text: str, mark: Mark) -> None:
        """Say that a variable is for the commands themselves, and no value of a parameter."""
        name = text.partition("=")[0]
        why = f"the script sets {name}, but the recipe does not"
        self.note(mark, why, f"export {name} before you run the recipe")

    def finish(self, text: str, parse_tree: Script) -> None:
        """Say which exported variables no command reads itself, and every problem in words."""
        self.account(text, parse_tree)
        self.adoption.unused = [" ".join(o) for o in self.leave_out if o not in self.matches]
        for word in self.exports:
            if word.parts[0].text.partition("=")[0] not in self.variables.read:
                self.environment(word.parts[0].text, word.mark)
        for problems in (self.adoption.problems, *(stage.notes for stage in self.adoption.stages)):
            display = self.variables.display
            problems[:] = [
                replace(o, message=display(o.message), hint=display(o.hint)) for o in problems
            ]

    def account(self, text: str, parse_tree: Script) -> None:
        """Tell each command of mlx-lm in the script's text that was not looked at.

        What a here-document holds is one where it begins a line of it, or where a program is fed
        with it that is none of those that only write it down.
        """
        spans = [*parse_tree.comments, *(command.span for command in parse_tree.commands)]
        for command in parse_tree.commands:
            for span in (one.span for one in command.redirects if one.span is not None):
                spans.append(span)
                body, name = text[slice(*span)], command.words[0].plain if command.words else ""
                mentions = mention.line_starts(body, self.catalog)
                if not commands.harmless(posixpath.basename(name or "")):
                    mentions = mention.outside(body, (), self.catalog)
                for at, run in mentions:
                    self.no_stage(parse_tree.mark(span[0] + at), f"{run} is in a here-document")
        for at, run in mention.outside(text, spans, self.catalog):
            self.no_stage(parse_tree.mark(at), f"{run} is where import does not look")
        for one, value in self.variables.unread():
            if run := mention.name(value, self.catalog):
                why = f"{run} is in {one.display}, which no command here reads"
                self.no_stage(one.mark or parse_tree.mark(0), why)

    def folder(self, plain: list[str], command: Command) -> None:
        """Take the name of the next stage from the folder our own scripts make for it."""
        match = re.fullmatch(re.escape(RUN_DIR) + r"/([A-Za-z_]\w*)", plain[-1])
        if self.adoption.own and match:
            self.pending = (match.group(1), command.comments)

    def compound(self, inside: tuple[str, Mark]) -> None:
        kind, mark = inside
        if mark not in self.compounds:
            self.compounds.add(mark)
            why = f"{_COMPOUNDS[kind]}: its commands cannot be followed and are left out"
            self.cannot(mark, why, "write a stage for each, or a profile")

    def beyond(self, mark: Mark) -> None:
        """Tell once that a script has more commands than a recipe may have stages."""
        if not self.full:
            self.cannot(
                mark, f"import makes at most {MAX_COMMANDS:,} stages of a script", "split it"
            )
        self.full = True

    def cannot(self, mark: Mark, why: str, hint: str = "") -> None:
        self.adoption.problems.append(Problem(mark=mark, message=why, rule=NOT_FOLLOWED, hint=hint))

    def note(self, mark: Mark, why: str, hint: str = "") -> None:
        self.adoption.problems.append(
            Problem(mark=mark, message=why, rule="left-out", hint=hint, severity="warning")
        )

    def stage(self, program: commands.Program, words: list[Argument], command: Command) -> None:
        """Make a stage of a tool's command."""
        tool = program.tool
        if tool is None:
            return
        if len(self.adoption.stages) == MAX_COMMANDS:
            self.beyond(command.mark)
            return
        around = self.prefix_keys(words[: program.used])
        unplaced: list[str] = []
        rest = words[program.used :]
        while tool is not None and tool.name not in self.catalog.names:
            outer, inner = _launcher_words(rest)
            result = arguments.parse(outer, tool, self.variables)
            self.adoption.problems += result.problems
            unplaced += result.unplaced
            values = {
                k: g.signs if g.value is MISSING else g.value for k, g in result.values.items()
            }
            around |= self.keys(tool, values)
            plain = [self.variables.text(one.text) for one in inner]
            inner_program = commands.find(plain, self.catalog)
            if inner_program.tool is None:
                self.cannot(command.mark, "what it starts is not a tool of a recipe")
                return
            tool, rest = inner_program.tool, inner[inner_program.used :]
        result = arguments.parse(rest, tool, self.variables)
        draft = StageDraft(
            name="", tool=tool, mark=command.mark, values=result.values, around=around
        )
        draft.notes += result.problems
        draft.invalid |= result.invalid
        draft.unplaced += [*unplaced, *result.unplaced]
        self.configure(draft, result.config)
        self.dress(draft, command)
        self.adoption.stages.append(draft)

    def prefix_keys(self, words: Sequence[Argument]) -> dict[str, Any]:
        """Return what stands before a tool's own words as keys of its stage."""
        around: dict[str, Any] = {}
        for before, word in pairwise(words):
            text, starter = self.variables.text(word.text), self.variables.text(before.text)
            if re.match(r"[A-Za-z_]\w*=", text):
                self.environment(text, word.mark)
            elif posixpath.basename(starter) in {"timeout", "gtimeout"}:
                if limit := re.fullmatch(r"(\d+)([smhd]?)", text):
                    days = limit[2] == "d"
                    number = int(limit[1]) * 24 if days else int(limit[1])
                    around["timeout"] = f"{number}{'h' if days else limit[2] or 's'}"
                else:
                    why = f"'{starter} {self.variables.display(text)}' before it is left out"
                    self.note(word.mark, why, "write timeout: in the stage")
        return around

    def keys(self, outer: Tool, values: Mapping[str, Any]) -> dict[str, Any]:
        """Return what a launcher or a trainer is told, as a stage's own keys."""
        changes = {k: value for k, value in values.items() if value != outer.defaults.get(k)}
        if outer is self.catalog.launcher:
            return {"launch": changes or {"backend": outer.defaults["backend"]}}
        return nested(changes)

    def configure(self, draft: StageDraft, config: Argument | None) -> None:
        """Add what a stage's configuration file says."""
        if config is None:
            return
        try:
            file = self.files.open(config)
        except UnreadableError as error:
            self.adoption.problems.append(error.problem)
            draft.unplaced.append(f"{draft.tool.config_flag} {self.variables.display(config.text)}")
            return
        more, problems = settings(file, draft.tool, draft.values)
        draft.values = {**draft.values, **more}
        draft.notes += [*problems, *self.bash_values(more)]

    def bash_values(self, values: Mapping[str, ScriptValue]) -> Iterator[Problem]:
        """Yield what a file leaves to bash."""
        for name, one in values.items():
            for signs in _texts(one.signs if one.value is MISSING else one.value):
                variable = self.variables.strange(signs)
                if variable is not None:
                    yield missing_value(variable, name, one.mark)

    def dress(self, draft: StageDraft, command: Command) -> None:
        """Give a stage its name and its words, then settle its paths."""
        if self.pending is not None:
            draft.name, comments = self.pending
            first = comments[0].partition(": ")[2] if comments else ""
            rows = [first, *comments[1:]] if first else [*comments[1:]]
            expectations = [r.removeprefix(_EXPECT) for r in rows if r.startswith(_EXPECT)]
            draft.expect = [line for line in expectations if not _VARS.search(line)]
            for line in expectations:
                if line not in draft.expect:
                    why = f"expect: {line} reads vars that are not in the script"
                    self.note(command.mark, why, "add them, and the expectation")
            if any(row.startswith(_CONTINUE) for row in rows):
                draft.around["continue"] = True
            words = [row for row in rows if not row.startswith((_EXPECT, _CONTINUE))]
            draft.description = "\n".join(words)
            self.pending = None
        else:
            draft.comments = [] if self.adoption.own else list(command.comments)
        fit(draft, self.variables)
        settle(draft, self.outputs, self.variables)


def _every(word: Word) -> Iterator[WordPart]:
    """Yield the parts of a word, and of what stands for those that are not set."""
    for part in word.parts:
        yield part
        if part.otherwise is not None:
            yield from _every(part.otherwise)
    for item in word.items or ():
        yield from _every(item)


def _texts(value: Any) -> Iterator[str]:
    """Yield the texts inside a value that the script leaves to bash."""
    inside = value.values() if isinstance(value, dict) else value if isinstance(value, list) else ()
    for child in inside:
        yield from _texts(child)
    if isinstance(value, str) and unfilled(value):
        yield value


def _launcher_words(words: list[Argument]) -> tuple[list[Argument], list[Argument]]:
    """Return a launcher's own words and those of what it starts."""
    for at, word in enumerate(words):
        if word.text == "--":
            return words[:at], words[at + 1 :]
    for at, word in enumerate(words):
        before = words[at - 1].text if at else ""
        if not word.text.startswith("-") and (not before.startswith("-") or "=" in before):
            return words[:at], words[at:]
    return words, []
