"""Options of a stage beyond its parameters, and the length of its command."""

from collections.abc import Iterator, Mapping
from typing import Any

from runner.base.problems import as_yaml
from runner.catalog.tools import Parameter
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


@rule("error", general=True)
def parameter_not_read(view: View) -> Iterator[Finding]:
    """A parameter that the tool does not read beside the values of others, such as in another mode.

    It would have no effect, without a word. Remove it; one that is inherited from another stage is
    taken back with ``NAME: !reset``. The tool's file says what is read when (``x-read-when``). What
    ``defaults`` say for all stages of a tool is told only where none of them reads it.
    """
    for parameter in view.tool.parameters.values():
        name = parameter.name
        ways = parameter.read_when
        if ways is None or name not in view.explicit:
            continue
        same = view.params[name] == view.tool.defaults.get(name)
        if same or _is_read(view, parameter, view.params) or _shared(view, parameter):
            continue
        message = f"{name} would be ignored: {view.tool.name} "
        message += f"reads it only with {_way(ways, view.params)}" if ways else "never reads it"
        hint = f"remove it; if it is inherited, write {name}: !reset"
        yield Finding(parameter=name, message=message, hint=hint)


def _is_read(view: View, parameter: Parameter, params: Mapping[str, Any]) -> bool:
    """Say whether a tool reads a parameter, in a training at least."""
    trains = view.tool.trains
    return parameter.is_read({**params, **(trains.when if trains else {})})


def _shared(view: View, parameter: Parameter) -> bool:
    """Say whether only the tool's defaults say it, and another stage of the tool reads it."""
    others = (one for one in view.plan.stages if one.tool == view.stage.tool)
    return parameter.name not in view.own and any(parameter.is_read(one.params) for one in others)


def _way(ways: tuple[Mapping[str, tuple[Any, ...]], ...], params: Mapping[str, Any]) -> str:
    """Return in words what the nearest way of being read still asks for."""
    asked = [{n: of for n, of in way.items() if params[n] not in of} for way in ways]
    near = min(asked, key=len)
    parts = (f"{name}: {' or '.join(map(as_yaml, of))}" for name, of in near.items())
    return " and ".join(parts)


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
