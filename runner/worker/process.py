"""A tool that is a separate program: arguments in, exit code out; nobody can observe it inside."""

import subprocess
import sys
from collections.abc import Sequence

from runner.catalog.tools import Tool
from runner.system.machine import PYTHON


def run(tool: Tool, words: Sequence[str]) -> int:
    """Run a tool's program in this process's group, and return how it ended.

    Raises OSError if there is no such program.
    """
    first, *rest = tool.command
    program = sys.executable if first in PYTHON else first
    done = subprocess.run([program, *rest, *words], check=False)
    return done.returncode if done.returncode >= 0 else _SIGNALLED - done.returncode


_SIGNALLED = 128  # as a shell says that a signal ended a program
