"""Every row is written by the model's own chat template, within bounds, before anything runs."""

import json
import os
import time
from pathlib import Path

import pytest

from runner import workflow
from runner.catalog import project
from runner.cli import check_files
from runner.data.read import check
from runner.data.tokenizer import Chat, LocalTokenizer, TokenizerError, refusals
from runner.lint import preflight
from runner.recipe.load import load
from runner.system.cells import MEMORY, Cells, StoppedError
from runner.tools import tiny_model
from runner.tools.tiny_model import write_tokenizer

# As the templates of gemma-2 and of Mistral refuse.
STRICT = (
    "{% for m in messages %}"
    "{% if m['role'] == 'system' %}{{ raise_exception('System role not supported') }}{% endif %}"
    "{% if (m['role'] == 'user') != (loop.index0 % 2 == 0) %}"
    "{{ raise_exception('Conversation roles must alternate user/assistant/user/assistant/...') }}"
    "{% endif %}{{ m['role'] ~ m['content'] }}{% endfor %}"
)
# As the templates of Qwen3-Coder and GLM walk through arguments.
TOOLS = (
    "{% for m in messages %}{{ m['role'] }}{% for call in m.tool_calls or [] %}"
    "{% for name, value in call.function.arguments | items %}{{ name ~ value }}{% endfor %}"
    "{% endfor %}{{ m.content or '' }}{% endfor %}"
)


