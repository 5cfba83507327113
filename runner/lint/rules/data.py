"""Rows: too few for a batch, never read, or in a format a stage cannot use."""

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
    """A split that the stage needs is not there, or has no row.

    Training reads train.jsonl and testing test.jsonl. An empty file of any split stops mlx-lm with
    an IndexError that does not name it.
    """
    data = data_of(view)
    if data:
        for split in _required_splits(view):
            if split not in data.rows:
                message = f"'{data.path}' has no {split}.jsonl: mlx-lm would stop"
                yield Finding(
                    parameter="data", message=message, hint=_stray(data) or f"add {split}.jsonl"
                )
        for split, rows in data.rows.items():
            if not rows:
                message = f"{split}.jsonl of '{data.path}' is empty: mlx-lm would stop"
                yield Finding(
                    parameter="data", message=message, hint="add rows, or delete the file"
                )


@rule("error", "T69")
def batch_larger_than_data(view: View) -> Iterator[Finding]:
    """A split with fewer rows than a batch stops mlx-lm.

    For train and valid at the first iteration; for test after the whole training.
    """
    data, batch = data_of(view), view.params["batch_size"]
    if data:
        for split in (*_required_splits(view), *(["valid"] if view.trains else [])):
            rows = data.rows.get(split, 0)
            if 0 < rows < batch:
                late = view.trains and split == "test"
                when = "after the training" if late else "at once"
                has = f"{plural(rows, 'row')} and a batch {batch}"
                message = f"{split} has {has}: mlx-lm would stop {when}"
                yield Finding(
                    parameter="batch_size",
                    message=message,
                    hint=f"use a batch_size of at most {rows}",
                )


@rule("warning", "T63")
def rows_never_trained(view: View) -> Iterator[Finding]:
    """Rows beyond the last full batch are never trained, in no epoch.

    mlx-lm cuts the rows into batches once, always the same ones, and leaves the rest out.
    """
    data, batch = data_of(view), view.params["batch_size"]
    rows = data.rows.get("train", 0) if data else 0
    rest = rows % batch
    if view.trains and rest and rows > batch:
        message = f"{rest} of {rows} rows would never be trained: batches of {batch} leave them out"
        fits = [size for size in range(1, 2 * batch) if rows % size == 0]
        near = min(fits, key=lambda size: abs(size - batch))
        hint = f"use a batch_size of {near}, or add {plural(batch - rest, 'row')}"
        yield Finding(parameter="batch_size", message=message, hint=hint)


@rule("error")
def replay_share_not_exact(view: View) -> Iterator[Finding]:
    """A replay share that the rows cannot have, or that needs more rows than there are.

    data.mix takes whole rows and keeps to the share, so it would refuse when its turn comes, after
    all stages before it. Choose what the hint says.
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
    """Training without valid.jsonl: no validation loss is ever measured.

    mlx-lm prints a warning and goes on. The file must be called valid.jsonl, not val.jsonl or
    validation.jsonl.
    """
    data = data_of(view)
    if view.trains and data and data.rows and "valid" not in data.rows:
        message = f"'{data.path}' has no valid.jsonl: nothing would be validated"
        yield Finding(parameter="data", message=message, hint=_stray(data) or "add valid.jsonl")


@rule("error", "T73")
def mask_prompt_without_prompt(view: View) -> Iterator[Finding]:
    """mask_prompt with rows of plain text stops mlx-lm: they have no prompt to leave out.

    That holds for a test.jsonl of text too, even if the stage only trains.
    """
    data = data_of(view)
    if data and view.params["mask_prompt"]:
        plain = [split for split in data.rows if layout(data, split, view.params) == "text"]
        if plain:
            message = f"{listing(plain)} of '{data.path}' is plain text: it has no prompt"
            yield Finding(
                parameter="mask_prompt",
                message=message,
                hint="use prompt and completion, or leave it out",
            )


@rule("warning", "T66")
def mixed_formats(view: View) -> Iterator[Finding]:
    """Splits in different formats: losses are measured on other texts than are trained.

    mlx-lm decides the format of each split by its first row and takes any combination. A row with
    both prompt and completion and messages is read by its prompt and completion.
    """
    data = data_of(view)
    if data:
        formats = {split: layout(data, split, view.params) for split in data.rows}
        if len(set(formats.values()) - {""}) > 1:
            text = ", ".join(f"{split} is {name}" for split, name in formats.items() if name)
            message = f"the splits of '{data.path}' have different formats: {text}"
            yield Finding(parameter="data", message=message, hint="write all splits in one format")


@rule("error", "T66")
def format_unknown(view: View) -> Iterator[Finding]:
    """Rows in no format that mlx-lm knows: it stops when it reads the file.

    A row needs prompt and completion, or messages, or text, under these names or those that the
    parameters prompt_feature, completion_feature, chat_feature and text_feature say.
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
    return way_out or "write prompt and completion, messages or text, or name them as *_feature"


