"""Why a value is what it is: for every parameter the place that won and the places that lost."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from runner.core.catalog import Tool
from runner.core.check import Path, dotted
from runner.core.draft import Draft
from runner.core.plan import Stage
from runner.core.tree import Node, locate


@dataclass(frozen=True, slots=True)
class Origin:
    """One value of one stage: who said it, and who was overruled, the nearest first."""

    stage: str
    parameter: str
    value: Any
    winner: str
    losers: tuple[str, ...]
    is_default: bool


def origins(stage: Stage, draft: Draft, tool: Tool) -> Iterator[Origin]:
    """Yield where each value of a stage comes from, leaf by leaf, in catalogue order."""
    for name in tool.parameters:
        yield from _leaf(stage, draft, tool, (name,), stage.params[name])


def _leaf(stage: Stage, draft: Draft, tool: Tool, path: Path, value: Any) -> Iterator[Origin]:
    if isinstance(value, dict) and value:
        for key, child in value.items():
            yield from _leaf(stage, draft, tool, (*path, key), child)
        return
    node = _exact(draft.given, path)
    default = _default(tool, path)
    name = dotted(path)
    last = () if default is _NOTHING else (f"{tool.name} default {_shown(default)}",)
    if node is None:
        placed = value != default and len(path) == 1
        winner = "placed in the run directory" if placed else (last or ("its default",))[0]
        yield Origin(stage.name, name, value, winner, last if placed else (), not placed)
        return
    losers = tuple(_said(loser) for loser in node.losers() if loser.tag != "reset")
    yield Origin(stage.name, name, value, _said(node), (*losers, *last), is_default=False)


_NOTHING = object()


def _exact(node: Node, path: Path) -> Node | None:
    found = locate(node, path)
    parent = locate(node, path[:-1])
    return found if found is not parent else None


def _default(tool: Tool, path: Path) -> Any:
    value: Any = tool.defaults
    for step in path:
        try:
            value = value[step]
        except (KeyError, TypeError):
            return _NOTHING
    return value


def _said(node: Node) -> str:
    template = isinstance(node.value, str) and "{{" in node.value
    return f"{node.mark} {node.value}" if template else str(node.mark)


def _shown(value: Any) -> str:
    words = {None: "null", True: "true", False: "false"}
    if value is None or isinstance(value, bool):
        return words[value]
    return str(value)
