"""Paths: taken letter by letter, missing, or already in use."""

import posixpath
import re
from collections.abc import Iterator

from runner.base.constants import RUN_DIR
from runner.base.patterns import pattern
from runner.lint.facts import Finding
from runner.lint.lineage import adapter_at, sensitivities_stage
from runner.lint.rule import View, rule

_SHELL = pattern(r"^~[\w.+-]*(?:/|\Z)|\$(?:\{?[A-Za-z_]|\()|`[^`]+`")
_HERE = pattern(r"^(?:\$\(\s*pwd\s*\)|`\s*pwd\s*`|\$\{?PWD\}?)/+(?=.)")
_COMMAND = pattern(r"\$\(|`")
_VARIABLE = pattern(r"\$(?:\{([A-Za-z_]\w*)(?::?-([^{}'\"$]*))?\}|([A-Za-z_]\w*))")
_HUB_ID = 1
_MODEL = "mlx-community/OLMo-2-0425-1B-Instruct-4bit"
_HUB_DATA = "a data set of the hub is OWNER/NAME"


@rule("error", "T22", general=True)
def path_not_expanded(view: View) -> Iterator[Finding]:
    """A path with ~, $NAME or $(COMMAND) in it: mlx-lm takes the signs as they are.

    It would make a folder named ``~`` in the working directory. Write
    ``{{ env('HOME') }}/…``, or a path relative to the recipe with ``{{ recipe.dir }}``.
    """
    paths = [(one.parameter, one.path) for one in view.inputs]
    outputs = {one.param for one in view.tool.outputs.values() if one.param}
    paths += [(name, view.params[name]) for name in sorted(outputs)]
    for name, path in dict.fromkeys(one for one in paths if isinstance(one[1], str)):
        if _SHELL.search(path.replace(RUN_DIR, "")):
            message = (
                f"'{path}' would be taken letter by letter: nothing fills in {_shell_part(path)}"
            )
            yield Finding(parameter=name, message=message, hint=_spelling(path))


def _shell_part(path: str) -> str:
    """Return what a shell would do with a path's signs."""
    return "what a command prints" if _COMMAND.search(path) else "~ or $NAME"


