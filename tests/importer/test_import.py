"""run-recipe import: what it reads, what it says of it, and that it means the same."""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import HealthCheck, Phase, assume, given, settings
from hypothesis import strategies as st
from msgspec.structs import replace
from random_stages import NAMES, stages

from runner import workflow
from runner.base.errors import RecipeError
from runner.base.problems import picture
from runner.catalog import load
from runner.command.script import script
from runner.importer import bash, translation, write_recipe
from runner.importer import script as adoption
from runner.importer.bash import is_assignment
from runner.importer.prune import CONCEDED, NEVER_READ
from runner.importer.variables import Variables
from runner.lint import findings
from runner.lint.rule import rules
from runner.plan.model import Plan, Retry
from runner.recipe import find
from runner.system import files

ROOT = Path(__file__).parent.parent.parent
GOLDEN = ROOT / "tests" / "golden" / "import"
CASES = sorted(
    path.name for path in GOLDEN.iterdir() if path.suffix in {".sh", ".json"} or path.stem == "own"
)


def plan_of(text, name="imported.yaml"):
    """The plan of a recipe that is a text; every variable of the environment is there."""
    loaded, result = translation._compile(text, name)
    told = [*loaded.problems, *(result.problems if result else ())]
    assert told == [], "\n".join(picture(one, loaded.sources) for one in told)
    return result.plan


def adopted(text):
    """The recipe of a script that reads no file."""
    found = walked(text)
    assert [one for one in found.problems if one.severity == "error"] == []
    return write_recipe.recipe_text(found)


@pytest.mark.parametrize("name", CASES)
def test_an_imported_file_is_this_recipe_and_these_notes(name, monkeypatch, update_golden):
    monkeypatch.chdir(GOLDEN)
    found = translation.from_file(name)
    said = "".join(f"{picture(one, found.sources)}\n" for one in found.problems)
    pictures = {f"{name}.recipe": found.text, f"{name}.out": said}
    for file, text in pictures.items():
        if update_golden:
            Path(file).write_text(text, encoding="utf-8")
        assert text == Path(file).read_text(encoding="utf-8")


def test_a_script_of_ten_commands_is_a_recipe_of_ten_stages_that_makes_the_same_commands(
    monkeypatch,
):
    monkeypatch.chdir(GOLDEN)
    found = translation.from_file("ten.sh")
    assert found.stages == 10
    assert {one.message.partition(" 1e-05")[0] for one in found.problems} == {
        "left out: learning_rate"
    }
    plan = plan_of(found.text)
    again = adopted(script(plan, load.catalog()))
    second = plan_of(again, plan.file)
    assert [bare(stage) for stage in second.stages] == [bare(stage) for stage in plan.stages]


def bare(stage):
    """A stage without what a script has no word for."""
    expect = tuple(line for line in stage.expect if "vars." not in line)
    none = {"expect_at": (), "allow": (), "after": (), "timeout": None, "description": ""}
    return replace(stage, expect=expect, retry=Retry(), **none)


SHIPPED = sorted(filter(find.is_recipe, files.shipped("recipes").glob("*.yaml")))


@pytest.mark.slow
@pytest.mark.parametrize("smoke", [False, True])
@pytest.mark.parametrize("path", SHIPPED, ids=lambda path: path.stem)
def test_our_own_scripts_come_back(path, smoke):
    recipe = workflow.load(str(path), environ={})
    plan = workflow.plan(workflow.compile_recipe(recipe, {}), recipe, smoke=smoke)
    text = adopted(script(plan, load.catalog()))
    again = plan_of(text)
    assert (again.name, again.description) == (plan.name, plan.description)
    assert [replace(bare(s), description=s.description) for s in again.stages] == [
        replace(bare(s), description=s.description) for s in plan.stages
    ]


