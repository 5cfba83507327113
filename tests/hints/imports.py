"""Scripts of which import says something, and how what it says is followed.

A hint of the script is followed in the script, which is imported again; one of the recipe is
followed in the recipe that was made, which must then be sound and hold the value.
"""

import re
import shlex
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from importlib import import_module
from pathlib import Path
from typing import Any

from click.testing import CliRunner
from edits import letters
from following import Case, Place
from following import follow as follow_words

from runner import workflow
from runner.base.errors import RecipeError
from runner.base.problems import Problem
from runner.catalog import load as schemas
from runner.cli.verbs import cli
from runner.command.script import script as script_of
from runner.importer import translation
from runner.lint import findings
from runner.plan.model import Plan
from runner.recipe.load import Overrides, load

LORA = "mlx_lm.lora --train --model org/m --data d --iters 10"


@dataclass(frozen=True)
class Script:
    """A script, and the files beside it; `leave_out` is what import is told with it."""

    text: str
    files: dict[str, str] = field(default_factory=dict)
    name: str = "script.sh"
    leave_out: tuple[str, ...] = ()


@dataclass(frozen=True)
class Recipe:
    """The recipe that was made, as someone edits or starts it; `holds` are values of its first stage."""

    text: str
    holds: dict[str, Any]
    sets: tuple[str, ...] = ()
    profiles: tuple[str, ...] = ()
    environ: dict[str, str] = field(default_factory=dict)


OWN = """version: 1
vars: {n: 3}
stages:
  train:
    tool: mlx_lm.lora
    params: {train: true, model: org/m, data: d, iters: 10, lora_parameters: {keys: null}}
    expect: [metrics.train_loss < vars.n]
"""


def own() -> str:
    """Return the script that the runner itself writes of a recipe."""
    loaded = load("own.yaml", lambda _: OWN.encode(), Overrides())
    assert loaded.recipe is not None
    plan = workflow.plan(workflow.compile_recipe(loaded.recipe, {}), loaded.recipe)
    return script_of(plan, schemas.catalog())


SCRIPTS = {
    "an expectation on vars": Script(own()),
    "its own folder": Script(
        f'cd "$(dirname "$0")"\n{LORA}\n', {"sub/d/train.jsonl": ""}, "sub/script.sh"
    ),
    "a value of an argument": Script(f'{LORA} --seed "$1"\n'),
    "a default of an argument": Script(f'{LORA} --seed "${{1:-4}}"\n'),
    "a value of bash": Script(f"{LORA} --seed $(date +%s)\n"),
    "options of bash": Script(f"if true; then A=(--seed 7); fi\n{LORA} ${{A[@]}}\n"),
    "options of the environment": Script(f"{LORA} ${{MORE:-}}\n"),
    "a file of an argument": Script(f'{LORA} -c "$1"\n'),
    "a file that is lost": Script(f"{LORA} -c nosuch.yaml\n"),
    "a mapping that lacks a key": Script(
        f"{LORA} -c c.yaml\n", {"c.yaml": "lora_parameters: {rank: 8, dropout: 0.0}\n"}
    ),
    "a switch with a value": Script("mlx_lm.lora --train=yes --model org/m --data d --iters 10\n"),
    "a value like an option": Script("mlx_lm.generate --model org/m --prompt -h\n"),
    "an option misspelt": Script("mlx_lm.generate --model org/m --promt hi\n"),
    "a loop": Script(
        f"{LORA}\nfor n in 1 2; do\n  mlx_lm.fuse --model org/m --save-path f\ndone\n"
    ),
    "a command in a command": Script(
        f'{LORA}\nbash -c "mlx_lm.fuse --model org/m --save-path f --dequantize"\n'
    ),
    "a program that may train": Script(f"make train\n{LORA}\nnohup $TOOL --data d &\n"),
    "a condition": Script(f'{LORA}\n[ -n "$X" ] && mlx_lm.fuse --model org/m --save-path f\n'),
    "a time limit of a kind": Script(f"timeout -k 5 10 {LORA}\n"),
    "behind the end": Script(f"{LORA}\nexit\nmlx_lm.fuse --model org/m --save-path f\n"),
    "an alias": Script(f"{LORA}\nalias f='mlx_lm.fuse --model org/m --save-path f --dequantize'\n"),
    "another folder": Script(f"cd other\n{LORA}\n"),
    "a key that a schedule hides": Script(
        f"{LORA} --learning-rate 0.5 -c c.yaml\n",
        {"c.yaml": "lr_schedule: {name: cosine_decay, arguments: [1e-5, 10]}\n"},
    ),
    "what a rule refuses": Script(
        f"{LORA} --grad-accumulation-steps 4\n",
    ),
    "a key with a hyphen": Script(f"{LORA} -c c.yaml\n", {"c.yaml": "grad-checkpoint: true\n"}),
    "a key misspelt": Script(f"{LORA} -c c.yaml\n", {"c.yaml": "optimiser: adam\n"}),
}

