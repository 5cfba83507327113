import json
import re
import subprocess
import sys

import pytest

from runner.base.errors import ToolError
from runner.tools import tiny_model
from runner.tools.tiny_model import build, main, parser

MESSAGES = [
    {"role": "system", "content": "You are a helpful assistant."},
    {"role": "user", "content": "Größe? 🎉\n"},
    {"role": "assistant", "content": "\n\n  Six,\u2028 and\tseven.\n"},
]


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    pytest.importorskip("mlx.core")
    path = tmp_path_factory.mktemp("tiny") / "model"
    build(path)
    return path


@pytest.fixture(scope="module")
def loaded(model):
    return pytest.importorskip("mlx_lm").load(str(model))


def contents(path):
    return {file.name: file.read_bytes() for file in path.iterdir()}


# --- refusals: they come before MLX is imported


@pytest.mark.parametrize(
    "parameters, message",
    [
        ({"num_layers": 0}, "num_layers is 0; it must be at least 1"),
        ({"num_attention_heads": 0}, "num_attention_heads is 0; it must be at least 1"),
        ({"hidden_size": -64}, "hidden_size is -64; it must be at least 1"),
        ({"hidden_size": 96}, "hidden_size is 96; it must be a multiple of 64 to be quantized"),
        (
            {"intermediate_size": 100},
            "intermediate_size is 100; it must be a multiple of 64 to be quantized",
        ),
        (
            {"num_attention_heads": 3},
            (
                "hidden_size 64 does not split into 3 attention heads of an even width. "
                "Write hidden_size 192"
            ),
        ),
        (
            {"num_attention_heads": 64},  # one value a head, and RoPE turns pairs
            (
                "hidden_size 64 does not split into 64 attention heads of an even width. "
                "Write hidden_size 128"
            ),
        ),
        ({"config": []}, "config is not a JSON object"),
        (
            {"architecture": "qwen3moe"},
            "there is no tiny model of the architecture 'qwen3moe': did you mean 'qwen3_moe'?",
        ),
        (
            {"architecture": "phi3", "hidden_size": 128},
            "hidden_size is a size of a llama; a phi3 has its own sizes, which config can change",
        ),
        ({"seed": -1}, "seed is -1; it must be at least 0 and less than 2**64"),
        ({"seed": 2**64}, f"seed is {2**64}; it must be at least 0 and less than 2**64"),
    ],
)
def test_parameters_that_make_no_model_are_refused(tmp_path, parameters, message):
    with pytest.raises(ToolError, match=f"^{re.escape(message)}$"):
        build(tmp_path / "model", **parameters)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    "files", [{}, {"notes.txt": "mine"}, {"tiny.json": "{}"}, {"tiny.json": "no"}]
)
def test_a_folder_of_somebody_else_is_left_alone(tmp_path, files):
    for name, content in files.items():
        (tmp_path / name).write_text(content)
    with pytest.raises(ToolError, match=r"exists and is not a tiny model; name another path$"):
        build(tmp_path)
    assert contents(tmp_path) == {name: text.encode() for name, text in files.items()}


def test_the_command_refuses_on_stderr_and_exits_1(tmp_path, capsys):
    with pytest.raises(SystemExit) as caught:
        main(["--path", str(tmp_path / "model"), "--num-layers", "0"])
    assert caught.value.code == 1
    assert capsys.readouterr() == ("", "error: num_layers is 0; it must be at least 1\n")


def test_the_command_line_knows_the_defaults_of_build_and_no_abbreviation(capsys):
    options = vars(parser().parse_args(["--path", "x"]))
    del options["path"]
    assert options == build.__kwdefaults__
    with pytest.raises(SystemExit):
        parser().parse_args(["--path", "x", "--num-l", "2"])
    assert "unrecognized arguments: --num-l" in capsys.readouterr().err


