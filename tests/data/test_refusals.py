"""What a tool of ours refuses before its work, check knows: both ask the same functions."""

import ast
import json
import subprocess
import sys
from importlib import import_module
from pathlib import Path

import pytest
from sources import PACKAGE, nodes

from runner.base.errors import ToolError
from runner.catalog import load
from runner.system.workers import Crew
from runner.tools.tiny_model import FILES

OWN = {
    name: tool.main[0]
    for name in load.catalog().names
    if (tool := load.catalog().get(name)) and tool.own
}
TEXT = [{"text": f"row {i}", "kind": "a", "w": i % 2} for i in range(5)]
CHAT = [
    {"messages": [{"role": "user", "content": "q"}, {"role": "assistant", "content": f"a{i}"}]}
    for i in range(3)
]
PAIR = {"prompt": "q", "completion": "a"}
SHARE = {"conversations": [{"from": "human", "value": "q"}, {"from": "gpt", "value": "a"}]}


def said(*messages, **more):
    return [{"messages": [*messages], **more}]


USER, ASSISTANT = {"role": "user", "content": "q"}, {"role": "assistant", "content": "a"}

ROW = json.dumps(TEXT[0]) + "\n"
RECORD = {"tool": "tiny", "format": 1, "num_layers": 9}
PROMPT = json.dumps({"prompt": "q", "rules": [{"contain": "a"}]}) + "\n"
SECRET = "tr0ub4dor-and-3-more"
# Tool, words, rows of the folder `in`: a text is the file's text. {in} is replaced.
CASES = [
    ("data.split", ["--valid=0.6", "--test=0.4"], TEXT),
    ("data.split", ["--valid=1.5"], TEXT),
    ("data.split", ["--seed=-1"], TEXT),
    ("data.split", ["--valid=6"], TEXT),
    ("data.split", ["--valid=0.01"], TEXT),
    ("data.split", ["--group-by=no"], TEXT),
    ("data.split", ["--group-by="], TEXT),
    ("data.split", ["--group-by=l"], [{"text": "x", "l": [1]}]),
    ("data.split", ["--group-by=kind", "--valid=2"], TEXT),
    ("data.split", [], "\n"),
    ("data.split", [], ""),
    ("data.split", [], "[1]\n"),
    ("data.split", [], [*TEXT, *CHAT]),
    ("data.split", [], [{"text": 3}]),
    ("data.split", [], [{"text": "\ud800"}]),
    ("data.split", [], [{"other": "x"}]),
    ("data.weight", ["--field=kind", '--repeat={"b": 2}'], TEXT),
    ("data.weight", ["--field=kind", '--repeat={"a": -1}'], TEXT),
    ("data.weight", ["--field=kind", '--repeat={"a": 0}'], TEXT),
    ("data.weight", ["--field=kind", '--repeat={"a": 2}', '--augmented={"no": "x"}'], TEXT),
    ("data.weight", ["--field=kind", "--repeat=3"], TEXT),
    ("data.sort", ["--seed=-1"], TEXT),
    ("data.sort", [], ""),
    ("data.format", ["--to=text"], CHAT),
    ("data.format", ["--to=chat"], ""),
    ("data.format", ["--to=text", "--template=x"], CHAT),
    ("data.format", ["--to=chat", "--drop=messages"], CHAT),
    ("data.format", ["--to=chat"], [{"x": 1}]),
    ("data.format", ["--to=chat"], [{**PAIR, "text": "x"}]),
    ("data.format", ["--to=chat"], [PAIR, {"text": "x"}]),
    ("data.format", ["--to=chat"], "[1]\n"),
    ("data.format", ["--to=chat"], '{"text": "a", "n": NaN}\n'),
    ("data.format", ["--to=chat"], '{"text": "a", "n": 1e999}\n'),
    ("data.format", ["--to=chat"], [{**PAIR, "prompt": 3}]),
    ("data.format", ["--to=text"], [{"messages": "x"}]),
    ("data.format", ["--to=chat"], [{"instruction": "x", "input": 3, "response": "y"}]),
    ("data.format", ["--to=completions"], said(USER, USER)),
    ("data.format", ["--to=completions"], said({**USER, "name": "n"}, ASSISTANT)),
    ("data.format", ["--to=completions"], said(USER)),
    ("data.format", ["--to=chat", "--template=Q{prompt}A{completion}"], [{"text": "Z"}]),
    ("data.format", ["--to=chat", "--template=Q{prompt}A{completion}"], [{"text": "Qx"}]),
    ("data.format", ["--to=chat", "--template=Q{prompt}A{completion}"], [{"text": "QxAyAz"}]),
    (
        "data.format",
        ["--to=chat"],
        [{"conversations": [*SHARE["conversations"], {"from": "x", "value": ""}]}],
    ),
    ("data.format", ["--to=chat"], [{"conversations": [*SHARE["conversations"], {"no": 1}]}]),
    ("data.format", ["--to=chat"], [{"chosen": "a", "rejected": "b"}]),
    ("data.format", ["--to=chat"], [{"prompt": 3, "chosen": "a", "rejected": "b"}]),
    ("data.format", ["--to=chat"], [{"prompt": [{"x": 1}], "chosen": "a", "rejected": "b"}]),
    ("data.mix", ["--ratio=0.3"], TEXT),
    ("data.mix", ["--ratio=1.5"], TEXT),
    ("data.mix", ["--ratio=0.5", "--tolerance=1"], TEXT),
    ("data.mix", ["--ratio=0.5"], ""),
    ("data.mix", ["--ratio=0.5", "--weight-by=no"], TEXT),
    ("data.mix", ["--ratio=0.5", "--weight-by=kind"], TEXT),
    ("data.mix", ["--ratio=0.17", "--tolerance=0.1", "--stratify-by=w"], TEXT),
    ("data.mix", ["--ratio=0.3", "--tolerance=0.1", "--stratify-by=w", "--weight-by=w"], TEXT),
    ("model.tiny", ["--num-attention-heads=3"], None),
    ("model.tiny", ["--num-layers=0"], None),
    ("model.tiny", ["--hidden-size=65"], None),
    ("model.tiny", ["--seed=-1"], None),
    ("model.tiny", ["--architecture=none"], None),
    ("model.tiny", ["--config=[]"], None),
    ("hub.publish", ["--repo-id=a/b", "--license=mit", "--path=in"], TEXT),
    ("hub.publish", ["--repo-id=a/b", "--license=mit", "--path=no"], TEXT),
    ("hub.publish", ["--repo-id=a", "--license=mit", "--path=in"], TEXT),
    ("hub.publish", ["--repo-id=a/b", "--license=mit", "--path=in"], {"in/config.json": "{}"}),
    (
        "hub.publish",
        ["--repo-id=a/b", "--license=mit", "--path=in"],
        {"in/config.json": '{"x": "hf_' + "a" * 34 + '"}', "in/a.safetensors": ""},
    ),
    (
        "hub.publish",
        ["--repo-id=a/b", "--license=mit", "--path=in"],
        {"in/config.json": '{"x": "' + SECRET + '"}', "in/a.safetensors": ""},
    ),
    ("eval.score", ["--model=m", "--prompts=in/train.jsonl", "--limit=0"], TEXT),
    ("eval.score", ["--model=m", "--prompts=in/p.jsonl"], {"in/p.jsonl": PROMPT, "out/x": ""}),
    ("eval.score", ["--model=m", "--prompts=in/p.jsonl"], {"in/p.jsonl": PROMPT, "out": ""}),
    (
        "eval.score",
        ["--model=in", "--prompts=in/p.jsonl"],
        {"in/p.jsonl": PROMPT, "in/config.json": '{"model_file": "m.py"}'},
    ),
    ("data.split", [], {"in/train.jsonl": ROW * 3, "in/valid.jsonl": ROW}),
    ("data.split", [], {"in/valid.jsonl": ROW}),
    ("data.split", ["--data=no"], TEXT),
    ("data.split", [], {"in/train.jsonl": ROW * 3, "out/x": ""}),
    ("data.split", [], {"in/train.jsonl": ROW * 3, "out": ""}),
    ("data.split", ["--out=in"], TEXT),
    ("data.split", [], {"in/train.jsonl": ROW + '{"text": "' + "x" * (40 << 20) + '"}\n'}),
    (
        "data.mix",
        ["--ratio=0.5", "--replay=other"],
        {"in/train.jsonl": ROW, "other/train.jsonl": json.dumps(CHAT[0])},
    ),
    ("data.format", ["--to=chat"], {"in/train.jsonl": ROW, "in/valid.jsonl": ""}),
    ("data.format", ["--to=instruction"], said(USER, ASSISTANT, input="x")),
    ("model.tiny", [], {"out/x": ""}),
    ("model.tiny", [], {f"out/{n}": "" for n in FILES} | {"out/tiny.json": json.dumps(RECORD)}),
    ("model.tiny", [], {"out/tiny.json": json.dumps(RECORD)}),
]
ONLY_THE_RUN = {
    "a model is loaded for it": {
        "sort._tokens",
        "sort._tokenizer",
        "sort._fetch",
        "sort._learn",
    },
    "a model answers first": {"answers.__init__", "answers.require_template", "score.questions"},
    "the hub is asked": {"repository"},
    "it needs a whole run: tests/scenarios/test_publish.py": {"publish.prepare"},
}


