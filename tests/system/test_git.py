"""A repository of a stranger: whatever its settings name, git starts none of it."""

import os
import re
import subprocess

import pytest

from runner.system import git

RUNS = {
    "fsmonitor": '[core]\n\tfsmonitor = "sh HERE/touch; false"\n',
    "hooks": "[core]\n\thooksPath = HERE/hooks\n",
    "ssh": '[core]\n\tsshCommand = "sh HERE/touch"\n',
    "pager": '[core]\n\tpager = "sh HERE/touch"\n[pager]\n\tdiff = "sh HERE/touch"\n',
    "external": '[diff]\n\texternal = "sh HERE/touch"\n',
    "driver": '[diff "own"]\n\tcommand = "sh HERE/touch"\n\ttextconv = "sh HERE/touch"\n',
    "filter": '[filter "a=b.own"]\n\tclean = "sh HERE/touch"\n\trequired = true\n',
    "process": '[filter "own"]\n\tprocess = "sh HERE/touch"\n\tsmudge = "sh HERE/touch"\n',
    "alias": '[alias]\n\tstatus = "!sh HERE/touch"\n\tdiff = "!sh HERE/touch"\n',
    "remote": '[remote "origin"]\n\turl = "ext::sh HERE/touch"\n\tpromisor = true\n'
    "\tpartialclonefilter = blob:none\n[extensions]\n\tpartialClone = origin\n",
    "helper": '[credential]\n\thelper = "!sh HERE/touch"\n[gpg]\n\tprogram = HERE/touch\n',
    "refs": '[core]\n\talternateRefsCommand = "sh HERE/touch"\n',
    "included": "[include]\n\tpath = more\n",
}


def git_of_mine(folder, *words):
    mine = ("-c", "user.name=a", "-c", "user.email=a@b", "-c", "commit.gpgsign=false")
    subprocess.run(["git", *mine, *words], cwd=folder, check=True, capture_output=True)


@pytest.fixture
def shipped(tmp_path):
    """A repository with two commits, a change, a submodule's link, and a program that tells."""
    folder = tmp_path / "repo"
    folder.mkdir()
    git_of_mine(folder, "init", "-q", "-b", "main")
    (folder / "r.yaml").write_text("version: 1\n", encoding="utf-8")
    (folder / "other.yaml").write_text("version: 1\nstages: {}\n" * 9, encoding="utf-8")
    git_of_mine(folder, "add", ".")
    git_of_mine(folder, "commit", "-q", "-m", "one")
    git_of_mine(folder, "mv", "other.yaml", "another.yaml")
    git_of_mine(folder, "commit", "-q", "-m", "two")
    (folder / ".gitattributes").write_text("* filter=own diff=own\n", encoding="utf-8")
    (folder / ".git" / "info" / "attributes").write_text(
        "*.yaml filter=a=b.own\n", encoding="utf-8"
    )
    touch = tmp_path / "touch"
    touch.write_text(f"#!/bin/sh\necho run >> {tmp_path}/PWNED\n", encoding="utf-8")
    touch.chmod(0o755)
    (tmp_path / "hooks").mkdir()
    for name in ("post-index-change", "reference-transaction", "post-checkout", "pre-auto-gc"):
        os.link(touch, tmp_path / "hooks" / name)
    return folder


@pytest.mark.slow
@pytest.mark.parametrize("how", RUNS)
def test_nothing_that_a_repository_names_is_started(shipped, how):
    here = str(shipped.parent)
    more = RUNS["filter"] + RUNS["fsmonitor"]
    (shipped / ".git" / "more").write_text(more.replace("HERE", here), encoding="utf-8")
    with (shipped / ".git" / "config").open("a", encoding="utf-8") as config:
        config.write(RUNS[how].replace("HERE", here))
    os.utime(shipped / "r.yaml", (1, 1))  # git has to look at what it holds
    git._programs.cache_clear()
    file = str(shipped / "r.yaml")
    found = git.state(shipped, 30)
    assert len(str(found["revision"])) == 40
    assert found["dirty"] is False
    (shipped / "r.yaml").write_text("version: 2\n", encoding="utf-8")
    assert git.state(shipped, 30)["dirty"] is True
    assert git.names(file)
    then = git.revision("HEAD~1", file)
    assert then.read(file) == b"version: 1\n"
    assert [*then.recipes(str(shipped))]
    assert then.before(str(shipped / "another.yaml")).endswith("other.yaml")
    assert git.fork("HEAD", "HEAD~1", file)
    assert not (shipped.parent / "PWNED").exists()


def test_every_call_of_git_goes_through_one_place():
    from pathlib import Path

    root = Path(git.__file__).parent.parent
    calls = [
        path.relative_to(root).as_posix()
        for path in sorted(root.rglob("*.py"))
        if re.search(r'[\[(]\s*"git",', path.read_text(encoding="utf-8"))
    ]
    assert calls == ["system/git.py"]
