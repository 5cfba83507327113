"""eval.score with a real model, and what docs/evaluation.md shows."""

import importlib.util
import json
import re
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

if importlib.util.find_spec("mlx_lm") is None:
    pytest.skip("needs mlx-lm", allow_module_level=True)
from runner import workflow
from runner.tools import tiny_model
from runner.tools.evaluate import score
from runner.tools.evaluate.answers import Model, Sampling

pytestmark = pytest.mark.slow

PAGE = (Path(__file__).parent.parent.parent / "docs" / "evaluation.md").read_text(encoding="utf-8")


def blocks(kind):
    return re.findall(rf"```{kind}\n(.*?)```", PAGE, re.DOTALL)


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    """A folder with a tiny model and the files of the page."""
    place = tmp_path_factory.mktemp("evaluation")
    tiny_model.build(place / "model")
    (place / "prompts.jsonl").write_text(blocks("jsonl")[0], encoding="utf-8")
    (place / "score.yaml").write_text(blocks("yaml")[0], encoding="utf-8")
    bad = '{"prompt": "Which CWE?", "rules": [{"match": "CWE-[0-9"}]}\n'
    (place / "bad.jsonl").write_text(bad, encoding="utf-8")
    return place


@pytest.fixture(scope="module")
def model(place):
    return Model(str(place / "model"), None, trust_remote_code=False)


def call(place, *words):
    return subprocess.run(
        [sys.executable, "-m", "runner", *words],
        cwd=place,
        capture_output=True,
        text=True,
        check=False,
    )


@pytest.mark.parametrize(("number", "code"), [(0, 2), (1, 0), (2, 4)])
def test_the_page_shows_what_happens(number, code, place):
    command, _, shown = blocks("console")[number].partition("\n")
    done = call(place, *command.removeprefix("$ run-recipe ").split())
    assert done.returncode == code, done.stderr
    said = re.sub(r"runs/score/\S+", "runs/score/…", done.stderr)
    assert said + (done.stdout if number < 2 else "") == shown
    if number == 1:
        samples = (place / "score" / "samples.jsonl").read_text(encoding="utf-8").splitlines()
        sample = json.loads(blocks("json")[0])
        assert [json.loads(one)["line"] for one in samples] == [2, 3, 4, 5]
        assert json.loads(samples[3]).keys() == sample.keys()
        assert json.loads(samples[3])["rules"] == sample["rules"]


def test_an_expectation_of_a_category_that_is_not_in_the_file_is_told_first(place):
    text = blocks("yaml")[0].replace("score_manners", "score_maners")
    (place / "typo.yaml").write_text(text, encoding="utf-8")
    compiled = workflow.compile_recipe(workflow.load(str(place / "typo.yaml"), environ={}), {})
    assert compiled.problems == []
    done = call(place, "typo.yaml")
    assert done.returncode == 2
    assert "typo.yaml:12:9: stage 'answers' does not measure 'score_maners'" in done.stderr
    assert "did you mean 'score_manners'?" in done.stderr


def prompts(model, count):
    yield 0, model.tokenizer.encode("The sky is")  # which it answers with its end
    for number in range(1, count):
        text = f"What is {number} plus {'one ' * (number % 5)}?"
        messages = [{"role": "user", "content": text}]
        yield number, model.tokenizer.apply_chat_template(messages, add_generation_prompt=True)


def answers(model, count, batch_size, **sampling):
    import mlx.core as mx

    mx.random.seed(7)
    known = Sampling(**sampling)
    made = model.answers(prompts(model, count), max_tokens=9, batch_size=batch_size, sampling=known)
    return dict(sorted(made))


def test_several_prompts_at_once_are_answered_as_one_after_the_other(model):
    single = answers(model, 12, 1)
    assert answers(model, 12, 5) == single
    assert {one.cut for one in single.values()} == {True, False}


def test_one_prompt_is_answered_as_mlx_lm_generates(model):
    from mlx_lm import generate

    single = answers(model, 12, 1)
    for number, prompt in prompts(model, 12):
        said = generate(model.model, model.tokenizer, prompt, max_tokens=9)
        assert said == single[number].text.removeprefix(" ")


def test_what_is_sampled_is_decided_by_the_seed(model):
    warm = answers(model, 4, 2, temp=1.0, top_k=50)
    assert answers(model, 4, 2, temp=1.0, top_k=50) == warm
    assert answers(model, 4, 2) != warm


def test_prompts_are_read_as_they_are_answered(model):
    read = 0

    def counted():
        nonlocal read
        for one in prompts(model, 60):
            read += 1
            yield one

    made = model.answers(counted(), max_tokens=4, batch_size=3, sampling=Sampling())
    for done, _ in enumerate(made, 1):
        assert read - done <= 6
    assert done == 60


