"""What a training measures of itself, for the bench.

python -m benchmarks.trainings rows FOLDER            varied rows, and the tiny model
python -m benchmarks.trainings train FOLDER DATA      train on them; how fast, and how well
python -m benchmarks.trainings loss FOLDER DATA       what the trainings before came to
python -m benchmarks.trainings recorder RUN STAGE     a stage of a run anew; its recorder's share
"""

import json
import random
import statistics
import sys
import time
from importlib import import_module
from pathlib import Path

TRAIN, TEST, BATCH, EPOCHS = 256, 48, 8, 2
SEEDS = range(1, 9)  # of one training alone the loss may be a tenth off
WORDS = "the query binds each value and checks its length before a copy is made".split()  # noqa: SIM905


def rows(folder: Path) -> None:
    """Write rows whose lengths vary as those of chats do, and make the tiny model."""
    for split, count in (("train", TRAIN), ("valid", TEST), ("test", TEST)):
        dice = random.Random(split)
        path = folder / "data" / f"{split}.jsonl"
        path.parent.mkdir(parents=True, exist_ok=True)
        with path.open("w") as file:
            for _ in range(count):
                size = min(3 + int(dice.lognormvariate(3.0, 1.0)), 150)
                asked, said = (dice.choices(WORDS, k=one) for one in (3, size))
                row = {"prompt": " ".join(asked), "completion": " ".join(said)}
                file.write(json.dumps(row) + "\n")
    import_module("runner.tools.tiny_model").main(["--path", str(folder / "model")])


def train(folder: Path, data: str) -> None:
    """Train with mlx_lm.lora, once for each seed; print trained tokens per second.

    Every training sees the same rows equally often: as many tokens, whatever their order.
    """
    callbacks, lora = import_module("mlx_lm.tuner.callbacks"), import_module("mlx_lm.lora")
    found = []
    for seed in SEEDS:
        clock = Clock(callbacks.TrainingCallback)
        callbacks.SUPPORT_CALLBACK["bench"] = lambda *_, clock=clock, **__: clock.callback
        evaluate, losses = lora.evaluate, []

        def kept(*args, evaluate=evaluate, losses=losses, **named):
            losses.append(evaluate(*args, **named))
            return losses[-1]

        lora.evaluate = kept
        options = {
            "model": folder / "model",
            "data": folder / data,
            "adapter-path": folder / f"adapters-{data}",
            "batch-size": BATCH,
            "iters": EPOCHS * TRAIN // BATCH,
            "steps-per-report": 4,
            "steps-per-eval": 1000,
            "val-batches": 1,
            "test-batches": -1,
            "num-layers": -1,
            "learning-rate": 1e-3,
            "seed": seed,
            "report-to": "bench",
        }
        words = [f"--{name}={value}" for name, value in options.items()]
        sys.argv = ["mlx_lm.lora", "--train", "--test", *words]
        lora.main()
        lora.evaluate = evaluate
        found.append({"speed": clock.speed(), "loss": losses[-1]})
    (folder / f"{data}.json").write_text(json.dumps(found))
    print(f"\nfigure {statistics.mean(one['speed'] for one in found)}")


class Clock:
    """Trained tokens against the clock, from the first report on: compiling comes before it."""

    def __init__(self, base: type) -> None:
        self.seen = []
        seen = self.seen

        class Callback(base):
            def on_train_loss_report(self, info):
                seen.append((time.perf_counter(), info["trained_tokens"]))

        self.callback = Callback()

    def speed(self) -> float:
        """Return tokens per second."""
        (begun, before), (ended, after) = self.seen[0], self.seen[-1]
        return (after - before) / (ended - begun)


def loss(folder: Path, data: str) -> None:
    """Print the mean test loss after the trainings before."""
    found = json.loads((folder / f"{data}.json").read_text())
    print(f"figure {statistics.mean(one['loss'] for one in found)}")


def recorder(run: Path, stage: str) -> None:
    """Do a stage once more in this process; print which percentage of its training records it."""
    training, host = import_module("runner.worker.watch_lora"), import_module("runner.worker.host")
    report, spent, times = training.Watch.report, [], []

    def timed(*args):
        begun = time.perf_counter()
        report(*args)
        times.append(time.perf_counter())
        spent.append(times[-1] - begun)

    training.Watch.report = timed
    host.host(str(run), stage)
    print(f"\nfigure {100 * sum(spent[1:]) / (times[-1] - times[0])}")


if __name__ == "__main__":
    what, folder, *rest = sys.argv[1:]
    {"rows": rows, "train": train, "loss": loss, "recorder": recorder}[what](Path(folder), *rest)
