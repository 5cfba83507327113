"""The rules in, docs/rules.md out: a page for every rule, family by family."""

from collections.abc import Iterator
from importlib import import_module

from runner.lint.rule import FAMILIES, Rule, rules

_HEAD = """\
# Rules

Each is a trap of mlx-lm that a recipe, or a little knowledge of the files it names, can show.
An **error** means that the result would be wrong or the run would fail later; a **warning** that it
may be meant. `allow: [slug]` on a stage silences a rule for that stage. The numbers are those of
[the traps](traps.md).

Generated from `runner/lint/rules`: change it there."""


def page() -> str:
    """Return docs/rules.md."""
    return "\n".join((*_lines(), ""))


def _lines() -> Iterator[str]:
    yield _HEAD
    for family in FAMILIES:
        members = [rule for rule in rules().values() if rule.family == family]
        doc = import_module(f"runner.lint.rules.{family}").__doc__ or ""
        yield from ("", f"## {family.replace('_', ' ').capitalize()}", "", doc.strip())
        for rule in members:
            yield from ("", *_rule(rule))


def _rule(rule: Rule) -> Iterator[str]:
    yield f"### {rule.slug}"
    yield ""
    facts = [rule.severity, ", ".join(f"`{tool}`" for tool in rule.tools) or "every tool"]
    yield " · ".join([*facts, *([", ".join(rule.traps)] if rule.traps else [])])
    yield ""
    yield rule.page
