"""Situations in which a verb, a run or the machine's state makes the program give advice.

Each is a command, the advice that it prints, and what a person types who follows it: commands of
a shell, in which {0} is what stands in < > in the advice. They must end well, and what the first
one complained about must not be said again.
"""

import json
import textwrap
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

MIX = "{tool: data.mix, params: {primary: a, replay: b, seed: 3}}"
VARIED = MIX.replace("3", '"{{ vars.rate }}"')
LORA = "train: true, model: some/model, data: a, lora_parameters: {keys: null}"
FILES = {
    "good.yaml": f"""
        version: 1
        stages: {{mix: {MIX}}}
        profiles: {{other: {{stages: {{mix: {{params: {{seed: 4}}}}}}}}}}
        """,
    "two.yaml": f"""
        version: 1
        stages:
          mix: {MIX}
          more:
            tool: data.mix
            params: {{primary: "{{{{ stages.mix.data }}}}", replay: b, ratio: 0.2, seed: 3}}
        """,
    "base.yaml": "version: 1\ndefaults: {data.mix: {seed: 4}}\n",
    "recipes/child.yaml": f"version: 1\nextends: ../base.yaml\nstages: {{mix: {MIX}}}\n",
    "many/one.yaml": f"version: 1\nstages: {{mix: {MIX}}}\n",
    "many/another.yaml": f"version: 1\nstages: {{mix: {MIX}}}\n",
    "empty/nothing": "",
}
for _folder in "ab":
    for _split in ("train", "valid"):
        _rows = "".join(f'{{"text": "{_folder} {_split} {n}"}}\n' for n in range(17))
        FILES[f"{_folder}/{_split}.jsonl"] = _rows
WHO = ("-c user.email=a@b.c", "-c user.name=a", "-c commit.gpgsign=false")
COMMIT = ("git init -q -b main .", "git add .", f"git {' '.join(WHO)} commit -q -m one")


def texts(**more: str) -> Callable[[], None]:
    """Return what writes files of these names, the dots of which are written as ``_``."""

    def write() -> None:
        for name, text in more.items():
            Path(name.replace("_", ".")).write_text(textwrap.dedent(text), encoding="utf-8")

    return write


@dataclass(frozen=True)
class Situation:
    """A command and the advice it gives; `then` follows it, and ends with `code`.

    `before` are commands that lead here, `make` is what else does.
    """

    words: str
    advice: str
    then: tuple[str, ...]
    before: tuple[str, ...] = ()
    make: Callable[[], None] = lambda: None
    code: int = 0
    ends: int = 2


def link() -> None:
    Path("lost").symlink_to("nowhere")


def damage() -> None:
    (latest,) = Path("runs/good").glob("2*")
    (latest / "run.json").write_text("{", encoding="utf-8")


def without_turns(said: str) -> None:
    """Take the chat template of the model `m`, and write a training on rows of ShareGPT with it."""
    config = Path("m/tokenizer_config.json")
    held = json.loads(config.read_text(encoding="utf-8"))
    config.write_text(
        json.dumps({k: v for k, v in held.items() if k != "chat_template"}), encoding="utf-8"
    )
    Path("sg").mkdir()
    for split in ("train", "valid"):
        turns = [{"from": "human", "value": f"q {split}"}, {"from": "gpt", "value": "a"}]
        Path(f"sg/{split}.jsonl").write_text(
            json.dumps({"conversations": turns}) + "\n", encoding="utf-8"
        )
    params = f"{said}model: m, data: sg, train: true, iters: 1, num_layers: -1, batch_size: 1"
    stage = f"{{tool: mlx_lm.lora, params: {{{params}, lora_parameters: {{keys: null}}}}}}"
    Path("r.yaml").write_text(f"version: 1\nstages: {{t: {stage}}}\n", encoding="utf-8")


def profiles() -> None:
    """Write a recipe whose profiles are together too much to look at."""
    names = "".join(f"  p{n}: {{vars: {{rate: {n}}}}}\n" for n in range(600))
    stages = "".join(f"  mix_{n}: {VARIED}\n" for n in range(40))
    text = f"version: 1\nvars: {{rate: 3}}\nstages:\n{stages}profiles:\n{names}"
    Path("r.yaml").write_text(text, encoding="utf-8")


def case(words: str, advice: str, *then: str, **more: object) -> Situation:
    return Situation(words, advice, then, **more)  # type: ignore[arg-type]


RAN = ("run-recipe good.yaml",)
RAN_SMOKE = ("run-recipe good.yaml --smoke",)
RAN_BOTH = (*RAN, "run-recipe two.yaml --only mix")
RUN = "20261130T000000Z-0000"

