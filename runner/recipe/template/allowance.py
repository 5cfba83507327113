"""The work and memory that templates may use: for one value, and for a whole recipe.

Code that computes with a stranger's values counts here before it does the work. Values are measured
to their full depth: lists that share their entries are small in memory, but endless to compare,
write or copy.
"""

from collections.abc import Iterable, Mapping
from typing import Any

MAX_SIZE = 1_000_000  # of one value, in characters and EACH for everything else
MAX_TOTAL = 32_000_000  # of all values that the templates of a recipe make
MAX_WORK = 2_000_000  # steps of about a microsecond: an entry looked at takes one
MAX_DEPTH = 64
MAX_DIGITS = 3_500  # of a number on the way to a result
EACH = 8
_PARSING, _LETTER = 100, 10  # steps that an expression takes to parse, and each character of it
_HOLDS = 64  # of each list, mapping and key beside what it holds
_LETTERS = 64  # characters that take the time of one entry
TOO_LARGE = "the result is too large"


class SpentError(Exception):
    """A value, or all values together, would take more than they may.

    `alone` says that it is one value, `hint` is how to fix it.
    """

    def __init__(self, message: str, *, alone: bool = True) -> None:
        super().__init__(message)
        self.alone = alone
        self.hint = "" if alone else "write large values out, and compute less"


class Allowance:
    """What is left of the work and the memory of one recipe's templates."""

    def __init__(self, work: int = MAX_WORK, total: int = MAX_TOTAL) -> None:
        self._limit, self._most = work, total
        self._work, self._total = work, total
        self._read: set[str] = set()

    def work(self, steps: float) -> None:
        """Count work that is about to be done; raises SpentError."""
        self._work -= int(steps) + 1
        if self._work < 0:
            why = "the templates of this recipe take too much work in total: more than"
            raise SpentError(f"{why} {self._limit:,} steps", alone=False)

    def read(self, expression: str) -> None:
        """Count the work of parsing an expression, where it is a new one; raises SpentError."""
        if expression not in self._read:
            self._read.add(expression)
            self.work(_PARSING + _LETTER * len(expression))

    def hold(self, size: float) -> None:
        """Count memory that is about to be taken for a value; raises SpentError."""
        if size > MAX_SIZE:
            raise SpentError(TOO_LARGE)
        self._total -= int(size)
        if self._total < 0:
            why = "the results of this recipe's templates are too large in total: more than"
            raise SpentError(f"{why} {self._most:,} characters", alone=False)

    def look(self, value: Any) -> int:
        """Return the size of a value, counting the work of going through it; raises SpentError.

        Text counts its characters, a number EACH; what holds others, and each key, some more.
        """
        if isinstance(value, str):
            self.work(len(value) // _LETTERS)
            return len(value)
        size, waiting = EACH, [(value, 0)]
        while waiting:
            one, depth = waiting.pop()
            if depth > MAX_DEPTH:
                raise SpentError(f"the result is nested more than {MAX_DEPTH} levels deep")
            size += _HOLDS
            if isinstance(one, Mapping):
                size += sum(len(str(key)) + _HOLDS for key in one)
                inside: Iterable[Any] = one.values()
            else:
                inside = one if isinstance(one, list | tuple) else ()
            self.work(len(one) if inside else 0)
            for child in inside:
                size += len(child) if isinstance(child, str) else EACH
                if isinstance(child, Mapping | list | tuple):
                    waiting.append((child, depth + 1))
            if size > 2 * MAX_SIZE:
                raise SpentError(TOO_LARGE)
        return size

    def charge(self, value: Any) -> Any:
        """Return a value that was made, counting what it takes; raises SpentError."""
        if type(value) is int and value.bit_length() > MAX_DIGITS * 3:
            raise SpentError(TOO_LARGE)
        if isinstance(value, str):
            self.hold(len(value))
        elif isinstance(value, Mapping | list | tuple):
            self.hold(self.look(value))
        return value
