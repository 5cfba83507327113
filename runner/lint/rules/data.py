"""Rows: too few for a batch, never read, or in a format the stage cannot use."""

from collections.abc import Iterator
from fractions import Fraction
from typing import TYPE_CHECKING

from runner.base.problems import listing, plural
from runner.data.replay import ShareError, nearest, replay_rows
from runner.lint.facts import DataSet, Finding
from runner.lint.lineage import data_at, data_of, layout, model_at
from runner.lint.rule import View, rule

if TYPE_CHECKING:
    from runner.data.rows import Features

_FEATURES = ("prompt_feature", "completion_feature", "text_feature", "chat_feature")


@rule("error", "T67", "T69")
def split_missing(view: View) -> Iterator[Finding]:
    """A split that the stage needs is missing or empty.

    Training reads train.jsonl and testing test.jsonl. An empty file of any split makes mlx-lm fail
    with an IndexError that does not name it.
    """
    data = data_of(view)
    if data:
        for split in _required_splits(view):
            if split not in data.rows:
                message = f"'{data.path}' has no {split}.jsonl: mlx-lm would fail"
                yield Finding(
                    parameter="data", message=message, hint=_stray(data) or f"add {split}.jsonl"
                )
        for split, rows in data.rows.items():
            if not rows:
                message = f"{split}.jsonl of '{data.path}' is empty: mlx-lm would fail"
                yield Finding(
                    parameter="data", message=message, hint="add rows, or delete the file"
                )


@rule("error", "T69")
def batch_larger_than_data(view: View) -> Iterator[Finding]:
    """A split with fewer rows than a batch makes mlx-lm fail.

    For train and valid at the first iteration; for test after the whole training.
    """
    data, batch = data_of(view), view.params["batch_size"]
    if data:
        for split in (*_required_splits(view), *(["valid"] if view.trains else [])):
            rows = data.rows.get(split, 0)
            if 0 < rows < batch:
                late = view.trains and split == "test"
                when = "after the training" if late else "at once"
                has = f"{plural(rows, 'row')} and a batch size of {batch}"
                message = f"{split} has {has}: mlx-lm would fail {when}"
                yield Finding(
                    parameter="batch_size",
                    message=message,
                    hint=f"use a batch_size of at most {rows}",
                )


@rule("warning", "T63")
def rows_never_trained(view: View) -> Iterator[Finding]:
    """Rows beyond the last full batch are never trained, in any epoch.

    mlx-lm splits the rows into the same batches every time, and leaves out the rest.
    """
    data, batch = data_of(view), view.params["batch_size"]
    rows = data.rows.get("train", 0) if data else 0
    rest = rows % batch
    if view.trains and rest and rows > batch:
        message = (
            f"{rest} of {rows} rows would never be trained: they do not fill a batch of {batch}"
        )
        fits = [size for size in range(1, 2 * batch) if rows % size == 0]
        near = min(fits, key=lambda size: abs(size - batch))
        hint = f"use a batch_size of {near}, or add {plural(batch - rest, 'row')}"
        yield Finding(parameter="batch_size", message=message, hint=hint)


@rule("error")
def replay_share_not_exact(view: View) -> Iterator[Finding]:
    """A replay share that the rows cannot reach, or that needs more rows than exist.

    data.mix uses whole rows and keeps the exact share, so it would fail when it runs, after all
    earlier stages. Follow the hint.
    """
    params = view.params
    primary, replay = data_at(view, params["primary"]), data_at(view, params["replay"])
    ours = primary.rows.get("train", 0) if primary else 0
    if not ours:
        return
    # Under weight_by some of the replay rows may have no weight at all.
    uniform = replay is not None and params["weight_by"] is None
    share, tolerance = (Fraction(str(params[name])) for name in ("ratio", "tolerance"))
    available = replay.rows.get("train", 0) if replay and uniform else nearest(ours, share)
    try:
        replay_rows(ours, available, share, tolerance)
    except ShareError as error:
        yield Finding(parameter="ratio", message=str(error), hint=error.hint)