@pytest.fixture
def model(tmp_path, monkeypatch):
    """A function that writes the folder ``tiny``, with a chat template, where the test is."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "tiny").mkdir()

    def model(template):
        write_tokenizer(tmp_path / "tiny")
        file = tmp_path / "tiny" / "tokenizer_config.json"
        said = json.loads(file.read_text())
        file.write_text(json.dumps({**said, "chat_template": template}))
        return "tiny"

    return model


def messages(*said):
    return {"messages": [{"role": role, "content": text} for role, text in said]}


def turns(number):
    return messages(("user", f"q {number}"), ("assistant", f"a {number}"))


def write(rows, name="train"):
    Path("data").mkdir(exist_ok=True)
    text = "".join(json.dumps(row) + "\n" for row in rows)
    Path(f"data/{name}.jsonl").write_text(text, encoding="utf-8")


def told(report):
    return [(p.rule, p.mark.line, p.hint) for p in report.problems if "template" in p.rule]


CALL = {
    "role": "assistant",
    "tool_calls": [{"type": "function", "function": {"name": "f", "arguments": '{"a": 1}'}}],
}
MENDED = json.loads(json.dumps(CALL))
MENDED["tool_calls"][0]["function"]["arguments"] = {"a": 1}


@pytest.mark.parametrize(
    ("template", "bad", "mended"),
    [
        (
            STRICT,
            messages(("system", "s"), ("user", "q"), ("assistant", "a")),
            messages(("user", "s\nq"), ("assistant", "a")),
        ),
        (
            STRICT,
            messages(("user", "q"), ("user", "more"), ("assistant", "a")),
            messages(("user", "q\nmore"), ("assistant", "a")),
        ),
        (
            TOOLS,
            {"messages": [{"role": "user", "content": "q"}, CALL]},
            {"messages": [{"role": "user", "content": "q"}, MENDED]},
        ),
    ],
    ids=["system", "turns", "arguments"],
)
@pytest.mark.slow
def test_a_row_that_the_template_refuses_is_found_and_its_hint_mends_it(
    model, template, bad, mended
):
    pytest.importorskip("transformers")
    encode = LocalTokenizer(path=model(template))
    write([turns(n) if n != 5 else bad for n in range(9)])
    ((rule, line, hint),) = told(check("data", tokenizer=encode, every=False))
    assert (rule, line) == ("row-template-error", 6)
    assert not hint.startswith("change the row")
    write([turns(n) if n != 5 else mended for n in range(9)])
    assert told(check("data", tokenizer=encode, every=False)) == []


@pytest.mark.slow
def test_without_a_mask_nobody_asks_for_the_prompt_alone(model):
    pytest.importorskip("transformers")
    template = "{% if messages[-1].role == 'user' %}{{ raise_exception('no answer') }}{% endif %}x"
    encode = LocalTokenizer(path=model(template))
    write([turns(n) for n in range(4)])
    said = {"tokenizer": encode, "every": False, "max_seq_length": 2}
    assert told(check("data", **said)) == []
    assert {rule for rule, *_ in told(check("data", **said, mask_prompt=True))} == {
        "row-template-error"
    }


ENDLESS = {
    "loops": "{% for a in range(99999) %}{% for b in range(99999) %}{% endfor %}{% endfor %}",
    "a power": "{% set x = 7 ** (10 ** 9) %}",
    "a text": "{{ 'a' * 10 ** 10 }}",
    "a list": "{% set x = [0] * 10 ** 9 %}",
    "a width": "{{ 'a' | center(10 ** 10) }}",
    "doubling": "{% set n = namespace(x='ab') %}{% for i in range(60) %}"
    "{% set n.x = n.x ~ n.x %}{% endfor %}{{ n.x | length }}",
}


@pytest.mark.slow
@pytest.mark.parametrize("template", ENDLESS.values(), ids=ENDLESS)
def test_a_template_without_an_end_is_given_up_and_the_rows_are_looked_at(model, template):
    pytest.importorskip("transformers")
    encode = LocalTokenizer(path=model(template))
    write([turns(n) for n in range(4)] + [{"messages": []}])
    began = time.process_time()
    report = check("data", tokenizer=encode, every=False)
    assert time.process_time() < began + 2  # of this process: it is not the one that renders
    assert [(rule, line) for rule, line, _ in told(report)] == [("row-template-endless", 1)]
    assert "row-no-messages" in {problem.rule for problem in report.problems}


@pytest.mark.slow
def test_a_prompt_a_template_refuses_is_told_before_the_model_is_loaded(model):
    pytest.importorskip("transformers")
    name = model(STRICT)
    asked = {"prompt": "q", "rules": [{"contain": "a"}]}
    Path("p.jsonl").write_text(
        json.dumps(
            {
                "messages": messages(("user", "a"), ("user", "b"))["messages"],
                "rules": asked["rules"],
            }
        )
        + "\n"
        + json.dumps(asked)
        + "\n"
        + json.dumps({"text": "q", "rules": asked["rules"]})
        + "\n"
    )
    stages = {
        "s": {"tool": "eval.score", "params": {"model": name, "prompts": "p.jsonl"}},
        "g": {"tool": "mlx_lm.generate", "params": {"model": name, "system_prompt": "Be kind"}},
        "c": {"tool": "mlx_lm.cache_prompt", "params": {"model": name, "prompt": "q"}},
    }
    assert looked_at(stages) == [("p.jsonl", 1), ("g", "system_prompt")]
    stages["s"]["params"]["system_prompt"] = "Be kind"
    stages["g"]["params"] = {"model": name, "prompt": "q", "ignore_chat_template": True}
    assert looked_at(stages) == [("p.jsonl", 1), ("p.jsonl", 2)]


def looked_at(stages):
    recipe = json.dumps({"version": 1, "stages": stages})
    loaded = load("r.yaml", lambda _: recipe.encode())
    plan = workflow.compile_recipe(loaded.recipe, {}).plan
    found = preflight.rows(plan, here=project.of(plan.file))
    assert not any(found.gaps.values())
    places = [(problem.mark.file, problem.mark.line) for problem in found.problems]
    return places + [
        (name, one.parameter) for name, all_of in found.template_refusals.items() for one in all_of
    ]


# --- what is not on this disk


LORA = {"model": "owner/model", "data": "data", "train": True, "num_layers": 2, "iters": 100}


def verdict(**params):
    """What check says of a training, in one line, and what it did not look at."""
    shape = {"lora_parameters": {"keys": ["self_attn.q_proj"]}}
    stage = {"tool": "mlx_lm.lora", "params": {**LORA, **shape, "batch_size": 2, **params}}
    stages = {"a": {**stage, "allow": ["moving-target"]}}
    Path("r.yaml").write_text(json.dumps({"version": 1, "stages": stages}))
    (found,) = check_files.check(["r.yaml"], ["r.yaml"], check_files.CheckRequest())
    return found.verdict, [problem.message for problem in found.problems]


def test_no_problems_is_said_of_nothing_that_was_not_looked_at(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for name in ("train", "valid"):
        write([turns(n) for n in range(4)] if name == "train" else [turns(9), turns(8)], name)
    once = verdict()
    note = "no row of 'data' was checked with the model's chat template: 'owner/model' is not on"
    assert once == ("r.yaml: no problems in what was checked", [f"{note} this disk"])
    assert verdict() == once  # and again, from what was kept of it
    for name in ("train", "valid"):
        write([{"text": f"{name} {n}"} for n in range(4)], name)
    assert verdict() == ("r.yaml: no problems", [])
    said = verdict(data="owner/rows")[1]
    assert "the rows of 'owner/rows' were not checked: there is no such folder here" in said


@pytest.mark.slow
def test_a_tokenizer_that_cannot_be_loaded_is_told(model):
    pytest.importorskip("transformers")
    write([turns(n) for n in range(4)])
    write([turns(9), turns(8)], "valid")
    pytest.importorskip("mlx")
    name = model(STRICT)
    tiny_model.main(["--path", "whole"])
    for file in Path("whole").glob("[cm]*"):  # what mlx-lm needs beside a tokenizer
        file.rename(Path(name, file.name))
    Path("tiny/tokenizer.json").write_text("{}")
    said, notes = verdict(model=name)
    assert said == "r.yaml: no problems in what was checked"
    assert notes[0].startswith(
        "no row of 'data' was checked with the model's chat template: the tok"
    )
    with pytest.raises(TokenizerError):
        list(refusals(LocalTokenizer(path=name), [Chat(number=1, messages=turns(1)["messages"])]))


@pytest.mark.slow
def test_a_tokenizer_that_is_no_file_is_told_and_not_waited_for(model):
    name = model(STRICT)
    Path("tiny/tokenizer.json").unlink()
    os.mkfifo("tiny/tokenizer.json")
    with pytest.raises(TokenizerError, match="pipe"):
        list(refusals(LocalTokenizer(path=name), [Chat(number=1, messages=turns(1)["messages"])]))


# --- the processes


def doubled(part, _):
    return part * 2


def greedy(part, bounds):
    with bounds.step(part, 10):
        return len(b"a" * (MEMORY * 4))


def crashing(part, bounds):
    with bounds.step(part, 10):
        os.abort()


def failing(part, bounds):
    with bounds.step(part, 10):
        raise ValueError(f"no {part}")


@pytest.mark.slow
def test_parts_come_back_in_order_and_a_process_that_ends_is_another_ones_loss(monkeypatch):
    monkeypatch.setenv("PYTHONPATH", str(Path(__file__).parent))
    with Cells(2) as cells:
        assert list(cells.each(doubled, range(20))) == [2 * n for n in range(20)]
        for work, why in ((greedy, "memory"), (crashing, "crash")):
            with pytest.raises(StoppedError) as stopped:
                list(cells.each(work, [7]))
            assert (stopped.value.step, stopped.value.why) == (7, why)
        with pytest.raises(ValueError, match="no 3"):
            list(cells.each(failing, [3]))
        assert list(cells.each(doubled, [4])) == [8]
