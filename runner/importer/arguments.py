"""The arguments of a command in, the parameters that its tool's own parser would return out.

The catalogue defines the flags. They are read like argparse does: unique prefixes, ``=`` or the
next argument, the last of a repeated flag, lists up to the next flag (T20, T21).
"""

import json
import re
from collections.abc import Callable, Sequence
from typing import Any

from msgspec import Struct, field
from msgspec.structs import replace

from runner.base.problems import Mark, Problem, as_yaml, suggest
from runner.catalog.tools import Parameter, Tool
from runner.importer.variables import Variable, Variables, unfilled
from runner.recipe.node import MISSING, Node, locate

REFUSED = "refused-by-mlx"
IGNORED = "ignored-by-mlx"
NOT_FOLLOWED = "not-followed"
_NEGATIVE = re.compile(r"-\d+$|-\d*\.\d+$")  # argparse's own
_READ: dict[str, Callable[[str], Any]] = {
    "integer": int,
    "number": float,
    "object": json.loads,
    "boolean": lambda text: text.lower() not in {"false", "f"},
}
_ANY = {"type": ["integer", "number", "string"]}
_TRUTHS = {"true", "t", "false", "f"}
_WORDS = {"integer": "a whole number", "number": "a number", "object": "JSON"}


class Argument(Struct, frozen=True, kw_only=True):
    """A word with signs for its variables, and its place."""

    text: str
    mark: Mark


class ScriptValue(Struct, frozen=True, kw_only=True):
    """A parameter's value, its text with signs for variables where it is one word, its place.

    A value that the script does not say is MISSING; in a list or a mapping its signs stand there.
    `template` is what a recipe says for it instead; `node` is where it is in a file.
    """

    value: Any
    mark: Mark
    signs: str | None = None
    template: str | None = None
    node: Node | None = None

    def place(self, path: Sequence[str | int]) -> Mark:
        """Return the place of what is at `path` inside the value."""
        if self.node is None or not path:
            return self.mark
        inside = locate(self.node, path).key_mark
        return Mark(
            file=self.mark.file,
            line=self.mark.line + inside.line - self.node.line,
            column=inside.column,
        )


class ParseResult(Struct, kw_only=True):
    """What a tool's parser makes of its arguments; `config` is the file that it would read.

    `invalid` are the parameters it would fail at, `unplaced` the words that may be options, which
    only bash knows.
    """

    values: dict[str, ScriptValue] = field(default_factory=dict)
    config: Argument | None = None
    problems: list[Problem] = field(default_factory=list)
    invalid: set[str] = field(default_factory=set)
    unplaced: list[str] = field(default_factory=list)


def parse(words: Sequence[Argument], tool: Tool, variables: Variables) -> ParseResult:
    """Read the words after a tool's command."""
    return _Parser(words, tool, variables).parse()


