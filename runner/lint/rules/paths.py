"""Paths: used literally, missing, or already in use."""

import posixpath
import re
from collections.abc import Iterator

from runner.base import visible
from runner.base.constants import RUN_DIR
from runner.base.patterns import pattern
from runner.base.problems import listing
from runner.lint.facts import Finding
from runner.lint.lineage import adapter_at, sensitivities_stage
from runner.lint.rule import View, rule
from runner.plan.hub_names import split

_SHELL = pattern(r"^~[\w.+-]*(?:/|\Z)|\$(?:\{?[A-Za-z_]|\()|`[^`]+`")
_HERE = pattern(r"^(?:\$\(\s*pwd\s*\)|`\s*pwd\s*`|\$\{?PWD\}?)/+(?=.)")
_COMMAND = pattern(r"\$\(|`")
_VARIABLE = pattern(r"\$(?:\{([A-Za-z_]\w*)(?::?-([^{}'\"$]*))?\}|([A-Za-z_]\w*))")
_HUB_ID = 1
_MODEL = "mlx-community/OLMo-2-0425-1B-Instruct-4bit"
_HUB_DATA = "a hub data set is OWNER/NAME"


@rule("error", "T22", general=True)
def path_not_expanded(view: View) -> Iterator[Finding]:
    """A path with ~, $NAME or $(COMMAND) in it: mlx-lm uses it literally.

    It would create a folder named ``~`` in the working directory. Write
    ``{{ env('HOME') }}/…``, or a path relative to the recipe with ``{{ recipe.dir }}``.
    """
    paths = [(one.parameter, one.path) for one in view.inputs]
    outputs = {one.param for one in view.tool.outputs.values() if one.param}
    paths += [(name, view.params[name]) for name in sorted(outputs)]
    for name, path in dict.fromkeys(one for one in paths if isinstance(one[1], str)):
        if _SHELL.search(path.replace(RUN_DIR, "")):
            message = f"'{path}' would be used literally: nothing expands {_shell_part(path)}"
            yield Finding(parameter=name, message=message, hint=_spelling(path))


def _shell_part(path: str) -> str:
    """Return what a shell would do with a path's signs."""
    return "a command's output" if _COMMAND.search(path) else "~ or $NAME"


def _spelling(path: str) -> str:
    """Return how a recipe says a path that was meant for a shell, '' where it cannot be said."""
    spelling = _expand(path)
    if not _SHELL.search(spelling):
        return f"write {spelling}"
    if _COMMAND.search(path):
        return "write out the command's output, or pass it in a variable: {{ env('NAME') }}"
    if spelling.startswith("~"):
        return f"write the full path; for a folder of that name here, write ./{path}"
    return ""


def _expand(path: str) -> str:
    """Return a path whose ~, $NAME and $(pwd) are said as a recipe says them."""
    home = re.sub(r"^~(?=/|\Z)", "{{ env('HOME') }}", _HERE.sub("", path))
    return _VARIABLE.sub(_environment, home)


def _environment(match: re.Match[str]) -> str:
    """Return a variable of bash as a recipe reads it, with what stands in for it."""
    other = f", '{match[2]}'" if match[2] else ""
    return f"{{{{ env('{match[1] or match[3]}'{other}) }}}}"


@rule("error", "T22")
def adapter_path_empty(view: View) -> Iterator[Finding]:
    """A training with an empty adapter_path writes into the working directory.

    Remove adapter_path: the runner gives every stage its own folder.
    """
    if view.trains and not view.params["adapter_path"]:
        message = "the adapter would be written into the working directory"
        yield Finding(parameter="adapter_path", message=message, hint="remove adapter_path")


