"""The commands of a script in order in; for each, why it may not run, out.

A recipe runs all of its stages. So a command becomes a stage only if the script certainly runs it:
not after a condition (``[ -f x ] &&``), not only if another command failed (``||``), not after the
end of the script (``exit``, ``exec``), and not where the script may already have ended.
"""

import posixpath
from collections.abc import Callable, Sequence

from msgspec import Struct, field

from runner.base.problems import Mark
from runner.importer.bash import Command
from runner.importer.commands import asks

_ENDS = {"exit", "return", "exec"}
Tell = Callable[[Mark, str, str], None]


class Flow(Struct, kw_only=True):
    """What is known of the way to the next command; `label` says a command as people know it."""

    label: Callable[[Sequence[str]], str]
    question: str = ""
    after_failure: bool = False
    end: tuple[Mark, str] | None = None
    perhaps: list[tuple[Mark, str]] = field(default_factory=list)

    def begin(self, command: Command) -> None:
        """Take the operator before a command: a list begins again behind ``;``, ``&``, a line."""
        if command.sign not in {"&&", "||", "|", "|&"}:
            self.question = ""
        self.after_failure = command.sign == "||"

    def pass_by(self, words: Sequence[str], command: Command) -> None:
        """Remember what a command means for those behind it."""
        name = posixpath.basename(words[0])
        if name in _ENDS and (name != "exec" or words[1:]):
            self.ends(name, words, command)
        elif asks(name) or command.negated:
            self.question = f"{'! ' * command.negated}{self.label(words)}"

    def ends(self, name: str, words: Sequence[str], command: Command) -> None:
        """Remember an end of the script: it surely is one, or where something holds."""
        if command.apart or (command.inside or ("",))[0] == "function":
            return  # a subshell's, or a function's
        if command.inside is None and not self.question and not self.after_failure:
            self.end = self.end or (command.mark, self.label(words))
        elif not (self.after_failure and not self.question) and (name != "exit" or _fine(words)):
            self.perhaps.append((command.mark, self.label(words)))

    def dependency(self) -> str:
        """Return what a value depends on that is set here, "" if nothing is asked first."""
        if self.question:
            return f"a value that depends on '{self.question}'"
        return "a value that depends on the previous command" if self.after_failure else ""

    def doubt(self, command: Command) -> str:
        """Return why a command may not run, "" if it surely does."""
        if self.after_failure:
            return "it runs only if the previous command fails"
        if self.question:
            return f"it runs only if '{self.question}' succeeds"
        if self.perhaps and command.inside is None:
            mark, end = self.perhaps.pop()
            self.perhaps.clear()
            return f"it runs only if '{end}' in line {mark.line} does not end the script first"
        return ""


def _fine(words: Sequence[str]) -> bool:
    """Return whether ``exit`` may end a script well: an error on the way is no way of its own."""
    return not words[1:] or not words[1].isdigit() or int(words[1]) == 0
