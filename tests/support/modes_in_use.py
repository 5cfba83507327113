"""Train each mode of mlx-lm-lora once under our observer; then change its parameters one by one.

``python -m tests.support.modes_in_use FOLDER``: prints, by mode, what the audit calls seen in use and
what it calls not read, which of the former leave all that a trainer is given as it was, and whether
changing all of the latter at once leaves the trained weights as they were. One process does it all:
importing MLX takes longer than a tiny training.
"""

import contextlib
import functools
import hashlib
import importlib
import io
import json
import os
import sys
from pathlib import Path
from typing import Any, Self

from runner.catalog import load
from runner.catalog.tools import complete
from runner.command.argv import invoke
from runner.plan.model import Stage, bind
from runner.runs.audit import PARSED, READ, UNREAD
from runner.worker import host as hosts
from runner.worker.observer import Observer

NAME = "mlx_lm_lora.train"
TOOL = load.catalog().get(NAME)
assert TOOL is not None
MODES = TOOL.schema["properties"]["train_mode"]["enum"]
ROWS = {
    **{key: f"What is {key}?" for key in ("prompt", "prompt2", "system", "system2")},
    **{key: f"It is {key} or so." for key in ("chosen", "chosen2", "rejected", "rejected2")},
    **{key: f"{key} it is" for key in ("completion", "completion2", "answer", "answer2")},
    "type": "a", "type2": "b", "preference_score": 1.0, "preference_score2": 2.0,
    "context_with_chat_template": "What is it? It",
    "rejected_decoded": "e",
    "multi_chosen_decoded": ["a", "o"],
}  # fmt: skip
CHATS = {
    "messages": [{"role": "user", "content": "a"}, {"role": "assistant", "content": "b"}],
    "messages2": [{"role": "user", "content": "c"}, {"role": "assistant", "content": "d e f"}],
}
SMALL = {
    "iters": 1, "batch_size": 2, "steps_per_report": 1, "steps_per_eval": 1, "val_batches": 1,
    "save_every": 1, "test_batches": 1, "max_seq_length": 256, "num_layers": 1,
    "max_completion_length": 4, "learning_rate": 1e-2,
}  # fmt: skip
# What a mode needs, so that as much as possible of what it may read is read.
MORE: dict[str, dict[str, Any]] = {
    "sft": {"mask_prompt": True},
    "cpo": {"dpo_cpo_loss_type": "dpop"},
    "dsla": {"dpo_cpo_loss_type": "dpop"},
    "klpo": {"klpo_kl_estimator": "topk", "klpo_top_k": 4},
    "grpo": {"reward_functions": "r1_count_xml"},
    **{name: {"judge": "tiny", "dpo_cpo_loss_type": "dpop"} for name in ("online_dpo", "xpo")},
    "ppo": {"judge": "tiny", "learning_rate": 1e-6},  # its loss grows beyond what exp takes
    "rlhf_reinforce": {"judge": "tiny"},
}
# Other values than those that are made by a rule: see `other`.
OTHERS: dict[str, Any] = {
    "model": "second", "judge": "second", "reference_model_path": "second", "data": "rows2",
    "adapter_path": "elsewhere", "seed": 7, "num_layers": 2, "lm_studio_name": "x",
    "lora_parameters": {"rank": 4, "dropout": 0.1, "scale": 3.0},
    "lr_schedule": {"name": "cosine_decay", "arguments": [1e-3, 10]},
    "reward_functions": "r1_int_reward_func", "reward_weights": "3.0",
    "reward_functions_file": "rewards.py", "judge_config": {"system_prompt": "{prompt}{response0}{response1}"},
    "optimizer_config": {"adam": {"eps": 1e-3}}, "latent_layer": "0",
    "resume_adapter_file": None, "wandb": None, "epochs": 3, "alpha": [1e-5],
    "temperature": 0.5, "epsilon": 0.3, "train_type": "dora",
}  # fmt: skip
FIXED = {"train", "test", "train_mode", "alpha", "resume_adapter_file", "wandb"}