@rule("error", "T23", general=True)
def path_not_there(view: View) -> Iterator[Finding]:
    """A local path that does not exist is read as the name of a hub repository.

    The error is then about the hub, or about a package for data sets, not about the path.
    """
    outputs = {output.param for output in view.tool.outputs.values()}
    for one in view.inputs:
        name, kind, path = one.parameter, one.kind, one.path
        has_maker = view.maker(path) or sensitivities_stage(view, path) or path.startswith(RUN_DIR)
        makes = kind == "cache" and name in outputs  # made where it is not there
        if path in view.facts.absent and not (has_maker or makes) and _local(kind, path):
            yield Finding(
                parameter=name, message=f"'{path}' does not exist", hint=_way_out(view, kind)
            )


@rule("error", "T23")
def data_is_a_file(view: View) -> Iterator[Finding]:
    """A data set named by one of its files: mlx-lm needs the folder that holds them.

    It would fail at the file, after loading the model. Name the folder of train.jsonl and the other
    splits.
    """
    path = view.params["data"]
    named = path.endswith((".jsonl", ".json", ".csv", ".parquet"))
    if named and not view.params.get("hf_dataset"):
        message = f"'{path}' is a file, but data is the folder of train.jsonl and valid.jsonl"
        yield Finding(
            parameter="data", message=message, hint=f"write {posixpath.dirname(path) or '.'}"
        )


@rule("warning", "T23", general=True)
def name_not_there(view: View) -> Iterator[Finding]:
    """A name that is not a folder here: mlx-lm would look for it on the hub.

    The name has no slash, or its parent folder exists: ``data/rows`` where there is a ``data``. The
    error is then about the hub, or about a package for data sets. Create the folder, run where it
    is, or write OWNER/NAME for the hub. Before a run, missing rows are an error.
    """
    offline = view.tool.own and any(view.tool.makes("data"))  # it knows no hub
    rows = view.tool.trains is not None or offline
    for one in view.inputs:
        kind, path = one.kind, one.path
        if kind == "dataset":  # what 'datasets' loads is called by one word, too
            continue
        here = ("/" not in path or path in view.facts.beside) and not split(path)[1]
        if path in view.facts.absent and here and not _local(kind, path) and not view.maker(path):
            who = view.tool.name if view.tool.own else view.tool.distribution or view.tool.name
            message = f"there is no folder '{path}' here; {who} would look for it on the hub"
            stops = rows and kind == "data" and view.stage.name in view.facts.starting
            if offline:
                message = f"there is no folder and no file of rows '{path}' here"
            yield Finding(
                parameter=one.parameter, message=message, hint=_way_out(view, kind), stops=stops
            )


@rule("error", general=True)
def output_unreachable(view: View) -> Iterator[Finding]:
    """An output below a file, or through a folder that does not exist.

    Missing folders are created, but nothing can be created inside a file, and ``absent/../out``
    fails unless ``absent`` exists. Write the path without the detour, or remove it: the runner
    gives every stage of every run its own folder.
    """
    for output in view.tool.outputs.values():
        path = view.params.get(output.param) if output.param else None
        why = view.facts.unreachable.get(path) if isinstance(path, str) else None
        if output.param and why:
            straight = posixpath.normpath(str(path))
            hint = f"write {straight}" if "/../" in f"{path}/" else "name another folder"
            yield Finding(
                parameter=output.param,
                message=f"cannot write to '{path}': {why}",
                hint=hint,
            )


@rule("warning", "T58")
def adapter_path_in_use(view: View) -> Iterator[Finding]:
    """A training into a folder that already contains an adapter overwrites it.

    Numbered checkpoints of the old training stay next to the new ones, and after a failure the old
    weights are left with the new adapter_config.json. Remove adapter_path: the runner gives every
    stage of every run its own folder. Or delete or move the old folder.
    """
    path = view.params["adapter_path"]
    if view.trains and path in view.facts.existing:
        adapter = adapter_at(view, path)
        what = "an adapter" if adapter else "files"
        message = (
            f"'{path}' already contains {what}, which would be overwritten or mixed with the new "
            "one"
        )
        yield Finding(parameter="adapter_path", message=message, hint=_free_hint("adapter_path"))