@pytest.mark.slow
@pytest.mark.parametrize("name", NAMES)
@settings(max_examples=12, suppress_health_check=list(HealthCheck), phases=[Phase.generate])
@given(data=st.data())
def test_random_stages_come_back(name, data):
    stage = data.draw(stages(load.installed_catalog().get(name)))
    text = script(
        Plan(name="random", file="random.yaml", stages=(stage,)), load.installed_catalog()
    )
    loaded, result = translation._compile(adopted(text), "random.yaml")
    assume("same-output" not in {one.rule for one in result.problems})  # no recipe may do that
    assert [*loaded.problems, *result.problems] == []
    found = result.plan.stage("stage")
    assert json.dumps(found.params) == json.dumps(stage.params)
    assert found.tool == stage.tool


AROUND = """\
version: 1
stages:
  train:
    tool: mlx_lm.lora
    params: {model: m, data: d, train: true, batch_size: 4}
    launch: {hosts: 2, env: {A: "1"}}
    keep: best
    expect: ["metrics.kept_val_loss < 2"]
"""


def test_what_stands_around_a_stage_comes_back():
    plan = plan_of(AROUND)
    again = plan_of(adopted(script(plan, load.catalog())))
    assert bare(again.stage("train")) == bare(plan.stage("train"))


def words_of(text):
    """The words our reader makes of a script, the values of its variables filled in."""
    variables = Variables()
    said = []
    for command in bash.script(text, "x.sh").commands:
        for word in command.words:
            if word.items is not None:
                name = word.parts[0].text.removesuffix("=")
                plain = name.removesuffix("+")
                variables.array(plain, word.items, more=plain != name)
            elif is_assignment(word) and len(command.words) == 1:
                name, _, _ = word.parts[0].text.partition("=")
                parts = (
                    replace(word.parts[0], text=word.parts[0].text.partition("=")[2]),
                    *word.parts[1:],
                )
                variables.assign(name, variables.word(replace(word, parts=parts)), word.mark)
            elif word is not command.words[0]:
                said += [variables.text(one) for one in variables.words(word)]
    return said


SNIPPETS = [
    "say a 'b c' \"d e\" f\\ g",
    'say --x=\'it\'"\'"\'s\' --y="a \\"b\\" \\$c \\\\ \\n"',
    "say a \\\n  b\\\nc",
    'A=1; B="x y"; say $A ${A}2 "$B" \'$B\' "${B}/z"',
    "COMMON='--a 1  --b 2'; say $COMMON \"$COMMON\" x$COMMON",
    "say ${NOPE:-a b} \"${NOPE:-a b}\" ${NOPE-x} $'tab\\there \\x41\\u00e9 \\'q\\''",
    'R=root; D="$R/data"; say "$D"/x \'\' "" end',
    "say a#b '#c' # a comment\nsay d;say e&&say f",
    "say 'two\nlines' \"and\ntwo\"",
    "say ~/x a~b '~' \\~",
    'A=(--a 1 \'b c\' # d\n "e f" \\\n g); say "${A[@]}" x"${A[@]}"y ${A[@]} "${A[*]}"',
    'A=(); A+=(--x "y z"); A+=(1); say "${A[@]}" "${A[1]}" $A "$A" ${A[@]+"${A[@]}"}',
    'A=(); E=; say "${A[@]}" $E a "$E" b$E `# c` "${A[@]}"d',
    "say $((100*2)) $((7/2)) $((-7/2)) $((-7%3)) $(( (1+2) * 3 )) a$((1+1))b",
    "say a `# a comment` \\\n b `# another` \\\n c",
    "say a 2>/dev/null >/dev/null b 2>&1",
]


@pytest.mark.slow
@pytest.mark.skipif(shutil.which("bash") is None, reason="needs bash")
@pytest.mark.parametrize("text", SNIPPETS)
def test_words_are_read_as_bash_reads_them(text):
    prelude = 'say() { for w in "$@"; do printf \'%s\\0\' "$w" >&3; done; }\n'
    read, write = os.pipe()
    done = subprocess.run(
        ["bash", "-c", f"exec 3>&{write}\n{prelude}{text}"],
        pass_fds=[write], check=True, env={"HOME": "/home/me", "LC_ALL": "C.UTF-8"},
    )  # fmt: skip
    os.close(write)
    with os.fdopen(read, "rb") as pipe:
        said = pipe.read().decode().split("\0")[:-1]
    assert done.returncode == 0
    ours = [word.replace("\ue0000\ue001", "/home/me") for word in words_of(text)]
    assert ours == said


