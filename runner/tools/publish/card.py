"""What is published, and the run that made it, in; the README.md of its repository out."""

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


class Published(Struct, frozen=True, kw_only=True):
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


def card(said: Published, made: Report | None, places: Mapping[str, str]) -> str:
    """Return the text of a card; `places` are paths of this machine and what stands for each.

    Without a run the card says so in place of its sections.
    """
    lines = ["---", _front(said).rstrip("\n"), "---", "", *_head(said, made), *_use(said)]
    lines += list(_sections(made)) if made else [*_title("How it was made"), NO_RUN]
    text = "\n".join(lines)
    for path in sorted(places, key=len, reverse=True):
        short = places[path].replace("\\", r"\\")
        text = re.sub(rf"{re.escape(path)}(?![\w.-])", short, text)
    return text.rstrip("\n") + "\n"


NO_RUN = (
    "No run of run-recipe stands beside these files, so that neither the recipe nor what was "
    "measured is known."
)


def _front(said: Published) -> str:
    known: dict[str, Any] = {
        "license": said.license,
        "license_name": said.license_name,
        "license_link": said.license_link,
        "base_model": said.base_model,
        "base_model_relation": _relation(said) if said.base_model else None,
        "language": list(said.language),
        "datasets": list(said.datasets),
        "library_name": "mlx",
        "pipeline_tag": "text-generation",
        "tags": list(dict.fromkeys(["mlx", "run-recipe", *_kinds(said), *said.tags])),
    }
    kept = {key: value for key, value in known.items() if value}
    return yaml.safe_dump(kept, sort_keys=False, allow_unicode=True)


def _relation(said: Published) -> str:
    return "adapter" if said.kind == "adapter" else "quantized" if said.quantized else "finetune"


def _kinds(said: Published) -> list[str]:
    return ["lora"] if said.kind == "adapter" else []


def _head(said: Published, made: Report | None) -> Iterator[str]:
    yield f"# {said.repo_id.rpartition('/')[2]}"
    yield ""
    about = visible.text(said.description) or (
        markdown(made.manifest.plan.description) if made else ""
    )
    if about:
        yield from (about, "")
    if made and made.manifest.plan.smoke:
        yield from ("**Made by a smoke run at toy scale: its weights are as good as random.**", "")


def _use(said: Published) -> Iterator[str]:
    yield from _title("Use")
    name = said.repo_id.rpartition("/")[2]
    if said.kind == "adapter":
        base = said.base_model or "BASE_MODEL"
        lines = [
            f"hf download {said.repo_id} --local-dir {name}",
            f'mlx_lm.generate --model {base} --adapter-path {name} --prompt "…"',
        ]
    else:
        lines = [f'mlx_lm.generate --model {said.repo_id} --prompt "…"']
    yield from _fenced("sh", "\n".join(lines))


def _sections(made: Report) -> Iterator[str]:
    """Yield what the run says: figures, gates, audit, recipe, script, versions."""
    ran = [stage for stage in made.stages if stage.record.state is State.FINISHED]
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
            f"- [{marks[held]}] {markdown(stage)}: {code(said)}" for stage, said, held in gates
        )
        yield ""
        if made.manifest.plan.smoke:
            yield from ("A smoke run enforces none of these.", "")
    yield from _title("Audit")
    seen = [row.verdict for stage in ran for row in stage.rows if row.verdict is not None]
    yield from (f"{total(seen) if seen else 'No stage has been audited'}.", "")
    yield from (f"- {stage.record.name}: {stage.audit}" for stage in ran)
    yield ""
    for title, kind, text in (("Recipe", "yaml", made.recipe), ("Commands", "sh", made.commands)):
        if text:
            yield from _title(title)
            yield from ("<details><summary>every parameter of every stage</summary>", "")
            yield from _fenced(kind, text.rstrip("\n"))
            yield from ("</details>", "")
    yield from _title("Made with")
    facts = made.manifest.facts
    packages = ", ".join(f"{name} {version}" for name, version in facts["packages"].items())
    versions = f"run-recipe {facts['run_recipe']}, Python {facts['python']}, {packages}"
    yield f"{versions}; run {made.manifest.plan.name}/{made.manifest.id}."


def _title(text: str) -> tuple[str, str]:
    return f"## {text}", ""


def _fenced(kind: str, text: str) -> Iterator[str]:
    """Yield a block of code; its fence is longer than any in the text."""
    longest = max(map(len, re.findall(r"`{3,}", text)), default=2)
    fence = "`" * max(3, longest + 1)
    yield from (f"{fence}{kind}", text, fence, "")
