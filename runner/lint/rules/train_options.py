"""What stands around a trainer: checkpoints that are compared, data that is watched, going on."""

from collections.abc import Iterator

from runner.base.problems import plural
from runner.lint.facts import Finding
from runner.lint.lineage import data_at, data_of
from runner.lint.rule import View, rule
from runner.plan.train_options import DATA, watch_data


@rule("error", general=True)
def keep_without_training(view: View) -> Iterator[Finding]:
    """keep, watch or continue on a stage that does not train: there is nothing they could do.

    So on a training in another trainer than mlx-lm's own, which is all they stand around. A stage
    that extends a training inherits them. Write ``!reset`` there, as in ``keep: !reset null``.
    """
    if not view.trains or not view.tool.loops:
        for key in _own_keys(view):
            message = f"this stage does not train, and '{key}' is about a training"
            if view.trains:
                message = f"'{key}' works in mlx-lm's own trainer, and {view.tool.name} has another"
            yield Finding(
                parameter=key,
                message=message,
                hint=f"remove it; where it is inherited: {key}: !reset null",
            )


@rule("error")
def trainer_under_launch(view: View) -> Iterator[Finding]:
    """keep, watch or continue under a launch: they work in one process.

    Weights, random states and losses of several ranks would have to be brought together. Remove
    ``launch``, or these.
    """
    if view.trains and view.stage.launch:
        for key in _own_keys(view):
            yield Finding(
                parameter=key,
                message=f"'{key}' works in one process, not on several ranks",
                hint="remove one",
            )


@rule("error", "T60")
def best_of_one_checkpoint(view: View) -> Iterator[Finding]:
    """Under keep: best no checkpoint is saved before the end.

    The checkpoints are what can be handed over, each validated when it is saved: ``save_every``
    must fit into the training more than once.
    """
    if not view.trains or view.stage.trainer.get("keep") != "best":
        return
    save, validate, iters = (view.params[n] for n in ("save_every", "steps_per_eval", "iters"))
    if save >= iters:
        message = f"nothing is saved before iteration {iters}: the best would always be the last"
        often = max(min(validate, iters // 2), 1)
        yield Finding(
            parameter="save_every", message=message, hint=f"save more often: save_every: {often}"
        )


@rule("error", "T68")
def keep_without_validation_rows(view: View) -> Iterator[Finding]:
    """keep: best without rows to validate on: no checkpoint has a loss to compare.

    Add a valid.jsonl of rows that are not trained.
    """
    data = data_of(view)
    keeps = view.trains and view.stage.trainer.get("keep") == "best"
    if keeps and data and data.rows and not data.rows.get("valid"):
        message = (
            f"'{data.path}' has no valid.jsonl, and the best is the one of the lowest loss on it"
        )
        yield Finding(parameter="keep", message=message, hint="add valid.jsonl, or remove keep")


@rule("error")
def watched_split_missing(view: View) -> Iterator[Finding]:
    """The data set that is watched lacks the split that is evaluated, or has less than a batch.

    It is read in batches of the stage's batch_size, as the validation rows are.
    """
    path = watch_data(view.stage.trainer) if view.trains else None
    data = data_at(view, path) if path else None
    if data is None or not data.rows:
        return
    split, batch = view.stage.trainer["watch.retention.split"], view.params["batch_size"]
    rows = data.rows.get(split, 0)
    if rows < batch:
        has = plural(rows, "row") if rows else "no row"
        message = f"{split}.jsonl of '{data.path}' has {has}, and a batch is {batch}"
        yield Finding(
            parameter=DATA,
            message=message,
            hint="name another data set, another split, or a smaller batch_size",
        )


@rule("error")
def watched_too_rarely(view: View) -> Iterator[Finding]:
    """A watch that looks less often than the training is long sees its beginning and its end only.

    It could not stop anything. Say a smaller ``every``.
    """
    if view.trains and watch_data(view.stage.trainer):
        every, iters = view.stage.trainer["watch.retention.every"], view.params["iters"]
        if every >= iters:
            message = f"nothing is looked at between iteration 0 and the last, {iters}"
            hint = f"say every: {max(1, iters // 10)}"
            yield Finding(parameter="watch.retention.every", message=message, hint=hint)


@rule("error", "T36")
def continue_inside_an_update(view: View) -> Iterator[Finding]:
    """Continue with checkpoints that fall between the batches of one update.

    The gradients accumulated so far are kept nowhere, so such a training could not go on where it
    was. Say a ``save_every`` that is a multiple of ``grad_accumulation_steps``.
    """
    if view.trains and view.stage.continues:
        save, batches = view.params["save_every"], view.params["grad_accumulation_steps"]
        if save % batches:
            message = (
                f"an update takes {batches} iterations, and a checkpoint is saved every {save}"
            )
            yield Finding(
                parameter="save_every",
                message=message,
                hint=f"say save_every: {_nearest_multiple(save, batches)}",
            )


@rule("error")
def continue_without_checkpoint(view: View) -> Iterator[Finding]:
    """Continue in a training that saves nothing before its end: it could only start over.

    Say a smaller ``save_every``.
    """
    if view.trains and view.stage.continues:
        save, iters = view.params["save_every"], view.params["iters"]
        if save >= iters:
            message = f"nothing is saved before iteration {iters}: a cut off training starts over"
            yield Finding(
                parameter="save_every",
                message=message,
                hint=f"say save_every: {max(1, iters // 4)}",
            )


def _own_keys(view: View) -> list[str]:
    """Return the keys a stage says about its training."""
    trainer = view.stage.trainer
    keys = {"keep": trainer.get("keep") == "best", "watch": bool(watch_data(trainer))}
    return [key for key, there in {**keys, "continue": view.stage.continues}.items() if there]


def _nearest_multiple(count: int, step: int) -> int:
    return max(step, step * round(count / step))
