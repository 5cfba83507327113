"""A Mac that stays awake: an executable of its name on the path tells how it was called."""

import os
import platform
import sys

import pytest

from runner.runs.awake import awake

FAKE = f"""#!{sys.executable}
import pathlib, signal, sys, time
here = pathlib.Path(__file__).parent
signal.signal(signal.SIGTERM, lambda *_: (here.joinpath("ended").touch(), sys.exit()))
here.joinpath("called").write_text(" ".join(sys.argv[1:]))
while True:
    time.sleep(0.01)
"""


@pytest.fixture
def mac(tmp_path, monkeypatch):
    monkeypatch.setattr(platform, "system", lambda: "Darwin")
    monkeypatch.setenv("PATH", str(tmp_path))
    return tmp_path


def test_it_stays_awake_for_as_long_as_the_run_lasts_and_no_longer(mac):
    (mac / "caffeinate").write_text(FAKE)
    (mac / "caffeinate").chmod(0o755)
    with awake():
        while not (mac / "called").exists() or not (mac / "called").read_text():
            assert not (mac / "ended").exists()
    assert (mac / "called").read_text() == f"-i -w {os.getpid()}"
    assert (mac / "ended").exists()


def test_a_mac_without_it_runs_all_the_same(mac):
    with awake():
        pass


def test_elsewhere_nothing_is_called(mac, monkeypatch):
    monkeypatch.setattr(platform, "system", lambda: "Linux")
    (mac / "caffeinate").write_text(FAKE)
    (mac / "caffeinate").chmod(0o755)
    with awake():
        pass
    assert not (mac / "called").exists()