def test_an_adapter_is_put_on_the_model(place):
    import mlx.core as mx
    from mlx.utils import tree_flatten
    from mlx_lm.tuner.utils import linear_to_lora_layers

    known = {"rank": 2, "scale": 20.0, "dropout": 0.0}
    base = Model(str(place / "model"), None, trust_remote_code=False)
    linear_to_lora_layers(base.model, 2, known)
    weights = {
        name: mx.ones_like(value)
        for name, value in tree_flatten(base.model.parameters())
        if "lora_" in name
    }
    folder = place / "adapter"
    folder.mkdir()
    mx.save_safetensors(str(folder / "adapters.safetensors"), weights)
    config = {"fine_tune_type": "lora", "num_layers": 2, "lora_parameters": known}
    (folder / "adapter_config.json").write_text(json.dumps(config), encoding="utf-8")
    bare = Model(str(place / "model"), None, trust_remote_code=False)
    adapted = Model(str(place / "model"), str(folder), trust_remote_code=False)
    assert answers(adapted, 4, 1) != answers(bare, 4, 1)


def test_a_chat_prompt_for_a_model_without_a_template_is_told_before_anything_is_asked(place):
    bare = place / "bare"
    tiny_model.build(bare)
    config = json.loads((bare / "tokenizer_config.json").read_text(encoding="utf-8"))
    del config["chat_template"]
    (bare / "tokenizer_config.json").write_text(json.dumps(config), encoding="utf-8")
    done = call(
        place, "eval", "score", "--model", "bare", "--prompts", "prompts.jsonl", "--out", "n"
    )
    assert done.returncode == 1
    assert "error: prompts.jsonl:2: the model has no chat template" in done.stderr
    assert "answered" not in done.stderr
    row = '{"text": "The sky is", "rules": [{"not_contain": "\\u0000"}]}\n'
    (place / "text.jsonl").write_text(row, encoding="utf-8")
    words = ("--prompts", "text.jsonl", "--out", "n", "--max-tokens", "2")
    assert call(place, "eval", "score", "--model", "bare", *words).returncode == 0


@pytest.mark.parametrize(("sign", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 130)])
def test_what_was_answered_is_kept_when_it_is_stopped(sign, code, place):
    row = {"prompt": "Go on.", "rules": [{"not_contain": "\0"}]}
    (place / "many.jsonl").write_text(f"{json.dumps(row)}\n" * 5000, encoding="utf-8")
    heed = "import signal; signal.signal(signal.SIGINT, signal.default_int_handler)"
    start = (
        f"{heed}; import sys; sys.argv[0] = 'run-recipe'; from runner.cli.main import main; main()"
    )
    out = place / f"stopped-{sign}"
    words = ("eval", "score", "--model", "model", "--prompts", "many.jsonl", "--out", str(out))
    process = subprocess.Popen(
        [sys.executable, "-c", start, *words], cwd=place, stderr=subprocess.PIPE, text=True
    )
    part = out / "samples.jsonl.part"
    end = time.monotonic() + 60
    while not (part.exists() and part.stat().st_size):
        assert process.poll() is None
        assert time.monotonic() < end
        time.sleep(0.02)
    process.send_signal(sign)
    _, said = process.communicate(timeout=60)
    assert process.returncode == code
    kept = [json.loads(line) for line in part.read_text(encoding="utf-8").splitlines()]
    assert f"stopped: {len(kept)} of 5000 are answered and kept in" in said
    assert [one["line"] for one in kept] == sorted({one["line"] for one in kept})
    assert not (out / "samples.jsonl").exists()
    assert not (out / "score.json").exists()


def test_a_folder_of_other_files_is_not_written_to(place):
    (place / "mine").mkdir()
    (place / "mine" / "thesis.txt").write_text("mine", encoding="utf-8")
    words = ("--prompts", "prompts.jsonl", "--out", "mine")
    done = call(place, "eval", "score", "--model", "model", *words)
    assert done.returncode == 1
    assert "mine contains thesis.txt, which eval.score did not write" in done.stderr


def test_a_pattern_that_takes_forever_is_given_up(monkeypatch):
    monkeypatch.setattr(score, "PATIENCE", 0.1)
    with pytest.raises(TimeoutError):
        score.search(r"(a+)+$", "a" * 60 + "!")
    assert score.search(r"a+$", "a" * 60)
    assert signal.getsignal(signal.SIGVTALRM) is signal.SIG_DFL
