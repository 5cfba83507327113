"""Files of a user that are none, or too large, or not what they should be: none is waited for."""

import ast
import json
import os
import socket
import struct
import sys
from pathlib import Path

import pytest
from sources import FILES, PACKAGE, nodes

from runner.base.constants import normal, upward
from runner.base.errors import RecipeError
from runner.cli import main
from runner.data import read as dataset
from runner.data import tokenizer
from runner.lint import safetensors
from runner.lint.read_facts import read_data
from runner.recipe import yaml
from runner.runs import history
from runner.system import reader

# Where something else than a file of a user is read: what is written, shipped, or held as a lock; a
# process of MLX, whose reading is mlx-lm's.
OWN = {
    "worker": "the process of a tool",
    "system/reader.py": "the reader",
    "catalog/load.py": "what is shipped",
    "runs/lock.py": "a lock, which is never read",
    "system/files.py": "fsync",
    "system/cells.py": "pipes of our own, and what the system says of a process",
    "runs/runner.py": "a file that is written",
    "data/replace_folder.py": "fsync and writing",
    "tools/evaluate/score.py": "writing",
    "tools/tiny_model.py": "what is shipped, and fsync of what was written",
    "worker/train": "the process of a tool",
}


def fifo(path):
    os.mkfifo(path)


def link_to_a_fifo(path):
    os.mkfifo(f"{path}.pipe")
    path.symlink_to(f"{path}.pipe")


def endless(path):
    path.symlink_to("/dev/zero")


def bound(path):
    with socket.socket(socket.AF_UNIX) as one:
        here = Path.cwd()
        os.chdir(path.parent)  # a socket's path has 104 bytes at most
        one.bind(path.name)
        os.chdir(here)


def sparse(path):
    with path.open("wb") as file:
        file.truncate(3 << 30)


def circle(path):
    path.symlink_to(path.name)


NONE = {
    fifo: "it is a pipe, not a file",
    link_to_a_fifo: "it is a pipe, not a file",
    endless: "it is a device, not a file",
    bound: "it is a socket, not a file",
    sparse: "it is 3.22 GB, and ",
    circle: "symbolic links",
    Path.mkdir: "Is a directory",
}


@pytest.fixture(params=NONE, ids=lambda make: make.__name__)
def none(request, tmp_path, monkeypatch):
    """What makes something that is no file, and what is said of it."""
    monkeypatch.chdir(tmp_path)
    return request.param, NONE[request.param]


def test_what_is_no_file_is_refused_with_its_reason(none, tmp_path):
    make, why = none
    make(tmp_path / "x")
    with pytest.raises(OSError, match=why):
        reader.read(tmp_path / "x", reader.CONFIG)


@pytest.fixture
def call(monkeypatch, capsys):
    """Call the command line in this process: exit code, and all that it says."""

    def started(*words):
        monkeypatch.setattr(sys, "argv", ["run-recipe", *words])
        with pytest.raises(SystemExit) as end:
            main.main()
        return int(end.value.code or 0), "".join(capsys.readouterr())

    return started


@pytest.mark.parametrize("path", ["a\0b", "\ud800"])
def test_what_no_system_takes_as_a_path_is_an_oserror(path):
    with pytest.raises(OSError, match="no operating system accepts"):
        reader.open_file(path)


@pytest.mark.parametrize(
    ("data", "why"),
    [
        (b"", "it is empty"),
        (b" \n", "it is empty"),
        (b"\xef\xbb\xbf{}", "byte order mark"),
        (b'{"a": "\xff"}', "not UTF-8: byte 0xff at 7"),
        (b"\xff\xfe{\0}\0", "not UTF-8: byte 0xff at 0"),
        (b'{"a": 1,}', r"not JSON: .*line 1, column 9"),
        (b"[" * 100_000, "nested too deep"),
        (b'{"a": ' + b"9" * 5000 + b"}", "more digits"),
        (b"[]", "a list, not an object"),
        (b'"x"', "text, not an object"),
        (b"null", "null, not an object"),
    ],
)
def test_json_that_is_none_is_told_exactly(data, why):
    with pytest.raises(reader.NotJsonError, match=why):
        reader.json_object(data)