Followed = Iterator[Script | Recipe]
Follow = Callable[[Script, translation.ImportResult, Problem, re.Match[str]], Followed]
FORMS: list[tuple[re.Pattern[str], Follow]] = []
PROSE = [
    re.compile(one)
    for one in (
        r"",
        r"the recipe writes it in full",
        r"the recipe sets .*",
        r"it was .*",
        r"is that intended\?",
        r"run it before the recipe, or separately",
    )
]


def form(pattern: str) -> Callable[[Follow], Follow]:
    def register(follow: Follow) -> Follow:
        FORMS.append((re.compile(pattern), follow))
        return follow

    return register


@form(
    r"write (?P<name>\w+) in the recipe, or set (?P<key>\w+) in the environment"
    r"|set (?P<other>\w+), or write (?P<same>\w+) in the recipe"
)
def _(_: Script, made: translation.ImportResult, __: Problem, found: re.Match[str]) -> Followed:
    name, key = found["name"] or found["same"], found["key"] or found["other"]
    yield Recipe(instead(made.text, key, "5"), {name: 5})
    yield Recipe(made.text, {name: 5}, environ={key: "5"})


def instead(text: str, key: str, new: str) -> str:
    """Write a value in place of the template that reads a variable of the environment."""
    return re.sub(rf"\"\{{\{{ env\('{key}'.*?\}}\}}\"", new, text)


@form(r"write (?P<name>\w+) in the recipe; mlx-lm's default is (?P<new>\S+)")
def _(_: Script, made: translation.ImportResult, __: Problem, found: re.Match[str]) -> Followed:
    key = f"FILL_IN_{found['name'].upper()}"
    yield Recipe(instead(made.text, key, found["new"]), {})


@form(r"write (?:them|its content) in the stage, and remove the var that replaces (?:them|it)")
def _(_: Script, made: translation.ImportResult, __: Problem, ___: re.Match[str]) -> Followed:
    text = re.sub(r"(?m)^vars:\n(?:  .*\n)+", "", made.text)
    yield Recipe(text.replace("    params:\n", "    params:\n      seed: 7\n"), {"seed": 7})


@form(r"pass them with --set, or write a profile")
def _(_: Script, made: translation.ImportResult, __: Problem, ___: re.Match[str]) -> Followed:
    yield Recipe(made.text, {"seed": 7}, sets=("stages.train.params.seed=7",))
    profile = "profiles: {more: {stages: {train: {params: {seed: 7}}}}}\n"
    yield Recipe(f"{made.text}\n{profile}", {"seed": 7}, profiles=("more",))


@form(r"its values are missing in the recipe: run import where the file exists")
def _(script: Script, _: translation.ImportResult, __: Problem, ___: re.Match[str]) -> Followed:
    yield Script(script.text, {"nosuch.yaml": "seed: 7\n"})


@form(r"write (?P<new>--[\w-]+(?:=\S+)?)")
def _(
    script: Script, _: translation.ImportResult, problem: Problem, found: re.Match[str]
) -> Followed:
    flag = found["new"].partition("=")[0]
    yield Script(re.sub(rf"{flag}[= ]\S+", found["new"], script.text, count=1))


@form(r"did you mean '(?P<new>[\w-]+)'\?")
def _(
    script: Script, _: translation.ImportResult, problem: Problem, found: re.Match[str]
) -> Followed:
    where = {"script.sh": script.text, **script.files}
    text = where[problem.mark.file]
    wrong = re.findall(r"option (\S+)|^([\w-]+): ", problem.message)[0]
    new = letters(text, 0, next(filter(None, wrong)), found["new"])
    assert new is not None
    where[problem.mark.file] = new
    yield Script(where.pop("script.sh"), where)


