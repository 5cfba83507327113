"""A script's variables and a word in, the word with its values out; what they came from is kept.

While a command is read, a variable in a word is a sign of its own, so that a recipe can say the
variable where the script said it. `Variables.text` fills the values in.
"""

import re
from dataclasses import dataclass

from runner.core.naming import RUN_DIR
from runner.core.problem import Mark
from runner.core.quoting import Part, Word

_SIGN = re.compile("\ue000(\\d+)\ue001")


@dataclass(frozen=True, slots=True)
class Variable:
    """What a sign stands for.

    `value` is its text (with signs of other variables), None where only the environment or bash
    itself could say it; `default` is what the script takes where the environment does not. `why`
    says why it cannot be followed at all.
    """

    name: str
    value: str | None = None
    default: str | None = None
    why: str = ""
    mark: Mark | None = None


class Variables:
    """The variables of a script, as far as it has been read."""

    def __init__(self) -> None:
        self._known: dict[str, Variable] = {}
        self._signs: list[Variable] = []
        self.assigned: dict[str, set[str]] = {}
        self.read: set[str] = set()

    def assign(self, name: str, value: str, mark: Mark, why: str = "") -> None:
        """Remember what a variable is from here on; `why` says that this is not sure."""
        self._known[name] = Variable(name, None if why else value, None, why, mark)
        self.assigned.setdefault(name, set()).add(value)

    def words(self, word: Word) -> list[str]:
        """Return a word with signs for its variables; an unquoted one may be several words."""
        pieces: list[str] = [""]
        for part in word.parts:
            text = self._part(part)
            plain = self.text(text)
            if part.kind == "variable" and not part.quoted and plain and re.search(r"\s", plain):
                first, *rest = plain.split() or [""]
                pieces[-1] += first
                pieces += rest
            else:
                pieces[-1] += text
        return pieces

    def word(self, word: Word) -> str:
        """Return a word with signs, as one."""
        return "".join(self._part(part) for part in word.parts)

    def text(self, signs: str) -> str:
        """Return a text with the values, or defaults, filled in; a sign that has none stays."""
        return _SIGN.sub(self._value, signs)

    def known(self, signs: str) -> bool:
        """Say whether the script alone says every value of a text."""
        return not _SIGN.search(self.text(signs))

    def parts(self, signs: str) -> list[str | Variable]:
        """Return the texts and the variables of a text."""
        found = _SIGN.split(signs)
        each = (self._signs[int(part)] if at % 2 else part for at, part in enumerate(found))
        return [part for part in each if part != ""]

    def strange(self, signs: str) -> Variable | None:
        """Return the first variable in a text that cannot be followed."""
        for part in self.parts(signs):
            if isinstance(part, Variable):
                found = part if part.why else part.value and self.strange(part.value)
                if found:
                    return found
        return None

    def _part(self, part: Part) -> str:
        if part.kind == "text":
            return part.text
        if part.kind == "unknown":
            return self._sign(Variable(part.text, why="only bash knows what it is"))
        self.read.add(part.text)
        known = self._known.get(part.text)
        if known is not None and known.value == RUN_DIR:
            return RUN_DIR
        if known is not None:
            return self._sign(known)
        default = self.word(part.otherwise) if part.otherwise is not None else None
        if part.sign == "=" and default is not None:
            self._known[part.text] = Variable(part.text, None, default)
        if not part.text.isidentifier():
            why = "it is an argument of the script" if part.text.isdigit() else "only bash knows it"
            return self._sign(Variable(f"${part.text}", default=default, why=why))
        return self._sign(Variable(part.text, None, default))

    def _sign(self, variable: Variable) -> str:
        if variable not in self._signs:
            self._signs.append(variable)
        return f"\ue000{self._signs.index(variable)}\ue001"

    def _value(self, found: re.Match[str]) -> str:
        variable = self._signs[int(found.group(1))]
        value = variable.default if variable.value is None else variable.value
        return found.group() if value is None else self.text(value)