def words_of(tool, words):
    given = {"data.mix": ["--primary=in", "--replay=in"], "model.tiny": [], "hub.publish": []}
    given |= {"eval.score": []}
    out = "--path=out" if tool == "model.tiny" else "--out=out"
    inside = not any(word.startswith("--out") for word in words)
    return [*given.get(tool, ["--data=in"]), *words, *([out] * inside)]


def write(rows):
    if isinstance(rows, dict):
        for name, text in rows.items():
            Path(name).parent.mkdir(exist_ok=True)
            Path(name).write_text(text, encoding="utf-8")
    elif rows is not None:
        Path("in").mkdir()
        text = rows if isinstance(rows, str) else "".join(json.dumps(row) + "\n" for row in rows)
        Path("in/train.jsonl").write_text(text, encoding="utf-8")


def folders(rows):
    return {name.partition("/")[0] for name in rows} if isinstance(rows, dict) else set()


def looked(tool, words):
    import_module(OWN[tool]).AHEAD.look(words_of(tool, words), Crew())


@pytest.mark.parametrize("name", OWN)
def test_each_tool_of_ours_can_be_asked(name):
    ahead = import_module(OWN[name]).AHEAD
    options = {action.dest for action in ahead.parser()._actions}
    assert {ahead.out, *ahead.run_only} <= options