@form(r"write a stage for it; if it trains nothing, import with --leave-out (?P<said>.*)")
def _(script: Script, _: translation.ImportResult, __: Problem, found: re.Match[str]) -> Followed:
    yield replace(script, leave_out=tuple(shlex.split(found["said"])))


@form(r"write timeout: in the stage")
def _(_: Script, made: translation.ImportResult, __: Problem, ___: re.Match[str]) -> Followed:
    yield Recipe(made.text.replace("    params:\n", "    timeout: 10s\n    params:\n"), {})


@form(r"write a stage for (?:it|each)(?:, or a profile| if it should run)?")
def _(script: Script, _: translation.ImportResult, __: Problem, ___: re.Match[str]) -> Followed:
    """In the script that is a command of its own: each becomes a stage."""
    (said,) = set(re.findall(r"mlx_lm\.fuse [^\"'\n]*", script.text))
    times = 2 if "for n in 1 2" in script.text else 1
    own = "".join(f"{said.replace('save-path f', f'save-path f{n}')}\n" for n in range(times))
    yield Script(script.text.partition("\n")[0] + "\n" + own)


@form(r"anchor the paths, for example with (?P<new>\{\{ .* \}\})")
def _(_: Script, made: translation.ImportResult, __: Problem, found: re.Match[str]) -> Followed:
    data = f'data: "{found["new"]}/other/d"'
    yield Recipe(made.text.replace("data: d", data), {"data": "./other/d"})


@form(r"run the recipe in (?P<folder>\w+), or anchor the paths")
def _(_: Script, made: translation.ImportResult, __: Problem, found: re.Match[str]) -> Followed:
    assert Path(found["folder"], "d").is_dir()
    yield Recipe(made.text, {"data": "d"})
    anchored = f'data: "{{{{ recipe.dir }}}}/{found["folder"]}/d"'
    yield Recipe(made.text.replace("data: d", anchored), {"data": f"./{found['folder']}/d"})


@form(r"add them, and the expectation")
def _(_: Script, made: translation.ImportResult, __: Problem, ___: re.Match[str]) -> Followed:
    expect = "    expect: [metrics.train_loss < vars.n]\n"
    text = made.text.replace("stages:\n", "vars: {n: 3}\n\nstages:\n")
    yield Recipe(text.replace("    params:\n", f"{expect}    params:\n"), {})


@form(r"run-recipe rules (?P<slug>[\w-]+) explains it")
def _(script: Script, made: translation.ImportResult, _: Problem, found: re.Match[str]) -> Followed:
    """The page of the rule says what the script's flag does; without it nothing is left out."""
    assert CliRunner().invoke(cli, ["rules", found["slug"]]).exit_code == 0
    yield Script(script.text.replace(" --learning-rate 0.5", ""), script.files)


@form(r"(?P<hint>.*); then remove (?P<slug>[\w-]+) from allow")
def _(_: Script, made: translation.ImportResult, __: Problem, found: re.Match[str]) -> Followed:
    text = re.sub(rf" *allow: \[{found['slug']}\]\n", "", made.text)
    (told,) = compiled(Recipe(text, {}))[0]
    assert (told.rule, told.hint) == (found["slug"], found["hint"])
    place = Place(Case("r.yaml", text), told.mark, told, str)
    yield from (Recipe(one.text, {}) for one in follow_words(place) or ())


