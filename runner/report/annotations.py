"""Problems in, what other programs show beside the lines out: GitHub's annotations and SARIF."""

from collections.abc import Callable, Iterable, Mapping
from typing import Any
from urllib.parse import quote

from runner.base import visible
from runner.base.problems import NOTE, Mark, Problem

Json = dict[str, Any]
FileNamer = Callable[[str], str]
SARIF_SCHEMA = "https://docs.oasis-open.org/sarif/sarif/v2.1.0/os/schemas/sarif-schema-2.1.0.json"


def workflow_command(problem: Problem, name_of: FileNamer = str) -> str:
    """Return a problem as a workflow command, which GitHub Actions shows beside the line.

    `name_of` says what a file is called in the workspace, which is where GitHub looks for it.
    """
    mark = problem.mark
    column = {"col": str(mark.column)} if in_a_file(mark) else {}
    where = () if column else (str(mark),)
    notes = [f"{mark}: {text}" if mark else text for mark, text in problem.notes]
    hint = [f"hint: {problem.hint}"] if problem.hint else []
    text = "\n".join([": ".join((*where, problem.message)), *notes, *hint])
    fields = {**place(mark, name_of), **column, "title": problem.rule}
    level = "notice" if problem.severity == NOTE else problem.severity
    return notice(level, fields, text)


def place(mark: Mark | None, name_of: FileNamer = str, *, line: bool = True) -> dict[str, str]:
    """Return where a workflow command points: nowhere for what is in no file."""
    if mark is None or not in_a_file(mark):
        return {}
    return {"file": name_of(mark.file), **({"line": str(mark.line)} if line else {})}


def notice(level: str, fields: Mapping[str, str], text: str) -> str:
    """Return a workflow command: its level, its properties, and what it says."""
    plain = {name: visible.line(value) for name, value in fields.items()}
    properties = ",".join(f"{name}={_property(value)}" for name, value in plain.items())
    return f"::{level} {properties}::{_data(visible.text(text))}"


def sarif(
    problems: Iterable[Problem], version: str, pages: Mapping[str, str], name_of: FileNamer = str
) -> Json:
    """Return problems as a SARIF 2.1.0 log; `pages` are the rules' own by slug."""
    rows = list(problems)
    slugs = sorted({problem.rule for problem in rows})
    rules = [_rule(slug, pages.get(slug, "")) for slug in slugs]
    driver = {"name": "run-recipe", "version": version, "rules": rules}
    run = {
        "tool": {"driver": driver},
        "columnKind": "unicodeCodePoints",
        "results": [_result(problem, slugs, name_of) for problem in rows],
    }
    return {"$schema": SARIF_SCHEMA, "version": "2.1.0", "runs": [run]}


def _rule(slug: str, page: str) -> Json:
    summary = page.partition("\n\n")[0].replace("\n", " ")
    more = {"shortDescription": {"text": summary}, "help": {"text": page}} if page else {}
    return {"id": slug, **more}


def _result(problem: Problem, slugs: list[str], name_of: FileNamer) -> Json:
    hint = f"\nhint: {problem.hint}" if problem.hint else ""
    loose = [text for mark, text in problem.notes if mark is None or not in_a_file(mark)]
    text = visible.text("\n".join([problem.message, *loose]) + hint)
    result: Json = {
        "ruleId": problem.rule,
        "ruleIndex": slugs.index(problem.rule),
        "level": problem.severity,
        "message": {"text": text},
    }
    if in_a_file(problem.mark):
        result["locations"] = [_location(problem.mark, name_of)]
    else:
        result["message"]["text"] = f"{problem.mark}: {text}"
    related = [
        {**_location(mark, name_of), "message": {"text": visible.text(note)}}
        for mark, note in problem.notes
        if mark is not None and in_a_file(mark)
    ]
    return {**result, "relatedLocations": related} if related else result


def _location(mark: Mark, name_of: FileNamer) -> Json:
    region = {"startLine": mark.line, "startColumn": mark.column}
    place = {"artifactLocation": {"uri": quote(visible.line(name_of(mark.file)))}, "region": region}
    return {"physicalLocation": place}


def in_a_file(mark: Mark) -> bool:
    """Return whether a mark is in a file, and not in an option, a variable or a shipped recipe."""
    return not mark.file.startswith(("--", "builtin:")) and mark.file != "environment"


def _property(text: str) -> str:
    return _data(text).replace(":", "%3A").replace(",", "%2C")


def _data(text: str) -> str:
    return text.replace("%", "%25").replace("\r", "%0D").replace("\n", "%0A")
