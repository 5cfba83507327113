"""The editor's schema in the YAML language server that editors run, spoken to over stdio."""

import json
import queue
import shutil
import subprocess
import threading
from pathlib import Path

import pytest

from runner.recipe import find

pytestmark = pytest.mark.slow
ROOT = Path(__file__).parent.parent.parent
PATIENCE = 60  # seconds for one answer
SETTINGS = {
    "validate": True,
    "hover": True,
    "completion": True,
    "schemaStore": {"enable": False},
    "schemas": {},
    "customTags": ["!reset scalar", "!override mapping"],
}


class Server:
    """A language server: requests and their answers, and the diagnostics of each document."""

    def __init__(self, words):
        self.process = subprocess.Popen(
            words, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL
        )
        self.answers, self.diagnostics = queue.Queue(), queue.Queue()
        self.number = 0
        self.listener = threading.Thread(target=self.listen, daemon=True)
        self.listener.start()

    def listen(self):
        stream = self.process.stdout
        while head := stream.readline():
            length = int(head.split(b":")[1])
            while stream.readline().strip():
                pass
            said = json.loads(stream.read(length))
            if "id" in said and "method" in said:
                items = said.get("params", {}).get("items", [])
                known = {"yaml": SETTINGS}
                result = [known.get(item.get("section"), {}) for item in items]
                self.send({"id": said["id"], "result": result or None})
            elif "id" in said:
                self.answers.put(said)
            elif said["method"] == "textDocument/publishDiagnostics":
                self.diagnostics.put(said["params"])

    def send(self, said):
        body = json.dumps({"jsonrpc": "2.0", **said}).encode()
        self.process.stdin.write(b"Content-Length: %d\r\n\r\n%s" % (len(body), body))
        self.process.stdin.flush()

    def ask(self, method, params):
        self.number += 1
        self.send({"id": self.number, "method": method, "params": params})
        while (answer := self.answers.get(timeout=PATIENCE))["id"] != self.number:
            pass
        assert "error" not in answer, answer
        return answer["result"]

    def open(self, path, text):
        """Show the server a document; return what it finds wrong."""
        document = {"uri": path.as_uri(), "languageId": "yaml", "version": 1, "text": text}
        self.send({"method": "textDocument/didOpen", "params": {"textDocument": document}})
        while (found := self.diagnostics.get(timeout=PATIENCE))["uri"] != path.as_uri():
            pass
        return [(one["range"]["start"]["line"], one["message"]) for one in found["diagnostics"]]

    def at(self, method, path, line, column):
        place = {
            "textDocument": {"uri": path.as_uri()},
            "position": {"line": line, "character": column},
        }
        return self.ask(f"textDocument/{method}", place)


@pytest.fixture(scope="module")
def server(tmp_path_factory):
    """The language server: the one on PATH, or the newest of the npm registry."""
    words = [shutil.which("yaml-language-server")]
    if words[0] is None:
        folder = tmp_path_factory.mktemp("server")
        program = folder / "node_modules" / "yaml-language-server" / "bin" / "yaml-language-server"
        if shutil.which("node") is None or shutil.which("npm") is None:
            pytest.skip("needs node and npm")
        npm = ["npm", "install", "--silent", "--no-audit", "--no-fund", "yaml-language-server"]
        done = subprocess.run(npm, cwd=folder, capture_output=True, text=True, check=False)
        if not program.exists():
            pytest.skip(f"npm cannot install yaml-language-server: {done.stderr[-200:]}")
        words = [shutil.which("node"), str(program)]
    server = Server([*words, "--stdio"])
    folders = [{"uri": ROOT.as_uri(), "name": "here"}]
    workspace = {"configuration": True, "workspaceFolders": True}
    document = {"hover": {"contentFormat": ["markdown"]}, "completion": {"completionItem": {}}}
    server.ask("initialize", {
        "processId": None, "rootUri": ROOT.as_uri(), "workspaceFolders": folders,
        "capabilities": {"workspace": workspace, "textDocument": document},
    })  # fmt: skip
    server.send({"method": "initialized", "params": {}})
    changed = {"settings": {"yaml": SETTINGS}}
    server.send({"method": "workspace/didChangeConfiguration", "params": changed})
    with server.process:
        yield server
        server.process.terminate()
        server.listener.join(timeout=PATIENCE)


@pytest.fixture
def recipe(tmp_path):
    """Write a recipe whose first line names the schema; return its path and text."""
    shutil.copy(ROOT / "schema" / "recipe.schema.json", tmp_path)

    def write(text, name="mine.yaml"):
        whole = f"# yaml-language-server: $schema=recipe.schema.json\nversion: 1\n{text}"
        path = tmp_path / name
        path.write_text(whole, encoding="utf-8")
        return path, whole

    return write


STAGES = """\
stages:
  train:
    tool: mlx_lm.lora
    params:
      train: true
      learning_rate: 1.0e-5
      iters: "{{ vars.iters }}"
      lora_parameters: {rank: "{{ vars.rank }}", scale: 2.0}
      lr_schedule:
        name: cosine_decay
        arguments: ["{{ stage.params.learning_rate }}", 100]
  fuse:
    tool: mlx_lm.fuse
    params:
      deq
"""