class _Parser:
    def __init__(self, words: Sequence[Argument], tool: Tool, variables: Variables) -> None:
        self.words = list(words)
        self.tool = tool
        self.variables = variables
        self.result = ParseResult()
        self.flags: dict[str, Parameter | None] = dict.fromkeys(tool.config_flags)
        self.places: list[Parameter] = []
        for parameter in tool.parameters.values():
            if parameter.emit == "positional":
                self.places.append(parameter)
            elif parameter.flag:
                names = (parameter.flag, *parameter.aliases, parameter.off)
                self.flags |= {name: parameter for name in names if name}

    def parse(self) -> ParseResult:
        loose: list[Argument] = []
        while self.words:
            word = self.words.pop(0)
            if word.text == "--":
                loose += self.words
                self.words = []
            elif self.is_flag(word):
                self.flag(word)
            else:
                loose.append(word)
        self.positional(loose)
        return self.result

    def is_flag(self, word: Argument) -> bool:
        """Return whether argparse takes a word for a flag."""
        text = self.variables.text(word.text)
        head = text.partition("=")[0]
        return (
            text.startswith("-")
            and len(text) > 1
            and not _NEGATIVE.match(text)
            and (head in self.flags or " " not in text)
        )

    def flag(self, word: Argument) -> None:
        text = word.text if word.text.startswith("-") else self.variables.text(word.text)
        name, equals, value = text.partition("=")
        flag_name = self.flag_of(name, word)
        if flag_name is None and not name.startswith("--") and name[:2] in self.flags:
            flag_name, equals, value = name[:2], "=", text[2:]  # -cFILE
        if flag_name is None:
            self.strange(
                name, inline=Argument(text=value, mark=word.mark) if equals else None, word=word
            )
            return
        parameter = self.flags[flag_name]
        inline = Argument(text=value, mark=word.mark) if equals else None
        if parameter is None:
            self.result.config = self.one(flag_name, inline, word)
        elif parameter.emit in {"switch", "pair"}:
            if inline is not None:
                self.tell(word, f"{flag_name} takes no value", f"write {flag_name}")
            self.keep(parameter, flag_name != parameter.off, word)
        elif parameter.emit == "fixed":
            self.one(flag_name, inline, word)
            self.tell(word, f"{flag_name} cannot be set: it {parameter.schema['x-message']}")
        elif parameter.emit == "list":
            several = [inline] if inline else []
            while self.words and self.words[0].text != "--" and not self.is_flag(self.words[0]):
                several.append(self.words.pop(0))
            self.several(parameter, several, word)
        elif (value_word := self.one(flag_name, inline, word)) is not None:
            self.value(parameter, value_word)

    def strange(self, name: str, inline: Argument | None, word: Argument) -> None:
        """Keep an option that the tool does not have: a recipe that says it is refused, too."""
        option = self.variables.display(name)
        key = option.lstrip("-").replace("-", "_")
        hint = str(self.tool.schema.get("x-not", {}).get(key, "")) or suggest(name, self.flags)
        self.tell(word, f"{self.tool.name} has no option {option}", hint)
        if not key.isidentifier():
            self.result.unplaced.append(option)
            return
        follows = self.words and not self.is_flag(self.words[0]) and self.words[0].text != "--"
        value = inline or (self.words.pop(0) if follows and not self.places else None)
        text = self.variables.text(value.text) if value is not None else None
        self.result.invalid.add(key)
        self.result.values[key] = ScriptValue(
            value=True if text is None else convert(text, _ANY), mark=word.mark
        )

    def flag_of(self, name: str, word: Argument) -> str | None:
        """Return the flag that a name means: itself, or the only one it begins (T20)."""
        if name in self.flags:
            return name
        near = [flag for flag in self.flags if flag.startswith(name) and name.startswith("--")]
        if len({id(self.flags[flag]) for flag in near}) != 1:
            return None
        why = (
            f"{name} is read as {near[0]}, but a new release with more options may change that "
            "(T20)"
        )
        self.note(word.mark, why, "the recipe writes it in full")
        return near[0]

    def one(self, flag: str, inline: Argument | None, word: Argument) -> Argument | None:
        if inline is not None:
            return inline
        if self.words and not self.is_flag(self.words[0]) and self.words[0].text != "--":
            return self.words.pop(0)
        self.result.unplaced.append(flag)
        follower = self.variables.display(self.words[0].text) if self.words else "--"
        is_option = follower.partition("=")[0] in self.flags or follower == "--"
        self.tell(word, f"{flag} needs a value", "" if is_option else f"write {flag}={follower}")
        return None

    def value(self, parameter: Parameter, word: Argument) -> None:
        word = replace(word, text=parameter.rewrite(word.text))  # a recipe says what is reached
        follows = self.follow(parameter.name, word)
        if not follows and parameter.emit != "repeat":
            self.keep(parameter, MISSING, word)
            return
        text = self.variables.text(word.text)
        try:
            value = convert(text, parameter.schema, parameter.emit)
        except ValueError as error:
            self.tell(word, f"{parameter.flag} must be {error}", "")
            self.result.invalid.add(parameter.name)
            value = text
        if parameter.emit == "repeat":
            before = self.result.values.get(parameter.name)
            value = _together(before.value if before else None, value)
            self.result.values[parameter.name] = ScriptValue(value=value, mark=word.mark)
            return
        if type(value) is bool and text.lower() not in _TRUTHS:
            why = f"{parameter.flag}: only 'false' and 'f' are false, so {as_yaml(text)} is true"
            self.note(word.mark, why, "is that intended?")
        self.keep(parameter, value, word)

    def several(self, parameter: Parameter, words: Sequence[Argument], flag: Argument) -> None:
        if not words:
            self.tell(flag, f"{parameter.flag} needs a value")
            return
        items = parameter.schema.get("items", {})
        texts = [(self.variables.text(w.text), self.follow(parameter.name, w)) for w in words]
        values = [convert(text, items) if follows else text for text, follows in texts]
        self.result.values[parameter.name] = ScriptValue(value=values, mark=words[0].mark)

    def positional(self, words: list[Argument]) -> None:
        for parameter in self.places:
            if words and parameter.schema.get("type") == "array":
                self.several(parameter, words, words[0])
                words = []
            elif words:
                self.value(parameter, words.pop(0))
        for word in words:
            self.loose(word)

    def loose(self, word: Argument) -> None:
        """Say of a word that is no option and no value what it may be."""
        text, label = self.variables.text(word.text), self.variables.display(word.text)
        if unfilled(text):
            variable = self.variables.strange(word.text)
            kind = (
                variable.why
                if variable is not None
                else "a variable that only the environment sets"
            )
            self.result.unplaced.append(label)
            why = f"{label} is {kind}: the options in it are not in the recipe"
            hint = "write them in the stage, and remove the var that replaces them"
            self.result.problems.append(
                Problem(mark=word.mark, message=why, rule=NOT_FOLLOWED, hint=hint)
            )
        elif not text and word.text:
            label = " ".join(
                p.display for p in self.variables.parts(word.text) if not isinstance(p, str)
            )
            why = f"{label}: options from the environment are not in the recipe"
            self.note(word.mark, why, "pass them with --set, or write a profile")
        else:
            self.tell(word, f"{self.tool.name} does not accept {as_yaml(text)}")

    def follow(self, name: str, word: Argument) -> bool:
        """Return whether the script sets a value; if not, report what the recipe asks for."""
        variable = self.variables.strange(word.text)
        other = self.variables.argument(word.text)
        if variable is not None:
            self.result.problems.append(missing_value(variable, name, word.mark))
        elif other is not None:
            why = f"{other.name} is {other.why}: the recipe reads it from the environment"
            self.note(word.mark, why, f"set {other.key}, or write {name} in the recipe")
        return self.variables.is_complete(word.text)

    def keep(self, parameter: Parameter, value: Any, word: Argument) -> None:
        """Keep a value: the last of several counts (T21)."""
        before = self.result.values.get(parameter.name)
        if before is not None and before.value != value:
            why = f"{parameter.flag} is given twice: the last one wins (T21)"
            self.note(before.mark, why, "")
        signs = word.text if parameter.emit not in {"switch", "pair"} else None
        self.result.values[parameter.name] = ScriptValue(value=value, mark=word.mark, signs=signs)

    def tell(self, word: Argument, why: str, hint: str = "") -> None:
        self.result.problems.append(Problem(mark=word.mark, message=why, rule=REFUSED, hint=hint))

    def note(self, mark: Mark, why: str, hint: str) -> None:
        self.result.problems.append(
            Problem(mark=mark, message=why, rule=IGNORED, hint=hint, severity="warning")
        )