@rule("warning", "T68")
def no_validation_rows(view: View) -> Iterator[Finding]:
    """Training without valid.jsonl: no validation loss is measured.

    mlx-lm prints a warning and continues. The file must be named valid.jsonl, not val.jsonl or
    validation.jsonl.
    """
    data = data_of(view)
    if view.trains and data and data.rows and "valid" not in data.rows:
        message = f"'{data.path}' has no valid.jsonl: there would be no validation"
        yield Finding(parameter="data", message=message, hint=_stray(data) or "add valid.jsonl")


@rule("error", "T73")
def mask_prompt_without_prompt(view: View) -> Iterator[Finding]:
    """mask_prompt with rows of plain text makes mlx-lm fail: they have no prompt to mask.

    The same is true of a test.jsonl of text, even if the stage only trains.
    """
    data = data_of(view)
    if data and view.params["mask_prompt"]:
        plain = [split for split in data.rows if layout(data, split, view.params) == "text"]
        if plain:
            message = f"{listing(plain)} of '{data.path}' is plain text: it has no prompt"
            yield Finding(
                parameter="mask_prompt",
                message=message,
                hint="use prompt and completion rows, or remove it",
            )


@rule("warning", "T66")
def mixed_formats(view: View) -> Iterator[Finding]:
    """Splits in different formats: losses are measured on different text than is trained.

    mlx-lm detects the format of each split from its first row and accepts any combination. If a row
    has messages as well as prompt and completion, mlx-lm reads prompt and completion.
    """
    data = data_of(view)
    if data:
        formats = {split: layout(data, split, view.params) for split in data.rows}
        if len(set(formats.values()) - {""}) > 1:
            text = ", ".join(f"{split} is {name}" for split, name in formats.items() if name)
            message = f"the splits of '{data.path}' have different formats: {text}"
            yield Finding(
                parameter="data", message=message, hint="write all splits in the same format"
            )


@rule("error", "T66")
def format_unknown(view: View) -> Iterator[Finding]:
    """Rows in a format that mlx-lm does not know: it fails when it reads the file.

    A row needs prompt and completion, or messages, or text, under these names or those set by
    prompt_feature, completion_feature, chat_feature and text_feature.
    """
    data = data_of(view)
    if data:
        for split, keys in data.keys.items():
            if not layout(data, split, view.params):
                message = f"{split}.jsonl of '{data.path}' has rows of {listing(sorted(keys))}"
                yield Finding(parameter="data", message=message, hint=_readable(view, data, split))


def _readable(view: View, data: DataSet, split: str) -> str:
    """Return the way out of rows without a format: one that the model can be trained on."""
    from runner.data.rows import shapes  # most recipes have rows of a format

    row, features = data.shapes.get(split, {}), _features(view)
    if shapes.share_gpt(row) and model_at(view, view.params["model"]).chat_template is False:
        return shapes.as_text(data.path, features)
    way_out = shapes.way_out(data.path, row, features)
    return (
        way_out or "write prompt and completion, messages or text, or name your keys with *_feature"
    )


def _features(view: View) -> "Features":
    from runner.data.rows import Features  # as above

    return Features(**{name.removesuffix("_feature"): view.params[name] for name in _FEATURES})


@rule("error", "T79")
def no_chat_template(view: View) -> Iterator[Finding]:
    """Rows of messages or prompts make mlx-lm fail if the model has no chat template.

    It fails only at the first batch. Use an instruct model, or rows of text: ``run-recipe data
    format --to text`` writes them.
    """
    data = data_of(view)
    facts = model_at(view, view.params["model"])
    if data and facts.chat_template is False:
        for split in _required_splits(view):
            if layout(data, split, view.params) in {"chat", "completions"}:
                why = facts.no_template or "the model has no chat template"
                message = f"{why}, and {split} needs one"
                from runner.data.rows.shapes import as_text  # as above

                way = as_text(data.path, _features(view))
                yield Finding(
                    parameter="data", message=message, hint=f"use an instruct model, or {way}"
                )
                return


