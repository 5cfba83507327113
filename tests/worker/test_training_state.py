"""A training that was cut off and went on is the training that was not, bit for bit."""

import importlib.util
import json
import os
import types
from pathlib import Path

import pytest

from runner.runs.checkpoints import NOTE, read_note
from runner.worker.train.loop import Loop
from runner.worker.train.state import TrainingState

if importlib.util.find_spec("mlx_lm") is None:
    pytest.skip("needs mlx-lm", allow_module_level=True)
pytestmark = pytest.mark.slow

FINAL = "adapters.safetensors"
SCHEDULE = {"name": "cosine_decay", "arguments": [1e-3, 12, 1e-5], "warmup": 2}
BASE = {
    "train": True,
    "iters": 14,
    "save_every": 2,
    "steps_per_report": 2,
    "steps_per_eval": 3,
    "batch_size": 2,
    "val_batches": 1,
    "num_layers": 2,
    "learning_rate": 1e-3,
    "max_seq_length": 32,
    "lora_parameters": {"rank": 4, "scale": 2.0, "dropout": 0.2},
    "seed": 7,
}
# What is changed in the training, and after how many batches it is cut off: 5 make an epoch.
CASES = {
    "adam, dropout, random validation rows": ({"optimizer": "adam"}, 6),
    "adamw, a schedule, cut at the end of an epoch": (
        {"optimizer": "adamw", "lr_schedule": SCHEDULE, "save_every": 5},
        10,
    ),
    "muon, gradients of two batches, in the third epoch": (
        {"optimizer": "muon", "grad_accumulation_steps": 2},
        13,
    ),
    "sgd with momentum, dora": (
        {
            "optimizer": "sgd",
            "optimizer_config": {"sgd": {"momentum": 0.9}},
            "fine_tune_type": "dora",
        },
        3,
    ),
    "adafactor, full fine-tuning": ({"optimizer": "adafactor", "fine_tune_type": "full"}, 9),
}
KEPT = {"keep": "best", "watch.retention.split": "valid", "watch.retention.every": 3,
        "watch.retention.batches": 1, "watch.retention.stop_above": 9.0}  # fmt: skip


class Cut(BaseException):
    """The process is gone."""


class Cutting(TrainingState, dict=True):
    """A state whose process is gone when so many batches were drawn."""

    cut = 0

    def count(self, batch):
        super().count(batch)
        self.drawn = getattr(self, "drawn", self.first) + 1
        if self.drawn > self.cut:
            raise Cut


class Heard:
    """Everything that was reported."""

    def __init__(self):
        self.train, self.val = {}, {}

    def on_train_loss_report(self, info):
        steady = ("train_loss", "learning_rate", "trained_tokens")
        self.train[info["iteration"]] = [info[name] for name in steady]

    def on_val_loss_report(self, info):
        self.val[info["iteration"]] = info["val_loss"]


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    from runner.tools.tiny_model import main

    where = tmp_path_factory.mktemp("continue")
    main(["--path", str(where / "model"), "--num-layers", "2"])
    (where / "data").mkdir()
    for split, count in (("train", 10), ("valid", 6)):
        rows = ({"text": f"{split} {number} " * (1 + number % 3)} for number in range(count))
        text = "".join(json.dumps(row) + "\n" for row in rows)
        (where / "data" / f"{split}.jsonl").write_text(text, encoding="utf-8")
    return where


@pytest.fixture
def trained(place, monkeypatch):
    """Train in this process, from the beginning or from what a cut left."""
    monkeypatch.setenv("MLX_DISABLE_COMPILE", "1")
    lora = importlib.import_module("mlx_lm.lora")

    def train(folder, params, said=None, cut=None):
        known = {**lora.CONFIG_DEFAULTS, **BASE, **params}
        args = {"model": str(place / "model"), "data": str(place / "data")}
        args = types.SimpleNamespace(**{**known, **args, "adapter_path": str(folder)})
        heard = Heard()
        kind = TrainingState if cut is None else Cutting
        note = folder / "state" / NOTE
        before = read_note(json.loads(note.read_text())) if note.exists() else None
        folder.mkdir(exist_ok=True)
        state = kind(folder=folder / "state", identity="same", before=before)
        if cut is not None:
            state.cut = cut
        measured = {}
        said = {**said, "watch.retention.data": str(place / "data")} if said else {}
        with monkeypatch.context() as patch:
            patch.setattr(lora, "load_dataset", lora.load_dataset)
            patch.setattr(lora, "train", lora.train)
            patch.setattr(lora, "get_reporting_callbacks", lambda *_, **__: heard)
            hear = lambda kind, figures: measured.setdefault(kind, []).append(figures)  # noqa: E731
            Loop(said, hear, lambda _: None, state).install(lora)
            try:
                lora.run(args)
            except Cut:
                assert cut is not None
        return heard, measured

    return train