def _spelling(path: str) -> str:
    """Return how a recipe says a path that was meant for a shell, '' where it cannot be said."""
    spelling = _expand(path)
    if not _SHELL.search(spelling):
        return f"write {spelling}"
    if _COMMAND.search(path):
        return "write out what the command prints, or give it in a variable: {{ env('NAME') }}"
    if spelling.startswith("~"):
        return f"write out whose folder that is; a folder of that name here is ./{path}"
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

    Leave adapter_path out: the runner gives every stage a folder of its own.
    """
    if view.trains and not view.params["adapter_path"]:
        message = "the adapter would be written into the working directory"
        yield Finding(parameter="adapter_path", message=message, hint="leave adapter_path out")


@rule("error", "T23", general=True)
def path_not_there(view: View) -> Iterator[Finding]:
    """A local path that does not exist is taken for the name of a hub repository.

    The error is then about the hub, or about a package for data sets, and not about the path.
    """
    outputs = {output.param for output in view.tool.outputs.values()}
    for one in view.inputs:
        name, kind, path = one.parameter, one.kind, one.path
        has_maker = view.maker(path) or sensitivities_stage(view, path) or path.startswith(RUN_DIR)
        makes = kind == "cache" and name in outputs  # made where it is not there
        if path in view.facts.absent and not (has_maker or makes) and _local(kind, path):
            yield Finding(
                parameter=name, message=f"there is no '{path}'", hint=_way_out(view, kind)
            )


@rule("error", "T23")
def data_is_a_file(view: View) -> Iterator[Finding]:
    """A data set named by one of its files: mlx-lm wants the folder that holds them.

    It would stop at the file, after the model is loaded. Name the folder of train.jsonl and its
    companions.
    """
    path = view.params["data"]
    if path.endswith((".jsonl", ".json", ".csv", ".parquet")) and not view.params["hf_dataset"]:
        message = f"'{path}' is a file, and data is the folder of train.jsonl and valid.jsonl"
        yield Finding(
            parameter="data", message=message, hint=f"say {posixpath.dirname(path) or '.'}"
        )


@rule("warning", "T23", general=True)
def name_not_there(view: View) -> Iterator[Finding]:
    """A name that is no folder here: mlx-lm would look for it on the hub.

    It is one without a slash, or one whose folder is here: ``data/rows`` where there is a ``data``.
    The error is then about the hub, or about a package for data sets. Make the folder, run where it
    is, or write OWNER/NAME if the hub is meant. Before a stage runs it is an error for its rows.
    """
    offline = view.tool.own and any(view.tool.makes("data"))  # it knows no hub
    rows = view.tool.trains is not None or offline
    for one in view.inputs:
        kind, path = one.kind, one.path
        if kind == "dataset":  # what 'datasets' loads is called by one word, too
            continue
        here = "/" not in path or path in view.facts.beside
        if path in view.facts.absent and here and not _local(kind, path) and not view.maker(path):
            message = f"there is no folder '{path}' here; mlx-lm would look for it on the hub"
            stops = rows and kind == "data" and view.stage.name in view.facts.starting
            if offline:
                message = f"there is no '{path}' here, neither a folder nor a file of rows"
            yield Finding(
                parameter=one.parameter, message=message, hint=_way_out(view, kind), stops=stops
            )


@rule("error", general=True)
def output_unreachable(view: View) -> Iterator[Finding]:
    """An output below a file, or by way of a folder that is not there.

    Folders that are missing are made, but nothing can be made inside a file, and ``absent/../out``
    leads nowhere as long as there is no ``absent``. Write the path without the detour, or leave it
    out: the runner gives every stage of every run a folder of its own.
    """
    for output in view.tool.outputs.values():
        path = view.params.get(output.param) if output.param else None
        why = view.facts.unreachable.get(path) if isinstance(path, str) else None
        if output.param and why:
            straight = posixpath.normpath(str(path))
            hint = f"write {straight}" if "/../" in f"{path}/" else "name another folder"
            yield Finding(
                parameter=output.param,
                message=f"nothing can be written to '{path}': {why}",
                hint=hint,
            )


@rule("warning", "T58")
def adapter_path_in_use(view: View) -> Iterator[Finding]:
    """A training into a folder that holds an adapter already overwrites it.

    Numbered checkpoints of the old training stay beside the new ones, and after a failure the old
    weights stand beside the new adapter_config.json. Leave adapter_path out: the runner gives
    every stage of every run a folder of its own. Or delete or move what is there.
    """
    path = view.params["adapter_path"]
    if view.trains and path in view.facts.existing:
        adapter = adapter_at(view, path)
        what = "an adapter" if adapter else "files"
        message = f"'{path}' holds {what} already, which would be overwritten or mixed"
        yield Finding(parameter="adapter_path", message=message, hint=_free_hint("adapter_path"))


@rule("warning", "T81", "T88")
def model_folder_in_use(view: View) -> Iterator[Finding]:
    """A model written to a folder that has files in it already.

    mlx_lm.convert refuses. The others write beside what is there, and whoever loads the model
    loads the weight files of the old one too. Delete or move the folder, or leave the path out: the
    runner gives every stage of every run a folder of its own. A run refuses to start; check only
    warns, since the recipe is sound and the next machine may have no such folder.
    """
    output = view.stage.outputs.get("model")
    if output in view.facts.existing:
        parameter = view.tool.outputs["model"].param or "model"
        then = "old weights could be loaded with the new ones"
        if view.tool.outputs["model"].new:
            then = f"{view.tool.name} would stop"
        message = f"'{output}' is there already: {then}"
        stops = view.stage.name in view.facts.starting
        yield Finding(parameter=parameter, message=message, hint=_free_hint(parameter), stops=stops)


def _free_hint(parameter: str) -> str:
    return f"delete or move it, or leave {parameter} out: each run then has its own place"


def _way_out(view: View, kind: str) -> str:
    """Return what to do about a path that is not there: where it is looked for, what goes there."""
    where = "paths are relative to the working directory; {{ recipe.dir }} is the recipe's"
    if kind == "model":
        return f"on the hub a model is OWNER/NAME, such as {_MODEL}; {where}"
    if kind != "data" or not view.tool.reads_rows:
        return where
    splits = {"train": "train", "valid": "train", "test": "test"}  # read where this is true
    files = [f"{split}.jsonl" for split, when in splits.items() if view.params[when]]
    turns = ", ".join(f'{{"role": "{role}", "content": "…"}}' for role in ("user", "assistant"))
    row = f'{{"{view.params["chat_feature"]}": [{turns}]}}'
    return f"rows go into its {' and '.join(files)}, one a line: {row}; {_HUB_DATA}; {where}"


def _local(kind: str, path: str) -> bool:
    """Say whether a path cannot be a hub id: only models and data come from the hub."""
    plain = path.startswith((".", "/", "~")) or path.endswith("/")
    return kind not in {"model", "data", "dataset"} or plain or path.count("/") > _HUB_ID


@rule("error", "T21b", general=True)
def two_dashes(view: View) -> Iterator[Finding]:
    """A value that is just ``--``: before Python 3.13 argparse reads ``--flag=--`` as nothing.

    The command would run with an empty list in its place. Choose another text.
    """
    for name, parameter in view.tool.parameters.items():
        value = view.params[name]
        if parameter.flag and "--" in (value if isinstance(value, list) else [value]):
            message = f"{name} is '--', which argparse loses on the way before Python 3.13"
            yield Finding(parameter=name, message=message, hint="choose another text")
