"""What is published and the run that made it in, the README.md of its repository out."""

import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import yaml
from msgspec import Struct

from runner.base import visible
from runner.base.formatting import figure
from runner.base.visible import code, markdown
from runner.report.report import Report
from runner.runs.audit import total
from runner.runs.manifest import State


class CardFields(Struct, frozen=True, kw_only=True):
    """What a card is about; `kind` is "model" or "adapter", the rest as the recipe says it."""

    repo_id: str
    kind: str
    license: str
    license_name: str | None = None
    license_link: str | None = None
    base_model: str | None = None
    language: Sequence[str] = ()
    datasets: Sequence[str] = ()
    tags: Sequence[str] = ()
    description: str = ""
    quantized: bool = False


def card(fields: CardFields, report: Report | None, places: Mapping[str, str]) -> str:
    """Return the text of a card; `places` are paths of this machine and what stands for each.

    Without a run the card says so in place of its sections.
    """
    lines = ["---", _front(fields).rstrip("\n"), "---", "", *_head(fields, report), *_use(fields)]
    lines += list(_sections(report)) if report else [*_title("How it was made"), NO_RUN]
    text = "\n".join(lines)
    for path in sorted(places, key=len, reverse=True):
        short = places[path].replace("\\", r"\\")
        text = re.sub(rf"{re.escape(path)}(?![\w.-])", short, text)
    return text.rstrip("\n") + "\n"


NO_RUN = (
    "These files are not part of a run-recipe run, so their recipe and measurements are unknown."
)


def _front(fields: CardFields) -> str:
    entries: dict[str, Any] = {
        "license": fields.license,
        "license_name": fields.license_name,
        "license_link": fields.license_link,
        "base_model": fields.base_model,
        "base_model_relation": _relation(fields) if fields.base_model else None,
        "language": list(fields.language),
        "datasets": list(fields.datasets),
        "library_name": "mlx",
        "pipeline_tag": "text-generation",
        "tags": list(dict.fromkeys(["mlx", "run-recipe", *_kinds(fields), *fields.tags])),
    }
    front = {key: value for key, value in entries.items() if value}
    return yaml.safe_dump(front, sort_keys=False, allow_unicode=True)


def _relation(fields: CardFields) -> str:
    return (
        "adapter" if fields.kind == "adapter" else "quantized" if fields.quantized else "finetune"
    )


def _kinds(fields: CardFields) -> list[str]:
    return ["lora"] if fields.kind == "adapter" else []


def _head(fields: CardFields, report: Report | None) -> Iterator[str]:
    yield f"# {fields.repo_id.rpartition('/')[2]}"
    yield ""
    about = visible.text(fields.description) or (
        markdown(report.manifest.plan.description) if report else ""
    )
    if about:
        yield from (about, "")
    if report and report.manifest.plan.smoke:
        yield from ("**Made by a smoke run at toy scale: its weights are close to random.**", "")


def _use(fields: CardFields) -> Iterator[str]:
    yield from _title("Use")
    name = fields.repo_id.rpartition("/")[2]
    if fields.kind == "adapter":
        base = fields.base_model or "BASE_MODEL"
        lines = [
            f"hf download {fields.repo_id} --local-dir {name}",
            f'mlx_lm.generate --model {base} --adapter-path {name} --prompt "…"',
        ]
    else:
        lines = [f'mlx_lm.generate --model {fields.repo_id} --prompt "…"']
    yield from _code_block("sh", "\n".join(lines))


def _sections(report: Report) -> Iterator[str]:
    """Yield what the run says: figures, gates, audit, recipe, script, versions."""
    ran = [stage for stage in report.stages if stage.record.state is State.FINISHED]
    records = [stage.record for stage in ran]
    rows = [(one.name, *figures) for one in records for figures in sorted(one.metrics.items())]
    if rows:
        yield from _title("Measured")
        yield from ("| stage | figure | value |", "|---|---|---|")
        yield from (
            f"| {markdown(stage)} | {markdown(name)} | {figure(name, value)} |"
            for stage, name, value in rows
        )
        yield ""
    gates = [(one.name, *gate) for one in records for gate in one.expectations]
    if gates:
        yield from _title("Expected")
        marks = {True: "x", False: " "}
        yield from (
            f"- [{marks[holds]}] {markdown(stage)}: {code(expectation)}"
            for stage, expectation, holds in gates
        )
        yield ""
        if report.manifest.plan.smoke:
            yield from ("A smoke run enforces none of these.", "")
    yield from _title("Audit")
    verdicts = [row.verdict for stage in ran for row in stage.rows if row.verdict is not None]
    yield from (f"{total(verdicts) if verdicts else 'No stages have been audited'}.", "")
    yield from (f"- {stage.record.name}: {stage.audit}" for stage in ran)
    yield ""
    for title, kind, text in (
        ("Recipe", "yaml", report.recipe),
        ("Commands", "sh", report.commands),
    ):
        if text:
            yield from _title(title)
            yield from ("<details><summary>every parameter of every stage</summary>", "")
            yield from _code_block(kind, text.rstrip("\n"))
            yield from ("</details>", "")
    yield from _title("Made with")
    facts = report.manifest.facts
    packages = ", ".join(f"{name} {version}" for name, version in facts["packages"].items())
    versions = f"run-recipe {facts['run_recipe']}, Python {facts['python']}, {packages}"
    yield f"{versions}; run {report.manifest.plan.name}/{report.manifest.id}."


def _title(text: str) -> tuple[str, str]:
    return f"## {text}", ""


def _code_block(kind: str, text: str) -> Iterator[str]:
    """Yield a block of code; its fence is longer than any in the text."""
    longest = max(map(len, re.findall(r"`{3,}", text)), default=2)
    fence = "`" * max(3, longest + 1)
    yield from (f"{fence}{kind}", text, fence, "")
