"""A value in an argument or a variable -> a tree; and a value -> such an argument.

It is typed like YAML, without anything in YAML that could drop a part of it: no comments, no
anchors, no second document, and no mapping except in ``{ }``. Text that does not begin like a list,
a mapping or a quoted text is one scalar, to its last character.
"""

from collections.abc import Iterator

from runner.base.problems import Mark, Problem
from runner.recipe.libyaml import tokens
from runner.recipe.node import Node
from runner.recipe.yaml import Document, bare, parse
from runner.recipe.yaml_flow import flow

_STRUCTURE = ("[", "{", '"', "'", "!")
_LOST = {
    "AnchorToken": "'&' begins an anchor",
    "AliasToken": "'*' begins an alias",
    "DirectiveToken": "'%' begins a directive",
    "DocumentStartToken": "'---' begins another document",
    "DocumentEndToken": "'...' ends the document",
}


def inline(text: str, file: str) -> Document:
    """Read one value; every problem is in the Document. An empty text is not a value."""
    value = text.strip()
    if not value.startswith(_STRUCTURE) or value.startswith("{{"):
        return bare(text, file)
    document = parse(text, file)
    problem = None if document.problems else next(_losses(text, file), None)
    if problem is not None:
        document.problems.append(problem)
    document.problems = [_with_quotes_hint(one) for one in document.problems]
    return document


def word(node: Node) -> str:
    """Return a value as a word that is read back as the same value."""
    if node.tag == "reset":
        return "!reset"
    return f"!override {flow(node.plain())}" if node.tag else flow(node.plain())


def _losses(text: str, file: str) -> Iterator[Problem]:
    """Yield what YAML would pass over in a text that it can read."""
    end = 0
    for token in tokens(text):
        start, why = token.start_mark.index, _LOST.get(type(token).__name__)
        if getattr(token, "value", None) == (None, "!"):
            why = "'!' alone is a YAML tag"
        comment = text.find("#", end, start)
        if comment >= 0:
            yield _problem(text, comment, file, "'#' begins a comment")
        elif why:
            yield _problem(text, start, file, why)
        end = max(end, token.end_mark.index)


def _problem(text: str, at: int, file: str, why: str) -> Problem:
    line = text.count("\n", 0, at)
    mark = Mark(file=file, line=line + 1, column=at - text.rfind("\n", 0, at))
    return Problem(mark=mark, message=f"{why}, which would be lost", rule="lost-text")


def _with_quotes_hint(problem: Problem) -> Problem:
    """Return a problem with how to fix it of a word, where it is one of YAML's signs."""
    if problem.rule not in {"yaml-syntax", "lost-text", "unknown-tag"}:
        return problem
    hint = "text with such characters needs its own quotes: PATH='\"…\"'"
    hint = f"{problem.hint}; {hint}" if problem.rule == "yaml-syntax" and problem.hint else hint
    return Problem(
        mark=problem.mark,
        message=problem.message,
        rule=problem.rule,
        hint=hint,
        notes=problem.notes,
    )