def missing_value(variable: Variable, name: str, mark: Mark) -> Problem:
    """Return the problem of a parameter whose value the script does not say."""
    why = f"{name} has no value: {variable.display} is {variable.why}"
    hint = f"write {name} in the recipe, or set {variable.key} in the environment"
    return Problem(mark=mark, message=why, rule=NOT_FOLLOWED, hint=hint)


def convert(text: str, schema: Any, emit: str = "value") -> Any:
    """Return a word's value as the tool's own parser types it. Raises ValueError in words."""
    kinds = schema.get("type", "string")
    kinds = [kinds] if isinstance(kinds, str) else kinds
    if emit == "joined":
        return [convert(item, schema.get("items", {})) for item in text.split(",")]
    if emit == "repeat":
        name, _, value = text.partition("=")
        return {name: value} if "object" in kinds else [text]
    for kind in kinds:
        if kind in _READ:
            try:
                return _READ[kind](text)
            except ValueError:
                continue
    if "string" in kinds:
        return text
    types = " or ".join(_WORDS[kind] for kind in kinds if kind in _WORDS)
    raise ValueError(f"{types}, not {as_yaml(text)}")


def _together(before: Any, value: Any) -> Any:
    if before is None:
        return value
    return {**before, **value} if isinstance(value, dict) else [*before, *value]