def weights(folder):
    return {path.name: path.read_bytes() for path in sorted(folder.glob("*.safetensors"))}


@pytest.mark.parametrize("name", CASES)
def test_what_went_on_equals_what_was_never_cut_off(name, trained, tmp_path):
    params, cut = CASES[name]
    whole, _ = trained(tmp_path / "whole", params)
    first, _ = trained(tmp_path / "cut", params, cut=cut)
    saved = json.loads((tmp_path / "cut" / "state" / NOTE).read_text())["iteration"]
    assert 0 < saved <= cut
    second, _ = trained(tmp_path / "cut", params)
    assert weights(tmp_path / "cut") == weights(tmp_path / "whole")
    assert min(second.train) > saved
    late = {at: loss for at, loss in second.train.items() if at > saved + 1}
    assert late.items() <= whole.train.items()
    assert {**{at: x for at, x in first.val.items() if at < saved}, **second.val} == whole.val


def test_a_choice_goes_on_with_what_was_measured_before(trained, tmp_path):
    _, whole = trained(tmp_path / "whole", {}, KEPT)
    trained(tmp_path / "cut", {}, KEPT, cut=9)
    _, rest = trained(tmp_path / "cut", {}, KEPT)
    assert weights(tmp_path / "cut") == weights(tmp_path / "whole")
    assert rest["kept"] == whole["kept"]
    record = [json.loads((tmp_path / n / "kept.json").read_text()) for n in ("cut", "whole")]
    assert record[0] == record[1]
    assert len(record[0]["compared"]) == 7
    assert [one["iteration"] for one in rest["retention"]] == [9, 10, 12, 14]


def test_a_training_can_be_cut_off_again_and_again(trained, tmp_path):
    trained(tmp_path / "whole", {})
    for cut in (1, 3, 4, 7, 8, 13):
        trained(tmp_path / "cut", {}, cut=cut)
    trained(tmp_path / "cut", {})
    assert weights(tmp_path / "cut") == weights(tmp_path / "whole")


def test_only_the_newest_state_is_kept_and_it_is_on_the_disk(trained, tmp_path, monkeypatch):
    lasting, fsync = set(), os.fsync
    monkeypatch.setattr(os, "fsync", lambda file: (lasting.add(os.fstat(file).st_ino), fsync(file)))
    trained(tmp_path / "one", {}, cut=13)
    kept = [*(tmp_path / "one" / "state").glob("*.safetensors")]
    assert [file.name for file in kept] == ["0000012.safetensors"]
    assert kept[0].stat().st_ino in lasting


def test_a_trainer_that_counts_otherwise_is_refused(trained, tmp_path, monkeypatch):
    from mlx_lm.tuner import trainer

    from runner.base.errors import GoOnError

    trained(tmp_path / "a", {}, cut=5)
    real = trainer.train
    source = Path(trainer.__file__).read_text(encoding="utf-8")
    changed = source.replace("range(1, args.iters + 1)", "range(1, 1 + args.iters + 0, 1)")
    assert changed != source
    space = vars(trainer)
    exec(compile(changed[changed.index("def train(") :], "trainer.py", "exec"), space)
    lora = importlib.import_module("mlx_lm.lora")
    monkeypatch.setattr(lora, "train", trainer.train)
    trainer.train = real
    with pytest.raises(GoOnError, match="counts iterations differently"):
        trained(tmp_path / "a", {})
