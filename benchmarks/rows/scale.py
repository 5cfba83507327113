"""Large recipes: a thousand stages of 34 parameters, five thousand, and one long chain."""

import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from benchmarks import graph
from benchmarks.graph import RUN_DIR, Step
from benchmarks.harness import Command
from benchmarks.peers import OURS, WORK, Peers
from benchmarks.profiles import modules
from benchmarks.row import Goal, Row
from benchmarks.rows.cold import NOTHING_KEPT

HYDRA = "hydra --cfg job"
LOADED = "PyYAML's C loader"
KEYS = ["self_attn.q_proj", "self_attn.k_proj", "self_attn.v_proj", "self_attn.o_proj"]


def rows() -> Iterator[Row]:
    """Yield the rows."""
    wide, five = _wide(1_000), _wide(5_000)
    chain = _chain(1_200)
    names = {"wide": wide, "five": five, "chain": chain}
    for name, steps in names.items():
        graph.write(steps, WORK / "scale" / name)
    recipe = _recipe(wide, WORK / "scale" / "wide.yaml")
    large = _recipe(five, WORK / "scale" / "five.yaml")
    long = _recipe(chain, WORK / "scale" / "chain.yaml")
    whole = _recipe(wide, WORK / "scale" / "whole.yaml", inherit=False)
    folder = WORK / "scale"
    peers = _peers(
        folder / "wide", ("hydra", "omegaconf", "dvc", "snakemake", "doit", "task", "ninja")
    )
    ours = _ours("run-recipe --dry-run", recipe)
    yield Row(
        "1,000 stages x 34, inherited",
        ours,
        tuple(peers.found),
        (_loaded(recipe),),
        (Goal(0.1, HYDRA), Goal(3, LOADED)),
        tuple(peers.missing),
        3,
        why=modules(ours),
    )
    peers = _peers(_flat(wide, folder / "whole"), ("hydra",))
    ours = _ours("run-recipe --dry-run", whole)
    yield Row(
        "1,000 stages x 34, written out",
        ours,
        tuple(peers.found),
        (_loaded(whole),),
        (Goal(0.1, HYDRA), Goal(1.2, LOADED)),
        tuple(peers.missing),
        3,
        why=modules(ours),
    )
    peers = _peers(folder / "five", ("snakemake", "task"))
    thousand = _ours("of 1,000", recipe)
    yield Row(
        "5,000 stages",
        _ours("run-recipe --dry-run", large),
        (thousand, *peers.found),
        (_loaded(large),),
        (Goal(5.2, thousand.name), Goal(100, of="peak")),
        tuple(peers.missing),
        3,
    )
    peers = _peers(folder / "chain", ("task", "ninja"))
    yield Row(
        "a chain of 1,200 stages",
        _ours("run-recipe --dry-run", long),
        (thousand, *peers.found),
        (_loaded(long),),
        (Goal(1.5, thousand.name),),
        tuple(peers.missing),
        3,
    )


def inherited() -> Command:
    """Return the dry run of a thousand stages that inherit most of what they say."""
    (WORK / "scale").mkdir(parents=True, exist_ok=True)
    recipe = _recipe(_wide(1_000), WORK / "scale" / "wide.yaml")
    argv = [sys.executable, OURS, recipe.name, "--dry-run"]
    return Command("1,000 stages --dry-run", argv, recipe.parent, NOTHING_KEPT)


def _peers(folder: Path, wanted: tuple[str, ...]) -> Peers:
    peers = Peers()
    known: dict[str, tuple[Any, ...]] = {
        "hydra": (HYDRA, "hydra", "python", "app.py", "--cfg", "job"),
        "omegaconf": ("OmegaConf", "hydra", "python", "omega.py"),
        "dvc": ("dvc repro --dry", "dvc", "dvc", "repro", "--dry"),
        "snakemake": ("snakemake -n", "snakemake", "snakemake", "-n", "-p", "-c1"),
        "doit": ("doit list", "doit", "doit", "list", "--all"),
        "task": ("task --dry", "task", "task", "--dry"),
        "ninja": ("ninja -n", "ninja", "ninja", "-n", "-v"),
    }
    for name in wanted:
        label, peer, program, *words = known[name]
        inside = folder / ("hydra" if name == "omegaconf" else name)
        peers.add(label, peer, program, *words, cwd=inside)
    return peers


