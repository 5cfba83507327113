"""Options of a stage beyond its parameters, and the length of its command."""

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
    """A timeout of a few seconds: the stage would time out while it loads.

    A number without a unit means seconds. Write 5m for minutes or 5h for hours.
    """
    limit = view.stage.timeout
    if limit is not None and limit < _SHORT and not (view.tool.alone or view.tool.is_program):
        message = f"the stage would time out after {limit:g} seconds, barely enough to load a model"
        yield Finding(
            parameter="timeout",
            message=message,
            hint=f"write {limit:g}m for minutes, {limit:g}h for hours",
        )


@rule("warning", general=True)
def command_too_long(view: View) -> Iterator[Finding]:
    """A value too long for a command line: bash cannot run the exported script.

    Linux allows 131,071 bytes in one argument, macOS 1,048,576 in all arguments and the
    environment. run-recipe itself passes no arguments, so a run works. Shorten the value, or put it
    in a file that the tool reads.
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
            message = f"an argument of {max(sizes) - 1:,} bytes (Linux allows {WORD - 1:,})"
            yield Finding(
                parameter=name,
                message=f"{name} makes {message}, so bash cannot run the exported script",
                hint=_SHORTEN,
            )
    if total > WORDS - ENVIRONMENT:
        message = f"the command has {total:,} bytes (macOS allows {WORDS:,} with the environment)"
        yield Finding(
            parameter=longest,
            message=f"{message}, so bash cannot run the exported script",
            hint=_SHORTEN,
        )


_SHORTEN = (
    "shorten it, or put it in a file that the tool reads; run-recipe itself can run it as it is"
)
