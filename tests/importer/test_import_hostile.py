"""Import drops no command in mlx-lm without a word, ends on any input, and prints what can be read."""

import contextlib
import json
import time
from pathlib import Path

import pytest

from runner.base.errors import RecipeError
from runner.importer import translation

TRAIN = "mlx_lm.lora --train --model m --data d --iters 5 --adapter-path a"
TEST = "mlx_lm.lora --test --model m --data d --adapter-path a"


@pytest.fixture(autouse=True)
def _here(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)


def imported(text, file="a.sh"):
    Path(file).write_text(text, encoding="utf-8", errors="surrogatepass")
    found = translation.from_file(file)
    return found, [one for one in found.problems if one.severity == "error"]


@pytest.mark.parametrize(
    "line",
    [
        "python3 -u -m {}",
        "python -m{}",
        "python -W ignore -X dev -m {}",
        "uv run {}",
        "uv run --with mlx-lm python -m {}",
        "pipenv run {}",
        "poetry run {}",
        "rye run {}",
        "arch -arm64 {}",
        "stdbuf -oL {}",
        "env A=b {}",
        "nohup {} > log 2>&1 &",
        "time {}",
        "caffeinate -i {}",
        "{} || true",
        "{} &",
        "{} 2>&1 | tee log",
        "({})",
        "env A=1 {}",
        "mkdir -p x && {}",
        "pip install mlx-lm && {}",
        "[ -f x ] || exit 1\n{}",
        "log() {{ echo $1; }}\nlog x\n{}",
        "( exit )\n{}",
        "{} || {{ echo failed; exit 1; }}",
    ],
)
def test_a_command_is_followed_whatever_starts_it(line):
    found, errors = imported(line.format(TRAIN))
    assert (found.stages, errors) == (1, [])


@pytest.mark.parametrize(
    "line",
    [
        "L=$({})",
        "L=`{}`",
        "export L=$({} | tail -1)",
        "L=${{A:-$({})}}",
        "echo loss $({})",
        "grep loss <({})",
        "bash -c '{}'",
        'sh -lc "{}"',
        'eval "{}"',
        'C="{}"\neval $C',
        'C="{}"\nx ${{!C}}',
        "alias t='{}'",
        "trap '{}' EXIT",
        "ssh mac '{}'",
        "watch {}",
        "ls | xargs -n1 {}",
        'echo "{}" | bash',
        "find . -exec {} \\;",
        "cat > t.sh <<'EOF'\n{}\nEOF",
        "bash <<EOF\n  {}\nEOF",
        "python - <<'EOF'\nsubprocess.run(['mlx_lm.lora', '--test'])\nEOF",
        "\t@{}",
        "t() {{ {}; }}",
        "for n in 1 2; do {}; done",
        "if true; then {}; fi",
        "true || {}",
        "parallel ::: '{}'",
        "C=(env {})\nrun ${{C[@]}}",
    ],
)
def test_a_command_that_becomes_no_stage_is_told_with_its_line(line):
    _, errors = imported(f"{TRAIN}\n{line.format(TEST)}\n")
    assert errors
    assert all(one.mark.line > 1 for one in errors if "private" not in one.message)


@pytest.mark.parametrize(
    "line",
    [
        "# {}",
        'echo "then run: {}"',
        "printf '%s' '{}' > note.txt",
        "command -v mlx_lm.lora || exit 1",
        "which mlx_lm.lora",
        "pip install mlx_lm",
        "cat > lora.yaml <<EOF\n# {}\nseed: 3\nEOF",
        "grep '{}' log",
    ],
)
def test_a_command_that_is_only_spoken_of_is_none(line):
    found, errors = imported(f"{line.format(TEST)}\n{TRAIN}\n")
    assert (found.stages, errors) == (1, [])