def other(name: str, value: Any) -> Any:  # noqa: PLR0911
    """Return another value of a parameter that its tool takes."""
    schema = TOOL.schema["properties"][name]
    if name in OTHERS:
        return OTHERS[name]
    if name.endswith("_feature"):
        return f"{value}2"
    if schema.get("enum"):
        return next((one for one in schema["enum"] if one not in (value, None)), value)
    if isinstance(value, bool):
        return not value
    if isinstance(value, int):
        return value + 1 if value > 0 else 1
    if isinstance(value, float):
        return value * 2 or 0.5
    kinds = schema["type"]
    return 2 if "integer" in kinds else 0.5 if "number" in kinds else "x"


def given(mode: str, **changes: Any) -> dict[str, Any]:
    """Return every parameter of a training in a mode."""
    test = mode not in {"grpo", "rlhf_reinforce", "xpo"}  # which fail then: rules say so
    own = {"model": "tiny", "data": "rows", "train": True, "test": test, "train_mode": mode}
    own |= {"adapter_path": "adapters", **SMALL, **MORE.get(mode, {}), **changes}
    if mode == "sft" and "chat_feature" in changes:
        own["data"] = "chats"
    return complete(TOOL.schema, own, TOOL.schema)


class Process:
    """The module under the observer, as a stage's process has it; put back when it is left."""

    def __init__(self, params: dict[str, Any]) -> None:
        self.params = params
        stage = Stage(name="s", tool=NAME, params=params, outputs={})
        self.host = Observer(".", stage, TOOL)
        Path("s").mkdir(exist_ok=True)
        made = invoke(stage, TOOL)
        Path("s/config.json").write_text(made.config or "", encoding="utf-8")
        sys.argv = [NAME, *(str(bind(word, ".")) for word in made.arguments)]
        self.main: Any = importlib.import_module("mlx_lm_lora.train")
        self.before = dict(vars(self.main))
        self.mx = self.main.mx
        self.metal = self.mx.device_info
        self.random = (self.main.np.random.seed, self.mx.random.seed)

    def __enter__(self) -> Self:
        hosts._watch_parser(self.host)
        importlib.import_module("runner.worker.watch_preferences").install(self.host)
        return self

    def __exit__(self, *_: object) -> None:
        vars(self.main).update(self.before)
        self.mx.device_info = self.metal
        self.main.np.random.seed, self.mx.random.seed = self.random

    def run(self) -> None:
        # It draws the weights of new adapters before it sets its seed.
        self.random[1](0)
        self.main.main()


def train(mode: str, **changes: Any) -> tuple[dict[str, str], str]:
    """Train; return how far the audit followed each parameter, and a digest of the weights."""
    params = given(mode, **changes)
    with Process(params) as process:
        process.run()
        seen = {one.parameter: one.seen for one in process.host.verdicts()}
    file = Path(params["adapter_path"]) / "adapters.safetensors"
    tensors: Any = process.mx.load(str(file))
    text = "".join(f"{name}{tensors[name].tolist()}" for name in sorted(tensors))
    return seen, hashlib.sha256(text.encode()).hexdigest()


def view(mode: str, **changes: Any) -> str:
    """Return all that the trainer, the test and the fusing are given, as text; nothing is trained."""
    params = given(mode, **changes)
    lines: list[Any] = []

    def note(title: str, kwargs: dict[str, Any]) -> None:
        for key, value in sorted(kwargs.items()):
            lines.append((title, key, described(value)))

    with Process(params) as process:
        main = process.main
        for name in dir(main):
            stops = name.startswith(("train_", "evaluate_")) and "_model" not in name
            if stops or name in {"save_pretrained_merged", "save_to_lmstudio_merged"}:
                setattr(
                    main, name, lambda title=name, **kwargs: note(title, kwargs) or result(title)
                )
        main.load_reward_functions_from_file = lambda path: lines.append(("rewards", path))
        main.load_adapters = lambda *_: None
        process.host.hold = lambda *_: None  # what is as planned is not asked here
        process.host.end = lambda *_: None
        process.run()
        random = main.np.random.get_state()[1][:4].tolist()
    return json.dumps([lines, random], default=str)


