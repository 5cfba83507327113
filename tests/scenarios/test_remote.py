"""A base in a repository elsewhere: fetched by git over ssh once, pinned, and read offline."""

import os
import re
import shlex
import shutil
import subprocess
from pathlib import Path

import pytest
from click.testing import CliRunner

from runner.base.errors import RecipeError
from runner.cli.verbs import cli
from runner.system import git

pytestmark = pytest.mark.slow

ROOM = "git+ssh://git@example.test/org/room"
BASE = "version: 1\nvars: {seed: 3}\ndefaults:\n  data.mix: {ratio: 0.5, seed: '{{ vars.seed }}'}\n"
SUB = "version: 1\nextends: ../base.yaml\ndefaults: {data.mix: {tolerance: 0.1}}\n"
RECIPE = "version: 1\nextends: {}\nstages:\n  mix: {{tool: data.mix, params: {{primary: a, replay: b}}}}\n"
SSH = """\
#!/bin/sh
# What would go to another machine stays here: its last word is the command for that one.
for last; do :; done
case "$last" in git-*) ;; *) exit 1 ;; esac
cd "$ROOMS" || exit 1
exec sh -c "$(printf %s "$last" | sed "s#'/#'./#")"
"""


@pytest.fixture
def room(tmp_path, monkeypatch):
    """A repository at the other end of ssh, and the folder of a recipe here."""
    monkeypatch.chdir(tmp_path)
    ssh = tmp_path / "ssh"
    ssh.write_text(SSH, encoding="utf-8")
    ssh.chmod(0o755)
    for name, value in {
        "GIT_SSH_COMMAND": str(ssh),
        "ROOMS": str(tmp_path / "rooms"),
        "RUN_RECIPE_CACHE": str(tmp_path / "cache"),
        "GIT_CONFIG_GLOBAL": str(tmp_path / "gitconfig"),
        "GIT_CONFIG_NOSYSTEM": "1",
    }.items():
        monkeypatch.setenv(name, value)
    here = tmp_path / "rooms" / "org" / "room"
    here.mkdir(parents=True)
    at = Room(here)
    at.git("init", "-q", "-b", "main")
    at.git("config", "uploadpack.allowAnySHA1InWant", "true")
    at.commit({"base.yaml": BASE, "sub/other.yaml": SUB})
    at.git("tag", "-a", "v1", "-m", "one")
    for folder in ("a", "b"):
        Path(folder).mkdir()
        Path(folder, "train.jsonl").write_text('{"text": "x"}\n{"text": "y"}\n', encoding="utf-8")
    return at


class Room:
    def __init__(self, place):
        self.place = place

    def git(self, *words):
        env = {**os.environ, "GIT_AUTHOR_NAME": "n", "GIT_AUTHOR_EMAIL": "e", "GIT_COMMITTER_NAME":
               "n", "GIT_COMMITTER_EMAIL": "e"}  # fmt: skip
        done = subprocess.run(
            ["git", *words], cwd=self.place, env=env, check=True, capture_output=True, text=True
        )
        return done.stdout.strip()

    def commit(self, files):
        for name, text in files.items():
            (self.place / name).parent.mkdir(parents=True, exist_ok=True)
            (self.place / name).write_text(text, encoding="utf-8")
        self.git("add", "-A")
        self.git("commit", "-q", "-m", "more")
        return self.git("rev-parse", "HEAD")


def write(parent, file="r.yaml"):
    Path(file).write_text(RECIPE.format(parent), encoding="utf-8")


def call(command):
    """Return exit code and all output of a command of ours."""
    done = CliRunner().invoke(cli, shlex.split(command)[1:], standalone_mode=False)
    if isinstance(done.exception, RecipeError):
        error = done.exception
        return int(error.code), f"{done.output}{error}\n{error.hint}"
    assert done.exception is None, done.exception
    return int(done.return_value or 0), done.output


def test_a_base_elsewhere_is_fetched_once_pinned_and_read_offline(room, monkeypatch):
    write(f"{ROOM}@v1#sub/other.yaml")
    code, said = call("run-recipe check r.yaml")
    assert code == 2
    assert f"cannot read {ROOM}@v1#sub/other.yaml: it is not locked yet" in said
    hint = said.partition("hint: fetch it: ")[2].splitlines()[0]
    assert call(hint)[0] == 0
    commit = room.git("rev-parse", "v1^{commit}")
    assert f'"{ROOM}@v1":\n    commit: "{commit}"' in Path("r.lock").read_text(encoding="utf-8")
    shutil.rmtree(room.place)  # from now on nobody answers
    assert call("run-recipe check r.yaml") == (0, "r.yaml: no problems\n")
    _, said = call("run-recipe show r.yaml mix.seed")
    assert f"seed = 3  <- {ROOM}@v1#base.yaml:4" in said
    assert "'{{ vars.seed }}'" not in said
    Path("r.yaml").write_text(Path("r.yaml").read_text().replace("primary", "primry"))
    assert "did you mean 'primary'?" in call("run-recipe check r.yaml")[1]