LOST = [
    '--data "$1"',
    "--data $(pwd)/$(date +%F)",
    "--data `date`",
    '--data "$DATA"',
    '--data "${MODEL##*/}"',
    "--data data/*",
    "--data d --iters $((N*2))",
    "--data d --iters ten",
    '--data d --iters "${1:-$(nproc)}"',
    '--data d "$@"',
    "--data d $MORE",
    "--data d $(cat flags)",
    '--data d "${UNKNOWN[@]}"',
    "--data d --lora-rank 16",
    "--data d --iters",
    "--data d -c lost.yaml",
    '--data d -c "$1"',
    "--data d -c conditional.yaml",
    '--data d "${MAYBE[@]}"',
    "--data d --iters $SOMETIMES",
    "--data d -c written.yaml",
]
BEFORE = """\
if true; then MAYBE+=(--iters 5); SOMETIMES=5; echo "iters: 5" > conditional.yaml; fi
cat > written.yaml <<EOF
lora_parameters: {rank: $R, scale: 2.0, dropout: 0.0}
iters: $(nproc)
EOF
"""


@pytest.mark.parametrize("options", LOST)
def test_an_option_that_only_bash_knows_is_refused_by_a_check_and_never_a_default(
    options, tmp_path, monkeypatch
):
    monkeypatch.chdir(tmp_path)
    Path("a.sh").write_text(f"{BEFORE}mlx_lm.lora --model m --train {options}\n", encoding="utf-8")
    found = translation.from_file("a.sh")
    loaded, result = translation._compile(found.text, "a.yaml")
    told = [one for one in (*loaded.problems, *result.problems) if one.severity == "error"]
    assert told, found.text
    said = [f"{one.message} {one.hint}" for one in found.problems]
    assert not any("\ue000" in text for text in [found.text, *said])
    assert "WikiSQL" not in found.text


KNOWN = [
    ('A=(--iters 100 --seed 3); {} "${{A[@]}}"', {"iters": 100, "seed": 3}),
    ('A=(--iters 100); A+=(--seed 3 # why\n); {} "${{A[@]}}"', {"iters": 100, "seed": 3}),
    ('A=(); {} "${{A[@]}}" --iters 5', {"iters": 5}),
    ("{} --iters $((100*2)) `# comment` \\\n --seed 3", {"iters": 200, "seed": 3}),
    ('{} --iters "${{1:-300}}"', {"iters": 300}),
    ("C='--iters 5'; C+=' --seed 3'; {} $C", {"iters": 5, "seed": 3}),
    ("echo 'iters: 5' > c; echo 'seed: 3' >> c; {} -c c", {"iters": 5, "seed": 3}),
    ("$(which python) -m {} --iters 5", {"iters": 5}),
    ("conda run -n mlx {} --iters 5", {"iters": 5}),
    ("timeout 2h {} --iters 5", {"iters": 5}),
]


@pytest.mark.parametrize("text, params", KNOWN)
def test_what_can_be_followed_is_followed(text, params):
    text = text.format("mlx_lm.lora --model m --data d --train")
    (stage,) = plan_of(adopted(text)).stages
    assert {name: stage.params[name] for name in params} == params


@pytest.mark.parametrize("line", ['cd "$(dirname "$0")"', "cd .", "cd"])
def test_a_script_that_goes_to_its_own_folder_says_where_its_paths_are(line):
    script = f"{line}\nmlx_lm.lora --model m --data rows --train --iters 10\n"
    for file, told in (("sc/train.sh", "dirname" in line), ("train.sh", False)):
        found = adoption.adopt(script, file, load.catalog(), lambda _: b"")
        said = [one for one in found.problems if "relative to 'sc'" in one.message]
        said += [n for s in found.stages for n in s.notes if "relative to 'sc'" in n.message]
        assert len(said) == told