@pytest.mark.slow
def test_the_module_imports_neither_mlx_nor_transformers():
    code = (
        "import sys, runner.tools.tiny_model;"
        "print([n for n in ('mlx', 'mlx_lm', 'transformers', 'tokenizers') if n in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True)
    assert done.stdout == "[]\n"


# --- the folder


@pytest.mark.slow
def test_the_same_seed_gives_the_same_bytes_in_another_process(model, tmp_path):
    command = [sys.executable, "-m", "runner.tools.tiny_model", "--path", str(tmp_path / "again")]
    subprocess.run(command, check=True)
    assert contents(tmp_path / "again") == contents(model)
    assert set(contents(model)) == {*tiny_model.FILES, "tiny.json"}


@pytest.mark.slow
def test_another_seed_gives_other_weights_of_the_same_shapes(model, tmp_path):
    mx = pytest.importorskip("mlx.core")
    build(tmp_path / "other", seed=1)
    ours, theirs = (mx.load(str(p / "model.safetensors")) for p in (model, tmp_path / "other"))
    assert {k: v.shape for k, v in ours.items()} == {k: v.shape for k, v in theirs.items()}
    assert all(mx.isfinite(v).all() for v in ours.values())
    same = {name for name in ours if mx.array_equal(ours[name], theirs[name])}
    assert same == {name for name in ours if "norm" in name}


@pytest.mark.slow
def test_building_leaves_the_random_state_of_the_caller_alone(tmp_path):
    mx = pytest.importorskip("mlx.core")
    mx.random.seed(5)
    expected = mx.random.uniform().item()
    mx.random.seed(5)
    build(tmp_path / "model")
    assert mx.random.uniform().item() == expected


@pytest.mark.slow
def test_a_model_of_the_same_parameters_is_kept(model):
    before = {file.name: file.stat().st_mtime_ns for file in model.iterdir()}
    build(model)
    assert {file.name: file.stat().st_mtime_ns for file in model.iterdir()} == before


@pytest.mark.slow
def test_a_model_of_other_parameters_is_left_alone(model):
    with pytest.raises(ToolError, match=r"\(num_layers 2, not 4, seed 0, not 3\)"):
        build(model, num_layers=4, seed=3)


@pytest.mark.slow
def test_a_model_that_lost_a_file_is_not_taken_for_a_whole_one(tmp_path):
    pytest.importorskip("mlx.core")
    build(tmp_path / "model")
    (tmp_path / "model/config.json").unlink()
    with pytest.raises(ToolError, match=r"lacks config\.json; remove the folder to rebuild it"):
        build(tmp_path / "model")


@pytest.mark.slow
def test_a_failure_leaves_nothing_behind(tmp_path, monkeypatch):
    def crash(*_):
        raise OSError("disk full")

    monkeypatch.setattr(tiny_model, "_save_weights", crash)
    with pytest.raises(OSError, match="disk full"):
        build(tmp_path / "model")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.slow
def test_of_two_builders_at_once_the_second_keeps_what_the_first_built(tmp_path, monkeypatch):
    pytest.importorskip("mlx.core")
    write = tiny_model._write

    def slowly(folder, record):
        monkeypatch.setattr(tiny_model, "_write", write)
        build(tmp_path / "model")
        write(folder, record)

    monkeypatch.setattr(tiny_model, "_write", slowly)
    build(tmp_path / "model")
    assert [entry.name for entry in tmp_path.iterdir()] == ["model"]


# --- the model


@pytest.mark.slow
def test_mlx_lm_loads_and_generates(loaded):
    mlx_lm = pytest.importorskip("mlx_lm")
    model, tokenizer = loaded
    assert len(model.layers) == 2
    assert tokenizer.eos_token_ids == {2, 6}
    assert isinstance(mlx_lm.generate(model, tokenizer, "Hello", max_tokens=8), str)


@pytest.mark.slow
def test_every_quantized_width_is_a_multiple_of_the_group(loaded):
    nn = pytest.importorskip("mlx.nn")
    quantized = [m for _, m in loaded[0].named_modules() if isinstance(m, nn.Linear | nn.Embedding)]
    assert len(quantized) == 2 * 7 + 2
    assert all(module.weight.shape[-1] % tiny_model.GROUP == 0 for module in quantized)


@pytest.mark.slow
def test_a_few_steps_of_lora_move_the_loss(loaded):
    mx = pytest.importorskip("mlx.core")
    nn = pytest.importorskip("mlx.nn")
    optim = pytest.importorskip("mlx.optimizers")
    tuner = pytest.importorskip("mlx_lm.tuner.utils")
    model, tokenizer = loaded
    tokens = mx.array([tokenizer.encode("The answer to the question is the same every time.")])

    def loss(model):
        return nn.losses.cross_entropy(model(tokens[:, :-1]), tokens[:, 1:], reduction="mean")

    model.freeze()
    tuner.linear_to_lora_layers(model, 4, {"rank": 8, "scale": 20.0, "dropout": 0.0})
    optimizer, step = optim.Adam(1e-4), nn.value_and_grad(model, loss)
    losses = []
    for _ in range(10):
        value, gradients = step(model)
        optimizer.update(model, gradients)
        losses.append(value.item())
    assert losses[-1] < losses[0] - 1
    tuner.remove_lora_layers(model)


# --- the tokenizer


@pytest.mark.slow
@pytest.mark.parametrize(
    "text",
    [
        "Plain English, with a comma.",
        "def f(x):\n    return {'a': x ** 2}\n",
        "Größe 日本語 🎉 \u2028 \u0000 \x85 e\u0301",
        "  spaces \t\r\n\n\n  and lines  ",
        "<|user|> <|end|>",
        "".join(map(chr, range(0x3000))),
    ],
)
def test_any_text_comes_back_from_its_tokens(loaded, text):
    tokenizer = loaded[1]
    assert tokenizer.decode(tokenizer.encode(text)) == text


@pytest.mark.slow
def test_mlx_lm_cuts_text_as_the_file_says(model, loaded):
    tokenizers = pytest.importorskip("tokenizers")
    ours = tokenizers.Tokenizer.from_file(str(model / "tokenizer.json"))
    text = "A few words, 12 numbers\n\n\tand 'quotes' — in Größe 7."
    assert loaded[1].encode(text) == ours.encode(text).ids
    assert ours.get_vocab_size() == json.loads((model / "config.json").read_text())["vocab_size"]


@pytest.mark.slow
def test_the_template_writes_each_turn(loaded):
    messages = [*MESSAGES[:2], {"role": "assistant", "content": "Six."}]
    assert loaded[1].apply_chat_template(messages, tokenize=False) == (
        "<|system|>\nYou are a helpful assistant.<|end|>\n"
        "<|user|>\nGröße? 🎉\n<|end|>\n"
        "<|assistant|>\nSix.<|end|>\n"
    )


@pytest.mark.slow
def test_the_template_takes_tools_and_calls(loaded):
    call = {"role": "assistant", "content": None, "tool_calls": [{"name": "f"}]}
    answer = {"role": "tool", "content": "6"}
    messages = [{"role": "user", "content": "?"}, call, answer]
    text = loaded[1].apply_chat_template(messages, tools=[{"name": "f"}], tokenize=False)
    assert text == (
        '<|system|>\n[{"name": "f"}]<|end|>\n<|user|>\n?<|end|>\n'
        '<|assistant|>\n[{"name": "f"}]<|end|>\n<|tool|>\n6<|end|>\n'
    )


@pytest.mark.slow
@pytest.mark.parametrize(
    "answer", ["", "Six.", " Six", "\n\nSix\n", "\t", "\u0301", "🎉", "<|end|>", "é"]
)
def test_a_generation_prompt_is_a_prefix_of_the_full_text_token_by_token(loaded, answer):
    tokenizer = loaded[1]
    full = tokenizer.apply_chat_template([*MESSAGES[:2], {"role": "assistant", "content": answer}])
    prompt = tokenizer.apply_chat_template(MESSAGES[:2], add_generation_prompt=True)
    assert full[: len(prompt)] == prompt
    ending = tokenizer.encode(answer + "<|end|>\n")
    assert full[len(prompt) :] == ending


@pytest.mark.slow
def test_a_model_of_another_architecture_is_the_same_for_a_seed_and_has_what_is_changed(tmp_path):
    mx = pytest.importorskip("mlx.core")
    for name, seed in (("one", 0), ("two", 0), ("three", 1)):
        build(tmp_path / name, architecture="phi3", config={"tie_word_embeddings": True}, seed=seed)
    one, two, three = (
        mx.load(str(tmp_path / n / "model.safetensors")) for n in ("one", "two", "three")
    )
    assert "lm_head.weight" not in one
    assert all(mx.array_equal(one[name], two[name]) for name in one)
    assert not mx.array_equal(one["model.embed_tokens.weight"], three["model.embed_tokens.weight"])
