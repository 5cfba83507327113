"""A script's variables and a word in, the word with its values and their origins out.

While a command is read, a variable in a word is represented by a private character, so that the
recipe can use the variable where the script did. `Variables.text` inserts the values;
`Variables.display` describes those that have none.
"""

import re
import textwrap
from collections.abc import Iterator, Sequence
from typing import Any

from msgspec import Struct
from msgspec.structs import replace

from runner.base.constants import RUN_DIR
from runner.base.problems import Mark
from runner.importer.bash import Word, WordPart

_SIGN = re.compile("\ue000(\\d+)\ue001")
_ELEMENT = re.compile(r"\[[^]]*\]=")
_KEY_PREFIX = "FILL_IN_"
_LONGEST = 30
MAX_VALUE = 1 << 16
"""A variable of so many characters is followed; one that doubles itself soon has more."""
MAX_WORDS = 10_000
_WIDTH = 60
_ARGUMENTS = {"@": "all arguments of the script", "*": "all arguments of the script"}
_WHYS = {
    "$((": "arithmetic only bash can follow",
    "$(": "a command substitution only bash can follow",
    "`": "a command substitution only bash can follow",
    "${": "an expansion only bash can follow",
    "": "a pattern only bash can expand",
}


class Variable(Struct, frozen=True, kw_only=True):
    """What a sign stands for.

    `value` is its text (with signs of other variables), None if only the environment or bash
    itself could say it; `default` is what the script takes where the environment does not. `why`
    says why it cannot be followed; `env_name` is what the environment of a recipe calls it then.
    """

    name: str
    value: str | None = None
    default: str | None = None
    why: str = ""
    mark: Mark | None = None
    env_name: str = ""

    @property
    def key(self) -> str:
        """What the environment of a recipe calls it."""
        return self.env_name or self.name

    @property
    def display(self) -> str:
        """How a script says it, on one line."""
        name = f"${self.name}" if self.name.isidentifier() else self.name
        return textwrap.shorten(name, _WIDTH, placeholder=" …") if "\n" in name else name


def unfilled(value: Any) -> bool:
    """Return whether a sign is left in a value, or in what is inside it."""
    if isinstance(value, dict):
        return any(map(unfilled, value.values()))
    if isinstance(value, list):
        return any(map(unfilled, value))
    return isinstance(value, str) and bool(_SIGN.search(value))


