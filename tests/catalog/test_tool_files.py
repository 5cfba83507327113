"""The tools a recipe brings along: what their files may say, and what is told of one that is wrong."""

import copy
import json

import pytest

from runner import workflow
from runner.catalog import load
from runner.catalog.tool_files import faults

META = load.tool_schema()
GOOD = {
    "$schema": "https://json-schema.org/draft/2020-12/schema",
    "title": "mine.score",
    "description": "Counts rows.",
    "x-tool": {
        "command": ["python", "scripts/score.py"],
        "outputs": {"score": {"param": "out", "place": "score"}},
        "report": "{out}/score.json",
        "metrics": ["rows"],
    },
    "type": "object",
    "additionalProperties": False,
    "required": ["rows"],
    "properties": {
        "rows": {
            "type": "string",
            "description": "File of rows.",
            "x-input": {"kind": "file"},
            "x-arg": {"emit": "value", "flag": "--rows"},
        },
        "out": {
            "type": "string",
            "description": "Folder of the result.",
            "x-arg": {"emit": "value", "flag": "--out"},
        },
        "limit": {
            "type": "integer",
            "description": "So many rows at most.",
            "default": 10,
            "minimum": 1,
            "x-arg": {"emit": "value", "flag": "--limit"},
        },
    },
}
RECIPE = """\
version: 1
tools: {mine.score: tools/score.json}
stages:
  score: {tool: mine.score, params: {rows: rows.jsonl}}
"""


def changed(*path, value=None, remove=False):
    schema = copy.deepcopy(GOOD)
    inside = schema
    for word in path[:-1]:
        inside = inside[word]
    if remove:
        del inside[path[-1]]
    else:
        inside[path[-1]] = value
    return schema


@pytest.mark.parametrize("name", load.catalog().names)
def test_every_file_that_is_shipped_is_without_fault(name):
    assert [*faults(name, load.catalog().get(name).schema, META, own=True)] == []


def test_a_good_file_has_no_fault():
    assert [*faults("mine.score", GOOD, META)] == []


@pytest.mark.parametrize(
    ("schema", "says"),
    [
        (changed("title", value="mine.other"), "title is 'mine.other'"),
        (changed("x-tool", "metrics", remove=True), "'metrics' is a required property"),
        (changed("x-tool", "observer", value="watch_lora"), "'observer' is about run-recipe's own"),
        (changed("x-tool", "rules", value=["two-dashes"]), "'rules' is about run-recipe's own"),
        (changed("x-tool", "distribution", value="run-recipe"), "only its own tools come with"),
        (changed("x-tool", "report", value="{folder}/x.json"), "names 'folder', which is no param"),
        (
            changed("x-tool", "trains", value={"iterations": "n"}),
            "names 'n', which is no parameter",
        ),
        (changed("required", value=["limit"]), "rows has no default"),
        (changed("properties", "limit", "default", value=0), "the default of limit"),
        (
            changed("properties", "limit", "x-arg", "flag", value="--out"),
            "has the flag --out of out",
        ),
        (changed("properties", "rows", "pattern", value="(a+)+$"), "takes for ever"),
        ([], "is not of type 'object'"),
    ],
)
def test_a_fault_is_told(schema, says):
    told = [message for _, message in faults("mine.score", schema, META)]
    assert any(says in one for one in told), told


@pytest.fixture
def place(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "tools").mkdir()
    (tmp_path / "tools" / "score.json").write_text(json.dumps(GOOD, indent=1), encoding="utf-8")
    (tmp_path / "r.yaml").write_text(RECIPE, encoding="utf-8")
    return tmp_path


def told(file="r.yaml", **more):
    return [
        f"{one.mark}: {one.message}" for one in workflow.problems(workflow.read(file, **more), {})
    ]


def planned(file="r.yaml"):
    recipe = workflow.load(file, environ={})
    return workflow.plan(workflow.compile_recipe(recipe, {}), recipe)


def test_a_plan_keeps_the_files_of_the_tools_it_uses(place):
    plan = planned()
    assert plan.tools == {"mine.score": GOOD}
    assert dict(plan.stage("score").params) == {
        "rows": "rows.jsonl",
        "out": "${RUN_DIR}/score/score",
        "limit": 10,
    }