SITUATIONS = {
    # -- words that are no verb, and options that stand in the wrong place
    "a verb's name": case("chek good.yaml", "did you mean '<check>'?", "run-recipe {0} good.yaml"),
    "a recipe's name": case("good -n", "did you mean '<good.yaml>'?", "run-recipe {0} -n"),
    "no verb at all": case("frobnicate", "<run-recipe --help> lists the commands", "{0}"),
    "no recipe": case(
        "-n", "write: run-recipe RECIPE; there are: <recipes/child.yaml>", "run-recipe {0} -n"
    ),
    "an option before its verb": case(
        "--profile other check good.yaml",
        "write: <run-recipe check good.yaml --profile other>",
        "{0}",
    ),
    "an option of another verb": case(
        "-q --set stages.mix.params.seed=5 check good.yaml",
        "write: <run-recipe check good.yaml --set stages.mix.params.seed=5> (check has no -q)",
        "{0}",
    ),
    "a folder to run": case(
        "many", "name one recipe: <many/another.yaml>, many/one.yaml", "run-recipe {0} -n"
    ),
    "a recipe to train with": case(
        "train good.yaml", "did you mean: <run-recipe good.yaml>?", "{0} --dry-run"
    ),
    "half a tool": case(
        "tools upload", "there are: <hf.upload>, mlx_lm.upload", "run-recipe tools {0}"
    ),
    "a tool's typo": case(
        "tools mlx_lm.lor", "did you mean '<mlx_lm.lora>'?", "run-recipe tools {0}"
    ),
    "no tool": case("tools zzz", "<run-recipe tools> lists them", "{0}"),
    "no rule": case("rules nope", "see: <run-recipe rules>", "{0}"),
    "nothing to import": case("import", "<run-recipe import --help>", "{0}"),
    "a page of JSON": case(
        "report --format json --open",
        "--format json prints to stdout; --<open> and --output are for a page",
        "run-recipe report --format json",
        before=RAN,
    ),
    "a shipped recipe's name": case(
        "new mine --from basi", "did you mean '<basic>'?", "run-recipe new mine --from {0}"
    ),
    "a recipe that is there": case(
        "new good.yaml",
        "choose another <name>: files are never overwritten",
        "run-recipe new mine.yaml",
    ),
    # -- what check and show are given
    "rows to check": case(
        "check a",
        "a recipe has 'version' and 'stages'; rows are checked by: <run-recipe data check a>",
        "{0}",
    ),
    "a file of rows": case(
        "check a/train.jsonl", "rows are checked by: <run-recipe data check a>", "{0}"
    ),
    "a profile nobody has": case(
        "check . --profile zzz", "there are: <other>", "run-recipe check . --profile {0}"
    ),
    "stars in quotes": case(
        "check '*.yaml'",
        "let the shell expand it (without <quotes>), or name the folder",
        "run-recipe check good.yaml two.yaml",
        "run-recipe check .",
    ),
    "a path's typo": case(
        "show good.yaml mix.sed", "did you mean '<mix.seed>'?", "run-recipe show good.yaml {0}"
    ),
    "a file it is not made of": case(
        "show good.yaml --file x", "there are: <good.yaml>", "run-recipe show good.yaml --file {0}"
    ),
    "a var without its path": case(
        "check r.yaml --set rate=2",
        "write <vars.rate>=…",
        "run-recipe check r.yaml --set {0}=2",
        make=texts(
            r_yaml=f"version: 1\nvars: {{rate: 3}}\nstages: {{mix: {VARIED}}}\n",
        ),
    ),
    "a var of a profile": case(
        "check r.yaml --set vars.n=2",
        "only the profile 'p' reads it: add <--profile p>",
        "run-recipe check r.yaml --set vars.n=2 {0}",
        make=texts(
            r_yaml=f"""
            version: 1
            vars: {{n: 1}}
            stages: {{mix: {MIX}}}
            profiles: {{p: {{stages: {{mix: {{params: {{seed: "{{{{ vars.n }}}}"}}}}}}}}}}
            """
        ),
    ),
    "a rule's typo": case(
        "check r.yaml",
        "see: <run-recipe rules>",
        "{0}",
        make=texts(
            r_yaml=f"version: 1\nstages: {{mix: {MIX.replace('params', 'allow: [xyz], params')}}}\n"
        ),
    ),
    "a word that is no UTF-8": case(
        "check good.yaml --set 'stages.mix.params.primary=[a\udcff]'",
        "write it as <UTF-8>",
        "run-recipe check good.yaml --set stages.mix.params.primary=a",
    ),
    "more profiles than are looked at": case(
        "check r.yaml",
        "choose the profiles to check: <run-recipe check> RECIPE --profile NAME",
        "{0} r.yaml --profile p7",
        make=profiles,
    ),
    "epochs and iterations": case(
        "check r.yaml",
        "set only one of them; if iters is inherited, <!reset> it",
        "run-recipe check r.yaml --set 'stages.t.params.iters=!reset null'",
        "run-recipe check r.yaml --set 'stages.t.budget=!reset null'",
        make=texts(
            r_yaml=f"""
            version: 1
            stages:
              t:
                tool: mlx_lm.lora
                budget: {{epochs: 4}}
                params: {{{LORA}, iters: 17}}
            """
        ),
    ),
    "what reaches out, looked at": case(
        "check r.yaml",
        "the first run needs <--trust>; to avoid this, remove it",
        "run-recipe r.yaml {0} -n",
        "run-recipe check good.yaml",
        make=texts(
            r_yaml="""
            version: 1
            track: {mlflow: {tracking_uri: databricks}}
            stages: {mix: {tool: data.mix, params: {primary: a, replay: b}}}
            """
        ),
        ends=0,
    ),
    "what to do with a new recipe": case(
        "new mine",
        "<run-recipe recipes/mine.yaml --dry-run>  # the commands it runs",
        "{0}",
        ends=0,
    ),
    "what to try with a new recipe": case(
        "new mine",
        "<run-recipe recipes/mine.yaml --smoke>    # run it at toy scale, in seconds",
        "cp -r a data",
        "cp b/valid.jsonl data/test.jsonl",
        "{0}",
        ends=0,
    ),
    # -- rows that a model without turns cannot be trained on
    **{
        name: case(
            "check r.yaml",
            f"{lead}write them as text: <run-recipe data format --data sg --out sg-text --to text "
            f"--template 'Question: {{prompt}} Answer: {{completion}}'{more}>",
            "{0}",
            "run-recipe check r.yaml --set stages.t.params.data=sg-text",
            before=("run-recipe model tiny --path m",),
            make=lambda said=said: without_turns(said),
        )
        for name, said, lead, more in (
            ("ShareGPT, and no template", "", "", ""),
            (
                "ShareGPT as messages, and no template",
                "chat_feature: conversations, ",
                "use an instruct model, or ",
                " --chat-feature conversations",
            ),
        )
    },
    # -- which stages run
    "a stage's typo": case(
        "good.yaml --only mux", "did you mean '<mix>'?", "run-recipe good.yaml -n --only {0}"
    ),
    "no such stage": case(
        "good.yaml --only x", "there are: <mix>", "run-recipe good.yaml -n --only {0}"
    ),
    "no stage is left": case(
        "two.yaml --from more --to mix",
        "check --only, --<from> and --to",
        "run-recipe two.yaml -n --from mix --to more",
    ),
    "a stage alone": case(
        "two.yaml --only more",
        "run it too: <--from mix>, or resume a run that has it: --resume",
        "run-recipe two.yaml -n {0}",
    ),
    "a stage alone, after the other": case(
        "two.yaml --only more",
        "run it too: --from mix, or resume a run that has it: <--resume>",
        "run-recipe two.yaml --only more {0}",
        before=("run-recipe two.yaml --only mix",),
    ),
    "a stage that is another now": case(
        "two.yaml --resume --set stages.mix.params.seed=4 --only more",
        "run it too: <--from mix>",
        "run-recipe two.yaml --resume --set stages.mix.params.seed=4 {0}",
        before=("run-recipe two.yaml --only mix",),
    ),
    # -- runs
    "no runs to go on from": case(
        "--resume", "run a <recipe> first", "run-recipe good.yaml", "run-recipe good.yaml --resume"
    ),
    "which recipe": case(
        "--resume",
        "the latest run is of good.yaml: <run-recipe good.yaml --resume>",
        "{0}",
        before=RAN,
    ),
    "no run of that name": case(
        "status x", f"there are: <{RUN}>", "run-recipe status {0}", before=RAN
    ),
    "runs of a typo": case("runs goo", "did you mean '<good>'?", "run-recipe runs {0}", before=RAN),
    "runs of another": case("runs zzz", "there are: <good>", "run-recipe runs {0}", before=RAN),
    "nothing of that kind": case(
        "good.yaml --resume --smoke",
        "remove --<resume> to start a new run",
        "run-recipe good.yaml --smoke",
        before=RAN,
    ),
    "a real run, smoked": case(
        "good.yaml --smoke --resume good",
        "remove --<smoke>",
        "run-recipe good.yaml --resume good",
        before=RAN,
    ),
    "a smoke run, for real": case(
        "good.yaml --resume good",
        "add <--smoke>",
        "run-recipe good.yaml --resume good {0}",
        before=RAN_SMOKE,
    ),
    "a run of another recipe": case(
        "two.yaml --resume good",
        f"name a run of this recipe: <{RUN}>",
        "run-recipe two.yaml --resume {0}",
        before=(*RAN, "run-recipe two.yaml"),
    ),
    "a run of another recipe, the only one": case(
        "two.yaml --resume good",
        "remove --<resume> to start a new run",
        "run-recipe two.yaml",
        before=RAN,
    ),
    "runs behind a link": case(
        "status --runs lost",
        "mount or create it, or choose another folder with --<runs>",
        "run-recipe status --runs runs",
        before=RAN,
        make=link,
    ),
    "a run's folder cannot be made": case(
        "good.yaml --runs good.yaml",
        "choose another --<runs>",
        "run-recipe good.yaml --runs others",
        ends=1,
    ),
    "a damaged run": case(
        "status runs/good/latest",
        "remove it, or start a new <run>",
        "run-recipe good.yaml",
        "run-recipe status runs/good/latest",
        before=RAN,
        make=damage,
    ),
    # -- comparing
    "no repository": case(
        "diff good.yaml",
        "compare it with another recipe or a run: <run-recipe diff> RECIPE OTHER",
        "{0} good.yaml two.yaml",
    ),
    "a smoke run's side": case(
        "diff good.yaml latest --smoke",
        "remove --<smoke>",
        "run-recipe diff good.yaml latest",
        before=RAN,
    ),
    "no commits yet": case(
        "diff good.yaml",
        "the repository has no <commits> yet",
        *COMMIT[1:],
        "run-recipe diff good.yaml",
        before=COMMIT[:1],
    ),
    "a branch's typo": case(
        "diff good.yaml mian",
        "did you mean '<main>'?; a recipe ends with .yaml, a run is a folder or an id",
        "run-recipe diff good.yaml {0}",
        before=COMMIT,
    ),
    "a base": case(
        "diff base.yaml",
        "name the recipes that extend it, or their <folder>",
        "run-recipe diff recipes/child.yaml",
        "run-recipe diff recipes",
        before=COMMIT,
    ),
    "a recipe's typo": case(
        "diff godd HEAD", "did you mean '<good.yaml>'?", "run-recipe diff {0} HEAD", before=COMMIT
    ),
    "a revision alone": case(
        "diff main", "name recipes first: <run-recipe diff recipes/ main>", "{0}", before=COMMIT
    ),
    "a revision alone, and no folder of recipes": case(
        "diff main",
        "name recipes first: <run-recipe diff . main>",
        "{0}",
        before=(*COMMIT, "git mv recipes elsewhere"),
    ),
    "a folder without recipes": case(
        "diff empty HEAD",
        "name recipe files or their <folder>",
        "run-recipe diff good.yaml HEAD",
        "run-recipe diff many HEAD",
        before=COMMIT,
    ),
    "one file of a revision": case(
        "diff recipes HEAD:good.yaml",
        "name one <recipe> before it",
        "run-recipe diff two.yaml HEAD:good.yaml",
        before=COMMIT,
    ),
    "a shallow clone": case(
        "diff good.yaml HEAD~1",
        "this clone is shallow: <git fetch --unshallow>, or fetch-depth: 0 in actions/checkout",
        "{0}",
        "run-recipe diff good.yaml HEAD~1",
        before=(
            *COMMIT,
            f"git {' '.join(WHO)} commit -q --allow-empty -m two",
            "git clone -q --depth 1 file://{here} clone",
            "cd clone",
        ),
    ),
    "two shallow branches": case(
        "diff good.yaml origin/other...HEAD",
        "the clone may be too shallow: <git fetch --unshallow>",
        "{0}",
        "run-recipe diff good.yaml origin/other...HEAD",
        before=(
            *COMMIT,
            "git checkout -q -b other",
            f"git {' '.join(WHO)} commit -q --allow-empty -m two",
            "git checkout -q main",
            f"git {' '.join(WHO)} commit -q --allow-empty -m three",
            "git clone -q --depth 1 --no-single-branch file://{here} clone",
            "cd clone",
        ),
    ),
    # -- what reaches out
    "a program that is run": case(
        "r.yaml",
        "review them, then run with <--trust>, which is remembered for exactly these values",
        "run-recipe r.yaml {0} -n",
        make=texts(
            r_yaml="""
            version: 1
            track: {mlflow: {tracking_uri: databricks}}
            stages: {mix: {tool: data.mix, params: {primary: a, replay: b}}}
            """
        ),
    ),
    "a tracker that is not installed": case(
        "r.yaml --trust",
        "pip install swanlab, or remove <track: swanlab> from the recipe",
        "run-recipe good.yaml",
        make=texts(
            r_yaml=f"version: 1\ntrack: {{swanlab: {{project: p}}}}\nstages: {{mix: {MIX}}}\n"
        ),
        ends=5,
    ),
}


def told() -> set[str]:
    """Return the advice of every situation as it is printed."""
    return {one.advice.replace("<", "").replace(">", "") for one in SITUATIONS.values()}
