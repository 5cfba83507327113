"""What expressions consist of: names that contain names, functions, and their errors.

An expression computes only with YAML's values. Scopes and functions are not values: they cannot be
compared, written or passed on, so no Python object ever reaches a plan.
"""

from collections.abc import Callable, Iterable
from typing import Any

from runner.base.problems import listing


class TemplateError(Exception):
    """An expression or template that has no value; `hint` is how to fix it.

    `near` is the name that was probably meant, so that nobody calls it unused; `about` names what
    it is that has no value.
    """

    def __init__(
        self,
        message: str,
        hint: str = "",
        rule: str = "template-error",
        near: tuple[str, ...] = (),
        about: tuple[str, ...] = (),
    ) -> None:
        super().__init__(message)
        self.about = about
        self.hint = hint
        self.rule = rule
        self.near = near


class OperationError(TemplateError):
    """An operator, filter or method has no answer; the caller adds the expression."""


class Scope:
    """A name in an expression that holds further names, and is not a value itself."""

    title = "this"

    def lookup(self, name: str) -> Any:
        """Return the value called `name`; raises TemplateError if there is none."""
        raise NotImplementedError

    def names(self) -> Iterable[str]:
        """Return the names it holds."""
        return ()

    def whole(self) -> Any:
        """Return everything below this name as plain values, where that makes sense."""
        raise self.refusal()

    def refusal(self) -> TemplateError:
        """Return the error of a group of values that is used as one."""
        members = listing(self.names())
        hint = f"add one of: .{members.replace(', ', ', .')}" if members else "it is empty"
        return TemplateError(f"{self.title} is not a value", hint)


class Function(Scope):
    """A name in an expression that can be called, and is nothing else."""

    def __init__(self, title: str, example: str, call: Callable[..., Any]) -> None:
        self.title, self.example, self.call = title, example, call

    def lookup(self, name: str) -> Any:
        """Raise TemplateError: a function holds no names."""
        hint = self.example.replace("NAME", name)
        raise TemplateError(f"{self.title} is a function", f"write {hint}", "undefined")

    def refusal(self) -> TemplateError:
        """Return the error of a function that is not called."""
        return TemplateError(f"{self.title} is a function", f"write {self.example}")