def _features(view: View) -> "Features":
    from runner.data.rows import Features  # as above

    return Features(**{name.removesuffix("_feature"): view.params[name] for name in _FEATURES})


@rule("error", "T79")
def no_chat_template(view: View) -> Iterator[Finding]:
    """Rows of messages or prompts for a model without a chat template stop mlx-lm.

    Only the first batch shows it. Use an instruct model, or rows of text: ``run-recipe data format
    --to text`` writes them.
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
    """What a stage lets a model's chat template write, and nothing here could write beforehand.

    A template refuses rows: of roles it does not know, or in another order. Each row is written
    with it before anything runs, where the model's tokenizer is on this disk, or in the hub's
    cache. Elsewhere nothing is known of it, and this says so; so it does of rows that are not here.
    """
    yield from view.facts.gaps.get(view.stage.name, ())


@rule("error", general=True)
def prompt_refused_by_template(view: View) -> Iterator[Finding]:
    """A prompt, or a system prompt, that the model's chat template refuses.

    The tool would stop after it has loaded the model.
    """
    yield from view.facts.template_refusals.get(view.stage.name, ())


@rule("error", general=True)
def tool_would_stop(view: View) -> Iterator[Finding]:
    """What one of run-recipe's own tools would refuse when its turn comes.

    The tool is asked itself, before anything runs: of its parameters always, and of its rows where
    they are on this disk and no stage before it makes them. Where one does, nobody knows yet, and
    ``not-looked-at`` says so. Choose what the message says.
    """
    yield from view.facts.tool_refusals.get(view.stage.name, ())


@rule("warning", "T77")
def validates_on_random_rows(view: View) -> Iterator[Finding]:
    """An expectation on a validation loss that is measured on other rows every time.

    With val_batches below the number of batches, each validation draws a random subset. Say
    ``val_batches: -1`` for all of them.
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
                    f"stage '{stage}' judges {metric}, which is measured on {sample} drawn "
                    "anew every time"
                )
                yield Finding(parameter="val_batches", message=message, hint="say val_batches: -1")


@rule("error", "T75")
def hf_dataset_without_test_split(view: View) -> Iterator[Finding]:
    """Testing on an hf_dataset that names no test_split stops mlx-lm when it reads the data.

    Name one in every entry, as ``test_split: test`` or ``test_split: "train[-5%:]"``.
    """
    entries = _entries(view)
    if view.params["test"] and any(entry.get("test_split") is None for entry in entries):
        message = "the stage tests, and hf_dataset names no test_split: mlx-lm would stop"
        yield Finding(
            parameter="hf_dataset", message=message, hint='say test_split, as "train[-5%:]"'
        )


@rule("error", "T75")
def hf_dataset_ignores_features(view: View) -> Iterator[Finding]:
    """prompt_feature and its kin are not read beside an hf_dataset.

    mlx-lm reads them from the entry of the data set then. Write them inside hf_dataset.
    """
    names = [name for name in _FEATURES if name in view.explicit]
    if _entries(view) and names:
        message = f"{listing(names)} would be ignored beside hf_dataset"
        yield Finding(
            parameter=names[0], message=message, hint="write it inside the entry of hf_dataset"
        )


@rule("error", "T27")
def project_name_not_read(view: View) -> Iterator[Finding]:
    """A project_name without report_to names nothing.

    mlx-lm reads it only to report to a service.
    """
    if view.params["project_name"] is not None and view.params["report_to"] is None:
        message = "project_name would be ignored: nothing is reported without report_to"
        yield Finding(
            parameter="project_name",
            message=message,
            hint="say report_to: wandb or swanlab, or remove it",
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
