"""What a recipe's own check says of its rows, with the tokenizer of a model that is on this disk."""

import importlib.util
import json

import pytest

from runner import workflow
from runner.catalog import project as projects
from runner.lint import findings, preflight
from runner.recipe.load import Overrides, load
from runner.tools.tiny_model import write_tokenizer


def tokenizing(test):
    """Mark a test that loads transformers, which takes a second or two."""
    absent = importlib.util.find_spec("transformers") is None
    return pytest.mark.slow(pytest.mark.skipif(absent, reason="needs transformers")(test))


LORA = {
    "model": "tiny",
    "data": "data",
    "train": True,
    "mask_prompt": True,
    "batch_size": 2,
    "max_seq_length": 64,
    "num_layers": 2,
    "lora_parameters": {"keys": None},
}


def row(number, question="What is"):
    return {
        "messages": [
            {"role": "user", "content": f"{question} {number}?"},
            {"role": "assistant", "content": f"It is the number {number}, and no other one."},
        ]
    }


@pytest.fixture
def project(tmp_path, monkeypatch):
    """A model folder with a tokenizer, and a data set whose third and fourth question is long."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "tiny").mkdir()
    write_tokenizer(tmp_path / "tiny")
    write("data", [row(n, "Say, what is " * 20 if n in {2, 3} else "What is") for n in range(8)])
    return tmp_path


def write(folder, rows, split="train"):
    from pathlib import Path

    Path(folder).mkdir(exist_ok=True)
    text = "".join(json.dumps(one) + "\n" for one in rows)
    (Path(folder) / f"{split}.jsonl").write_text(text, encoding="utf-8")


def found(stages, *, smoke=False, allow=()):
    """The errors and warnings about rows, with their lines."""
    recipe = json.dumps({"version": 1, "stages": stages})
    loaded = load("r.yaml", lambda _: recipe.encode(), Overrides())
    plan = workflow.compile_recipe(loaded.recipe, {}).plan
    problems = preflight.rows(plan, here=projects.of(plan.file), smoke=smoke).problems
    return [(p.rule, p.mark.line) for p in problems if p.rule not in allow]


def training(**changed):
    return {"a": {"tool": "mlx_lm.lora", "params": {**LORA, **changed}}}


@tokenizing
def test_a_batch_that_would_make_every_weight_nan_is_an_error_before_anything_runs(project):
    rules = ("row-answer-lost",)
    assert found(training(), allow=rules) == [("batch-learns-nothing", 3)]
    assert found(training(max_seq_length=512), allow=rules) == []
    assert found(training(batch_size=1), allow=rules) == [
        ("batch-learns-nothing", 3),
        ("batch-learns-nothing", 4),
    ]
    assert found(training(batch_size=4), allow=rules) == []


@tokenizing
def test_without_a_mask_a_long_row_is_cut_and_no_batch_is_lost(project):
    assert found(training(mask_prompt=False)) == [("row-answer-lost", 3), ("row-answer-lost", 4)]


@tokenizing
def test_a_smoke_run_asks_the_tiny_models_tokenizer_about_nan_and_nothing_else(project):
    assert found(training(model="owner/model"), smoke=True) == [("batch-learns-nothing", 3)]
    assert found(training(model="owner/model")) == []


@tokenizing
def test_a_model_of_the_hub_has_the_tokenizer_in_its_cache(project, monkeypatch):
    home = project / "hub" / "models--owner--model"
    (home / "refs").mkdir(parents=True)
    (home / "refs" / "main").write_text("abc")
    (home / "snapshots" / "abc").mkdir(parents=True)
    write_tokenizer(home / "snapshots" / "abc")
    monkeypatch.setenv("HF_HUB_CACHE", str(project / "hub"))
    made = {
        "q": {"tool": "mlx_lm.convert", "params": {"hf_path": "owner/model", "quantize": True}},
        **training(model="{{ stages.q.model }}"),
    }
    assert ("batch-learns-nothing", 3) in found(made)


def test_rows_that_the_plan_mixes_are_looked_at_where_they_come_from(project):
    write("more", [row(n) for n in range(500)] + [{"text": "another format"}])
    mixed = {
        "mix": {"tool": "data.mix", "params": {"primary": "data", "replay": "more"}},
        **training(data="{{ stages.mix.data }}", mask_prompt=False, model="owner/model"),
    }
    assert found(mixed, allow=("split-missing",)) == [("row-other-format", 501)]


@tokenizing
def test_a_tokenizer_that_cannot_be_loaded_is_done_without(project):
    (project / "tiny" / "tokenizer.json").write_text("{}")
    assert found(training()) == []


def test_of_a_mistake_in_every_row_the_first_few_are_shown_and_the_rest_counted(project):
    write("data", [{"message": [n]} for n in range(64)])
    rule = "row-without-format"
    shown = [(rule, 1), (rule, 2), (rule, 3), (rule, 64)]
    assert found(training(mask_prompt=False), allow=("split-missing",)) == shown


@pytest.mark.slow
def test_of_a_file_that_holds_no_rows_nothing_is_counted(project):
    write("data", [row(n) for n in range(8)], "valid")
    (project / "data" / "train.jsonl").write_text(json.dumps([row(n) for n in range(8)]))
    loaded = load("r.yaml", lambda _: json.dumps({"version": 1, "stages": training()}).encode())
    problems = findings.all_problems(workflow.compile_recipe(loaded.recipe, {}))
    assert [p.rule for p in problems if p.mark.file != "r.yaml"] == ["split-not-jsonl"]
    assert not {p.rule for p in problems} & {
        "batch-larger-than-data",
        "split-missing",
        "no-validation-rows",
    }