@pytest.mark.parametrize("line", ["source t.sh", ". ./t.sh", "bash t.sh", "sh -e t.sh", "./t.sh"])
@pytest.mark.parametrize("written", [True, False], ids=["by the script", "on the disk"])
def test_a_command_in_another_script_is_told(line, written, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    if not written:
        Path("t.sh").write_text(f"{TEST}\n")
    wrote = f"echo '{TEST}' > t.sh\n" if written else ""
    _, errors = imported(f"{TRAIN}\n{wrote}{line}\n")
    assert [one.mark.line for one in errors] == [2 + written]


def test_what_activates_an_environment_is_no_script_of_commands():
    found, errors = imported(f"source .venv/bin/activate\n{TRAIN}\n")
    assert (found.stages, errors) == (1, [])
    assert not [one for one in found.problems if "activate" in one.message]


WORDS = [
    r"$'\x'", r"$'\uZZ'", r"$'\U0011ffff'", r"$'\ud800'", r"$'a\0b'", r"$'\x85'", "'a\u2028b'", "'\uffff'",
    "'a\ue000b'", "'\ue0000\ue001'", "'\ue00099\ue001'", r"$'\ue000'", "'\U0001f600'", r"$'\x01'", "'a: b'",
    "'a #b'", "'{{ x }}'", "'${{ x }}'", "'*a'", "'&a'", "'!a'", "null", "'~'", "010", "2026-01-01",
    "9" * 5000, "''", "' a '", "'<<'",
]  # fmt: skip


@pytest.mark.parametrize("word", WORDS, ids=lambda word: ascii(word)[:20])
def test_any_word_is_carried_or_refused_and_what_is_printed_can_be_read(word):
    read_back(f"mlx_lm.lora --train --data d --iters 5 --model {word}\n# {word}\n", "a.sh")


SAID = {"model": "m", "data": "d", "train": True}
VALUES = [
    '{"iters": NaN}', '{"iters": 1e400}', '{"learning_rate": -Infinity}', '{"iters": %s}' % ("9" * 5000),
    '{"model": "\\ud800"}', '{"model": "\\ue0000\\ue001"}', '{"model": "a\\u0000"}', '{"\\ud800": 1}',
    "[" * 100_000, '{"model": %s}' % ("[" * 5000 + "]" * 5000), '{"model": null}', '{"model": ["m"]}',
]  # fmt: skip


@pytest.mark.parametrize("text", VALUES, ids=lambda text: ascii(text)[:20])
def test_any_adapter_is_carried_or_refused(text):
    with contextlib.suppress(ValueError, RecursionError):
        text = json.dumps({**SAID, **json.loads(text)})
    read_back(text, "adapter_config.json")


CONFIGS = [
    "iters: 2026-01-01", "model: 2026-01-01", "model: 2026-13-45", "seed: 2026-01-01 10:00:00", "model: &a [*a]",
    "iters: 1e400", "iters: .nan", "iters: " + "9" * 5000, "model: !!set {a, b}", "model: !!binary aGVsbG8=",
    "model: !!omap [a: 1]", 'model: "\\ud800"', 'model: "\\ue0000\\ue001"', "? [a]\n: b", "1: 2", "~: 2",
    "2026-01-01: 2", "model: " + "[" * 5000 + "]" * 5000, "seed: 190:20:30.15", 'model: "\\x07"',
    "lora_parameters: {rank: .nan, scale: .inf, keys: [2026-01-01]}",
    "lr_schedule: {name: cosine_decay, arguments: [1e400, 5]}",
    "a: &a [x,x,x,x,x,x,x,x,x]\n" + "".join(f"{chr(98 + n)}: &{chr(98 + n)} [{','.join([f'*{chr(97 + n)}'] * 9)}]\n" for n in range(9)),
]  # fmt: skip


@pytest.mark.parametrize("text", CONFIGS, ids=lambda text: ascii(text)[:20])
def test_any_configuration_is_carried_or_refused(text):
    read_back(f"data: d\ntrain: true\n{text}\n", "lora.yaml")


def read_back(text, file):
    try:
        found, _ = imported(text, file)
    except RecipeError:
        return
    found.text.encode("utf-8")
    loaded, _ = translation._compile(found.text, "back.yaml")
    rules = {one.rule for one in loaded.problems}
    assert not rules & {"yaml-syntax", "not-utf8", "bad-tag", "duplicate-key"}


BOMBS = {
    "doubled": "A=x\n" + "A=$A$A\n" * 60 + "mlx_lm.lora --train --data d --iters 5 --model $A\n",
    "doubled nothing": "A=\n"
    + "A=$A$A\n" * 60
    + "mlx_lm.lora --train --data d --iters 5 --model m$A\n",
    "appended": "A=x\n" + "A+=$A\n" * 60 + "mlx_lm.lora --train --data d --iters 5 --model $A\n",
    "chained": "A0=x\n"
    + "".join(f"A{n}=$A{n - 1}$A{n - 1}\n" for n in range(1, 60))
    + f"{TRAIN} $A59\n",
    "array": "A=(x y)\n" + 'A=("${A[@]}" "${A[@]}")\n' * 40 + f'{TRAIN} "${{A[@]}}"\n',
    "appended array": "A=(x y)\n" + 'A+=("${A[@]}")\n' * 40 + f'{TRAIN} "${{A[@]}}"\n',
    "nested": "mlx_lm.lora --train --data d --iters 5 --model "
    + "${A:-" * 3000
    + "x"
    + "}" * 3000
    + "\n",
    "brackets": f"{TRAIN}\nx=$(" + "(" * 5000 + ")" * 5000 + ")\n",
    "a long word": f"mlx_lm.lora --train --data d --iters 5 --model {'m' * 300_000}\n",
}


@pytest.mark.slow
@pytest.mark.parametrize("name", BOMBS)
def test_a_script_that_grows_without_end_ends(name):
    begun = time.monotonic()
    try:
        found, _ = imported(BOMBS[name])
        assert len(found.text) < 1_000_000
    except RecipeError:
        pass
    assert time.monotonic() - begun < 10


@pytest.mark.slow
def test_thousands_of_commands_are_imported_up_to_the_limit():
    lines = [
        f"mlx_lm.lora --train --model m --data d --iters 5 --adapter-path a{n}\n"
        for n in range(2000)
    ]
    begun = time.monotonic()
    found, errors = imported("".join(lines))
    assert time.monotonic() - begun < 60
    assert found.stages == 1000
    assert [(one.mark.line, one.message) for one in errors] == [
        (1001, "import makes at most 1,000 stages of a script")
    ]


def test_stages_that_share_what_cannot_be_known_are_told_and_nothing_crashes():
    lines = [
        "MODEL=$(pick)",
        "mlx_lm.convert --hf-path $MODEL --mlx-path $MODEL-4bit",
        "mlx_lm.lora --train --model $MODEL-4bit --data d --iters 5 --adapter-path $MODEL",
        "mlx_lm.fuse --model $MODEL-4bit --adapter-path $MODEL --save-path $MODEL",
    ]
    found, errors = imported("\n".join(lines))
    assert found.stages == 3
    assert errors
