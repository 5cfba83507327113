"""The files a plan names, as values for the rules: adapters, data sets, models; nothing raises."""

import json
from collections.abc import Collection, Iterator
from functools import lru_cache
from pathlib import Path
from typing import Any

from runner.base.constants import BUILTIN, RUN_DIR
from runner.catalog import load
from runner.catalog.tools import Catalog, Tool
from runner.lint.facts import Adapter, DataSet, DiskFacts, ModelFacts, Moving
from runner.lint.lineage import data_behind
from runner.lint.read_adapter import read_adapter
from runner.lint.read_model import CONFIG, read_model
from runner.plan.budget import Counted
from runner.plan.hub_names import MODEL, hub_names, is_hub_name
from runner.plan.hub_names import split as name_parts
from runner.plan.inputs import readings
from runner.plan.model import Plan, Stage
from runner.recipe.lock_file import COMMIT
from runner.system import files, machine, reader
from runner.system.hub import snapshot

Json = dict[str, Any]
HUB = "huggingface-hub"
SPLITS = ("train", "valid", "test")


def look(plan: Plan, hub: Path | None = None) -> DiskFacts:
    """Return what is on disk of the paths a plan names; `hub` is the hub's cache of models."""
    adapters: dict[str, Adapter] = {}
    data: dict[str, DataSet] = {}
    models: dict[str, ModelFacts] = {}
    absent: set[str] = set()
    beside: set[str] = set()
    existing: set[str] = set()
    unreachable: dict[str, str] = {}
    catalog = load.catalog(plan.tools)
    commits = plan.model_commits
    for stage in plan.stages:
        for kind, path in reads(stage, catalog):
            folder = folder_of(commits.get(path, path), hub) if kind == "model" else Path(path)
            if not _there(path):
                absent.add(path)
                beside |= {path} if "/" in path and _there(str(Path(path).parent)) else set()
            if kind in {"adapter", "file"} and (adapter := read_adapter(path)):
                adapters[path] = adapter
            elif kind == "data" and path not in data and (rows := read_data(path)):
                data[path] = rows
            elif kind == "model" and folder and path not in models:
                facts = read_model(path, folder)
                models |= {path: facts} if facts else {}
        writes = [*_writes(stage, catalog.get(stage.tool))]
        existing |= {path for path in writes if _holds_files(path)}
        unreachable |= {path: why for path in writes if (why := _unreachable(path, plan))}
    tools = filter(None, (catalog.get(stage.tool) for stage in plan.stages))
    names = {HUB, *(tool.distribution for tool in tools if tool.distribution)}
    packages = {name: version for name in sorted(names) if (version := machine.installed(name))}
    return DiskFacts(
        adapters=adapters,
        data=data,
        models=models,
        absent=frozenset(absent),
        existing=frozenset(existing),
        packages=packages,
        beside=frozenset(beside),
        unreachable=unreachable,
        moving=tuple(_moving(plan, catalog, beside)),
    )


def _moving(plan: Plan, catalog: Catalog, beside: Collection[str]) -> Iterator[Moving]:
    """Yield each name of the hub that nothing pins, once; none of a shipped recipe.

    What a shipped recipe trains on is for whoever extends it to lock. A name in a folder that is
    here is more likely a path.
    """
    shipped = files.shipped("recipes").resolve()
    if plan.file.startswith(BUILTIN) or Path(plan.file).resolve().is_relative_to(shipped):
        return
    names: set[str] = set()
    for stage in plan.stages:
        tool = catalog.get(stage.tool)
        commits = {one.name for one in stage.pins if one.commit}
        said = [(one.parameter, one.name) for one in hub_names(tool, stage.params)] if tool else []
        lockable = {name for _, name in said}
        said += [
            (one.parameter, one.path) for one in readings(stage, catalog) if one.kind == "data"
        ]
        for parameter, name in said:
            own = plan.maker(name, stage) is not None or _there(name) or name in beside
            if name in commits | names or own or not is_hub_name(name):
                continue
            names.add(name)
            yield Moving(
                stage=stage.name, parameter=parameter, name=name, lockable=name in lockable
            )


def models(plan: Plan, hub: Path | None = None) -> dict[str, ModelFacts]:
    """Return what is on disk of the models a plan reads; rows are not counted for it."""
    catalog = load.catalog(plan.tools)
    named = (one for stage in plan.stages for one in reads(stage, catalog))
    paths = {path for kind, path in named if kind == "model"}
    by_path = {}
    commits = plan.model_commits
    for path in paths:
        folder = folder_of(commits.get(path, path), hub)
        facts = read_model(path, folder) if folder else None
        if facts is not None:
            by_path[path] = facts
    return by_path


def folder_of(model: str, hub: Path | None) -> Path | None:
    """Return the folder of a model on this disk, or in the hub's cache; None for neither."""
    return Path(model) if _there(model) else _cache_folder(model, hub)


def config(model: str, hub: Path | None) -> Json | None:
    """Return the config.json of a model on this disk or in the hub's cache, None without one."""
    folder = folder_of(model, hub)
    try:
        return reader.read_object(folder / CONFIG, reader.CONFIG) if folder else None
    except (OSError, reader.NotJsonError):
        return None


