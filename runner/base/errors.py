"""Errors that a user sees without a traceback, and the exit codes, each in one place."""

from __future__ import annotations

import errno
from enum import IntEnum
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from runner.base.problems import Problem

WAYS_OUT = {
    errno.ENOSPC: "free some space",
    errno.EDQUOT: "free some space",
    errno.EMFILE: "allow this shell to open more files: ulimit -n 1024",
    errno.ENFILE: "the whole system has too many open files: close some programs",
}
"""What helps where the system refuses something, by the number of its error."""


class Exit(IntEnum):
    """The exit codes of the process."""

    OK = 0
    STAGE_FAILED = 1
    INVALID = 2
    DRIFT = 3
    EXPECTATION = 4
    UNFIT = 5
    AUDIT = 6
    INTERNAL = 70
    TIMEOUT = 124
    INTERRUPTED = 130
    TERMINATED = 143


class RecipeError(Exception):
    """An error with a sentence for the user; `code` is the exit code, `hint` how to fix it."""

    code = Exit.INVALID

    def __init__(self, message: str, hint: str = "") -> None:
        super().__init__(message)
        self.hint = hint


class InvalidRecipeError(RecipeError):
    """A recipe with problems; `problems` are values, `sources` the texts they point into."""

    def __init__(self, problems: Sequence[Problem], sources: Mapping[str, str]) -> None:
        from runner.base.problems import pictures, sort_problems  # --help needs none of it

        self.problems = sort_problems(problems)
        self.sources = sources
        super().__init__("\n".join(pictures(self.problems, sources)))


class UnfitError(RecipeError):
    """This machine cannot run the plan."""

    code = Exit.UNFIT


class RunError(RecipeError):
    """A run cannot continue for a reason outside its stages."""

    code = Exit.STAGE_FAILED


class ToolError(Exception):
    """An error that the user can fix: the message says what is wrong and how to fix it.

    `at` is the parameter to change, and `problem` is the same error with the place of a row.
    """

    def __init__(self, message: str, at: str = "", problem: Problem | None = None) -> None:
        super().__init__(message)
        self.at = at
        self.problem = problem


class TrainingError(RuntimeError):
    """A training ends without a result; the message says why."""


class NotFiniteError(TrainingError):
    """The loss is nan or infinite, and so would be every weight from here on (T71, T72)."""


class ForgottenError(TrainingError):
    """The training exceeded the bound of its watch before any weights within it were saved."""


class GoOnError(TrainingError):
    """A training cannot resume from its saved state, or not with this release of mlx-lm."""
