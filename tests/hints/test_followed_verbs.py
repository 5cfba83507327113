"""What verbs, runs and refusals advise is typed, word for word, and the trouble must be gone."""

import re
import shlex
import subprocess
import sys
import textwrap
from pathlib import Path

import pytest
from situations import FILES, RUN, SITUATIONS

from runner.cli import main

LEAD = re.compile(r"(?m)^ *(?:error|hint|try|next|go on): (.*)$")


@pytest.fixture
def type_in(tmp_path, monkeypatch, capfd):
    """Return what types a command into a shell here: its exit code and all that it says."""
    for name, text in FILES.items():
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(textwrap.dedent(text), encoding="utf-8")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("RUN_RECIPE_CACHE", str(tmp_path / "kept"))
    monkeypatch.setenv("GIT_CONFIG_GLOBAL", "/dev/null")

    def typed(line):
        program, *words = shlex.split(line)
        if program == "cd":
            monkeypatch.chdir(words[0])
            return 0, ""
        if program != "run-recipe":
            done = subprocess.run([program, *words], capture_output=True, text=True, check=False)
            return done.returncode, done.stdout + done.stderr
        monkeypatch.setattr(sys, "argv", [program, *words])
        capfd.readouterr()
        with pytest.raises(SystemExit) as end:
            main.main()
        return int(end.value.code or 0), "".join(capfd.readouterr())

    return typed


def as_printed(advice, hint):
    """Hold what was printed against the advice of a situation; its groups are what is typed."""
    pattern = re.escape(advice).replace("<", "(").replace(">", ")")
    return re.fullmatch(pattern.replace(re.escape(RUN), r"\d{8}T\d{6}Z-\w+"), hint)


def complaints(said):
    """Return what a command complains of, without its advice."""
    return {line for line in said.splitlines() if line.startswith("error: ") or " [" in line}


def with_runs(name):
    """Mark a situation that real runs lead to, or that advises one: most of a second each."""
    one = SITUATIONS[name]
    runs = any(line.startswith("run-recipe") for line in one.before) or "--smoke>" in one.advice
    return pytest.param(name, marks=[pytest.mark.slow] * runs)


@pytest.mark.slow
@pytest.mark.parametrize("name", [with_runs(name) for name in SITUATIONS])
def test_advice_that_is_typed_in_helps(name, type_in):
    one = SITUATIONS[name]
    for line in one.before:
        code, said = type_in(line.replace("{here}", str(Path.cwd())))
        assert code == 0, said
    one.make()
    code, said = type_in(f"run-recipe {one.words}")
    assert code == one.ends, said
    found = [hit for hint in LEAD.findall(said) if (hit := as_printed(one.advice, hint))]
    assert found, said
    for line in one.then:
        code, after = type_in(line.format(*found[0].groups()))
        assert code == one.code, after
        assert not complaints(said) & complaints(after)