@pytest.mark.parametrize(
    "path",
    sorted(filter(find.is_recipe, ROOT.glob("recipes/**/*.yaml"))),
    ids=lambda p: p.stem,
)
def test_a_shipped_recipe_has_no_squiggle(path, server):
    assert server.open(path, path.read_text(encoding="utf-8")) == []


def test_templates_are_allowed_and_a_typo_is_not(server, recipe):
    good = STAGES.partition("  fuse:")[0]
    assert server.open(*recipe(good)) == []
    typo = good.replace("learning_rate: 1.0", "learning_rat: 1.0")
    assert server.open(*recipe(typo, "typo.yaml")) == [(7, "Property learning_rat is not allowed.")]
    wrong = good.replace('iters: "{{ vars.iters }}"', "iters: many")
    ((line, _),) = server.open(*recipe(wrong, "wrong.yaml"))
    assert line == 8


def test_params_are_completed_for_the_stages_own_tool(server, recipe):
    path, text = recipe(STAGES, "complete.yaml")
    server.open(path, text)
    rows = text.splitlines()
    line = rows.index("      deq")
    labels = {item["label"] for item in server.at("completion", path, line, 9)["items"]}
    assert {"dequantize", "adapter_path", "save_path"} <= labels
    assert "iters" not in labels
    path, text = recipe(STAGES.replace("      train: true\n", "      s\n"), "other.yaml")
    server.open(path, text)
    labels = {item["label"] for item in server.at("completion", path, 6, 7)["items"]}
    assert {"seed", "save_every"} <= labels
    assert "dequantize" not in labels
    path, text = recipe("stages:\n  a:\n    tool: mlx_lm.\n", "tool.yaml")
    server.open(path, text)
    labels = {item["label"] for item in server.at("completion", path, 4, 17)["items"]}
    assert {"mlx_lm.lora", "mlx_lm.fuse"} <= labels


INHERITED = """\
stages:
  analysis: {tool: mlx_lm.lora, params: {train: true}}
  codefix:
    extends: analysis
    params:
      ITERS
profiles:
  quick:
    stages:
      codefix:
        params:
          iters: 5
"""


def labels_at(server, path, line, column):
    return {item["label"] for item in server.at("completion", path, line, column)["items"]}


def test_a_stage_that_inherits_its_tool_is_completed_and_a_typo_in_it_marked(server, recipe):
    typo = INHERITED.replace("ITERS", "itters: 3").replace("iters: 5", "itters: 5")
    assert server.open(*recipe(typo, "inherited.yaml")) == [
        (7, "Property itters is not allowed."),
        (13, "Property itters is not allowed."),
    ]
    path, text = recipe(INHERITED.replace("ITERS", "it"), "inherit.yaml")
    server.open(path, text)
    assert {"iters", "learning_rate", "lora_parameters"} <= labels_at(server, path, 7, 8)
    right = INHERITED.replace("ITERS", "iters: 3")
    path, text = recipe(right.replace("iters: 5", "it"), "profile.yaml")
    server.open(path, text)
    assert {"iters", "learning_rate", "lora_parameters"} <= labels_at(server, path, 13, 12)
    path, text = recipe(right, "inherits.yaml")
    assert server.open(path, text) == []
    said = server.at("hover", path, 7, 8)["contents"]["value"]
    assert "Batches to train on. Default: 1000." in said


def test_defaults_offer_the_names_of_the_tools(server, recipe):
    path, text = recipe("defaults:\n  ", "defaults.yaml")
    server.open(path, text)
    assert {"mlx_lm.lora", "mlx_lm.fuse", "data.mix"} <= labels_at(server, path, 3, 2)
    for item in server.at("completion", path, 3, 2)["items"]:
        assert "Qwen" not in item.get("insertText", ""), "no default is written by itself"


def test_a_parameter_is_put_in_with_its_example(server, recipe):
    path, text = recipe("stages:\n  a:\n    tool: mlx_lm.lora\n    params:\n      re", "put.yaml")
    server.open(path, text)
    items = {item["label"]: item for item in server.at("completion", path, 6, 8)["items"]}
    assert "stages.train.adapter_file" in items["resume_adapter_file"]["insertText"]
    assert items["iters"]["insertText"] == "iters: ${1:1000}"


@pytest.mark.parametrize(
    "row, parts",
    [
        (
            "      learning_rate",
            ["Learning rate. mlx-lm does not read it when lr_schedule", "1e-05"],
        ),
        ("      lr_schedule", ["Learning-rate schedule", "cosine_decay"]),
        (
            "      adapter_path",
            ["Folder the adapter is written to", "{{ stages.train.adapter_path }}"],
        ),
    ],
)
def test_a_parameter_says_what_it_does_its_default_and_an_example(row, parts, server, recipe):
    text = STAGES.partition("  fuse:")[0] + "      adapter_path: adapters\n"
    path, whole = recipe(text, "hover.yaml")
    server.open(path, whole)
    line = next(at for at, said in enumerate(whole.splitlines()) if said.startswith(row))
    said = server.at("hover", path, line, 8)["contents"]["value"]
    plain = said.replace("\\", "").replace("&nbsp;", " ")
    assert [part for part in parts if part not in plain] == [], plain