def test_an_argument_of_a_script_is_asked_of_the_environment(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    text = 'OUT=$2; shift; mlx_lm.lora --model m --train --data "$1" --adapter-path "$OUT/a"\n'
    text += 'mlx_lm.fuse --model m --adapter-path "$OUT/a" --save-path f\n'
    Path("a.sh").write_text(text, encoding="utf-8")
    found = translation.from_file("a.sh")
    assert "data: \"{{ env('ARG_2') }}\"" in found.text
    assert "out: \"{{ env('ARG_2') }}\"" in found.text
    assert 'adapter_path: "{{ stages.train.adapter_path }}"' in found.text
    assert [one.message for one in found.problems if one.severity == "error"] == [
        "data has no value: $1 is an argument of the script",
        "adapter_path has no value: $2 is an argument of the script",
    ]


SHAPES = [
    ("{rank: 8, alpha: 16, dropout: 0.05}", {"rank": 8, "dropout": 0.05, "scale": 2.0}),
    ("{rank: 8, alpha: 16}", {"rank": 8, "dropout": 0.0, "scale": 2.0}),
    ("{rank: 8, scale: 4.0}", {"rank": 8, "dropout": 0.0, "scale": 4.0}),
    ("{rank: 8}", None),
    ("{alpha: 16}", None),
]


@pytest.mark.parametrize("train", ["train: true\n", ""])
@pytest.mark.parametrize("said, meant", SHAPES)
def test_a_shape_that_mlx_lm_stops_at_is_never_filled_in_silently(
    said, meant, train, tmp_path, monkeypatch
):
    monkeypatch.chdir(tmp_path)
    text = f"model: m\ndata: d\niters: 5\n{train}lora_parameters: {said}\n"
    Path("c.yaml").write_text(text, encoding="utf-8")
    found = translation.from_file("c.yaml")
    assert any("mlx-lm fails at lora_parameters without" in one.message for one in found.problems)
    if meant is None:
        assert "FILL_IN_SCALE" in found.text
    elif train:
        shape = plan_of(found.text).stages[0].params["lora_parameters"]
        assert {name: shape[name] for name in meant} == meant


def test_a_test_and_a_full_training_need_no_whole_shape(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for more in ("test: true\nadapter_path: a", "train: true\niters: 5\nfine_tune_type: full"):
        text = f"model: m\ndata: d\nlora_parameters: {{rank: 8}}\n{more}\n"
        Path("c.yaml").write_text(text, encoding="utf-8")
        found = translation.from_file("c.yaml")
        assert not any("mlx-lm stops" in one.message for one in found.problems)


def test_a_file_that_neither_trains_nor_tests_is_told_at_its_own_place(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    Path("c.yaml").write_text("model: m\ndata: d\n", encoding="utf-8")
    found = translation.from_file("c.yaml")
    assert [(str(one.mark), one.message) for one in found.problems] == [
        ("c.yaml:1:1", "mlx_lm.lora needs 'train: true' or 'test: true'")
    ]
    assert "\n  lora:\n" in found.text


def test_a_command_that_is_no_tool_stands_in_the_recipe(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    text = 'mlx_lm.fuse --model m --adapter-path a --save-path f\npython eval.py "$1"\n'
    Path("a.sh").write_text(f"{text}if true; then python more.py; fi\n", encoding="utf-8")
    found = translation.from_file("a.sh")
    assert "# a.sh:2: 'python eval.py $1' may train, but no stage does" in found.text
    assert "# a.sh:3: 'python more.py' may train, but no stage does" in found.text
    found = translation.from_file("a.sh", leave_out=["python"])
    assert "# a.sh:2: 'python eval.py $1' is not a tool of a recipe: it is left out" in found.text
    assert [one for one in found.problems if one.severity == "error"] == []
    with pytest.raises(RecipeError, match=r"no command in a\.sh starts with 'make'"):
        translation.from_file("a.sh", leave_out=["make"])


def test_a_launcher_of_nothing_is_told(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    text = "mlx.launch --hosts 2\nmlx_lm.fuse --model m --adapter-path a --save-path f\n"
    Path("a.sh").write_text(text, encoding="utf-8")
    found = translation.from_file("a.sh")
    assert "# a.sh:1: what it starts is not a tool of a recipe" in found.text


def test_a_training_of_no_said_length_is_told():
    found = translation.from_words(["mlx_lm.lora", "--model", "m", "--data", "d", "--train"])
    assert [one.message for one in found.problems] == ["iters is not set: mlx-lm uses 1000"]
    assert "iters: 1000" in found.text


def test_a_script_that_works_is_a_recipe_that_passes_and_says_what_it_allows(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    base = "--model mlx-community/OLMo-2-0425-1B-Instruct-4bit"
    Path("s.yaml").write_text("lr_schedule: {name: cosine_decay, arguments: [1e-4, 9]}\n")
    text = f"LR=1e-4\nmlx_lm.lora {base} --train --data d --iters 9 --num-layers 0 -c s.yaml"
    text += " --learning-rate $LR --adapter-path a\n"
    text += f"mlx_lm.fuse {base} --adapter-path a --save-path f\n"
    Path("a.sh").write_text(text, encoding="utf-8")
    found = translation.from_file("a.sh")
    assert [(one.severity, one.rule) for one in found.problems] == [
        ("warning", "num-layers-ambiguous"),
        ("warning", "ignored-by-mlx"),
        ("warning", "fuse-without-dequantize"),
    ]
    assert "    allow: [fuse-without-dequantize]\n" in found.text
    assert "learning_rate:" not in found.text
    result = translation._compile(found.text, "a.yaml")[1]
    told = [*result.problems, *findings.rule_problems(result)]
    assert [one for one in told if one.severity == "error"] == []


def test_every_rule_that_is_allowed_is_a_rule():
    assert set(rules()) >= CONCEDED
    assert not CONCEDED & NEVER_READ


LINES = [
    "--model m --data d --train --iters 5",
    "--model=m --data=d --train --iters=5 --iters 7",
    "--mod m --data d --trai --it 5 --learn 1e-4 --mask",
    "--model m --data d --test --adapter-path '' --num-layers -1 --test-batches -1",
    "--model m --data d --train --project-name=-x --report-to wandb",
    "-c {config} --train",
    "--config={config} --model other --no-such-key-here",
    "-c{config} --optimizer adamw --seed 3",
    "--model m --data d --train --batch-size 1_000",
    "--model m --data d --train --steps 5",
    "--model m --data d --train --iters 1e3",
    "--model m --data d --train --optimizer adamw extra",
    "--model m --data d --learning-rate nan --train",
]
CONFIG = """\
model: from-file
data: d
train: yes
iters: 1_000
learning_rate: 1e-4
batch_size:
mask_prompt: 'no'
learning-rate: 0.5
trust_remote_code: true
seed: 010
lora_parameters: {rank: 4, scale: 1.0, dropout: 0.0}
save_every: 0x10
"""
PARSER = """
import contextlib, io, json, shlex, sys
import mlx_lm.lora as lora
seen = {}
lora.run = lambda args: seen.update(vars(args))
said = []
for line in json.loads(sys.argv[1]):
    seen.clear()
    sys.argv = ["mlx_lm.lora", *shlex.split(line)]
    try:
        with contextlib.redirect_stdout(io.StringIO()), contextlib.redirect_stderr(io.StringIO()):
            lora.main()
        said.append(dict(seen))
    except SystemExit as end:
        said.append(end.code)
print(json.dumps(said))
"""


@pytest.mark.slow
def test_a_command_means_what_mlx_lms_own_parser_makes_of_it(tmp_path, monkeypatch):
    pytest.importorskip("mlx_lm")
    monkeypatch.chdir(tmp_path)
    Path("config.yaml").write_text(CONFIG, encoding="utf-8")
    lines = [line.format(config="config.yaml") for line in LINES]
    done = subprocess.run(
        [sys.executable, "-c", PARSER, json.dumps(lines)],
        capture_output=True,
        text=True,
        check=True,
    )
    tool = load.installed_catalog().get("mlx_lm.lora")
    for line, seen in zip(lines, json.loads(done.stdout), strict=True):
        Path("one.sh").write_text(f"mlx_lm.lora {line}\n", encoding="utf-8")
        found = translation.from_file("one.sh")
        refused = [one for one in found.problems if one.rule == "refused-by-mlx"]
        if seen == 2:
            assert refused, line
            continue
        if "nan" in line:
            assert [one.rule for one in found.problems if one.severity == "error"] == ["wrong-type"]
            continue
        assert refused == [], line
        (stage,) = plan_of(found.text).stages
        unlike = {
            name: (value, seen[name])
            for name, value in stage.params.items()
            if name in seen.keys() - {"optimizer_config", "adapter_path", "lora_parameters"}
            and value != (bool(seen[name]) if isinstance(value, bool) else seen[name])
        }
        assert unlike == {}, line
    assert tool is not None


@pytest.mark.parametrize(
    "name, text, why",
    [
        ("a.sh", "echo hello\n", "there is no command to import in a.sh"),
        ("a.sh", "for x in 1; do mlx_lm.lora; done\n", "there is no command to import in a.sh"),
        ("a.yaml", "version: 1\nstages: {}\n", "a.yaml is a recipe already"),
        ("a.json", "{", "a.json cannot be imported: it is not JSON"),
        ("train.jsonl", '{"text": "a"}\n' * 60, "train.jsonl contains rows of data"),
        ("rows.txt", '{"text": "a"}\n' * 60, "rows.txt contains rows of data"),
        ("a.json", '{"peft_type": "LORA"}', "a.json is not an adapter of mlx-lm"),
    ],
)
def test_what_is_nothing_to_import_is_told(name, text, why, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    Path(name).write_text(text, encoding="utf-8")
    with pytest.raises(RecipeError, match=why):
        translation.from_file(name)


def test_a_file_that_is_not_there_is_a_sentence_with_a_way_out():
    with pytest.raises(RecipeError, match=r"nosuch\.sh") as told:
        translation.from_file("nosuch.sh")
    assert told.value.code == 2
    assert "after --" in told.value.hint


def test_what_is_no_script_at_all_is_told_in_three_lines(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    Path("a.txt").write_text("some words\n" * 50, encoding="utf-8")
    with pytest.raises(RecipeError) as told:
        translation.from_file("a.txt")
    assert told.value.hint.count("line ") == 3
    assert told.value.hint.endswith("… (47 more)")


def test_a_configuration_that_is_not_there_is_told(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    found = translation.from_words(
        ["mlx_lm.lora", "-c", "lost.yaml", "--train", "--model", "m", "--data", "d"]
    )
    assert [(one.rule, one.message) for one in found.problems] == [
        ("not-followed", "cannot read lost.yaml: No such file or directory")
    ]
    assert "# the command:1: cannot read lost.yaml" in found.text


def test_every_rule_that_prunes_is_a_rule():
    assert set(rules()) >= NEVER_READ


@pytest.mark.slow
def test_the_aliases_of_flags_are_those_of_the_installed_parsers():
    pytest.importorskip("mlx_lm")
    done = subprocess.run(
        [sys.executable, "-m", "runner.worker.introspect"],
        capture_output=True,
        text=True,
        check=True,
    )
    said = json.loads(done.stdout)
    for name, known in said.items():
        tool = load.installed_catalog().get(name)
        if tool is None or "flags" not in known:
            continue
        for parameter in tool.parameters.values():
            flags = next(
                (one["flags"] for one in known["flags"].values() if parameter.flag in one["flags"]),
                [],
            )
            ours = {parameter.flag, *parameter.aliases, parameter.off}
            assert not name.startswith("mlx_lm.") or set(flags) <= ours, (name, parameter.name)


def test_a_folder_with_a_long_name_names_no_stage(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    long = "/".join(["x" * 200] * 5)
    command = f"mlx_lm.lora --train --model o/m --data d --iters 5 --adapter-path {long}\n"
    Path("a.sh").write_text(command, encoding="utf-8")
    found = translation.from_file("a.sh")
    assert found.problems == []
    assert "  train:\n    tool: mlx_lm.lora\n" in found.text
    assert long in found.text


def walked(text):
    """What a script that reads no file amounts to."""

    def read(file):
        raise FileNotFoundError(file)

    return adoption.adopt(text, "script.sh", load.catalog(), read)


TRAIN = "mlx_lm.lora --model m --train --data d --iters 5"
MAY_NOT_RUN = [
    '[ -n "$X" ] && {}',
    "! [ -d out ] && {}",
    "[[ -f x ]] && {}",
    "(( N > 0 )) && {}",
    "which python && {}",
    "false && {}",
    "[ -f x ] && {{ echo; {}; }}",
    "[ -d out ] || {}",
    "[ -f done ] && exit\n{}",
    "if [ -f done ]; then exit 0; fi\n{}",
    "[ -f done ] && exec ./next\n{}",
    "case $1 in (a|b) {};; c) echo;; esac",
]


@pytest.mark.parametrize("script", MAY_NOT_RUN)
def test_a_command_that_may_not_run_is_no_stage_in_silence(script):
    found = walked(f"{TRAIN}\n{script.format(TRAIN)}\n")
    assert len(found.stages) == 1
    assert [one.rule for one in found.problems if one.severity == "error"][:1] == ["not-followed"]


@pytest.mark.parametrize("end", ["exit", "exit 0", "exit 1", "return", "{} && exit 0", "exec {}"])
def test_what_stands_behind_the_end_of_a_script_is_no_stage_and_is_told(end):
    found = walked(f"{TRAIN}\n{end.format(TRAIN)}\n{TRAIN}\n")
    assert len(found.stages) == 1 + ("{}" in end)
    (told,) = found.problems
    assert told.severity == "warning"
    assert told.message.startswith("it never runs, so it is not a stage: '")


MAY_TRAIN = [
    "make train", "$TOOL --train", '"$@"', 'python -c "train()"', "python train.py", "./go",
    "bash nothere.sh", "source nothere.sh", "nohup python train.py &", "uv run train", "eval $X",
    "docker run img", "ssh host train", "ls | xargs -n1 train", "f() {\ntrain\n}\nf", "exec train",
    "if true; then train; fi", "python - <<E\ntrain()\nE", "find . -exec train {} +", "npm run x",
]  # fmt: skip


@pytest.mark.parametrize("line", MAY_TRAIN)
def test_a_program_that_may_train_is_something_to_add_by_hand(line):
    found = walked(f"{TRAIN}\n{line}\n")
    (told,) = [one for one in found.problems if one.severity == "error"]
    assert told.message.endswith(" may train, but no stage does")
    assert "--leave-out" in told.hint


ASIDE = [
    "rm -rf x", "git pull", "python -m pip install x", "uv sync", "conda activate x", "[ -d a ]",
    "command -v mlx_lm.lora", "source venv/bin/activate", "nohup rm x", "python --version",
]  # fmt: skip


@pytest.mark.parametrize("line", ASIDE)
def test_a_program_that_trains_nothing_is_none_to_add(line):
    found = walked(f"{line}\n{TRAIN}\n")
    assert [one for one in found.problems if one.severity == "error"] == []


def test_a_value_that_is_said_only_where_something_holds_is_not_taken_for_sure():
    found = walked(f"[ -z $LR ] && LR=3\n{TRAIN} --learning-rate $LR\n")
    told = [note.message for stage in found.stages for note in stage.notes]
    assert told == ["learning_rate has no value: $LR is a value that depends on '[ -z $LR ]'"]


@pytest.mark.parametrize("said, limit", [("10", "10s"), ("2h", "2h"), ("1d", "24h"), ("5m", "5m")])
def test_a_limit_of_time_is_the_stages(said, limit):
    (stage,) = walked(f"nohup timeout {said} {TRAIN}\n").stages
    assert stage.around == {"timeout": limit}