FILES = {
    "own.yaml": OWN,
    "nothing.sh": "pwd\n",
    "one.sh": f"{LORA}\n",
    "data/train.jsonl": '{"text": "a"}\n{"text": "b"}\n',
    "adapters/adapter_config.json": '{"train": true, "model": "m", "data": "d", "iters": 10}',
    "deep.yaml": f"iters: 10\nlora_parameters: {'[' * 62}{']' * 62}\n",
}
# What import refuses, and what it takes instead: files, or commands to run.
REFUSED: dict[str, Callable[[str], Iterator[str]]] = {
    "nowhere.sh": lambda _: iter(["one.sh", "adapters/adapter_config.json", f"-- {LORA}"]),
    "adapters": lambda hint: iter(re.findall(r"name (\S+)", hint)),
    "data": lambda _: iter(["data/one.sh"]),
    "own.yaml": lambda hint: iter(re.findall(r"run: (run-recipe .*)", hint)),
    "data/train.jsonl": lambda hint: iter(re.findall(r"by: (run-recipe .*)", hint)),
    "nothing.sh": lambda hint: (
        f"-- {one.replace('…', '')}{LORA.partition(' ')[2]}"
        for one in re.findall(r"as (mlx_lm\.lora )--model … or (python -m mlx_lm lora )", hint)[0]
    ),
    "deep.yaml": lambda _: iter(["shallow.yaml"]),
}


def refused(source: str) -> str:
    """Return the hint with which import refuses a file; fails where it does not."""
    for name, text in FILES.items():
        Path(name).parent.mkdir(exist_ok=True)
        Path(name).write_text(text, encoding="utf-8")
    Path("data/one.sh").write_text(FILES["one.sh"], encoding="utf-8")
    Path("shallow.yaml").write_text("iters: 10\n", encoding="utf-8")
    try:
        translation.from_file(source)
    except RecipeError as error:
        return error.hint
    raise AssertionError(source)


def accepted(way: str) -> int:
    """Return the exit code of another import, or of the command that a hint prints."""
    words = shlex.split(way)
    words = words[1:] if words[0] == "run-recipe" else ["import", *words]
    if words[0] == "data":
        return import_module(f"runner.data.{words[1]}").main(words[2:])
    return CliRunner().invoke(cli, words).exit_code


def write(script: Script) -> translation.ImportResult:
    """Write a script where the test is, and import it."""
    for name, text in {script.name: script.text, **script.files}.items():
        Path(name).parent.mkdir(parents=True, exist_ok=True)
        Path(name).write_text(text, encoding="utf-8")
    return translation.from_file(script.name, leave_out=script.leave_out)


def compiled(recipe: Recipe) -> tuple[list[Problem], Plan | None]:
    """Return what a check says of a recipe, but of what is on the disk, and its plan."""
    over = Overrides(profiles=recipe.profiles, sets=recipe.sets)
    loaded = load("r.yaml", lambda _: recipe.text.encode(), over)
    if loaded.recipe is None:
        return list(loaded.problems), None
    result = workflow.compile_recipe(loaded.recipe, recipe.environ)
    told = [*loaded.problems, *result.problems]
    if not told:
        told = [one for one in findings.rule_problems(result) if one.severity == "error"]
    return told, result.plan


def faults(script: Script) -> Iterator[str]:
    """Yield what does not hold of the hints of an import when they are followed."""
    found = write(script)
    before = Counter((p.rule, p.message) for p in found.problems)
    for problem in found.problems:
        if any(prose.fullmatch(problem.hint) for prose in PROSE):
            continue
        lead = f"{problem.hint!r} ({problem.message})"
        forms = [(m, apply) for p, apply in FORMS if (m := p.fullmatch(problem.hint))]
        if not forms:
            yield f"no form reads {lead}"
            continue
        match, apply = forms[0]
        made = list(apply(script, found, problem, match))
        if not made:
            yield f"nothing follows {lead}"
        for other in made:
            yield from (f"{lead} -> {one}" for one in left(other, problem, before))


def left(
    other: Script | Recipe, problem: Problem, before: Counter[tuple[str, str]]
) -> Iterator[str]:
    """Yield what is still wrong where a hint was followed."""
    if isinstance(other, Script):
        after = Counter(
            (p.rule, p.message)
            for p in write(other).problems
            if p.severity == "error" or p.rule == problem.rule
        )
        if after[problem.rule, problem.message] >= before[problem.rule, problem.message]:
            yield f"it stays\n{other.text}"
        yield from (f"new: {one}\n{other.text}" for one in after.keys() - before.keys())
        return
    told, plan = compiled(other)
    yield from (f"{one.message}\n{other.text}" for one in told)
    if plan is not None:
        params = plan.stages[0].params
        yield from (f"{k} is {params[k]}" for k, value in other.holds.items() if params[k] != value)
