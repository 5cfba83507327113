"""A run in, the content of its report out: for a page, for Markdown, for a program."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from msgspec import Struct, field, to_builtins

from runner.base.formatting import duration, figure
from runner.base.visible import code, line
from runner.base.visible import markdown as markup
from runner.catalog.tools import Catalog
from runner.report.curves import Curves
from runner.report.wording import changes, gates, origin, state_of
from runner.runs.audit import Verdict, sentence, total
from runner.runs.manifest import Manifest, StageRecord, State

Json = dict[str, Any]


class ParameterRow(Struct, frozen=True, kw_only=True):
    """One parameter: what was asked, what the tool does unasked, and what was seen of it."""

    name: str
    planned: Any
    default: Any
    verdict: Verdict | None = None

    @property
    def changed(self) -> bool:
        """Whether it is not what the tool does unasked."""
        return bool(self.planned != self.default)


class StageReport(Struct, frozen=True, kw_only=True):
    """One stage: its record, its parameters, and what was seen of its data and its model."""

    record: StageRecord
    tool: str
    description: str
    rows: tuple[ParameterRow, ...]
    audit: str
    observed: Mapping[str, Any] = field(default_factory=dict)


class Report(Struct, frozen=True, kw_only=True):
    """One run: `commands` is its script, `recipe` its resolved recipe, `alive` whether it runs.

    `notes` are the warnings and budgets that were reported before it.
    """

    manifest: Manifest
    stages: tuple[StageReport, ...]
    curves: Curves
    audit: str
    commands: str = ""
    recipe: str = ""
    notes: str = ""
    alive: bool = False

    @property
    def state(self) -> str:
        """Where the run is; one whose process is gone was interrupted."""
        return state_of(self.manifest.state, alive=self.alive)

    @property
    def sound(self) -> bool:
        """Whether something was audited, all that ended well was, and nothing differs."""
        done = [stage for stage in self.stages if stage.record.state is State.FINISHED]
        rows = [row.verdict for stage in self.stages for row in stage.rows if row.verdict]
        audited = all(any(row.verdict for row in stage.rows) for stage in done)
        return bool(rows) and audited and all(verdict.equal for verdict in rows)

    @property
    def seconds(self) -> float:
        """How long its stages took in all."""
        return sum(stage.record.seconds for stage in self.stages)

    def as_dict(self) -> Json:
        """Return the report as JSON-ready values; the curves are the thinned ones."""
        whole = self.manifest
        return {
            "run": whole.id,
            "recipe": whole.plan.name,
            "state": self.state,
            "smoke": whole.plan.smoke,
            "started": whole.started,
            "ended": whole.ended,
            "seconds": round(self.seconds, 3),
            "audit": self.audit,
            "notes": self.notes.splitlines(),
            "facts": dict(whole.facts),
            "stages": [_stage(stage) for stage in self.stages],
            "curves": to_builtins(self.curves),
        }


def report(
    manifest: Manifest,
    catalog: Catalog,
    audits: Mapping[str, tuple[Sequence[Verdict], Mapping[str, Any]]],
    curves: Curves,
    texts: tuple[str, str, str] = ("", "", ""),
    *,
    alive: bool = False,
) -> Report:
    """Return the report of a run.

    `audits` has the verdicts and observations of each audited stage, `texts` the script, the
    resolved recipe and the messages before the run.
    """
    stages = []
    for record in manifest.stages:
        stage = manifest.plan.stage(record.name)
        tool = catalog.get(stage.tool)
        verdicts, observed = audits.get(record.name, ((), {}))
        verdict_of = {verdict.parameter: verdict for verdict in verdicts}
        known_to = [tool, catalog.trainer] if tool else [catalog.trainer]
        defaults = {name: p.default for one in known_to for name, p in one.parameters.items()}
        rows = tuple(
            ParameterRow(
                name=name, planned=value, default=defaults.get(name), verdict=verdict_of.get(name)
            )
            for name, value in {**stage.params, **stage.trainer}.items()
        )
        text = sentence(verdicts) if verdicts else "not audited"
        if record.reused:
            text = f"audited in {record.reused['run']}: {text}"
        stages.append(
            StageReport(
                record=record,
                tool=stage.tool,
                description=stage.description,
                rows=rows,
                audit=text,
                observed=dict(observed),
            )
        )
    every = [verdict for verdicts, _ in audits.values() for verdict in verdicts]
    audit = total(every) if every else "no stage has been audited"
    commands, recipe, notes = texts
    return Report(
        manifest=manifest,
        stages=tuple(stages),
        curves=curves,
        audit=audit,
        commands=commands,
        recipe=recipe,
        notes=notes,
        alive=alive,
    )


def _stage(stage: StageReport) -> Json:
    record = {
        k: v
        for k, v in stage.record.as_json().items()
        if k not in {"prints", "identity", "setting"}
    }
    changed = {row.name: row.planned for row in stage.rows if row.changed}
    return {
        **record,
        "tool": stage.tool,
        "audit": {**stage.record.audit, "verdict": stage.audit},
        "changed": changed,
        "observed": dict(stage.observed),
    }


def markdown(one: Report) -> str:
    """Return the report as Markdown, as for a pull request."""
    return "\n".join(_markdown(one)) + "\n"


def _markdown(one: Report) -> Iterator[str]:
    plan = one.manifest.plan
    smoke = " (smoke run)" if plan.smoke else ""
    yield f"# {markup(plan.name)}{smoke}: {one.state}"
    yield ""
    if plan.description:
        yield f"{markup(plan.description)}\n"
    yield f"Run {code(one.manifest.id)}, {duration(one.seconds)}. Audit: {one.audit}."
    yield ""
    yield "| stage | tool | state | time | figures |"
    yield "|---|---|---|---:|---|"
    for stage in one.stages:
        record = stage.record
        said = [origin(record)] if origin(record) else []
        said += [f"{n} {figure(n, v)}" for n, v in record.metrics.items()]
        figures = ", ".join(map(markup, said))
        took = duration(record.seconds) if record.seconds else ""
        name, tool = markup(record.name), markup(stage.tool)
        yield f"| {name} | {tool} | {record.state} | {took} | {figures} |"
    rows = [
        (s.record.name, *gate) for s in one.stages for gate in gates(s.record, smoke=plan.smoke)
    ]
    if rows:
        yield "\n| gate | stage | held |\n|---|---|---|"
        for name, text, held, words in rows:
            answer = markup(words) if held else markup(words).replace("no", "**no**", 1)
            yield f"| {code(text)} | {markup(name)} | {answer} |"
    for stage in one.stages:
        if stage.record.failure:
            failure = stage.record.failure
            what = markup(f"{stage.record.name}: {failure.get('kind')}")
            yield f"\n**{what}**. {markup(str(failure.get('guidance', '')))}"
            yield from (f"\n    {line(row.strip())}" for row in changes(failure))
