"""A little of the fuzzing, and what it is made of: it finds what it is there to find."""

import json

import pytest
from fuzz import child, judge
from fuzz.campaign import NAMES, Campaign, reproduction
from fuzz.inputs import OUTSIDE, Input


@pytest.fixture(scope="module")
def campaign(tmp_path_factory):
    return Campaign(tmp_path_factory.mktemp("fuzz"))


@pytest.mark.slow
@pytest.mark.parametrize("name", NAMES)
def test_nothing_is_found_in_a_few_inputs(campaign, name):
    campaign.go(name, number=0, count=6)
    told = [
        f"{one.what}\n{reproduction(name, drawn, one)}"
        for name, drawn, one in campaign.kept.values()
    ]
    campaign.kept.clear()
    assert told == []
    assert campaign.tallies[name].inputs > 0


def result(*, words=("check", "r.yaml"), code=0, out=b"", err=b""):
    return child.Result(words=words, code=code, out=out, err=err, seconds=0.1, megabytes=40)


@pytest.mark.parametrize(
    ("one", "kind"),
    [
        (result(code=70), "exit 70"),
        (result(code=-11), "exit 70"),
        (result(code=2, err=b"Traceback (most recent call last):\nValueError: x"), "exit 70"),
        (result(code=child.HANG), "hang"),
        (result(code=2, out=f"root:{judge.CANARY}".encode()), "foreign"),
        (result(code=2, out=b"a\x1b[31mb"), "raw"),
        (result(code=2, out=b"a\rb"), "raw"),
        (result(code=2, out="a\u202eb".encode()), "raw"),
        (result(code=2, out=b"x\n::error::y"), "raw"),
    ],
)
def test_what_must_not_be_is_found(one, kind):
    assert [found.kind for found in judge.judged(one)] == [kind]


def test_what_may_be_is_not_found():
    assert not list(judge.judged(result(code=2, out="r.yaml:1:1: é\n\ttab".encode())))


@pytest.mark.parametrize(
    "other",
    [
        result(words=("r.yaml", "-n"), code=2, err=b"error"),
        result(words=("r.yaml", "-n"), out=b"echo 'never closed"),
        result(words=("r.yaml", "-n"), out=b"echo nothing"),
        result(words=("r.yaml", "-n", "--format", "json"), out=b"{"),
    ],
)
def test_an_untrue_ok_is_found(other):
    found = list(judge.agreed(result(), [other], ["sentinel"]))
    assert {one.kind for one in found} == {"untrue"}
    assert not list(judge.agreed(result(code=2), [other], ["sentinel"]))


@pytest.mark.slow
def test_a_child_is_stopped_when_it_takes_too_long(tmp_path, monkeypatch):
    monkeypatch.setattr(child, "WALL", 0.3)
    (tmp_path / "r.yaml").write_text("version: 1\n")
    monkeypatch.setattr("runner.cli.main.main", lambda: __import__("time").sleep(60))
    assert child.run(["check", "r.yaml"], tmp_path).hung


def test_a_finding_is_a_script_that_makes_it_again():
    drawn = Input(
        files={"r.yaml": f"extends: {OUTSIDE}/canary.yaml".encode()},
        commands=(("check", "r.yaml"),),
    )
    finding = judge.Finding(kind="foreign", words=("check", "r.yaml"), what="x")
    text = reproduction("yaml", drawn, finding)
    assert "base64 -d > r.yaml" in text
    assert text.endswith("run-recipe check r.yaml\n")


def test_sound_recipes_pass_all_of_it(campaign):
    said = {
        "version": 1,
        "stages": {
            "one": {"tool": "mlx_lm.generate", "params": {"model": "a/b", "prompt": "sentinel"}}
        },
    }
    looks = (("r.yaml", "-n"), ("r.yaml", "-n", "--format", "json"))
    drawn = Input(
        files={"r.yaml": json.dumps(said).encode()},
        commands=(("check", "r.yaml"),),
        judges=looks,
        sentinels=("sentinel",),
    )
    assert list(campaign.look(drawn)) == []