def test_a_server_that_moves_on_changes_nothing_before_the_lock_is_renewed(room):
    write(f"{ROOM}@main#base.yaml")
    call("run-recipe lock r.yaml")
    before = room.git("rev-parse", "HEAD")
    after = room.commit({"base.yaml": BASE.replace("seed: 3", "seed: 4")})
    code, said = call("run-recipe lock r.yaml --check")
    assert (code, f"{before[:12]} -> {after[:12]}" in said) == (3, True)
    shutil.rmtree("cache")
    code, said = call("run-recipe check r.yaml")
    assert f"commit {before[:12]} is not in the cache" in said
    assert "hint: fetch it: run-recipe lock r.yaml" in said
    assert "nothing moved" in call("run-recipe lock r.yaml")[1]  # fetched, as it is locked
    assert "seed = 3" in call("run-recipe show r.yaml mix.seed")[1]
    call("run-recipe lock r.yaml --update")
    assert "seed = 4" in call("run-recipe show r.yaml mix.seed")[1]
    shutil.rmtree("cache")
    room.git("commit", "-q", "--amend", "-m", "another")
    room.git("reflog", "expire", "--expire=now", "--all")
    room.git("gc", "-q", "--prune=now")
    code, said = call("run-recipe lock r.yaml")
    assert (code, f"has no commit {after[:12]} at main any more" in said) == (5, True)
    (hint,) = re.findall("renew the lock: (.*)", said)
    assert call(hint.replace("RECIPE", "r.yaml"))[0] == 0
    room.git("update-ref", "-d", "refs/heads/main")
    code, said = call("run-recipe lock r.yaml --check")
    assert (code, "has no branch and no tag main" in said) == (5, True)


BAD = {
    "git+http://h/o/r@v1#b.yaml": "no address of a file in a repository",
    "git+file:///etc@v1#b.yaml": "no address of a file in a repository",
    "git+ext::sh -c x@v1#b.yaml": "no address of a file in a repository",
    "git+https://h/o/r@--upload-pack=x#b.yaml": "no address of a file in a repository",
    "git+https://h/o/r#b.yaml": "no address of a file in a repository",
    "git+https://me@h/o/r@v1#b.yaml": "an https address names no user",
    "git+https://h/o/r@v1#../b.yaml": "'../b.yaml' leaves the repository",
    "git+https://h/o/r@v1#/b.yaml": "'/b.yaml' leaves the repository",
    "git+https://h/o/r@a..b#b.yaml": "'..' is in its address or its revision",
    "git+https://h/o/r@v1#b.txt": "a recipe's name ends in .yaml or .yml",
}


@pytest.mark.parametrize("parent", BAD)
def test_an_address_that_is_none_is_never_asked(parent, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(git, "_online", lambda *_: pytest.fail("a server was asked"))
    write(f'"{parent}"')
    for command in ("check", "lock"):
        code, said = call(f"run-recipe {command} r.yaml")
        assert (code, BAD[parent] in said) == (2, True), said


def test_nothing_in_a_repository_leads_out_of_it_or_is_followed(room):
    (room.place / "link.yaml").symlink_to("/etc/passwd")
    (room.place / "folder").symlink_to("/etc")
    room.commit({
        "out.yaml": "version: 1\nextends: ../../secret.yaml\n",
        "tools.yaml": "version: 1\ntools: {mine.x: ../x.json}\n",
        "large.yaml": f"# {'x' * (2 << 20)}\nversion: 1\n",
    })  # fmt: skip
    for file, why in {
        "link.yaml": "link.yaml is a link, which is not followed",
        "folder/passwd.yaml": "there is no file folder/passwd.yaml",
        "out.yaml": "'../../secret.yaml' leaves the repository",
        "tools.yaml": "a file of another repository brings no tools along",
        "large.yaml": "and a recipe at most 2,097,152",
        "none.yaml": "there is no file none.yaml",
    }.items():
        write(f"{ROOM}@main#{file}")
        Path("r.lock").unlink(missing_ok=True)
        code, said = call("run-recipe lock r.yaml")
        assert (code, why in said) == (2, True), said


def test_no_other_transport_is_spoken_whatever_git_is_configured_to(room, tmp_path):
    rewrite = f'[url "file://{room.place.parent.parent}/"]\n    insteadOf = https://example.test/\n'
    Path("gitconfig").write_text(rewrite, encoding="utf-8")
    write("git+https://example.test/org/room@main#base.yaml")
    code, said = call("run-recipe lock r.yaml")
    assert code == 5
    assert "transport 'file' not allowed" in said


def test_a_repository_that_is_too_large_is_left(room, monkeypatch):
    monkeypatch.setattr(git, "MAX_FETCH", 100)
    write(f"{ROOM}@main#base.yaml")
    code, said = call("run-recipe lock r.yaml")
    assert (code, "it has more than 100 bytes" in said) == (5, True), said


def test_without_a_cache_it_is_said_what_it_is_for(room, monkeypatch):
    monkeypatch.setenv("RUN_RECIPE_CACHE", "")
    write(f"{ROOM}@main#base.yaml")
    code, said = call("run-recipe lock r.yaml")
    assert (code, "name a folder in RUN_RECIPE_CACHE, or unset it" in said) == (5, True)


def test_what_git_says_of_a_server_is_said_with_the_command_to_try(room):
    write("git+ssh://git@example.test/org/none@main#base.yaml")
    code, said = call("run-recipe lock r.yaml")
    assert code == 5
    assert "try what git says: git ls-remote ssh://git@example.test/org/none" in said