@pytest.mark.parametrize(("tool", "words", "rows"), CASES)
def test_what_a_tool_refuses_is_known_before_in_the_same_words(
    tool, words, rows, tmp_path, monkeypatch, capsys
):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("MY_API_TOKEN", SECRET)
    write(rows)
    with pytest.raises(ToolError) as caught:
        looked(tool, words)
    assert {path.name for path in tmp_path.iterdir()} <= {"in", *folders(rows)}
    if tool == "eval.score":
        pytest.importorskip("mlx_lm")
    with pytest.raises(SystemExit):
        import_module(OWN[tool]).main(words_of(tool, words))
    assert str(caught.value) in capsys.readouterr().err


@pytest.mark.slow
def test_every_refusal_is_reached_or_is_one_that_only_the_run_knows(tmp_path, monkeypatch):
    monkeypatch.setenv("MY_API_TOKEN", SECRET)
    reached = set()
    for at, (tool, words, rows) in enumerate(CASES):
        (tmp_path / str(at)).mkdir()
        monkeypatch.chdir(tmp_path / str(at))
        write(rows)
        with pytest.raises(ToolError) as caught:
            looked(tool, words)
        reached |= set(raised(caught.value))
    excused = set().union(*ONLY_THE_RUN.values())
    left = {
        f"{module}.{function}:{line}"
        for module, function, line in sites()
        if (module, line) not in reached and not {module, f"{module}.{function}"} & excused
    }
    assert left == set()


def raised(error):
    """Yield where an error was raised, and those that it comes from."""
    while error is not None:
        trace = error.__traceback__
        while trace is not None:
            code = trace.tb_frame.f_code
            yield Path(code.co_filename).stem, trace.tb_lineno
            trace = trace.tb_next
        error = error.__cause__


def sites():
    """Yield each place that raises what a user can mend: module, function, line."""
    for path in (*(PACKAGE / "data").glob("*.py"), *(PACKAGE / "tools").rglob("*.py")):
        for function in nodes(path):
            if isinstance(function, ast.FunctionDef):
                for node in ast.walk(function):
                    called = node.exc if isinstance(node, ast.Raise) else None
                    name = called.func if isinstance(called, ast.Call) else None
                    if isinstance(name, ast.Name) and name.id in {
                        "ToolError",
                        "RowError",
                        "LayoutError",
                        "refusal",
                    }:
                        yield path.stem, function.name, node.lineno


@pytest.mark.slow
@pytest.mark.parametrize("lead", ["/proc/kmsg", "/dev/full", "train.jsonl"])
def test_a_link_that_ends_in_no_file_is_refused_in_words(tmp_path, lead):
    """One that would wait, one without an end, one that leads to itself."""
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / "train.jsonl").symlink_to(lead)
    for tool in ("check --data data", "split --data data/train.jsonl --valid 0.2 --out out"):
        words = [sys.executable, "-m", "runner", "data", *tool.split()]
        done = subprocess.run(words, cwd=tmp_path, capture_output=True, text=True, check=False)
        assert done.returncode in {1, 2}, done.stderr
        assert "Traceback" not in done.stderr