def test_a_recipe_that_extends_another_has_its_tools_relative_to_that(place):
    (place / "below").mkdir()
    (place / "below" / "s.yaml").write_text("extends: ../r.yaml\nversion: 1\n", encoding="utf-8")
    assert planned("below/s.yaml").tools == {"mine.score": GOOD}


def test_two_files_of_one_name_are_an_error_with_both_places(place):
    (place / "other.json").write_text(json.dumps(GOOD), encoding="utf-8")
    text = "version: 1\nextends: r.yaml\ntools: {mine.score: other.json}\n"
    (place / "s.yaml").write_text(text, encoding="utf-8")
    assert told("s.yaml") == [
        "s.yaml:3:21: 'mine.score' is other.json here, and tools/score.json in r.yaml:2:21"
    ]


@pytest.mark.parametrize(
    ("said", "tells"),
    [
        ("{mlx_lm.lora: tools/score.json}", "a shipped tool is already called 'mlx_lm.lora'"),
        ("{score: tools/score.json}", "'score' is not a tool name"),
        ("{mine.score: absent.json}", "cannot read absent.json: No such file"),
        ("{mine.score: '{{ vars.x }}'}", "'tools' is read before templates are filled in"),
        ("{mine.score: 3}", "tools.mine.score must be text, not 3"),
    ],
)
def test_a_tool_that_is_none_is_told_at_its_line(place, said, tells):
    (place / "r.yaml").write_text(RECIPE.replace("{mine.score: tools/score.json}", said), "utf-8")
    assert any(one.startswith("r.yaml:2:") and tells in one for one in told()), told()


@pytest.mark.parametrize(
    ("wrong", "hint"),
    [
        ("tools: {Score: tools/score.json}", "use lowercase letters, digits and '_'"),
        ("tools: [tools/score.json]", "write tools: {mine.score: tools/score.json}"),
    ],
)
def test_what_is_advised_of_a_tool_is_taken(place, wrong, hint):
    good = RECIPE.splitlines()[1]
    (place / "r.yaml").write_text(RECIPE.replace(good, wrong), encoding="utf-8")
    hints = [one.hint for one in workflow.problems(workflow.read("r.yaml", environ={}), {})]
    assert hint in hints
    (place / "r.yaml").write_text(RECIPE, encoding="utf-8")
    assert told() == []


def test_a_fault_of_a_file_has_its_line_in_it_and_is_told_alone(place):
    wrong = changed("properties", "limit", "default", value="ten")
    (place / "tools" / "score.json").write_text(json.dumps(wrong, indent=1), encoding="utf-8")
    (one,) = told()
    assert one.startswith("tools/score.json:49:15: the default of limit must be a whole number")


def test_a_file_outside_of_the_project_is_not_shown(place, tmp_path_factory):
    secret = tmp_path_factory.mktemp("far") / "secret.json"
    secret.write_text('{"token": "abc"}', encoding="utf-8")
    (place / "r.yaml").write_text(RECIPE.replace("tools/score.json", str(secret)), encoding="utf-8")
    (one,) = told()
    assert "cannot be read as a tool's file" in one
    assert "abc" not in one


def test_a_changed_file_is_a_changed_command_in_a_diff(place):
    from runner.diff import diff
    from runner.provenance import causes

    def side():
        recipe = workflow.load("r.yaml", environ={})
        result = workflow.compile_recipe(recipe, {})
        return causes.side(result, workflow.plan(result, recipe))

    before = side()
    other = changed("properties", "limit", "x-arg", "flag", value="--most")
    (place / "tools" / "score.json").write_text(json.dumps(other), encoding="utf-8")
    (change,) = diff.compare(before, side()).changes
    assert (change.stage, change.old, change.new) == ("score", "--limit", "--most")
    assert change.name == "tool file: properties.limit.x-arg.flag"


TRAINER = """\
version: 1
tools: {mine.score: tools/score.json}
stages:
  one: {tool: mine.score, params: {rows: rows.jsonl}}
  two:
    tool: mlx_lm.fuse
    params: {model: some/model, adapter_path: "{{ stages.one.score }}", dequantize: true}
"""


