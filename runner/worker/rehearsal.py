"""The arguments that a stage's tool parses, compared with the plan; none of its work runs."""

import sys
from collections.abc import Mapping
from typing import Any

from runner.catalog.tools import Tool
from runner.system import printer
from runner.worker import guard, parsing
from runner.worker.host import stage_of
from runner.worker.observer import AUDIT, Observer, read_namespace

NOT_ASKED = 75
"""The exit code of a tool whose parser is not reached without running something else."""


def rehearse(folder: str, name: str) -> int:
    """Ask the parser of a stage's tool; return 0, AUDIT where it reads other values, NOT_ASKED."""
    this, _ = stage_of(folder, name)
    if this.tool.is_program:
        printer.say("it is a program of its own: nobody can look at what it makes of its words")
        return NOT_ASKED
    guard.arm()
    try:
        values = _values(this.tool, sys.argv[1:])
    except ImportError as error:
        printer.say(f"it cannot be imported here: {error}")
        return NOT_ASKED
    except guard.RefusedError as error:
        printer.say(f"it would do more than parse its words: {error.filename}")
        return NOT_ASKED
    except LookupError as error:
        printer.say(str(error.args[0]))
        return NOT_ASKED
    return AUDIT if _differs(this, values) else 0


def _values(tool: Tool, words: list[str]) -> Mapping[str, Any]:
    command = parsing.command_of(tool)
    if command is not None:
        params: Mapping[str, Any] = command.make_context(command.name, words).params
        return params
    if tool.config_flag is None or tool.observer is None:
        return vars(parsing.parser_of(tool).parse_args(words))
    return parsing.merged_values(tool, words)


def _differs(this: Observer, values: Mapping[str, Any]) -> bool:
    """Say what was read otherwise; what is in a file that nobody merged was not asked for."""
    if this.tool.config_flag is None or this.tool.observer is None:
        this.parsed = read_namespace(this.tool, this.params, values)
    else:
        this.parsed = {name: values[name] for name in this.params if name in values}
    return this.tell([one for one in this.verdicts() if one.parameter in this.parsed])
