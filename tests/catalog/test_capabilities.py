"""What a tool can do stands in its file: code asks for a capability, never for a tool's name."""

import ast

import pytest
from sources import PACKAGE, tree

from runner.catalog import load
from runner.lint.rule import rules
from runner.plan.smoke import MODEL_TOOL

CATALOG = load.catalog()
NAMES = set(CATALOG.names)
TOOLS = [tool for name in CATALOG.names if (tool := CATALOG.get(name))]
OBSERVERS = {tool.observer for tool in TOOLS if tool.observer}
LOOKUPS = {"startswith", "endswith", "get", "of_tool"}
ROOMS = ("plan", "command", "runs", "lint", "worker", "report")


def constants(tree):
    """Every text of a module that is no docstring."""
    docs = {
        id(node.body[0].value)
        for node in ast.walk(tree)
        if isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef)
        and node.body
        and isinstance(node.body[0], ast.Expr)
    }
    for node in ast.walk(tree):
        if isinstance(node, ast.Constant) and isinstance(node.value, str) and id(node) not in docs:
            yield node


def compared(tree):
    """The texts that a module compares with, looks up, or begins names with."""
    for node in ast.walk(tree):
        if isinstance(
            node, ast.Compare | ast.MatchValue | ast.Dict | ast.Tuple | ast.Set | ast.List
        ) or (isinstance(node, ast.Call) and getattr(node.func, "attr", "") in LOOKUPS):
            yield from constants(node)


@pytest.mark.parametrize("room", ROOMS)
def test_no_code_asks_for_a_tool_by_its_name(room):
    heads = {f"{name.partition('.')[0]}." for name in NAMES}
    for path in sorted((PACKAGE / room).rglob("*.py")):
        if path.stem in OBSERVERS:  # it is of one tool
            continue
        for node in compared(tree(path)):
            assert node.value not in NAMES | heads, f"{path}:{node.lineno} names {node.value}"


def test_the_one_tool_that_is_named_is_what_a_smoke_run_adds():
    assert CATALOG.get(MODEL_TOOL) is not None


@pytest.mark.parametrize("tool", TOOLS, ids=lambda tool: tool.name)
def test_a_tool_names_rules_that_are_there_and_not_general(tool):
    known = rules()
    for slug in tool.rules:
        assert slug in known, slug
        assert not known[slug].general, slug


def test_every_rule_looks_at_some_tool():
    named = {slug for tool in TOOLS for slug in tool.rules}
    assert [slug for slug, rule in rules().items() if not rule.general and slug not in named] == []


@pytest.mark.parametrize("tool", TOOLS, ids=lambda tool: tool.name)
def test_capabilities_name_parameters_that_exist(tool):
    entry = tool.schema["x-tool"].get("trains", {})
    named = {name for key, name in entry.items() if key not in {"when", "loop"}}
    named |= set(entry.get("when", {}))
    for output in tool.outputs.values():
        named |= {*output.of, *filter(None, (output.replay, output.layout))}
        named |= {place.partition(".")[0] for place in output.shape.values()}
        rule = output.precision
        named |= {rule[key] for key in ("dtype", "bits", "mode", "mixture") if key in rule}
        named |= {*rule.get("when", {}), *rule.get("none", {})}
    for parameter in tool.parameters.values():
        for way in parameter.read_when or ():
            named |= {*way}
            for name, values in way.items():
                assert set(values) <= set(
                    tool.schema["properties"][name].get("enum", (True, False))
                )
    rows = tool.schema["x-tool"].get("rows", "")
    if isinstance(rows, dict):
        named.add(rows["by"])
        assert {*rows["formats"]} == {*tool.schema["properties"][rows["by"]]["enum"]}
    assert named <= set(tool.parameters)


@pytest.mark.parametrize("tool", TOOLS, ids=lambda tool: tool.name)
def test_every_tool_that_is_shipped_says_the_package_it_comes_with(tool):
    assert tool.distribution in {"mlx-lm", "mlx-lm-lora", "huggingface-hub", "run-recipe"}
    assert tool.own == tool.main[0].startswith("runner.")