def test_json_is_read_as_mlx_lm_reads_it():
    assert reader.json_object(b'{"a": Infinity, "a": 1e3}') == json.loads('{"a": 1000.0}')


def test_a_recipe_has_the_size_that_its_parser_takes():
    assert reader.RECIPE.most == yaml.MAX_BYTES


@pytest.mark.parametrize(
    ("data", "why"),
    [
        (b"", "it is empty"),
        (b"abc", "truncated after 3 bytes"),
        (struct.pack("<Q", 0), "not a safetensors file"),
        (struct.pack("<Q", 2**63), "not a safetensors file"),
        (struct.pack("<Q", 50) + b"{}", "truncated: 10 B of 58 B"),
        (struct.pack("<Q", 2) + b"[]", "its header cannot be read: it contains a list"),
        (struct.pack("<Q", 7) + b'{"a":1}', "the entry 'a' of its header is not a tensor"),
    ],
)
def test_a_safetensors_file_that_is_none_is_told_exactly(tmp_path, data, why):
    (tmp_path / "x").write_bytes(data)
    with pytest.raises(safetensors.HeaderError, match=why):
        safetensors.header(tmp_path / "x")


def test_a_header_of_zeros_is_refused_before_it_is_read(tmp_path):
    with (tmp_path / "x").open("wb") as file:
        file.write(struct.pack("<Q", 1 << 30))
        file.truncate(3 << 30)
    with pytest.raises(safetensors.HeaderError, match=r"1.07 GB, and the limit is 16.8 MB"):
        safetensors.header(tmp_path / "x")


# every door


def opens(path):
    """The calls that open or read a file."""
    for node in nodes(path):
        if not isinstance(node, ast.Call):
            continue
        called = node.func.attr if isinstance(node.func, ast.Attribute) else ""
        name = node.func.id if isinstance(node.func, ast.Name) else ""
        modes = {one.value for one in ast.walk(node) if isinstance(one, ast.Constant)}
        read = called in {"read_text", "read_bytes", "FileIO", "fdopen"} or name == "open"
        if (called == "open" and not {"w", "xb", "ab", "ab+", "a", "r+b"} & modes) or read:
            yield node


def doors():
    for path in FILES:
        place = path.relative_to(PACKAGE).as_posix()
        if any(place.startswith(own) for own in OWN):
            continue
        for node in opens(path):
            said = ast.unparse(node)
            if not said.startswith(
                ("reader.", "self.places.open", "self.files.open", "self.open", "repository.open")
            ):
                yield f"{place}:{node.lineno}: {said}"


def test_every_file_of_a_user_is_opened_by_the_reader():
    assert [*doors()] == []


RECIPE = """\
version: 1
stages:
  a:
    tool: mlx_lm.lora
    params: {train: true, model: m, data: d, resume_adapter_file: ad/adapters.safetensors}
  f:
    tool: mlx_lm.fuse
    params: {model: m, adapter_path: ad}
  s:
    tool: eval.score
    params: {model: m, prompts: p.jsonl}
"""
# What is not a file, and the words that read it; {} are the words after it.
VERBS = {
    "base.yaml": (["check", "r2.yaml"], ["show", "r2.yaml"], ["-n", "r2.yaml"]),
    "r2.yaml": (["check", "."], ["check", "r2.yaml"], ["import", "r2.yaml"]),
    "c.sh": (["import", "c.sh"], ["import", "--", "mlx_lm.lora", "-c", "c.sh"]),
    "adapter_config.json": (["import", "adapter_config.json"],),
    "r.test.yaml": (["check", "r.test.yaml"], ["check", ".", "--tests"]),
    "d/train.jsonl": (["check", "r.yaml"], ["data", "check", "d"]),
    "d/valid.jsonl": (["check", "r.yaml"], ["data", "mix", "--primary", "d", "--replay", "d"]),
    "m/config.json": (["check", "r.yaml"],),
    "m/model.safetensors": (["check", "r.yaml"],),
    "m/tokenizer_config.json": (["check", "r.yaml"],),
    "m/tokenizer.json": (["check", "r.yaml"],),
    "ad/adapters.safetensors": (["check", "r.yaml"],),
    "ad/adapter_config.json": (["check", "r.yaml"],),
    "p.jsonl": (["check", "r.yaml"],),
    "runs/r/20261123T214807Z-abcd/run.json": (["runs"], ["status"], ["report"]),
    "runs/r/20261123T214807Z-abcd/effective.json": (["runs"],),
}