class Variables:
    """The variables of a script, as far as it has been read.

    `shift_count` is by how many its arguments have moved, None if that is not known.
    """

    def __init__(self) -> None:
        self._by_name: dict[str, Variable] = {}
        self._arrays: dict[str, list[str]] = {}
        self._signs: list[Variable] = []
        self._places: dict[Variable, int] = {}
        self._sizes: list[int] = []
        self._keys: dict[str, str] = {}
        self.assignments: dict[str, set[str]] = {}
        self.read: set[str] = set()
        self.shift_count: int | None = 0

    def assign(self, name: str, value: str, mark: Mark, why: str = "") -> None:
        """Remember what a variable is from here on; `why` says that this is not sure."""
        if not why and self._size(value) > MAX_VALUE:
            why = "a value too long to follow"
        env_name = self._key(name, f"{name} {mark}") if why else ""
        only = self.parts(value)
        if len(only) == 1 and isinstance(only[0], Variable) and only[0].key.startswith(_KEY_PREFIX):
            value = self._sign(replace(only[0], env_name=self._key(name, only[0].name)))
        self._by_name[name] = Variable(
            name=name,
            value=None if why else value,
            default=None,
            why=why,
            mark=mark,
            env_name=env_name,
        )
        self._arrays.pop(name, None)
        self.assignments.setdefault(name, set()).add(value)

    def append(self, name: str, value: str, mark: Mark, why: str = "") -> None:
        """Remember that a variable is longer from here on."""
        before = self._by_name.get(name)
        if before is None:
            why = why or "a value put together from several lines"
        elif before.value is not None:
            value = before.value + value
        else:
            why = why or before.why
        self.assign(name, value, mark, why)

    def array(self, name: str, items: Sequence[Word], why: str = "", *, more: bool = False) -> None:
        """Remember the words of an array, or `more` of them; `why` says that this is not sure."""
        words: list[str] = []
        for item in items:
            first = item.parts[0].text if item.parts else ""
            words += [self._array(name)] if _ELEMENT.match(first) else self.words(item)
        words = [self._unsure(f"${{{name}[@]}}", why)] if why else words
        if len(words) > MAX_WORDS:
            words = [self._unsure(f"${{{name}[@]}}", "an array too long to follow")]
        before = self._arrays.get(name, []) if more else []
        self._arrays[name] = [*before, *words]
        self._by_name.pop(name, None)

    def forget(self, name: str) -> None:
        """Remember that one element of an array has changed: nothing is sure of it any more."""
        self._arrays[name] = [self._array(name)]

    def placeholder(self, name: str, why: str) -> str:
        """Return a sign for what a recipe has to ask for, because the script does not say it."""
        return self._sign(Variable(name=name, why=why, env_name=self._key(name, name)))

    def words(self, word: Word) -> list[str]:
        """Return a word with signs for its variables; an unquoted one may be several, or none."""
        pieces: list[str] = [""]
        there = not word.parts and not word.bare
        for part in word.parts:
            array = part.kind == "array"
            words = self._elements(part) if array else self._split(part, self._part(part))
            there = there or self._stays(part, words)
            pieces[-1] += "".join(words[:1])
            pieces += words[1:]
        return pieces if there else []

    def word(self, word: Word) -> str:
        """Return a word with signs, as one."""
        return "".join(
            " ".join(self._elements(part)) if part.kind == "array" else self._part(part)
            for part in word.parts
        )

    def text(self, signs: str) -> str:
        """Return a text with the values, or defaults, filled in; a sign that has none stays."""
        return _SIGN.sub(self._value, signs)

    def display(self, signs: str) -> str:
        """Return a text for people: what has no value is as the script says it."""
        return _SIGN.sub(lambda match: self._signs[int(match[1])].display, self.text(signs))

    def unread(self) -> Iterator[tuple[Variable, str]]:
        """Yield each variable that nothing reads, with its value."""
        for name, one in self._by_name.items():
            if name not in self.read and one.value is not None:
                yield one, self.text(one.value)

    def is_complete(self, signs: str) -> bool:
        """Return whether the script alone says every value of a text."""
        return not _SIGN.search(self.text(signs))

    def parts(self, signs: str) -> list[str | Variable]:
        """Return the texts and the variables of a text."""
        pieces = _SIGN.split(signs)
        each = (self._signs[int(part)] if at % 2 else part for at, part in enumerate(pieces))
        return [part for part in each if part != ""]

    def strange(self, signs: str) -> Variable | None:
        """Return the first variable in a text that cannot be followed, and has no default."""
        for part in self.parts(signs):
            if isinstance(part, Variable):
                if part.why and part.default is None:
                    return part
                inner = self.strange(part.value) if part.value else None
                if inner:
                    return inner
        return None

    def argument(self, signs: str) -> Variable | None:
        """Return the first argument of the script in a text that has a default."""
        for part in self.parts(signs):
            if isinstance(part, Variable):
                variable = part if part.why and part.default is not None else None
                variable = variable or (self.argument(part.value) if part.value else None)
                if variable:
                    return variable
        return None

    def _split(self, part: WordPart, signs: str) -> list[str]:
        """Return the words that bash makes of a part: of an unquoted value it may make several."""
        plain = self.text(signs)
        loose = part.kind in {"variable", "array"} and not part.quoted
        return plain.split() if loose and re.search(r"\s", plain) else [signs]

    def _stays(self, part: WordPart, words: list[str]) -> bool:
        """Return whether a part makes a word, even if nothing is in it."""
        if part.kind == "array":
            return bool(words)
        return part.kind != "variable" or part.quoted or any(map(self._has_text, words))

    def _elements(self, part: WordPart) -> list[str]:
        """Return the words that an array is, with signs."""
        name = part.text
        self.read.add(name)
        words = self._arrays.get(name)
        if words is None:
            words = (
                [self._sign(self._by_name[name])] if name in self._by_name else [self._array(name)]
            )
        if part.sign.isdigit():
            at = int(part.sign)
            sure = all(self.is_complete(word) for word in words[: at + 1])
            return [*words[at : at + 1]] if sure else [self._array(name, part.sign)]
        if not part.quoted:
            return [piece for word in words for piece in self._split(part, word) if piece]
        return [" ".join(words)] if part.sign == "*" else words

    def _part(self, part: WordPart) -> str:
        if part.kind == "text":
            return part.text
        return self._unsure(part.text) if part.kind == "unknown" else self._variable(part)

    def _variable(self, part: WordPart) -> str:
        """Return the sign of a variable: the script's own, or one of the environment."""
        self.read.add(part.text)
        variable = self._by_name.get(part.text)
        if part.text in self._arrays:
            return "".join(self._elements(replace(part, kind="array", sign="0")))
        if variable is not None:
            return RUN_DIR if variable.value == RUN_DIR else self._sign(variable)
        default = self.word(part.otherwise) if part.otherwise is not None else None
        inner = self.strange(default) if default is not None else None
        why, default = (inner.why, None) if inner is not None else ("", default)
        if part.sign == "=" and default is not None:
            self._by_name[part.text] = Variable(name=part.text, value=None, default=default)
        if not part.text.isidentifier():
            return self._special(part.text, default)
        return self._sign(Variable(name=part.text, value=None, default=default, why=why))

    def _special(self, name: str, default: str | None) -> str:
        """Return the sign of an argument of the script, or of what bash alone knows."""
        if not name.isdigit() or name == "0":
            return self._unsure(f"${name}", _ARGUMENTS.get(name, "what only bash knows"))
        why = "an argument of the script"
        if self.shift_count is None:
            return self._unsure(f"${name}", f"{why}, and it is unknown which one")
        env_name = f"ARG_{int(name) + self.shift_count}"
        return self._sign(
            Variable(name=f"${name}", value=None, default=default, why=why, env_name=env_name)
        )

    def _array(self, name: str, at: str = "@") -> str:
        return self._unsure(f"${{{name}[{at}]}}", "an array only bash can follow")

    def _unsure(self, raw: str, why: str = "") -> str:
        """Return the sign of what cannot be followed."""
        why = why or next(reason for lead, reason in _WHYS.items() if raw.startswith(lead))
        return self._sign(Variable(name=raw, why=why, env_name=self._key(raw, raw)))

    def _key(self, name: str, what: str) -> str:
        """Return what the environment calls something: another word for each thing."""
        word = re.sub(r"\W+", "_", name, flags=re.ASCII).strip("_").upper()
        word = f"{_KEY_PREFIX}{word[:_LONGEST].rstrip('_') or 'VALUE'}"
        key, number = word, 1
        while self._keys.setdefault(key, what) != what:
            number += 1
            key = f"{word}_{number}"
        return key

    def _has_text(self, signs: str) -> bool:
        """Return whether there is anything in a text, or the environment could say something."""
        parts = self.parts(signs)
        is_open = any(isinstance(part, Variable) and part.value is None for part in parts)
        return is_open or self.text(signs) != ""

    def _sign(self, variable: Variable) -> str:
        at = self._places.setdefault(variable, len(self._signs))
        if at == len(self._signs):
            self._signs.append(variable)
            value = variable.default if variable.value is None else variable.value
            self._sizes.append(self._size(value) if value is not None else len(variable.name))
        return f"\ue000{at}\ue001"

    def _size(self, signs: str) -> int:
        """Return about how long a text is with its values filled in; each sign counts."""
        pieces = _SIGN.split(signs)
        return sum(
            1 + self._sizes[int(part)] if at % 2 else len(part) for at, part in enumerate(pieces)
        )

    def _value(self, match: re.Match[str]) -> str:
        variable = self._signs[int(match.group(1))]
        value = variable.default if variable.value is None else variable.value
        return match.group() if value is None else self.text(value)
