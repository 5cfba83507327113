"""What a stage reads has one home: what waits, what is hashed and what is missing all ask there."""

from types import SimpleNamespace

import pytest
from msgspec.structs import astuple

import runner
from runner import workflow
from runner.base.constants import upward
from runner.catalog import load
from runner.plan.inputs import no_paths, readings
from runner.runs import attempt
from runner.runs.decide import decide
from runner.runs.decisions import identities

LORA = "{tool: mlx_lm.lora, params: {model: m, %s, train: true}, %s}"


@pytest.fixture
def plan_of(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for name in ("m", "rows", "old", "kept"):
        (tmp_path / name).mkdir()
    (tmp_path / "hosts.json").write_text('[{"ssh": "localhost", "ips": ["127.0.0.1"]}]')

    def plan(stages):
        (tmp_path / "r.yaml").write_text(f"version: 1\nstages:\n  {stages}\n")
        recipe = runner.load("r.yaml")
        compiled = workflow.compile_recipe(recipe)
        assert compiled.plan, compiled.problems
        return compiled.plan

    return plan


def read(plan, name):
    return [astuple(one) for one in readings(plan.stage(name), load.catalog())]


def test_it_names_the_parameter_and_the_kind(plan_of):
    plan = plan_of(f"a: {LORA % ('data: rows', 'watch: {retention: {data: old}}')}")
    assert read(plan, "a") == [
        ("model", "model", "m"),
        ("data", "data", "rows"),
        ("watch.retention.data", "data", "old"),
    ]


def test_the_launcher_reads_a_hostfile(plan_of):
    plan = plan_of(f"a: {LORA % ('data: rows', 'launch: {backend: ring, hostfile: hosts.json}')}")
    assert ("launch.hostfile", "file", "hosts.json") in read(plan, "a")


@pytest.mark.parametrize("said", ["{path: kept}", "[{path: hub/rows}, {path: kept}]"])
def test_of_a_data_set_the_path_is_read(plan_of, said):
    plan = plan_of(f"a: {LORA % (f'hf_dataset: {said}', '')}")
    assert ("hf_dataset", "dataset", "kept") in read(plan, "a")


JSON = "hf_dataset: {path: json, config: {data_files: %s, split: kept}}"


@pytest.mark.parametrize("said", ["kept/t.jsonl", "[kept/t.jsonl]", "{train: [kept/t.jsonl]}"])
def test_the_files_that_a_data_set_is_loaded_from_are_read(plan_of, said):
    plan = plan_of(f"a: {LORA % (JSON % said, '')}")
    found = [one for one in read(plan, "a") if one[0] == "hf_dataset"]
    assert found == [("hf_dataset", "dataset", "json"), ("hf_dataset", "files", "kept/t.jsonl")]


def test_other_rows_in_such_a_file_are_another_stage(plan_of, tmp_path):
    (tmp_path / "kept/t.jsonl").write_text("{}")
    plan = plan_of(f"a: {LORA % (JSON % 'kept/t.jsonl', '')}")
    catalog, found = load.catalog(), []
    for text in ("{}", "{ }"):
        (tmp_path / "kept/t.jsonl").write_text(text)
        found.append(decide(plan, catalog, ["a"], None, tmp_path).identities["a"])
    assert [*found[0].changes(found[1])] == ["input kept/t.jsonl changed"]


@pytest.mark.parametrize("said", ["a/b/c/*.jsonl", "hf://datasets/me/rows/t.jsonl", "~/t.jsonl"])
def test_no_rule_minds_where_such_files_are(plan_of, said):
    plan_of(f"a: {LORA % (JSON % said, '')}")
    found = {one.rule for one in runner.check(runner.load("r.yaml"))}
    assert not found & {"path-not-there", "name-not-there", "path-not-expanded"}


def test_what_a_tool_fetches_is_no_path(plan_of):
    plan = plan_of("a: {tool: hf.download, params: {repo_id: owner/name, local_dir: here}}")
    assert read(plan, "a") == []


MIX = "mix: {tool: data.mix, params: {primary: rows, replay: old, out: %s}}"


def test_a_data_set_of_the_hub_s_library_that_a_stage_makes_is_waited_for(plan_of):
    plan = plan_of(f"{MIX % 'made'}\n  a: {LORA % ('hf_dataset: {path: made}', '')}")
    assert plan.stage("a").after == ("mix",)


def test_a_smoke_run_reads_it_where_it_is_made_then(plan_of):
    plan = plan_of(f"{MIX % 'made'}\n  a: {LORA % ('hf_dataset: {path: made}', '')}")
    small = workflow.shrink(plan, alone=True)
    assert small.stage("a").params["hf_dataset"]["path"] == small.stage("mix").outputs["data"]


def test_a_smoke_run_downloads_no_hostfile_and_reads_the_one_that_is_there(plan_of):
    get = "get: {tool: hf.download, params: {repo_id: owner/name, local_dir: got}}"
    launch = "launch: {backend: ring, hostfile: got/hosts.json}"
    plan = plan_of(f"{get}\n  a: {LORA % ('data: rows', launch)}")
    assert plan.stage("a").after == ("get",)
    small = workflow.shrink(plan, alone=True)
    assert small.stage("a").launch["hostfile"] == "got/hosts.json"
    assert small.stage("a").after == ("smoke_model",)


def test_the_launcher_is_told_where_in_the_run_the_hostfile_is(plan_of, tmp_path, monkeypatch):
    get = "get: {tool: hf.download, params: {repo_id: owner/name}}"
    launch = "launch: {backend: ring, hostfile: '{{ stages.get.path }}/hosts.json'}"
    stage = plan_of(f"{get}\n  a: {LORA % ('data: rows', launch)}").stage("a")
    monkeypatch.setattr(attempt, "Child", lambda words, _: words)
    this = SimpleNamespace(stage=stage, folder=tmp_path, ahead=SimpleNamespace(env=dict))
    words = attempt.Attempt.child(this)
    assert str(tmp_path / "get/files/hosts.json") in " ".join(words)
    assert "${RUN_DIR}" not in " ".join(words)


def test_another_hostfile_is_another_stage(plan_of):
    plan = plan_of(f"a: {LORA % ('data: rows', 'launch: {backend: ring, hostfile: hosts.json}')}")
    one, other = (
        identities(plan, load.catalog(), {}, {"hosts.json": digest})["a"] for digest in "12"
    )
    assert [*one.changes(other)] == ["input hosts.json changed"]


def test_a_path_and_what_it_lies_in():
    assert [*upward("a/b/../c/d/")] == ["a/c/d", "a/c", "a"]
    assert [*upward("/a/b")] == ["/a/b", "/a", "/"]
    assert [*upward("")] == []


LONG = {"too long": "d/" * 2_100, "too deep": "a/" * 256 + "b", "a long name": f"x/{'y' * 256}"}


@pytest.mark.parametrize("path", LONG.values(), ids=LONG)
def test_what_no_system_has_as_a_path_is_told_before_one_is_asked(path):
    """Every parameter of every tool that names a path."""
    catalog = load.catalog()
    for tool in map(catalog.get, catalog.names):
        made = {output.param for output in tool.outputs.values() if output.param}
        read = {one.name for one in tool.inputs if one.schema["x-input"]["kind"] != "hub"}
        for name in made | read:
            one = tool.parameters[name]
            value = path if one.schema.get("type") != "array" else [path]
            if "object" not in str(one.schema.get("type")):
                (found,) = no_paths(tool, {name: value})
                assert (found.path, found.rule) == ((name,), "path-too-long")
                assert list(no_paths(tool, {name: "a/b"})) == []
