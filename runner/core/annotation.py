"""Problems in, what other programs show beside the lines out: GitHub's annotations and SARIF."""

from collections.abc import Iterable, Mapping
from typing import Any
from urllib.parse import quote

from runner.core.problem import Mark, Problem

Json = dict[str, Any]
SARIF_SCHEMA = "https://docs.oasis-open.org/sarif/sarif/v2.1.0/os/schemas/sarif-schema-2.1.0.json"


def workflow_command(problem: Problem) -> str:
    """Return a problem as a workflow command, which GitHub Actions shows beside the line."""
    place = {}
    if _in_a_file(problem.mark):
        mark = problem.mark
        place = {"file": mark.file, "line": str(mark.line), "col": str(mark.column)}
    said = {**place, "title": problem.rule}
    properties = ",".join(f"{name}={_property(value)}" for name, value in said.items())
    where = () if place else (str(problem.mark),)
    notes = [f"{mark}: {text}" if mark else text for mark, text in problem.notes]
    hint = [f"hint: {problem.hint}"] if problem.hint else []
    text = "\n".join([": ".join((*where, problem.message)), *notes, *hint])
    return f"::{problem.severity} {properties}::{_data(text)}"


def sarif(problems: Iterable[Problem], version: str, pages: Mapping[str, str]) -> Json:
    """Return problems as a SARIF 2.1.0 log; `pages` are the rules' own by slug."""
    found = list(problems)
    slugs = sorted({problem.rule for problem in found})
    rules = [_rule(slug, pages.get(slug, "")) for slug in slugs]
    driver = {"name": "run-recipe", "version": version, "rules": rules}
    run = {
        "tool": {"driver": driver},
        "columnKind": "unicodeCodePoints",
        "results": [_result(problem, slugs) for problem in found],
    }
    return {"$schema": SARIF_SCHEMA, "version": "2.1.0", "runs": [run]}


def _rule(slug: str, page: str) -> Json:
    summary = page.partition("\n\n")[0].replace("\n", " ")
    more = {"shortDescription": {"text": summary}, "help": {"text": page}} if page else {}
    return {"id": slug, **more}


def _result(problem: Problem, slugs: list[str]) -> Json:
    hint = f"\nhint: {problem.hint}" if problem.hint else ""
    loose = [text for mark, text in problem.notes if mark is None or not _in_a_file(mark)]
    text = "\n".join([problem.message, *loose]) + hint
    result: Json = {
        "ruleId": problem.rule,
        "ruleIndex": slugs.index(problem.rule),
        "level": problem.severity,
        "message": {"text": text},
    }
    if _in_a_file(problem.mark):
        result["locations"] = [_location(problem.mark)]
    else:
        result["message"]["text"] = f"{problem.mark}: {text}"
    related = [
        {**_location(mark), "message": {"text": said}}
        for mark, said in problem.notes
        if mark is not None and _in_a_file(mark)
    ]
    return {**result, "relatedLocations": related} if related else result


def _location(mark: Mark) -> Json:
    region = {"startLine": mark.line, "startColumn": mark.column}
    place = {"artifactLocation": {"uri": quote(mark.file)}, "region": region}
    return {"physicalLocation": place}


def _in_a_file(mark: Mark) -> bool:
    """Say whether a mark is in a file, and not in an option, a variable or a shipped recipe."""
    return not mark.file.startswith(("--", "builtin:")) and mark.file != "environment"


def _property(text: str) -> str:
    return _data(text).replace(":", "%3A").replace(",", "%2C")


def _data(text: str) -> str:
    return text.replace("%", "%25").replace("\r", "%0D").replace("\n", "%0A")