@pytest.mark.slow
@pytest.mark.parametrize("place", VERBS)
def test_no_verb_waits_for_what_is_no_file(none, place, tmp_path, call):
    make, _ = none
    for folder in ("d", "m", "ad"):
        (tmp_path / folder).mkdir()
    for split in ("train", "valid"):
        (tmp_path / "d" / f"{split}.jsonl").write_text('{"text": "a b"}\n')
    (tmp_path / "m" / "config.json").write_text('{"model_type": "llama"}')
    (tmp_path / "m" / "tokenizer_config.json").write_text("{}")
    (tmp_path / "r.yaml").write_text(RECIPE)
    (tmp_path / "r2.yaml").write_text("version: 1\nextends: base.yaml\n")
    odd = tmp_path / place
    odd.unlink(missing_ok=True)
    odd.parent.mkdir(parents=True, exist_ok=True)
    make(odd)
    for words in VERBS[place]:
        code, said = call(*words)
        assert code in {0, 1, 2}, (words, said)


def test_a_test_file_whose_recipe_is_no_file_is_told(none, tmp_path, call):
    make, _ = none
    make(tmp_path / "x.yaml")
    (tmp_path / "y.test.yaml").write_text("recipe: x.yaml\ntests:\n  a: {error: cannot-read}\n")
    assert call("check", "y.test.yaml")[0] in {0, 2}


@pytest.mark.parametrize(
    "name", ["tokenizer.json", "vocab.txt", "additional_chat_templates/a.jinja"]
)
def test_a_tokenizer_is_not_waited_for(none, name, tmp_path):
    make, why = none
    (tmp_path / "tokenizer_config.json").write_text("{}")
    (tmp_path / name).parent.mkdir(exist_ok=True)
    make(tmp_path / name)
    if make is Path.mkdir:
        return
    with pytest.raises(OSError, match=why):
        tokenizer._load(str(tmp_path))


def test_a_folder_is_searched_by_names_before_anything_is_opened(tmp_path, monkeypatch, call):
    sparse(tmp_path / "weights.safetensors")
    sparse(tmp_path / "large.yaml")
    opened = []
    read = reader.read
    monkeypatch.setattr(reader, "read", lambda *of: opened.append(of[0].name) or read(*of))
    call("check", str(tmp_path), "--tests")
    assert set(opened) - {"token"} == {"large.yaml"}  # the hub's, to be masked


@pytest.mark.slow
def test_a_line_without_an_end_is_told_and_nothing_after_it_is_read(tmp_path):
    (tmp_path / "valid.jsonl").write_text('{"text": "a"}\n')
    with (tmp_path / "train.jsonl").open("wb") as file:
        file.write(b'{"text": "a"}\n')
        file.truncate(3 << 30)
    said = [one for one in dataset.check(tmp_path).problems if one.rule == "row-too-long"]
    assert [one.severity for one in said] == ["error"]
    assert "the rest of the file was not read" in said[0].message
    assert read_data(str(tmp_path)) is None


# walks upwards