def reads(stage: Stage, catalog: Catalog, *, inside: bool = False) -> Iterator[tuple[str, str]]:
    """Yield kind and path of what a stage reads; paths `inside` the run only if requested."""
    for one in readings(stage, catalog):
        if inside or RUN_DIR not in one.path:
            yield one.kind, one.path


def read_data(path: str) -> DataSet | None:
    """Return rows and the first row's keys of each split of a data folder.

    Nothing is known of a split that cannot be read, or contains a table or an array instead of
    rows; the check of its rows reports that.
    """
    folder = Path(path)
    if not files.is_folder(folder):
        return None
    rows: dict[str, int] = {}
    keys: dict[str, frozenset[str]] = {}
    sizes: dict[str, int] = {}
    shapes: dict[str, dict[str, Any]] = {}
    for split in SPLITS:
        file = folder / f"{split}.jsonl"
        if not _there(str(file)) or files.is_folder(file):
            continue
        counts = _count(file)
        if counts is None:
            return None
        rows[split], sizes[split], first = counts
        if first is not None:
            keys[split], shapes[split] = frozenset(first), first
        elif _foreign(file):
            return None
    others = sorted(file.name for file in folder.glob("*.jsonl") if file.stem not in SPLITS)
    return DataSet(
        path=path, rows=rows, keys=keys, others=tuple(others), sizes=sizes, shapes=shapes
    )


def count_rows(data: str, makers: Plan) -> Counted:
    """Return the rows that a training of a data set reads, those that stages make among them."""
    catalog = load.catalog(makers.tools)
    known = data_behind(data, makers.maker, read_data, catalog) if data else None
    absent = bool(data) and RUN_DIR not in data and not _there(data)
    return Counted(data=data, rows=known.rows.get("train") if known else None, absent=absent)


def _foreign(file: Path) -> bool:
    """Return whether a file whose first line is no object is none of rows."""
    from runner.data.rows import HEAD, foreign  # most files are of rows

    with reader.open_file(file) as stream:
        return foreign(stream.read(HEAD), str(file)) is not None


def _count(file: Path) -> tuple[int, int, dict[str, Any] | None] | None:
    """Return a file's rows, its bytes, the shape of its first row; None where it cannot be read."""
    try:
        status = file.stat()
        return _count_once(file, status.st_size, status.st_ino, status.st_mtime_ns)
    except OSError:
        return None


@lru_cache(maxsize=64)
def _count_once(file: Path, *_: int) -> tuple[int, int, dict[str, Any] | None]:
    """Count a file; as long as it is the same, once for all plans that read it."""
    rows, size, first = 0, 0, b""
    with reader.open_file(file) as stream:
        for line in reader.lines(stream):
            first = first or line
            rows += 1
            size += len(line)
    try:
        row = json.loads(first)
    except (ValueError, RecursionError):
        return rows, size, None
    shape = {key: _shape(value) for key, value in row.items()} if isinstance(row, dict) else None
    return rows, size, shape


def _shape(value: Any) -> Any:
    """Return what kind of value a row has under a key, without what it says."""
    first = value[0] if isinstance(value, list) and value else None
    if isinstance(first, dict):
        return [dict.fromkeys(first, "")]
    return "" if isinstance(value, str) else None if value is None else 0


def _cache_folder(name: str, hub: Path | None) -> Path | None:
    """Return the folder of a hub model in the hub's cache, None if it is not there."""
    if hub is None or name.startswith((".", "/", "~")):
        return None
    repository, revision = name_parts(name)
    if COMMIT.match(revision):
        return snapshot(repository, MODEL, revision, hub)
    folder = snapshot(repository, MODEL, "", hub).parent
    try:
        commit = reader.read_text(folder / "refs" / (revision or "main"), reader.NOTE).strip()
    except OSError:
        return None
    return folder / "snapshots" / commit


def _writes(stage: Stage, tool: Tool | None) -> Iterator[str]:
    """Yield the paths a stage can write that the recipe names."""
    for output in tool.outputs.values() if tool else ():
        value = stage.params.get(output.param) if output.param else None
        if isinstance(value, str) and value and RUN_DIR not in value:
            yield value


def _unreachable(path: str, plan: Plan) -> str:
    """Return why no file can be made at a path, '' if one can."""
    words = path.split("/")
    for at, word in enumerate(words[1:], 1):
        above = "/".join(words[:at])
        if not above or plan.maker(above) is not None:
            continue
        if not _there(above):
            if word == "..":
                return f"'{above}', which the path goes through, does not exist"
        elif not files.is_folder(Path(above)):
            return f"'{above}' is not a folder"
    return ""


def _there(path: str) -> bool:
    return files.is_there(Path(path))


def _holds_files(path: str) -> bool:
    """Return whether there is a file, or a folder with something in it."""
    try:
        return Path(path).is_file() or any(Path(path).iterdir())
    except (OSError, ValueError):
        return False