def _ours(name: str, recipe: Path) -> Command:
    return Command(name, [OURS, recipe.name, "--dry-run"], recipe.parent, NOTHING_KEPT)


def _loaded(recipe: Path) -> Command:
    words = "import sys, yaml; yaml.load(open(sys.argv[1], 'rb'), yaml.CSafeLoader)"
    return Command(LOADED, [sys.executable, "-c", words, recipe.name], recipe.parent)


def _wide(count: int) -> list[Step]:
    """Return trainings that differ in eight parameters; each fifth reads the one before it."""
    return [_step(number, reads=number % 5 == 4) for number in range(count)]


def _chain(count: int) -> list[Step]:
    """Return trainings of which each reads the one before it."""
    return [_step(number, reads=number > 0) for number in range(count)]


def _step(number: int, *, reads: bool) -> Step:
    before = f"s{number - 1}"
    resumed = f"{RUN_DIR}/{before}/adapters/adapters.safetensors" if reads else None
    lora = {"rank": 16, "dropout": 0.1, "scale": 2.0, "keys": KEYS}
    name = "cosine_decay"
    schedule = {"name": name, "arguments": [5e-06, 650, 0.0], "warmup": 150, "warmup_init": 0.0}
    adam = {"betas": [0.9, 0.999], "eps": 1e-08, "weight_decay": 0.01, "bias_correction": False}
    params = {
        "model": "allenai/OLMo-2-0425-1B-Instruct",
        "train": True,
        "data": f"mlx-community/part-{number}",
        "fine_tune_type": "lora",
        "optimizer": "adamw",
        "optimizer_config": {"adamw": adam},
        "mask_prompt": False,
        "num_layers": -1,
        "batch_size": 1 + number % 4,
        "iters": 800,
        "val_batches": -1,
        "learning_rate": 5e-06,
        "steps_per_report": 10,
        "steps_per_eval": 100,
        "grad_accumulation_steps": 1,
        "resume_adapter_file": resumed,
        "adapter_path": f"{RUN_DIR}/s{number}/adapters",
        "save_every": 100 + number % 100,
        "test": False,
        "test_batches": -1,
        "max_seq_length": 2048,
        "grad_checkpoint": True,
        "clear_cache_threshold": 0,
        "report_to": None,
        "project_name": None,
        "seed": number,
        "trust_remote_code": False,
        "lr_schedule": schedule,
        "lora_parameters": lora,
        "hf_dataset": None,
        "prompt_feature": "prompt",
        "completion_feature": "completion",
        "text_feature": "text",
        "chat_feature": "messages",
    }
    return Step(f"s{number}", "mlx_lm.lora", params, (before,) if reads else ())


def _recipe(steps: list[Step], path: Path, *, inherit: bool = True) -> Path:
    """Write a recipe of these steps: eight parameters of a stage are its own, three templates."""
    own = (
        "data",
        "batch_size",
        "save_every",
        "resume_adapter_file",
        "adapter_path",
        "seed",
        "iters",
    )
    rows = ["version: 1\nvars:\n  model: allenai/OLMo-2-0425-1B-Instruct\n  rate: 5.0e-6\n"]
    rows.append("stages:\n")
    first = steps[0]
    for step in steps:
        values = dict(step.params)
        if inherit and step is not first:
            rows.append(f"  {step.name}:\n    extends: {first.name}\n    params:\n")
            values = {key: values[key] for key in (*own, "model", "learning_rate")}
        else:
            rows.append(f"  {step.name}:\n    tool: mlx_lm.lora\n    params:\n")
        del values["adapter_path"]  # the run directory's own place
        said = {**values, "model": "{{ vars.model }}", "learning_rate": "{{ vars.rate }}"}
        if step.after:
            said["resume_adapter_file"] = f"{{{{ stages.{step.after[0]}.adapter_file }}}}"
        rows.append(graph.pairs(said, "      "))
    path.write_text("".join(rows))
    return path


def _flat(steps: list[Step], folder: Path) -> Path:
    """Write the same for Hydra with nothing inherited."""
    graph.hydra(steps, folder / "hydra")
    config = folder / "hydra" / "conf" / "config.yaml"
    rows = ["RUN_DIR: runs/1\nstages:\n"]
    rows += [f"  {step.name}:\n{graph.pairs(step.params, '    ')}" for step in steps]
    config.write_text("".join(rows))
    return folder
