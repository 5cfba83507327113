"""A complaint of YAML's in, a problem in a user's words out, at the place of the mistake."""

from typing import TYPE_CHECKING, Any

from msgspec import Struct

from runner.base.patterns import pattern
from runner.base.problems import Mark, Problem
from runner.recipe.template.allowance import MAX_DEPTH

if TYPE_CHECKING:
    import yaml

UNQUOTED = "a template needs quotes, or YAML reads '{{' as a mapping"
QUOTE = 'write "{{ … }}"'
_TEMPLATE = pattern(r"(?:^|:|-|,|\[)\s*(\{\{)")
_GLUED = pattern(r"\s*(?:- )?([\w.-]+:)[^\s:/]")
_WORD = pattern(r"\s*(?:- )?([\w.-]+)\s*\Z")


class Complaint(Struct, frozen=True, kw_only=True):
    """What PyYAML says: its problem and context, each with its line and column from 1."""

    why: str
    at: tuple[int, int]
    context: str
    opening: tuple[int, int] | None
    rows: list[str]

    def row(self, number: int) -> str:
        """Return a line of the text, counted from 1; empty if there is none."""
        return self.rows[number - 1] if 0 < number <= len(self.rows) else ""

    def above(self, number: int) -> int:
        """Return the number of the nearest line above that says something."""
        number -= 1
        while number > 0 and self.row(number).strip(" ")[:1] in {"", "#"}:
            number -= 1
        return number


def syntax(error: "yaml.YAMLError", text: str, file: str) -> Problem:
    """Return PyYAML's error as a problem."""
    if hasattr(error, "character"):  # PyYAML's ReaderError
        return _character(error, text, file)
    at = getattr(error, "problem_mark", None) or getattr(error, "context_mark", None)
    opening = getattr(error, "context_mark", None)
    complaint = Complaint(
        why=str(getattr(error, "problem", None) or error),
        at=(at.line + 1, at.column + 1) if at else (1, 1),
        context=str(getattr(error, "context", None) or ""),
        opening=(opening.line + 1, opening.column + 1) if opening else None,
        rows=text.splitlines(),
    )
    place, why, rule, hint = _explain(complaint)
    notes: tuple[tuple[Mark | None, str], ...] = ()
    if complaint.opening and "flow" in complaint.context and "expected ','" in complaint.why:
        line, column = complaint.opening
        sign = complaint.row(line)[column - 1 : column]
        notes = ((Mark(file=file, line=line, column=column), f"the '{sign}' opened here"),)
    return Problem(mark=Mark.at(file, place), message=why, rule=rule, hint=hint, notes=notes)


def too_deep(mark: Mark) -> Problem:
    """Return the problem of a value that is nested too deeply."""
    return Problem(
        mark=mark,
        message=f"nested more than {MAX_DEPTH} levels deep",
        rule="too-deep",
        hint="flatten it",
    )


def _character(error: Any, text: str, file: str) -> Problem:
    before = text[: error.position] if isinstance(error.position, int) else ""
    mark = Mark(file=file, line=before.count("\n") + 1, column=len(before) - before.rfind("\n"))
    sign = error.character
    sign_text = chr(sign) if isinstance(sign, int) else str(sign)
    why = f"the character {sign_text!r} is not allowed in YAML"
    return Problem(
        mark=mark,
        message=why,
        rule="yaml-syntax",
        hint="remove it, or write it as an escape in quotes",
    )


def _explain(complaint: Complaint) -> tuple[tuple[int, int], str, str, str]:
    """Return place, message, rule and hint of a complaint."""
    line, column = complaint.at
    for number in (line, line - 1):
        match = _TEMPLATE.search(complaint.row(number))
        if match:
            return (number, match.start(1) + 1), UNQUOTED, "unquoted-template", QUOTE
    place, why, hint = _spelling(complaint) or _meaning(
        complaint, complaint.row(line)[column - 1 : column]
    )
    return place, why, "yaml-syntax", hint


def _spelling(complaint: Complaint) -> tuple[tuple[int, int], str, str] | None:
    """Return a slip of the keyboard near the place, which YAML only notices later."""
    line = complaint.at[0]
    first = complaint.opening[0] if complaint.opening else line
    for number in (first, line, complaint.above(line)):
        at = complaint.row(number).find("\u00a0")
        if at >= 0:
            why = "YAML does not accept a no-break space as a space"
            return (number, at + 1), why, "type a plain space instead"
    if "mapping values" not in complaint.why and "expected ':'" not in complaint.why:
        return None
    above = complaint.above(line)
    row = complaint.row(above)
    joint, word = _GLUED.match(row), _WORD.match(row)
    if joint:
        why = f"a space is missing after '{joint[1]}'"
        hint = f"write '{joint[1]} {row[joint.end(1) :].strip()}'"
        return (above, joint.start(1) + 1), why, hint
    if word and "mapping values" in complaint.why:
        why = f"a ':' is missing after '{word[1]}'"
        return (above, word.start(1) + 1), why, f"write '{word[1]}:'"
    return None


# Words of YAML's complaint, then of its context; what they mean, and how to fix it. `{sign}` is the
# character at the place; a complaint with a True is about where its context opened.
_MEANINGS = (
    ("mapping values are not allowed", "", "a second ': ' on one line",
     "text that contains ': ' needs quotes", False),
    ("found undefined alias", "", "this alias has no anchor",
     "an anchor (&name) must come before its alias (*name); text that starts with * needs quotes",
     False),
    ("", "scanning an alias", "'*' starts an alias, and no name follows",
     "text that starts with * needs quotes", True),
    ("end of stream", "scanning a quoted scalar", "this quote is never closed", "close it", True),
    ("", "single document", "a recipe is a single document: a second one starts here",
     "put it into its own file, or remove the '---'", False),
    ("expected ':'", "", "this line has no ':'", "is a ':' missing, or a quote left open above?",
     True),
    ("expected ',' or ']'", "", "a ',' or ']' is missing before this", "close it with ']'", False),
    ("expected ',' or '}'", "", "a ',' or '}' is missing before this", "close it with '}'", False),
    ("cannot start any token", "", "text cannot start with '{sign}'",
     "text that starts with {sign} needs quotes", False),
)  # fmt: skip


def _meaning(complaint: Complaint, sign: str) -> tuple[tuple[int, int], str, str]:
    """Return what YAML's own words mean."""
    if sign == "\t":
        return complaint.at, "a tab cannot indent", "YAML indents with spaces, never with tabs"
    if "did not find expected key" in complaint.why:
        if sign == ":":
            return complaint.at, "a key is missing before ':'", "write it"
        hint = "indent it like the lines it belongs to"
        return complaint.at, "this line's indentation does not match the lines around it", hint
    for why, context, meaning, hint, at_opening in _MEANINGS:
        if why in complaint.why and context in complaint.context:
            place = (complaint.opening if at_opening else None) or complaint.at
            return place, meaning.replace("{sign}", sign), hint.replace("{sign}", sign)
    return complaint.at, complaint.why, ""
