"""Every command that the documentation names is one, and every target of make can begin."""

import os
import re
import shlex
import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import click
import pytest

from runner.cli.verbs import cli

ROOT = Path(__file__).parent.parent
PAGES = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *sorted((ROOT / "docs").glob("*.md"))]
# What a page writes for the reader's own word.
ELLIPSIS = re.compile(r"…|\.\.\.|\[[^]]*\]")
TARGETS = re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(encoding="utf-8"), re.MULTILINE)


@dataclass(frozen=True)
class Said:
    """A command of run-recipe in a page: where it stands, and its words."""

    page: str
    fence: str
    words: tuple[str, ...]

    def __str__(self) -> str:
        return f"{self.page}: {shlex.join(self.words)}"


def commands():
    """Yield each command of run-recipe in a page's code, once."""
    found = {}
    for page in PAGES:
        text = page.read_text(encoding="utf-8").replace("\\\n", " ")
        fences = re.findall(r"```(sh|console|bash)\b[^\n]*\n(.*?)```", text, re.DOTALL)
        lines = [(fence, line) for fence, block in fences for line in block.splitlines()]
        plain = re.sub(r"```.*?```", "", text, flags=re.DOTALL)
        lines += [("", line) for line in re.findall(r"`([^`\n]+)`", plain)]
        for fence, line in lines:
            said = re.sub(r"\s#.*", "", line.strip().removeprefix("$ "))
            said = re.split(r"\s(?:\||>|2>|&&|;)\s?", said)[0]
            if said.startswith("run-recipe ") and not ELLIPSIS.search(said):
                one = Said(page.name, fence, tuple(shlex.split(said)[1:]))
                found.setdefault(str(one), one)
    return list(found.values())


@pytest.mark.parametrize("said", commands(), ids=str)
def test_the_words_of_a_command_in_a_page_are_taken(said):
    """Its verb and its options are there; a word in capitals stands for the reader's own."""
    context = click.Context(cli, info_name="run-recipe")
    words = verb_first(said.words)
    name, verb, rest = cli.resolve_command(context, list(words))
    assert verb is not None
    if rest:  # a verb alone is named, and not called
        verb.make_context(name, list(rest), parent=context)


def verb_first(words):
    recipe = words[0].isupper() or words[0].startswith("-") or words[0].endswith(".yaml")
    return ("run", *words) if recipe else words


# -- the same commands, executed


def starts(verb, rest):
    return verb == "run" and not {"--dry-run", "-n"} & set(rest)


# Why a command is only parsed here; all others are executed.
ONLY_PARSED = {
    "the tests of its page run it, and hold what it prints": lambda one, *_: one.fence == "console",
    "it starts stages, as scenarios do with recipes of their own": lambda _, *words: starts(*words),
    "it opens a browser": lambda _, verb, rest: "--open" in rest,
    "it needs a hub or a model, which the tests of its tool have": lambda _, verb, rest: (
        verb in {"hub", "eval", "train", "lock"}
    ),
    "it names a verb, and calls nothing": lambda _, verb, rest: not rest and needs_words(verb),
    "it names an option, and no recipe": lambda _, verb, rest: rest == ["--dry-run"],
}


def needs_words(name):
    """Say whether a verb does nothing without a word behind it."""
    verb = cli.get_command(click.Context(cli), name)
    either = name == "import"  # a file, or a command after --: click asks for neither of them
    return either or any(isinstance(p, click.Argument) and p.required for p in verb.params)


def only_parsed(said):
    """Return why a command is parsed and not executed here, '' where it is executed."""
    verb, *rest = verb_first(said.words)
    return next((why for why, holds in ONLY_PARSED.items() if holds(said, verb, rest)), "")


EXECUTED = [said for said in commands() if not only_parsed(said)]
# What a word in capitals stands for in the copy.
OWN = {
    "RECIPE": ["my.yaml", "good.yaml"],
    "RUN": ["runs/good/latest", "runs/other/latest"],
    "NAME": ["mine"],
    "TOOL": ["mlx_lm.lora"],
}


@pytest.fixture(scope="module")
def project(tmp_path_factory):
    """A project with the README's recipe, the shipped ones and theirs tests, runs and a repository."""
    place = tmp_path_factory.mktemp("project")
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    (place / "my.yaml").write_text(re.findall(r"```yaml\n(.*?)```", readme, re.DOTALL)[0], "utf-8")
    shutil.copytree(ROOT / "recipes", place / "recipes")
    shutil.copytree(ROOT / "recipes" / "data" / "security" / "analysis", place / "data")
    mixes = "{tool: data.mix, params: {primary: data, replay: data, ratio: 0.5}}"
    for name in ("good", "other"):
        text = f"version: 1\nstages: {{mix: {mixes}}}\n"
        (place / f"{name}.yaml").write_text(text, encoding="utf-8")
    for words in (["init", "-q", "-b", "main", "."], ["add", "."], ["commit", "-q", "-m", "one"]):
        who = ("-c", "user.name=a", "-c", "user.email=a@b.c", "-c", "commit.gpgsign=false")
        subprocess.run(["git", *who, *words], cwd=place, check=True)
    for name in ("good", "other"):
        done = called(place, [f"{name}.yaml"])
        assert done.returncode == 0, done.stderr
    return place


def called(place, words):
    return subprocess.run(
        [sys.executable, "-m", "runner", *words],
        cwd=place,
        env={**os.environ, "GIT_CONFIG_GLOBAL": os.devnull, "COLUMNS": "200"},
        capture_output=True,
        text=True,
        check=False,
    )


@pytest.mark.slow
@pytest.mark.parametrize("said", EXECUTED, ids=str)
def test_a_command_of_a_page_does_what_it_is_for(said, project):
    """In a project with the files that pages speak of; capital words are those of the project."""
    own = {name: iter(words) for name, words in OWN.items()}
    words = [next(own[word]) if word in own else word for word in said.words]
    done = called(project, words)
    assert done.returncode == 0, f"{words}\n{done.stdout}{done.stderr}"
    assert done.stdout + done.stderr


def test_every_reason_to_only_parse_a_command_is_one_of_a_command():
    assert EXECUTED
    assert {only_parsed(said) for said in commands()} == {"", *ONLY_PARSED}


@pytest.mark.slow
@pytest.mark.skipif(shutil.which("make") is None, reason="needs make")
@pytest.mark.parametrize("target", TARGETS)
def test_the_commands_of_a_target_of_make_can_begin(target, tmp_path):
    """In an environment that is installed, each program and script of a target is there, and starts."""
    venv = tmp_path / "venv"
    (venv / "bin").mkdir(parents=True)
    for name in ("python", "run-recipe", "ruff", "mypy"):
        (venv / "bin" / name).symlink_to(Path(sys.executable).parent / name)
    (venv / ".installed").touch()
    said = subprocess.run(
        ["make", "-n", "--no-print-directory", target, f"VENV={venv}"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=True,
    ).stdout
    for line in said.splitlines():
        words = shlex.split(line.partition(" | ")[0].partition(" > ")[0])
        if words[0] == f"{venv}/bin/python":
            start = words[1:3] if words[1] == "-m" else words[1:2]
            begins([sys.executable, *start, "--help"])
        elif words[0].startswith(str(venv)):
            begins([words[0], "--version"])
        else:
            assert shutil.which(words[0]), line


def begins(words):
    done = subprocess.run(words, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
