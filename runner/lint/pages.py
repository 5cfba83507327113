"""The rules in, docs/rules.md out: a page for every rule, family by family."""

from collections.abc import Iterator
from importlib import import_module

from runner.catalog.tools import Catalog
from runner.lint.rule import FAMILIES, Rule, rules

_HEAD = """\
# Rules

Each rule finds a trap of mlx-lm from the recipe and the files it names.
An **error** means that the result would be wrong or the run would fail later; a **warning** may be
intended. `allow: [slug]` on a stage silences a rule for that stage. The T-numbers are those of
[the traps](traps.md).

Generated from `runner/lint/rules`: change it there."""


def page(catalog: Catalog) -> str:
    """Return docs/rules.md."""
    return "\n".join((*_lines(catalog), ""))


def _lines(catalog: Catalog) -> Iterator[str]:
    yield _HEAD
    tools = [tool for name in catalog.names if (tool := catalog.get(name))]
    for family in FAMILIES:
        members = [rule for rule in rules().values() if rule.family == family]
        doc = import_module(f"runner.lint.rules.{family}").__doc__ or ""
        yield from ("", f"## {family.replace('_', ' ').capitalize()}", "", doc.strip())
        for rule in members:
            yield from ("", *_rule(rule, [one.name for one in tools if rule.slug in one.rules]))


def _rule(rule: Rule, tools: list[str]) -> Iterator[str]:
    yield f"### {rule.slug}"
    yield ""
    looks_at = "every tool" if rule.general else ", ".join(f"`{tool}`" for tool in tools)
    facts = [rule.severity, looks_at]
    yield " · ".join([*facts, *([", ".join(rule.traps)] if rule.traps else [])])
    yield ""
    yield rule.page