@pytest.mark.parametrize(
    ("path", "above"),
    [
        ("", []),
        ("a", ["a"]),
        ("a//b/", ["a/b", "a"]),
        ("../a", ["../a", ".."]),
        ("/", ["/"]),
        ("//", ["/"]),
        ("///", ["/"]),
        ("//a", ["/a", "/"]),
        ("/..", ["/"]),
        ("${RUN_DIR}/a", ["${RUN_DIR}/a", "${RUN_DIR}"]),
    ],
)
def test_the_folders_above_a_path_end(path, above):
    assert [*upward(path)] == above
    assert not path or normal(path) == above[0]


ROOTED = """\
version: 1
vars: {{root: {root}}}
stages:
  a:
    tool: data.split
    params: {{data: d, out: "{out}"}}
  b:
    tool: mlx_lm.lora
    params: {{train: true, model: m, data: "{{{{ stages.a.data }}}}", adapter_path: "{path}"}}
"""


@pytest.mark.parametrize("path", ["/", "//out", "//", "{{ vars.root }}/adapters", "/x/../.."])
@pytest.mark.parametrize("words", [["check"], ["show"], ["-n"]], ids=" ".join)
def test_a_path_at_the_root_ends(path, words, tmp_path, monkeypatch, call):
    monkeypatch.chdir(tmp_path)
    text = ROOTED.format(root="/", out="//srv/x", path=path)
    (tmp_path / "r.yaml").write_text(
        text if "vars" in path else text.replace("vars: {root: /}", "")
    )
    code, said = call(*words, "r.yaml")
    assert code in {0, 2}, said


def test_a_stage_that_writes_into_what_another_writes_at_the_root_is_told(
    tmp_path, monkeypatch, call
):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "r.yaml").write_text(
        ROOTED.replace("vars: {{root: {root}}}\n", "").format(out="//srv", path="/srv/x")
    )
    assert "writes '/srv/x' inside '/srv' of stage 'a'" in call("check", "r.yaml")[1]


@pytest.mark.parametrize("target", ["gone", "runs"])
def test_runs_behind_a_link_to_nowhere_are_not_said_to_be_none(target, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "runs").symlink_to(target)
    with pytest.raises(RecipeError, match="is a link to"):
        history.folders(Path("runs"))
    with pytest.raises(OSError, match="which does not exist"):
        history.make_folder(Path("runs"))


# names and texts that nobody expects


def test_names_that_are_no_utf8_are_names(tmp_path, monkeypatch, call):
    monkeypatch.chdir(tmp_path)
    folder = tmp_path / "r\udce9"
    try:
        (folder / "d").mkdir(parents=True)
        (folder / "d" / "\udcff.jsonl").write_text("{}\n")
    except OSError:
        pytest.skip("this system has UTF-8 names only")
    (folder / "d" / "train.jsonl").write_text(
        "".join(f'{{"text": "row {number}"}}\n' for number in range(40))
    )
    (folder / "a.yaml").write_text(
        "version: 1\nstages: {a: {tool: data.split, params: {data: d, out: o}}}\n"
    )
    monkeypatch.chdir(folder)
    assert call("check", ".")[0] == 0
    assert call("data", "check", "d")[0] == 0
    monkeypatch.chdir(tmp_path)
    assert call("check", "r\udce9")[0] in {0, 2}
    assert call("check", "r\udce9/gone.yaml")[0] == 2
    assert call("runs", "--runs", "r\udce9")[0] == 0
    code, said = call("r\udce9/a.yaml", "--runs", "r\udce9/runs")
    assert code in {1, 2, 5}
    assert "mistake" not in said


@pytest.mark.parametrize("name", ["deep.yaml", "deep.json", "deep.sh"])
def test_what_is_nested_without_an_end_is_imported_or_refused(name, tmp_path, monkeypatch, call):
    monkeypatch.chdir(tmp_path)
    (tmp_path / name).write_text("[" * 100_000)
    code, said = call("import", name)
    assert code == 2
    assert "mistake" not in said