def result(title: str) -> Any:
    """Return what a test returns: some return rewards and a count of tokens beside loss and figures."""
    shapes = {"sft": (0.0, 1), "ftpo": (0.0, {}), "klpo": (0.0, 1, {})}
    whole = (0.0, [0.0, 0.0], 1, {})
    return shapes.get(title.partition("_")[2], whole) if title.startswith("evaluate_") else None


def described(value: Any) -> Any:
    """Return what tells a value apart: of a model its weights, of rows all of them."""
    if hasattr(value, "named_modules"):
        import mlx.core as mx
        from mlx.utils import tree_flatten

        kinds = [
            (name, type(one).__name__, getattr(one, "scale", ""), repr(getattr(one, "dropout", "")))
            for name, one in value.named_modules()
        ]
        tensors = tree_flatten(value.parameters())
        sums = mx.stack([mx.sum(t.astype(mx.float32)) for _, t in tensors]).tolist()
        return [kinds, [(n, t.shape, str(t.dtype)) for n, t in tensors], sums]
    if type(value).__name__ == "CacheDataset":
        return [str(value[at]) for at in range(len(value))]
    if hasattr(value, "__dataclass_fields__"):
        return {name: str(getattr(value, name)) for name in value.__dataclass_fields__}
    if hasattr(value, "learning_rate"):
        state = {k: str(v) for k, v in vars(value).items() if not k.startswith("__")}
        rates = [float(one(0)) + float(one(5)) for one in value._schedulers.values()]
        return [type(value).__name__, state, value.learning_rate.item(), rates]
    return getattr(value, "__name__", None) or str(value)


def look(mode: str) -> dict[str, Any]:
    """Return what the audit says of a mode, and what of it is not true."""
    seen, weights = train(mode)
    fixed = FIXED | ({"efficient_long_context"} if mode == "dsla" else set())  # it is refused there
    used = [n for n, by in seen.items() if by not in {PARSED, READ, UNREAD} and n not in fixed]
    idle = [n for n, by in seen.items() if by == UNREAD and n not in fixed]
    first = view(mode)
    same = [n for n in used if view(mode, **{n: other(n, given(mode)[n])}) == first]
    changes = {n: other(n, given(mode)[n]) for n in idle}
    again, after = train(mode, **changes)
    return {"seen": used, "unread": idle, "without_effect": same, "same_weights": weights == after,
            "again": [n for n, by in again.items() if by == UNREAD]}  # fmt: skip


def hasten() -> None:
    """Load each tokenizer once, and let a judge that says nothing sensible say little of it."""
    utils: Any = importlib.import_module("mlx_lm.utils")
    load_tokenizer = utils._load_tokenizer

    @functools.cache
    def once(path: str) -> Any:
        return load_tokenizer(Path(path))

    utils._load_tokenizer = lambda path, *_, **__: once(str(path))
    judge: Any = importlib.import_module("mlx_lm_lora.trainer.judge")
    generate = judge.generate
    judge.generate = lambda *words, max_tokens, **more: generate(*words, max_tokens=2, **more)


def prepare() -> None:
    """Make two tiny models, and rows."""
    tiny = importlib.import_module("runner.tools.tiny_model")
    for place, seed in (("tiny", "0"), ("second", "1")):
        tiny.main(
            ["--path", place, "--seed", seed, "--hidden-size", "128", "--intermediate-size", "128"]
        )
    for place, row in (("rows", ROWS), ("rows2", {**ROWS, "prompt": "Why?"}), ("chats", CHATS)):
        Path(place).mkdir()
        text = "".join(
            json.dumps({**row, "type": f"{row.get('type')}{n}"}) + "\n" for n in range(4)
        )
        for split in ("train", "valid", "test"):
            Path(place, f"{split}.jsonl").write_text(text, encoding="utf-8")
    Path("rewards.py").write_text("", encoding="utf-8")


def main(folder: str, modes: list[str]) -> None:
    os.chdir(folder)
    said = io.StringIO()
    with contextlib.redirect_stdout(said):
        prepare()
        hasten()
        results = {mode: look(mode) for mode in modes or MODES}
    print(json.dumps(results, indent=1))


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2:])
