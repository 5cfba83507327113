"""Recipes whose mistakes would make a poor picture, too large or laid over: each hint is followed."""

from pathlib import Path

import pytest
from following import Case
from test_hints import faults
from test_hints import problems as told

from runner.recipe.template.evaluator import MAX_DEPTH
from runner.recipe.template.expressions import MAX_LENGTH

PARAMS = "train: true, model: m/m, data: o/d, lora_parameters: {keys: null}"


def train(params: str = "iters: 5", *, top: str = "", stage: str = "") -> str:
    return (
        f"version: 1\n{top}stages:\n  t:\n    tool: mlx_lm.lora\n{stage}"
        f"    params: {{{PARAMS}, {params}}}\n"
    )


def of(text: str, sets: tuple[str, ...] = (), **others: str) -> Case:
    return Case("r.yaml", text, sets, others={f"{name}.yaml": one for name, one in others.items()})


PARENT = "version: 1\n{}\n"
WATCH = "    watch: {retention: {data: d, %s}}\n"
RECIPES = {
    "a key of the stage among its parameters": of(train("iters: 5, timeout: 5m")),
    "a list of keys of the stage": of(train("iters: 5, keep: best")),
    "a list joined to text": of(
        train("iters: 5, adapter_path: \"{{ 'a/' ~ vars.l }}\"", top="vars: {l: [a, b]}\n")
    ),
    "sorted by nothing": of(train("iters: \"{{ {'a': 1} | dictsort(by='x') | length }}\"")),
    "deep": of(train('iters: "{{ ' + "[" * MAX_DEPTH + "5" + "]" * MAX_DEPTH + ' | length }}"')),
    "long": of(train('iters: "{{ 1' + " + 1" * (MAX_LENGTH // 4) + ' }}"')),
    "what is measured, as a whole": of(train('iters: "{{ metrics | length }}"')),
    "vars, of which there are none": of(train('iters: "{{ vars | length }}"')),
    "a number in text": of(train("iters: \"{{ '5' | abs }}\"")),
    "never closed": of(train('iters: 5, adapter_path: "{{ vars.a"', top="vars: {a: x}\n")),
    "so small": of(
        train("iters: 5, optimizer: adamw, optimizer_config: {adamw: {weight_decay: 1e-400}}")
    ),
    "a value of what it is part of": of(
        train(
            "iters: 5, lr_schedule: {name: cosine_decay, warmup: 2, "
            'arguments: ["{{ stage.params.lr_schedule.warmup * 0.001 }}", 3]}'
        )
    ),
    "an option that another one covers": of(
        train('iters: "{{ vars.n }}"', top="vars: {n: 5}\n"),
        ("vars.n=6", "stages.t.params.iters=7"),
    ),
    "defaults of no tool": of(train(top="defaults: [a]\n")),
    "a watch of no data": of(train(stage="    watch: 5\n")),
    "steps for iterations": of(train(stage=WATCH % "steps: 5")),
    "interval for iterations": of(train(stage=WATCH % "interval: 5")),
    "threshold for a bound": of(train(stage=WATCH % "threshold: 1.2")),
    "stop for a bound": of(train(stage=WATCH % "stop: 1.2")),
    "ranks": of(train(stage="    launch: {ranks: 2}\n")),
    "n": of(train(stage="    launch: {n: 2}\n")),
    "augmented as a text": of(
        "version: 1\nstages:\n  w:\n    tool: data.weight\n"
        "    params: {data: d, field: kind, repeat: {a: 2}, augmented: paraphrase}\n"
    ),
    "a licence of one's own": of(
        "version: 1\nstages:\n  p:\n    tool: hub.publish\n"
        "    params: {path: m, repo_id: o/m, license: mine}\n"
    ),
}


def write_beside(one: Case) -> None:
    """Write the files that a recipe extends where the test is."""
    for file, text in one.others.items():
        Path(file).write_text(text, encoding="utf-8")


@pytest.mark.parametrize("name", RECIPES)
def test_a_hint_on_a_recipe_that_is_followed_makes_its_problem_go_away(name, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    write_beside(RECIPES[name])
    assert told(RECIPES[name])
    assert list(faults(RECIPES[name], whole=True)) == []