@rule("warning", "T81", "T88")
def model_folder_in_use(view: View) -> Iterator[Finding]:
    """A model written to a folder that already contains files.

    mlx_lm.convert refuses. The others add their files, and loading the model then loads the weight
    files of the old one too. Delete or move the folder, or remove the path: the runner gives every
    stage of every run its own folder. A run refuses to start; check only warns, because the recipe
    is valid and another machine may have no such folder.
    """
    output = view.stage.outputs.get("model")
    if output in view.facts.existing:
        parameter = view.tool.outputs["model"].param or "model"
        then = "old weights could be loaded with the new ones"
        if view.tool.outputs["model"].new:
            then = f"{view.tool.name} would fail"
        message = f"'{output}' already exists: {then}"
        stops = view.stage.name in view.facts.starting
        yield Finding(parameter=parameter, message=message, hint=_free_hint(parameter), stops=stops)


@rule("warning", general=True)
def moving_target(view: View) -> Iterator[Finding]:
    """A model or data set of the hub that nothing pins: what it holds can change between two runs.

    A name alone is the newest commit of the main branch, and a branch or a tag can move, too. Lock
    the recipe: ``run-recipe lock RECIPE`` writes the commits, with size and digest of each file,
    into NAME.lock beside it. Or name a commit: ``org/name@COMMIT``. It is told once for a recipe.

    A data set that mlx-lm loads by ``data`` or ``data_path`` cannot be pinned: mlx-lm passes no
    revision on. Name it in ``hf_dataset``, or download its rows in a stage of hf.download.
    """
    moving = view.facts.moving
    if not moving or moving[0].stage != view.stage.name or view.facts.starting:
        return
    lockable = [one for one in moving if one.lockable]
    names = listing([one.name for one in lockable or moving], 5)
    hint = f"pin what it holds now: run-recipe lock {visible.word(view.plan.file)}"
    if not lockable:
        takes = "hf_dataset" in view.tool.parameters
        other = "name it in hf_dataset: {path: ORG/NAME}, or " if takes else ""
        hint = f"{other}download its rows in a stage of hf.download, which can be locked"
    yield Finding(
        parameter=moving[0].parameter,
        message=f"nothing pins {names}: the hub can change what it holds",
        hint=hint,
    )


def _free_hint(parameter: str) -> str:
    return f"delete or move it, or remove {parameter}: each run then uses its own folder"


def _way_out(view: View, kind: str) -> str:
    """Return what to do about a path that is not there: where it is looked for, what goes there."""
    where = "paths are relative to the working directory; {{ recipe.dir }} is the recipe's folder"
    if kind == "model":
        return f"on the hub a model is OWNER/NAME, such as {_MODEL}; {where}"
    if kind != "data" or not view.tool.reads_rows:
        return where
    splits = {"train": "train", "valid": "train", "test": "test"}  # read where this is true
    files = [f"{split}.jsonl" for split, when in splits.items() if view.params[when]]
    turns = ", ".join(f'{{"role": "{role}", "content": "…"}}' for role in ("user", "assistant"))
    row = f'{{"{view.params["chat_feature"]}": [{turns}]}}'
    return f"rows go into its {' and '.join(files)}, one per line: {row}; {_HUB_DATA}; {where}"


def _local(kind: str, path: str) -> bool:
    """Say whether a path cannot be a hub id: only models and data come from the hub."""
    plain = path.startswith((".", "/", "~")) or path.endswith("/")
    return kind not in {"model", "data", "dataset"} or plain or split(path)[0].count("/") > _HUB_ID


@rule("error", "T21b", general=True)
def two_dashes(view: View) -> Iterator[Finding]:
    """A value that is just ``--``: before Python 3.13 argparse reads ``--flag=--`` as nothing.

    The command would receive an empty list instead. Choose another text.
    """
    for name, value in view.params.items():
        is_dashes = "--" in value if isinstance(value, list) else value == "--"
        if is_dashes and view.tool.parameters[name].flag:
            message = f"{name} is '--', which argparse drops before Python 3.13"
            yield Finding(parameter=name, message=message, hint="choose another text")
