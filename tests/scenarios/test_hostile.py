"""Recipes of strangers: what they say is shown, and nothing that they say is done."""

import json
import os
import re
import subprocess
import sys
import unicodedata
from pathlib import Path

import pytest
import yaml
from hypothesis import example, given
from hypothesis import strategies as st

from runner import workflow
from runner.catalog import load
from runner.cli import main
from runner.command.script import script

ACTS = "\x1b]52;c;cHduZWQ=\x07\x9b31m\u202e\n::error file=a.py::forged\n##[error]forged\r"


@pytest.fixture
def here(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("COLUMNS", "100")
    return tmp_path


def said(capfd, monkeypatch, *words):
    """Return all that the command line says to some words, and its exit code."""
    monkeypatch.setattr(sys, "argv", ["run-recipe", *words])
    with pytest.raises(SystemExit) as end:
        main.main()
    out, err = capfd.readouterr()
    return end.value.code, out, err


def acting(text):
    """Return the lines of a text in which something acts where they are shown."""
    return [
        line
        for line in text.split("\n")
        if any(unicodedata.category(one) in {"Cc", "Cs"} and one != "\t" for one in line)
        or "\u202e" in line
        or line.strip().startswith("::")
        or "##[" in line
    ]


LORA = {"tool": "mlx_lm.lora", "params": {"model": "m", "data": "d", "train": True, "iters": 9}}
BAD = {
    "a key": {"version": 1, ACTS: 1, "stages": {"train": LORA}},
    "a stage's key": {"version": 1, "stages": {"train": {**LORA, ACTS: 1}}},
    "a parameter": {
        "version": 1,
        "stages": {"train": {**LORA, "params": {**LORA["params"], ACTS: 1}}},
    },
    "a stage's name": {"version": 1, "stages": {ACTS: LORA}},
    "a tool": {"version": 1, "stages": {"train": {**LORA, "tool": ACTS}}},
    "a need": {"version": 1, "stages": {"train": {**LORA, "needs": [ACTS]}}},
    "a template": {
        "version": 1,
        "vars": {"a": "{{ '" + ACTS + "' | int }}"},
        "stages": {"train": LORA},
    },
    "a parent": {"version": 1, "extends": ACTS, "stages": {"train": LORA}},
    "a profile": {"version": 1, "profiles": {ACTS: {}}, "stages": {"train": LORA}},
    "a rule": {"version": 1, "stages": {"train": {**LORA, "allow": [ACTS]}}},
    "a name": {"version": 1, "name": ACTS, "stages": {"train": LORA}},
    "a path": {
        "version": 1,
        "stages": {"train": {**LORA, "params": {**LORA["params"], "data": ACTS}}},
    },
}


@pytest.mark.parametrize("style", ["text", "json", "github", "sarif"])
@pytest.mark.parametrize("where", BAD)
def test_what_a_bad_recipe_says_is_only_shown(here, capfd, monkeypatch, where, style):
    Path("r.yaml").write_text(yaml.safe_dump(BAD[where], allow_unicode=True), encoding="utf-8")
    code, out, err = said(capfd, monkeypatch, "check", "r.yaml", "--format", style)
    assert code == (0 if where == "a path" else 2)
    lines = acting(out + err)
    if style == "github":
        lines = [
            one for one in lines if not re.fullmatch(r"::(error|warning) [^\x00-\x1f\u202e]*", one)
        ]
        lines += [one for one in out.splitlines() if "forged" in one and "file=a.py" in one[:12]]
    assert lines == []
    if style in {"json", "sarif"}:
        json.loads(out)


def test_a_file_s_line_is_shown_with_a_caret_below_its_place(here, capfd, monkeypatch):
    Path("r.yaml").write_bytes(
        b"version: 1\nstages:\n  # \x9b\x1b\n  train: {tool: 'a\xe2\x80\xaeb', x: 1}\n"
    )
    text = "version: 1\nstages:\n  train: {tool: 'a\u202eb', nope: 1}\n"
    Path("r.yaml").write_text(text, encoding="utf-8")
    _, out, err = said(capfd, monkeypatch, "check", "r.yaml")
    rows = (out + err).splitlines()
    at = next(number for number, row in enumerate(rows) if "has no key 'nope'" in row)
    assert rows[at + 2].index("^") == rows[at + 1].index("nope")
    assert acting(out + err) == []


GOOD = {
    "version": 1,
    "description": ACTS,
    "vars": {"where": ACTS},
    "stages": {
        "mix": {
            "tool": "data.mix",
            "description": ACTS,
            "params": {"primary": "{{ vars.where }}", "replay": "b", "ratio": 0.1, "seed": 0},
        },
        "train": {
            "tool": "mlx_lm.lora",
            "allow": ["keys-match-nothing"],
            "params": {
                "model": "m",
                "data": "{{ stages.mix.data }}",
                "train": True,
                "iters": 9,
                "lora_parameters": {"rank": 8, "scale": 1.0, "dropout": 0.0, "keys": [ACTS]},
            },
        },
    },
}


@pytest.mark.parametrize(
    "words",
    [
        ["check", "r.yaml"],
        ["check", "r.yaml", "--format", "json"],
        ["show", "r.yaml"],
        ["show", "r.yaml", "--used"],
        ["show", "r.yaml", "--format", "json"],
        ["run", "-n", "r.yaml"],
        ["run", "-n", "r.yaml", "--format", "json"],
        ["diff", "r.yaml", "s.yaml"],
        ["diff", "r.yaml", "s.yaml", "--format", "json"],
        ["diff", "r.yaml", "s.yaml", "--format", "markdown"],
        ["show", "r.yaml", ACTS],
        ["status", ACTS],
        ["rules", ACTS],
        ["tools", ACTS],
        ["new", ACTS],
        ["check", ACTS + ".yaml"],
        ["run", "r.yaml", "-n", "--only", ACTS],
        ["run", "r.yaml", "-n", "--profile", ACTS],
        ["run", "r.yaml", "-n", "--set", f"vars.where={ACTS}"],
        ["run", "r.yaml", "-n", "--set", f"{ACTS}=1"],
        ["run", "r.yaml", f"--{ACTS}"],
        ["import", "--", "mlx_lm.lora", "--model", ACTS, f"--{ACTS}"],
        ["data", "check", ACTS],
    ],
    ids=lambda words: " ".join(words).replace(ACTS, "ACTS"),
)
def test_what_a_recipe_or_a_word_says_is_only_shown(here, capfd, monkeypatch, words):
    for name, seed in (("r", 0), ("s", 1)):
        one = json.loads(json.dumps(GOOD))
        one["stages"]["mix"]["params"]["seed"] = seed
        text = yaml.safe_dump(one, allow_unicode=True, sort_keys=False)
        Path(f"{name}.yaml").write_text(text, encoding="utf-8")
    code, out, err = said(capfd, monkeypatch, *words)
    assert code != 70
    assert acting(out + err) == []
    if {"-n", "show", "diff"} & {*words} and ACTS not in "".join(words):
        assert code == 0
        assert "forged" in out or "diff" in words
    if "json" in words:
        json.loads(out)


def test_nobody_forges_a_line_of_a_report_by_a_file_s_name(here, capfd, monkeypatch):
    Path("a\nb.yaml: no problems").mkdir()
    name = "a\nb.yaml: no problems/c.yaml"
    Path(name).write_text("version: 1\n", encoding="utf-8")
    _, out, err = said(capfd, monkeypatch, "check", name, "--format", "text")
    assert not [line for line in (out + err).splitlines() if line.startswith("b.yaml: no problems")]


# What bash would do with a text that it reads as its own, each leaving a trace.
HARM = st.sampled_from(
    [
        "$(touch PWNED)",
        "`touch PWNED`",
        "'; touch PWNED; '",
        '"; touch PWNED; "',
        '}"; touch PWNED; : "${X:=',
        "\ntouch PWNED\n",
        "\r\ntouch PWNED\r\n",
        "\x85touch PWNED",
        "\u2028touch PWNED",
        "# x\ntouch PWNED",
        "JSON\ntouch PWNED\ncat <<JSON",
        "$RUN_DIR/$(touch PWNED)",
        "${RUN_DIR:-$(touch PWNED)}",
        "${X:=$(touch PWNED)}",
        "\\$(touch PWNED)",
        "\\",
        "'",
        '"',
        "!touch PWNED",
        "$'\\x24(touch PWNED)'",
        "<(touch PWNED)",
        "* ~ {a,b} [x]",
        "\x1b[31m\u202e\t",
    ]
)
TEXTS = st.lists(HARM | st.text(max_size=8), min_size=1, max_size=3).map("".join)


def clean(text):
    """Return a text that a recipe may hold as it is: no template, nothing that YAML refuses."""
    bare = re.sub(r"\{[{%#]|\$\{RUN_DIR\}|\x00", "", text)
    return bare.encode("utf-8", "ignore").decode() or "x"


@pytest.fixture(scope="module")
def shims(tmp_path_factory):
    """A folder of commands that do nothing, for every tool there is."""
    folder = tmp_path_factory.mktemp("shims")
    catalog = load.catalog()
    tools = {catalog.get(name).command[0] for name in catalog.names}
    for name in {*tools, "run-recipe", "mlx.launch", "python"}:
        (folder / name).write_text("#!/bin/sh\nexit 0\n")
        (folder / name).chmod(0o755)
    return folder


@pytest.mark.slow
@given(texts=st.lists(TEXTS.map(clean), min_size=9, max_size=9))
@example(texts=["$(touch PWNED)"] * 9)
@example(texts=["\ntouch PWNED\nJSON\ntouch PWNED\n"] * 9)
def test_a_script_does_nothing_that_a_value_says(shims, tmp_path_factory, texts):
    folder = tmp_path_factory.mktemp("run")
    a, b, c, d, e, f, g, h, i = texts
    stem = re.sub(r"[/\x00\ud800-\udfff]", "", i)[:60].strip(".") or "x"
    recipe = {
        "version": 1,
        "name": "harm",
        "description": a,
        "vars": {"v": b},
        "stages": {
            "one": {
                "tool": "mlx_lm.lora",
                "description": c,
                "params": {
                    "model": d,
                    "data": f"d{e}",
                    "train": True,
                    "iters": 9,
                    "lora_parameters": {"rank": 8, "scale": 1.0, "dropout": 0.0, "keys": [f]},
                },
            },
            "two": {
                "tool": "mlx_lm.generate",
                "params": {"model": "m", "prompt": "{{ vars.v }}", "system_prompt": g},
            },
            "three": {
                "tool": "data.mix",
                "params": {
                    "primary": f"{{{{ recipe.dir }}}}/x{h}",
                    "replay": "r",
                    "ratio": 0.1,
                    "seed": 0,
                },
            },
        },
    }
    file = folder / f"{stem}.yaml"
    file.write_text(yaml.safe_dump(recipe, allow_unicode=True), encoding="utf-8")
    loaded = workflow.load(str(file))
    compiled = workflow.compile_recipe(loaded, {})
    assert compiled.problems == []
    text = script(compiled.plan, load.catalog())
    (folder / "commands.sh").write_text(text, encoding="utf-8", errors="surrogateescape")
    environ = {"PATH": f"{shims}:{os.environ['PATH']}"}
    done = subprocess.run(
        ["bash", "commands.sh"], cwd=folder, env=environ, capture_output=True, check=False
    )
    assert (done.returncode, done.stderr) == (0, b"")
    assert not list(folder.rglob("PWNED"))
    assert {path.name for path in folder.iterdir()} == {file.name, "commands.sh", "runs"}


ROWS = r"""root:CANARY0:x
{"CANARY1": "CANARY2", "x": CANARY3}
{"messages": [{"role": "CANARY4' and CANARY5", "content": "CANARY6"}]}
{"prompt": "CANARY7", "rules": [{"CANARY8": "CANARY9(" }]}
{"text": 5, "CANARY10": [1], "CANARY10": 2}
{"prompt": "a", "rules": [{"match": "CANARY11("}], "category": {"CANARY12": 1}}
{"prompt": "a", "id": "CANARY13", "rules": [{"number": "CANARY14"}]}
{"prompt": "a", "id": "CANARY13", "rules": [{"number": 1}]}
{"instruction": "CANARY15", "output": "b", "CANARY16": 1}
{"conversations": [{"from": "CANARY17", "value": "CANARY18"}]}
{"prompt": "CANARY19", "chosen": "CANARY20", "rejected": "CANARY21"}
"""
READS = {
    "data": "{tool: mlx_lm.lora, params: {model: a/b, train: true, data: %s, iters: 3}}",
    "prompts": "{tool: eval.score, params: {model: a/b, prompts: %s/train.jsonl}}",
    "mixed": "{tool: data.mix, params: {primary: %s, replay: %s, ratio: 0.1}}",
    "split": "{tool: data.split, params: {data: %s/train.jsonl, valid: 0.1, group_by: zz}}",
    "weighted": "{tool: data.weight, params: {data: %s, field: category, repeat: {a: 2}}}",
    "sorted": "{tool: data.sort, params: {data: %s, batch_size: 2}}",
    "formatted": "{tool: data.format, params: {data: %s, to: chat}}",
}


@pytest.mark.parametrize("style", ["text", "json", "sarif"])
@pytest.mark.parametrize("reads", READS)
def test_nothing_of_rows_outside_of_the_project_is_shown(here, capfd, monkeypatch, reads, style):
    for name in ("project", "outside"):
        Path(name).mkdir()
        for split in ("train", "valid", "test"):
            Path(name, f"{split}.jsonl").write_text(ROWS)
        stage = READS[reads].replace("%s", name)
        expect = ", expect: [metrics.score_CANARY < 1]}" if reads == "prompts" else "}"
        text = f"version: 1\nstages:\n  one: {stage[:-1]}{expect}\n"
        Path(f"project/{name}.yaml").write_text(text)
    _, out, err = said(capfd, monkeypatch, "check", "project/outside.yaml", "--format", style)
    assert not re.search(r"CANARY\d", out + err)
    if reads in {"data", "prompts"}:
        assert "outside the project" in out + err
        _, out, err = said(capfd, monkeypatch, "check", "project/project.yaml", "--format", style)
        assert re.search(r"CANARY\d", out + err)


CUT = """version: 1
name: cut
stages:
  cut:
    tool: data.split
    allow: [path-not-expanded]
    params: {data: rows.jsonl, valid: 0.25, test: 0.25, out: %s}
    expect: [metrics.train_rows < 0]
"""
PLACES = [
    "$(touch PWNED)",
    "it's a \"b`touch PWNED`",
    "a\n::error::b; touch PWNED",
    "-n $(touch PWNED)",
]


@pytest.mark.slow
@pytest.mark.parametrize("name", PLACES)
def test_a_folder_of_runs_and_a_run_are_only_names_to_bash(here, shims, name):
    """Where runs are kept, what a run is called, and where a stage writes to."""
    rows = "".join(f'{{"text": "row {at}"}}\n' for at in range(40))
    Path("rows.jsonl").write_text(rows, encoding="utf-8")
    Path("cut.yaml").write_text(CUT % json.dumps(f"out {name}"), encoding="utf-8")

    def runs(*words):
        words = [sys.executable, "-m", "runner", *words]
        return subprocess.run(words, capture_output=True, text=True, check=False)

    done = runs("cut.yaml", f"--runs={name}")
    assert done.returncode == 4, done.stderr
    (folder,) = Path(name).glob("cut/2*")
    command = re.search(
        r"  resume with: (.*)\n  run folder: ", done.stderr + done.stdout, re.DOTALL
    )[1]
    asked = f"run-recipe() {{ printf '%s\\0' \"$@\"; }}; {command}"
    words = subprocess.run(["bash", "-c", asked], capture_output=True, check=True).stdout
    assert words.decode().split("\0")[:-1] == ["cut.yaml", "--runs", name, "--resume"]
    environ = {"PATH": f"{shims}:{os.environ['PATH']}", "RUN_DIR": f"./{name}/again"}
    script_of = ["bash", str(Path(folder, "commands.sh").absolute())]
    assert subprocess.run(script_of, env=environ, check=False).returncode == 0
    other = folder.with_name(f"{folder.name}{name}")
    folder.rename(other)
    for verb in (["runs"], ["status"], ["audit"], ["report", "--format=markdown"]):
        done = runs(*verb, f"--runs={name}")
        assert not acting(done.stdout + done.stderr), verb
    assert not list(Path().rglob("PWNED"))


@pytest.mark.parametrize("stem", ["$(touch PWNED)", "it's", 'a"b', "a b", "-n", "\x1b[31m", "été"])
def test_a_file_whose_name_cannot_be_the_recipe_s_says_how_to_go_on(here, capfd, monkeypatch, stem):
    Path(f"{stem}.yaml").write_text("version: 1\nstages: {a: {tool: model.tiny}}\n")
    code, out, err = said(capfd, monkeypatch, "check", f"./{stem}.yaml")
    assert code == 2
    assert (
        "the recipe is named after its file, and the file name may contain only letters"
        in out + err
    )
    hint = re.search(r"hint: write (name: .+)", out + err)[1]
    text = Path(f"{stem}.yaml").read_text()
    Path(f"{stem}.yaml").write_text(f"{text}{hint}\n")
    assert said(capfd, monkeypatch, "check", f"./{stem}.yaml")[0] == 0
