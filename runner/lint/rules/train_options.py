"""Options around a training: keep the best checkpoint, watch a data set, continue."""

from collections.abc import Iterator

from runner.base.problems import plural
from runner.lint.facts import Finding
from runner.lint.lineage import data_at, data_of
from runner.lint.rule import View, rule
from runner.plan.train_options import DATA, watch_data


@rule("error", general=True)
def keep_without_training(view: View) -> Iterator[Finding]:
    """keep, watch or continue on a stage that does not train: they have no effect.

    So on a training in another trainer than mlx-lm's own, which is all they stand around. A stage
    that extends a training inherits them. Reset them there, as in ``keep: !reset null``.
    """
    if not view.trains or not view.tool.loops:
        for key in _own_keys(view):
            message = f"this stage does not train, so '{key}' does not apply"
            if view.trains:
                message = f"'{key}' works in mlx-lm's own trainer, and {view.tool.name} has another"
            yield Finding(
                parameter=key,
                message=message,
                hint=f"remove it; if it is inherited, write {key}: !reset null",
            )


@rule("error")
def trainer_under_launch(view: View) -> Iterator[Finding]:
    """keep, watch or continue under a launch: they work only in a single process.

    They do not combine weights, random states and losses of several ranks. Remove ``launch``, or
    these options.
    """
    if view.trains and view.stage.launch:
        for key in _own_keys(view):
            yield Finding(
                parameter=key,
                message=f"'{key}' works only in a single process, not on several ranks",
                hint="remove one",
            )


@rule("error", "T60")
def best_of_one_checkpoint(view: View) -> Iterator[Finding]:
    """Under keep: best no checkpoint is saved before the end.

    Only saved checkpoints can be kept, and each is validated when it is saved: ``save_every`` must
    fit into the training more than once.
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
    """keep: best without validation rows: no checkpoint has a loss to compare.

    Add a valid.jsonl with rows that are not trained on.
    """
    data = data_of(view)
    keeps = view.trains and view.stage.trainer.get("keep") == "best"
    if keeps and data and data.rows and not data.rows.get("valid"):
        message = f"'{data.path}' has no valid.jsonl, which decides the best checkpoint"
        yield Finding(parameter="keep", message=message, hint="add valid.jsonl, or remove keep")


@rule("error")
def watched_split_missing(view: View) -> Iterator[Finding]:
    """The watched data set lacks the evaluated split, or has less than one batch.

    It is read in batches of the stage's batch_size, like the validation rows.
    """
    path = watch_data(view.stage.trainer) if view.trains else None
    data = data_at(view, path) if path else None
    if data is None or not data.rows:
        return
    split, batch = view.stage.trainer["watch.retention.split"], view.params["batch_size"]
    rows = data.rows.get(split, 0)
    if rows < batch:
        has = plural(rows, "row") if rows else "no row"
        message = f"{split}.jsonl of '{data.path}' has {has}, but a batch is {batch}"
        yield Finding(
            parameter=DATA,
            message=message,
            hint="name another data set, another split, or a smaller batch_size",
        )


@rule("error")
def watched_too_rarely(view: View) -> Iterator[Finding]:
    """A watch whose interval is longer than the training checks only its beginning and end.

    It could not stop anything. Set a smaller ``every``.
    """
    if view.trains and watch_data(view.stage.trainer):
        every, iters = view.stage.trainer["watch.retention.every"], view.params["iters"]
        if every >= iters:
            message = f"nothing is checked between iteration 0 and the last one, {iters}"
            hint = f"set every: {max(1, iters // 10)}"
            yield Finding(parameter="watch.retention.every", message=message, hint=hint)


@rule("error", "T36")
def continue_inside_an_update(view: View) -> Iterator[Finding]:
    """Continue with checkpoints that fall between the batches of one update.

    Accumulated gradients are not saved, so such a training could not resume exactly. Set
    ``save_every`` to a multiple of ``grad_accumulation_steps``.
    """
    if view.trains and view.stage.continues:
        save, batches = view.params["save_every"], view.params["grad_accumulation_steps"]
        if save % batches:
            message = (
                f"an update takes {batches} iterations, but a checkpoint is saved every {save}"
            )
            yield Finding(
                parameter="save_every",
                message=message,
                hint=f"set save_every: {_nearest_multiple(save, batches)}",
            )


@rule("error")
def continue_without_checkpoint(view: View) -> Iterator[Finding]:
    """Continue in a training that saves nothing before its end: it could only start over.

    Set a smaller ``save_every``.
    """
    if view.trains and view.stage.continues:
        save, iters = view.params["save_every"], view.params["iters"]
        if save >= iters:
            message = (
                f"nothing is saved before iteration {iters}: an interrupted training would "
                "restart from the beginning"
            )
            yield Finding(
                parameter="save_every",
                message=message,
                hint=f"set save_every: {max(1, iters // 4)}",
            )


def _own_keys(view: View) -> list[str]:
    """Return the keys a stage says about its training."""
    trainer = view.stage.trainer
    keys = {"keep": trainer.get("keep") == "best", "watch": bool(watch_data(trainer))}
    return [key for key, there in {**keys, "continue": view.stage.continues}.items() if there]


def _nearest_multiple(count: int, step: int) -> int:
    return max(step, step * round(count / step))