@rule("note", general=True)
def not_looked_at(view: View) -> Iterator[Finding]:
    """Rows and prompts that could not be checked before the run.

    A chat template rejects some rows, such as those with roles it does not know or in another
    order. Before anything runs, each row is rendered with the template, if the model's tokenizer is
    on this disk or in the hub's cache. Where the tokenizer or the rows are not here, this rule
    reports that they were not checked.
    """
    yield from view.facts.gaps.get(view.stage.name, ())


@rule("error", general=True)
def prompt_refused_by_template(view: View) -> Iterator[Finding]:
    """A prompt or system prompt that the model's chat template rejects.

    The tool would fail after loading the model.
    """
    yield from view.facts.template_refusals.get(view.stage.name, ())


@rule("error", general=True)
def tool_would_stop(view: View) -> Iterator[Finding]:
    """Parameters or rows that one of run-recipe's own tools would reject when it runs.

    The tool itself checks its parameters before anything runs. It also checks its rows if they are
    on this disk and no earlier stage creates them; otherwise ``not-looked-at`` reports that they
    are unknown. Follow the message.
    """
    yield from view.facts.tool_refusals.get(view.stage.name, ())


@rule("warning", "T77")
def validates_on_random_rows(view: View) -> Iterator[Finding]:
    """An expectation on a validation loss that is measured on different rows each time.

    With val_batches below the number of batches, each validation draws a random subset. Set
    ``val_batches: -1`` to use all of them.
    """
    data = data_of(view)
    batches = view.params["val_batches"]
    rows = data.rows.get("valid") if data else None
    enough = batches == -1 or (rows is not None and batches * view.params["batch_size"] >= rows)
    if view.trains and not enough:
        for metric, stage in view.plan.expected_metrics.get(view.stage.name, ()):
            if metric in {"val_loss", "best_val_loss"}:
                sample = "one batch" if batches == 1 else f"{batches} batches"
                message = (
                    f"stage '{stage}' checks {metric}, which is measured on {sample} drawn again "
                    "each time"
                )
                yield Finding(parameter="val_batches", message=message, hint="set val_batches: -1")


@rule("error", "T75")
def hf_dataset_without_test_split(view: View) -> Iterator[Finding]:
    """Testing on an hf_dataset without test_split makes mlx-lm fail when it reads the data.

    Set one in every entry, such as ``test_split: test`` or ``test_split: "train[-5%:]"``.
    """
    entries = _entries(view)
    if view.params["test"] and any(entry.get("test_split") is None for entry in entries):
        message = "the stage tests, but hf_dataset has no test_split: mlx-lm would fail"
        yield Finding(
            parameter="hf_dataset",
            message=message,
            hint='set test_split, for example "train[-5%:]"',
        )


@rule("error", "T75")
def hf_dataset_ignores_features(view: View) -> Iterator[Finding]:
    """prompt_feature and the other feature parameters are not read with an hf_dataset.

    mlx-lm then reads them from the entry of the data set. Write them inside hf_dataset.
    """
    names = [name for name in _FEATURES if name in view.explicit]
    if _entries(view) and names:
        message = f"{listing(names)} would be ignored with hf_dataset"
        yield Finding(
            parameter=names[0], message=message, hint="write it inside the hf_dataset entry"
        )


@rule("error", "T27")
def project_name_not_read(view: View) -> Iterator[Finding]:
    """A project_name without report_to has no effect.

    mlx-lm reads it only to report to a service.
    """
    if view.params["project_name"] is not None and view.params["report_to"] is None:
        message = "project_name would be ignored: it needs report_to"
        yield Finding(
            parameter="project_name",
            message=message,
            hint="set report_to: wandb or swanlab, or remove it",
        )


def _required_splits(view: View) -> list[str]:
    """Return the splits a stage cannot do without."""
    return ["train"] * view.trains + ["test"] * bool(view.params["test"])


def _stray(data: DataSet) -> str:
    return f"mlx-lm does not read {listing(data.others)}: rename it" if data.others else ""


def _entries(view: View) -> list[dict[str, object]]:
    entries = view.params["hf_dataset"]
    if not entries:
        return []
    return entries if isinstance(entries, list) else [entries]
