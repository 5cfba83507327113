"""A program's own parser, for the draft of its file: ``python -m runner.worker.draft TARGET``.

TARGET is MODULE:MAIN, the name of an installed command, or a Python script. A main is read up to
its parser. A script, or a main that cannot be read, runs until it parses its arguments. Meanwhile
it can neither write files nor start programs.
"""

import argparse
import importlib
import runpy
import sys
from collections.abc import Callable
from importlib import metadata
from pathlib import Path
from typing import Any, NoReturn, cast

from runner.catalog.tools import Tool
from runner.system import printer
from runner.worker import guard
from runner.worker.introspect import defaults_of, options_of
from runner.worker.parsing import ReachedError, command_of, parser_of

Json = dict[str, Any]


def describe(target: str) -> Json:
    """Return what `runner.catalog.draft` makes a file of. Raises LookupError, ImportError."""
    script = Path(target)
    if script.suffix == ".py":
        if not script.is_file():
            raise LookupError(f"there is no script {target}")
        parser = _running(lambda: runpy.run_path(target, run_name="__main__"))
        name = f"mine.{script.stem}"
        return _program(name, ["python", target], "", None, options_of(parser), parser.description)
    main, command, package = _entry(target)
    module = main.partition(":")[0]
    tool = Tool(name=target, schema={"x-tool": {"command": command, "main": main}})
    click = command_of(tool)
    if click is not None:
        return _program(target, command, main, package, options_of(click), click.help)
    try:
        parser = parser_of(tool)
    except LookupError:
        function = getattr(importlib.import_module(module), main.partition(":")[2])
        parser = _running(function)
    text = parser.description
    made = _program(target, command, main, package, options_of(parser), text)
    return {**made, "config": defaults_of(importlib.import_module(module))}


def _program(
    name: str, command: list[str], main: str, package: str | None, flags: Json, text: str | None
) -> Json:
    return {
        "name": name,
        "command": command,
        "main": main,
        "distribution": package,
        "release": metadata.version(package) if package else None,
        "description": text,
        "flags": flags,
        "config": None,
    }


def _entry(target: str) -> tuple[str, list[str], str | None]:
    """Return the main, the command and the package behind a target."""
    for one in metadata.entry_points(group="console_scripts"):
        if target in {one.name, one.value}:
            return one.value, [one.name], one.dist.name if one.dist else None
    module, _, function = target.partition(":")
    if not function:
        raise LookupError(f"{target} is neither an installed command nor MODULE:MAIN")
    packages = metadata.packages_distributions().get(module.partition(".")[0], [])
    return target, ["python", "-m", module], next(iter(packages), None)


def _running(run: Callable[[], Any]) -> argparse.ArgumentParser:
    """Run until the first parser is to parse, and return that."""

    def reached(parser: argparse.ArgumentParser, *_: Any, **__: Any) -> NoReturn:
        raise ReachedError(parser)

    for name in ("parse_args", "parse_known_args"):
        setattr(argparse.ArgumentParser, name, reached)
    try:
        run()
    except ReachedError as goal:
        return cast("argparse.ArgumentParser", goal.value)
    except SystemExit as end:
        raise LookupError(f"it exited before it parsed its arguments: {end.code}") from end
    raise LookupError("it parses no arguments with argparse or click")


def main(target: str) -> int:
    """Print what a program takes, or why it cannot be asked."""
    guard.arm()
    sys.path.insert(0, "")  # a module where the user is
    try:
        printer.show_json(describe(target))
    except (ImportError, LookupError, OSError) as error:
        printer.show_json({"error": str(error)})
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1]))
