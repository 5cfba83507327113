"""What a stage says beside its parameters, and how long it makes its command."""

from collections.abc import Iterator

from runner.command.argv import options
from runner.lint.facts import Finding
from runner.lint.rule import View, rule

# Linux takes so many bytes in one word with the NUL at its end (MAX_ARG_STRLEN), macOS in all of
# them and the environment (ARG_MAX), of which a part is left for the environment.
WORD, WORDS, ENVIRONMENT = 1 << 17, 1 << 20, 1 << 16

# Bytes that a letter of a value takes at most in a word, its flag and the quotes around it counted.
_LARGEST = 16

# Importing mlx-lm and loading a model take seconds even where nothing else is done.
_SHORT = 30


@rule("warning", general=True)
def timeout_of_seconds(view: View) -> Iterator[Finding]:
    """A timeout of a few seconds: the stage would be stopped while it loads.

    A number without a unit is a number of seconds. Write 5m or 5h where minutes or hours are meant.
    """
    limit = view.stage.timeout
    if limit is not None and limit < _SHORT and not view.tool.alone:
        message = f"the stage would be stopped after {limit:g} seconds, which hardly loads a model"
        yield Finding(
            parameter="timeout",
            message=message,
            hint=f"write {limit:g}m for minutes, {limit:g}h for hours",
        )


@rule("warning", general=True)
def command_too_long(view: View) -> Iterator[Finding]:
    """A value that no system takes as a word of a command: bash would refuse the exported script.

    Linux takes 131,071 bytes in one word, macOS 1,048,576 in all words and the environment. A run
    of run-recipe hands on no words, and works. Shorten the value, or put it where the tool reads a
    file.
    """
    if _LARGEST * sum(map(len, map(repr, view.params.values()))) < WORD:
        return  # most commands are far from it, and need not be made to know that
    total, longest = 0, ""
    for name, parameter in view.tool.parameters.items():
        value = view.params[name]
        if parameter.flag is None or not isinstance(value, str | list | dict):
            continue
        words = [word for option in options(view.tool, {name: value}) for word in option]
        sizes = [len(word.encode("utf-8", "replace")) + 1 for word in words]
        total += sum(sizes)
        longest = longest or name if sum(sizes) > WORD // 2 else longest
        if max(sizes, default=0) > WORD:
            message = f"a word of {max(sizes) - 1:,} bytes: Linux takes {WORD - 1:,} in one"
            yield Finding(
                parameter=name,
                message=f"{name} makes {message}, and refuses the exported script",
                hint=_SHORTEN,
            )
    if total > WORDS - ENVIRONMENT:
        message = f"the command has {total:,} bytes: macOS takes {WORDS:,} with the environment"
        yield Finding(
            parameter=longest, message=f"{message}, and refuses the exported script", hint=_SHORTEN
        )


_SHORTEN = "shorten it, or put it where the tool reads a file; a run works as it is"
