"""The files of a script, its own and those it finds: a -c file's text, or why it is not known."""

from collections.abc import Callable

from runner.base.constants import normal
from runner.base.problems import Mark, Problem
from runner.catalog.tools import Catalog
from runner.importer.arguments import NOT_FOLLOWED, Argument
from runner.importer.bash import PRIVATE, Command
from runner.importer.commands import script
from runner.importer.config_file import File, unreadable
from runner.importer.mention import call
from runner.importer.variables import Variables, unfilled

Read = Callable[[str], bytes]
_HINT = "write its content in the stage, and remove the var that replaces it"
_NOTHING = File(text="", start=Mark(file="", line=1, column=1))
_SIGNS = {">", "1>", ">|", ">>", "1>>"}


class UnreadableError(Exception):
    """A file whose text is not known; `problem` says why."""

    def __init__(self, problem: Problem) -> None:
        super().__init__(problem.message)
        self.problem = problem


class ScriptFiles:
    """The files of a script, as far as it has been read; `read` returns those it does not write.

    One that is None is written in a way only bash can follow.
    """

    def __init__(self, read: Read, variables: Variables) -> None:
        self._read, self._variables = read, variables
        self._files: dict[str, File | None] = {}

    def record(self, name: str, plain: list[str], command: Command) -> None:
        """Remember what cat, tee, echo or printf write."""
        target = next((one for one in command.redirects if one.sign in _SIGNS), None)
        if name == "tee" and len(plain) > 1:
            path, more = plain[-1], "-a" in plain
        elif target is not None:
            path, more = (
                self._variables.text(self._variables.word(target.word)),
                ">>" in target.sign,
            )
        else:
            return
        file, path = self._body(name, plain, command), normal(path)
        before = self._files.get(path) if more else _NOTHING
        if file is None or before is None or command.inside is not None:
            self._files[path] = None
        else:
            self._files[path] = _append(before, file)

    def open(self, config: Argument) -> File:
        """Return the file that a command reads. Raises UnreadableError."""
        name = self._variables.text(config.text)
        path = normal(name)
        file = self._files.get(path)
        if file is not None:
            return file
        if path in self._files:
            raise self._error(config, f"{name} is built in a way only bash can follow")
        if unfilled(name):
            variable = self._variables.strange(config.text)
            kind = (
                variable.why
                if variable is not None
                else "a variable that only the environment sets"
            )
            raise self._error(config, f"cannot read {name}, which is {kind}")
        try:
            text = self._read(name).decode("utf-8-sig", "replace")
        except OSError as error:
            raise UnreadableError(unreadable(config.mark, name, error)) from error
        if PRIVATE.search(text):
            why = f"{name} contains a private-use character (U+E000 or U+E001)"
            raise UnreadableError(
                Problem(mark=config.mark, message=why, rule=NOT_FOLLOWED, hint=_HINT)
            )
        return File(text=text, start=Mark(file=name, line=1, column=1))

    def runs(self, name: str, catalog: Catalog) -> str:
        """Return the command of mlx-lm that a script's file holds, "" if none is seen."""
        file = self._files.get(normal(name)) if name else None
        if file is not None:
            return call(file.text, catalog)
        try:
            text = self._read(name).decode("utf-8-sig", "replace") if name else ""
        except OSError:
            return ""  # that it is left out is told
        return call(text, catalog)

    def is_readable(self, plain: list[str]) -> bool:
        """Return whether a command is `source FILE`, of a file that could be read."""
        name = script(plain) if plain[0] in {".", "source"} else ""
        if self._files.get(normal(name)) is not None and name:
            return True
        try:
            return bool(name) and self._read(name) is not None
        except OSError:
            return False

    def _body(self, name: str, plain: list[str], command: Command) -> File | None:
        """Return what a command writes, None if it is what another command said."""
        text = next((one.word for one in command.redirects if one.sign in {"<<", "<<-"}), None)
        if text is not None:
            return File(text=self._variables.text(self._variables.word(text)), start=text.mark)
        if name not in {"echo", "printf"}:
            return None
        words = [word for word in plain[1:] if not word.startswith("-")]
        return File(text=" ".join(words).replace("\\n", "\n"), start=command.words[-1].mark)

    def _error(self, config: Argument, why: str) -> UnreadableError:
        return UnreadableError(
            Problem(mark=config.mark, message=why, rule=NOT_FOLLOWED, hint=_HINT)
        )


def _append(before: File, more: File) -> File:
    if not before.text:
        return more
    return File(text=before.text.removesuffix("\n") + "\n" + more.text, start=before.start)
