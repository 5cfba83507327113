"""The page of a run, in a real browser: what it holds, and that nothing leaves it."""

import json
import re
import shutil
import subprocess
import sys
from html.parser import HTMLParser

import pytest

from runner.catalog import load
from runner.plan.model import Plan, Stage
from runner.report import gather
from runner.runs.decisions import Action
from runner.runs.manifest import Manifest, StageRecord, State, read_back
from runner.system import files

# What a Chromium asks its maker when it starts, whatever page it shows.
OWN = re.compile(r"chrome|https?://([a-z0-9-]+\.)*google(apis)?\.com/").match
BROWSERS = ("chromium", "chromium-browser", "google-chrome", "chrome")


def finished_run(folder, events=40, **changes):
    """Lay down a run's folder as a run leaves it, with one training and its metrics."""
    tool = load.catalog().get("mlx_lm.lora")
    params = {p.name: p.default for p in tool.parameters.values()} | {"train": True, "data": "d"}
    stage = Stage(
        name="train", tool="mlx_lm.lora", params=params, outputs={}, description="Train <it> & see."
    )
    record = StageRecord(
        name="train", state=State.FINISHED, seconds=3.0, metrics={"train_loss": 1.5}
    )
    plan = Plan(name="demo", file="demo.yaml", stages=(stage,), description="Ours.")
    manifest = Manifest(
        id=folder.name,
        folder=str(folder),
        plan=plan,
        facts={"packages": {"mlx": "1"}},
        stages=(record,),
    )
    manifest = read_back(manifest.as_dict() | {"state": "finished"} | changes)
    (folder / "train").mkdir(parents=True)
    files.write(folder / "run.json", json.dumps(manifest.as_dict()))
    with (folder / "train" / "metrics.jsonl").open("w", encoding="ascii") as file:
        for n in range(1, events + 1):
            row = {"event": "train", "iteration": n, "train_loss": 3 / n, "learning_rate": 1e-5}
            file.write(json.dumps(row) + "\n")
    (folder / "commands.sh").write_text("mlx_lm.lora --train < 'x' & done\n", encoding="utf-8")
    return manifest


class Links(HTMLParser):
    """Collects every address a page names."""

    def __init__(self):
        super().__init__()
        self.found = []

    def handle_starttag(self, tag, attrs):
        self.found += [v for k, v in attrs if k in {"src", "href", "action", "data", "srcset"}]


@pytest.mark.slow
def test_a_page_stands_alone_and_quotes_what_it_holds(tmp_path):
    path = gather.write(finished_run(tmp_path / "run"))
    text = path.read_text(encoding="utf-8")
    links = Links()
    links.feed(text)
    assert {link[:1] for link in links.found if link != "data:,"} == {"#"}
    assert not re.search(r"url\(|@import|https?://(?!www\.w3\.org/)", text)
    assert "Train &lt;it&gt; &amp; see." in text
    assert "mlx_lm.lora --train &lt; &#39;x&#39; &amp; done" in text
    assert text.count("<svg") == 2
    assert "nan" not in re.sub(r"[a-z]*nan[a-z]+|[a-z]+nan[a-z]*", "", text.lower())


def test_drawing_leaves_nothing_behind_in_the_imports(tmp_path):
    gather.write(finished_run(tmp_path / "run"))
    assert [one for one in sys.meta_path if not hasattr(one, "find_spec")] == []


@pytest.mark.slow
def test_a_hundred_thousand_points_stay_a_small_page(tmp_path):
    path = gather.write(finished_run(tmp_path / "run", events=100_000))
    assert path.stat().st_size < 1_000_000


def test_a_failed_run_says_first_what_to_do(tmp_path):
    manifest = finished_run(tmp_path / "run", state="failed")
    failure = {"kind": "out of memory", "guidance": "Set batch_size to 2.", "tail": "[metal] <oom>"}
    record = StageRecord(name="train", state=State.FAILED, failure=failure)
    text = gather.write(manifest.with_stage(record)).read_text(encoding="utf-8")
    assert text.index("Set batch_size to 2.") < text.index("<h2>Stages</h2>")
    assert "[metal] &lt;oom&gt;" in text


def test_a_run_with_nothing_to_show_yet_has_a_page(tmp_path):
    folder = tmp_path / "run"
    manifest = finished_run(folder, state="running")
    (folder / "train" / "metrics.jsonl").write_bytes(b'{"event": "train", "iter')
    text = gather.write(manifest.with_stage(StageRecord(name="train"))).read_text(encoding="utf-8")
    assert "cut off" in text
    assert '<i class="pending"' not in text
    assert "<svg" not in text


@pytest.mark.parametrize("text", ["{}", "{", '{"parameters": [{"parameter": "iters"}]}', "[]"])
def test_a_damaged_audit_is_none(tmp_path, text):
    manifest = finished_run(tmp_path / "run")
    (tmp_path / "run" / "train" / "effective.json").write_text(text, encoding="utf-8")
    assert gather.gather(manifest).stages[0].audit == "not audited"


def test_a_page_that_cannot_be_written_stops_nothing(tmp_path, capsys):
    manifest = finished_run(tmp_path / "run")
    page = gather.Page(["budget train: <3> epochs"])
    page.run_started(manifest, [])
    assert "budget train: &lt;3&gt; epochs" in gather.write(manifest).read_text("utf-8")
    (tmp_path / "run" / "report.html").unlink()
    (tmp_path / "run" / "report.html").mkdir()
    page.run_ended(manifest)
    assert "report.html could not be written" in capsys.readouterr().err


@pytest.mark.parametrize("do, kept", [("skip", True), ("run", False)])
def test_a_page_is_left_as_it_is_where_nothing_was_left_to_do(do, kept, tmp_path):
    manifest = finished_run(tmp_path / "run")
    file = gather.write(manifest)
    file.write_text("as it was", encoding="utf-8")
    page = gather.Page()
    page.run_started(manifest, [Action(stage="train", do=do, cause="")])
    page.run_ended(manifest)
    assert (file.read_text(encoding="utf-8") == "as it was") == kept


def test_a_page_that_stumbles_over_what_it_reads_stops_nothing(tmp_path, capsys, monkeypatch):
    manifest = finished_run(tmp_path / "run")
    page = gather.Page()
    page.run_started(manifest, [])
    monkeypatch.setattr(gather, "report", lambda *_, **__: {}["gone"])
    page.run_ended(manifest)
    assert "report.html could not be written: 'gone'" in capsys.readouterr().err


@pytest.mark.slow
def test_a_browser_shows_it_without_a_complaint_or_a_request(tmp_path):
    browser = next(filter(None, map(shutil.which, BROWSERS)), None)
    if browser is None:
        pytest.skip("needs a Chromium browser")
    path = gather.write(finished_run(tmp_path / "run"))
    net, shot = tmp_path / "net.json", tmp_path / "shot.png"
    done = subprocess.run(
        [
            *(browser, "--headless", "--no-sandbox", "--disable-gpu", "--no-first-run"),
            *("--disable-background-networking", "--disable-component-update", "--disable-sync"),
            *(f"--user-data-dir={tmp_path / 'profile'}", f"--log-net-log={net}"),
            *("--enable-logging=stderr", f"--screenshot={shot}", path.resolve().as_uri()),
        ],
        capture_output=True,
        text=True,
        check=True,
        timeout=120,
    )
    assert "CONSOLE" not in done.stderr
    assert shot.stat().st_size > 10_000
    asked = set(re.findall(r'"url":"([^"]+)"', net.read_text(encoding="utf-8")))
    assert [url for url in asked if not url.startswith(("file:", "data:")) and not OWN(url)] == []