@pytest.mark.parametrize(("makes", "refused"), [("adapter", 0), ("file", 1)])
def test_the_adapter_of_a_second_trainer_is_one_to_others(place, makes, refused):
    from runner.lint import findings

    output = {"param": "out", "place": "adapters", "makes": makes}
    schema = changed("x-tool", "outputs", value={"score": output})
    (place / "tools" / "score.json").write_text(json.dumps(schema), encoding="utf-8")
    (place / "r.yaml").write_text(TRAINER, encoding="utf-8")
    recipe = workflow.load("r.yaml", environ={})
    problems = findings.rule_problems(workflow.compile_recipe(recipe, {}))
    assert [one.rule for one in problems].count("adapter-path-is-no-adapter") == refused


def test_a_default_is_said_to_be_of_its_own_package():
    def maker(**head):
        from runner.catalog.tools import Catalog

        schema = {**GOOD, "x-tool": {**GOOD["x-tool"], **head}}
        return Catalog((), lambda _: {}, None, {"mine.score": schema}).get("mine.score").maker

    assert maker() == "mine.score"
    assert maker(distribution="mlx-lm-lora") == "mlx-lm-lora"
    assert maker(distribution="mlx-lm-lora", release="5.10") == "mlx-lm-lora 5.10"


def test_a_tool_with_a_file_and_defaults_of_another_kind_is_asked_without_a_crash(
    tmp_path, monkeypatch
):
    from runner.catalog.drift import compare
    from runner.catalog.tools import Tool
    from runner.worker.introspect import describe

    text = "import argparse\ndef main():\n    p = argparse.ArgumentParser()\n"
    text += "    p.add_argument('--config')\n    p.add_argument('--limit', type=int, default=10)\n"
    (tmp_path / "filed_tool.py").write_text(text + "    p.parse_args()\n", encoding="utf-8")
    monkeypatch.syspath_prepend(str(tmp_path))
    head = {**GOOD["x-tool"], "main": "filed_tool:main", "config": "--config", "outputs": {}}
    properties = {"limit": GOOD["properties"]["limit"]}
    tool = Tool(name="mine.score", schema={**GOOD, "x-tool": head, "properties": properties})
    assert compare(tool, describe(tool)) == []


def test_a_trainer_whose_rows_nobody_can_count_has_no_budget(place):
    trains = changed("x-tool", "trains", value={"iterations": "limit"})
    (place / "tools" / "score.json").write_text(json.dumps(trains), encoding="utf-8")
    text = RECIPE.replace("rows.jsonl}", "rows.jsonl}, budget: {epochs: 2}")
    (place / "r.yaml").write_text(text, encoding="utf-8")
    assert told() == ["r.yaml:4:65: only mine.score knows how many rows an epoch of it has"]
    recipe = workflow.load("r.yaml", environ={})
    (problem,) = workflow.compile_recipe(recipe, {}).problems
    assert problem.hint == "set limit instead"
    text = RECIPE.replace("rows.jsonl}", "rows.jsonl, limit: 5}")
    (place / "r.yaml").write_text(text, encoding="utf-8")
    assert told() == []


def test_a_tool_of_a_package_is_found_without_importing_it(place, monkeypatch):
    from runner.catalog import packaged_tools

    package = place / "lib" / "mypackage"
    (package / "tools").mkdir(parents=True)
    (package / "__init__.py").write_text("raise SystemExit('imported')", encoding="utf-8")
    (package / "tools" / "score.json").write_text(json.dumps(GOOD), encoding="utf-8")
    note = place / "lib" / "mypackage-1.0.dist-info"
    note.mkdir()
    (note / "METADATA").write_text("Metadata-Version: 2.1\nName: mypackage\nVersion: 1.0\n")
    (note / "entry_points.txt").write_text(
        "[run_recipe.tools]\nmine.score = mypackage.tools.score\n"
    )
    monkeypatch.syspath_prepend(str(place / "lib"))
    packaged_tools._places.cache_clear()
    (place / "r.yaml").write_text(RECIPE.replace("tools: {mine.score: tools/score.json}\n", ""))
    try:
        assert planned().tools == {"mine.score": GOOD}
    finally:
        packaged_tools._places.cache_clear()
