"""One YAML text in, a tree that remembers its places out.

YAML is read by the 1.2 core schema (``no`` and ``1:30`` are text, ``1e-5`` is a number), with
anchors, ``<<`` and the two tags ``!reset`` and ``!override``. PyYAML's own constructors are not
used: they are YAML 1.1, and importing mlx_lm changes them for the whole process (T25).
"""

import math
import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import yaml

from runner.core.problem import Mark, Problem

MAX_BYTES = 32 * 1024 * 1024
MAX_DEPTH = 64
SAFE_DEPTH = 5_000
MAX_NODES = 4_000_000
MAX_ALIASED = 200_000
RUN_DIR = "${RUN_DIR}"

_TAG = "tag:yaml.org,2002:"
_INT = re.compile(r"[-+]?[0-9]+\Z|0o[0-7]+\Z|0x[0-9a-fA-F]+\Z")
_FLOAT = re.compile(r"[-+]?(?:\.[0-9]+|[0-9]+(?:\.[0-9]*)?)(?:[eE][-+]?[0-9]+)?\Z")
_WORDS = {
    **dict.fromkeys(("", "~", "null", "Null", "NULL"), None),
    **dict.fromkeys(("true", "True", "TRUE"), True),
    **dict.fromkeys(("false", "False", "FALSE"), False),
    **dict.fromkeys((".inf", ".Inf", ".INF", "+.inf", "+.Inf", "+.INF"), math.inf),
    **dict.fromkeys(("-.inf", "-.Inf", "-.INF"), -math.inf),
    **dict.fromkeys((".nan", ".NaN", ".NAN"), math.nan),
}
_TAGS = {"!reset": "reset", "!override": "override"}
_KINDS = {"str": str, "int": int, "float": float, "bool": bool, "null": type(None)}
_ADVICE = (
    ("cannot start any token", "YAML indents with spaces, never with tabs"),
    ("mapping values are not allowed", "text that holds ': ' needs quotes"),
    ("found undefined alias", "an anchor (&name) must stand before its alias (*name)"),
    ("could not find expected ':'", "is a ':' missing, or a quote left open above?"),
    ("while scanning a quoted scalar", "a quote is opened and never closed"),
)


@dataclass(slots=True)
class Node:
    """A value and its place; never changed once made.

    `value` is a dict of Nodes, a list of Nodes, or a scalar; `key` the place of its key;
    `over` what this value replaced, so that the chain names every loser.
    """

    value: Any
    file: str
    line: int
    column: int
    key: tuple[int, int] | None = None
    tag: str = ""
    over: "Node | None" = None

    @property
    def mark(self) -> Mark:
        """The place of the value."""
        return Mark(self.file, self.line, self.column)

    @property
    def key_mark(self) -> Mark:
        """The place of the key, or of the value where there is none."""
        return Mark(self.file, *self.key) if self.key else self.mark

    def get(self, name: str) -> "Node | None":
        """Return the child of a mapping, None where there is none."""
        return self.value.get(name) if isinstance(self.value, dict) else None

    def plain(self) -> Any:
        """Return the bare values below this node."""
        if isinstance(self.value, dict):
            return {key: child.plain() for key, child in self.value.items()}
        if isinstance(self.value, list):
            return [child.plain() for child in self.value]
        return self.value

    def losers(self) -> Iterator["Node"]:
        """Yield what this value replaced, the nearest first."""
        loser = self.over
        while loser is not None:
            yield loser
            loser = loser.over


@dataclass(slots=True)
class Document:
    """A parsed text: `root` is None where a problem made it unreadable."""

    file: str
    text: str
    root: Node | None = None
    problems: list[Problem] = field(default_factory=list)


_Parser: Any = vars(yaml.cyaml)["CParser"] if yaml.__with_libyaml__ else yaml.SafeLoader


class _Composer(_Parser):  # type: ignore[misc]
    """libyaml's composer with implicit tags left to us."""

    def resolve(self, kind: type, _: Any, implicit: Any) -> str:
        if kind is yaml.ScalarNode:
            return "plain" if implicit[0] else f"{_TAG}str"
        return f"{_TAG}map" if kind is yaml.MappingNode else f"{_TAG}seq"

    def descend_resolver(self, parent: Any, index: Any) -> None:
        """Do nothing: paths resolve no tags here."""

    def ascend_resolver(self) -> None:
        """Do nothing: paths resolve no tags here."""


def parse(data: bytes | str, file: str) -> Document:
    """Parse one YAML text; every problem found is in the Document, none is raised."""
    text, problem = _decode(data, file)
    document = Document(file, text)
    if problem:
        document.problems.append(problem)
        return document
    try:
        top = _single(text)
    except yaml.YAMLError as error:
        document.problems.append(_syntax(error, text, file))
    except RecursionError:
        document.problems.append(_too_deep(Mark(file, 1, 1)))
    else:
        document.root = _Builder(document).build(top) if top else None
    return document


def scalar(text: str) -> Any:
    """Return the value of a plain scalar by YAML 1.2's core schema.

    Raises ValueError for a number with a leading zero, which YAML 1.1 and 1.2 read differently.
    """
    if text in _WORDS:
        return _WORDS[text]
    if not text[0].isdigit() and text[0] not in "-+.":
        return text
    if _INT.match(text):
        if len(text.lstrip("+-")) > 1 and re.match(r"[-+]?0[0-9]", text):
            raise ValueError(text)
        return int(text, 0)
    return float(text) if _FLOAT.match(text) else text


def _decode(data: bytes | str, file: str) -> tuple[str, Problem | None]:
    if len(data) > MAX_BYTES:
        why = f"this file has {len(data):,} bytes; a recipe may have {MAX_BYTES:,}"
        return "", Problem(Mark(file, 1, 1), why, "file-too-large", "is it a recipe?")
    if isinstance(data, str):
        return data, None
    try:
        return data.decode("utf-8-sig"), None
    except UnicodeDecodeError as error:
        line = data.count(b"\n", 0, error.start) + 1
        column = error.start - data.rfind(b"\n", 0, error.start)
        why = f"byte 0x{data[error.start]:02x} is not UTF-8"
        return "", Problem(Mark(file, line, column), why, "not-utf8", "save the file as UTF-8")


def _single(text: str) -> Any:
    if sum(text.count(sign) for sign in ("[", "{", "- ", "? ")) > SAFE_DEPTH:
        _refuse_depth(text)
    composer = _Composer(text)
    try:
        return composer.get_single_node()
    finally:
        composer.dispose()


def _refuse_depth(text: str) -> None:
    """Raise RecursionError where collections nest deeper than libyaml's composer survives.

    The composer recurses in C without a limit of its own and takes the process with it.
    """
    depth = 0
    for event in yaml.parse(text, Loader=_Parser):
        if isinstance(event, yaml.CollectionStartEvent):
            depth += 1
        elif isinstance(event, yaml.CollectionEndEvent):
            depth -= 1
        if depth > SAFE_DEPTH:
            raise RecursionError


def _syntax(error: yaml.YAMLError, text: str, file: str) -> Problem:
    if isinstance(error, yaml.reader.ReaderError):
        before = text[: error.position] if isinstance(error.position, int) else ""
        mark = Mark(file, before.count("\n") + 1, len(before) - before.rfind("\n"))
        why = f"character {error.character!r} is not allowed in YAML"
        return Problem(mark, why, "yaml-syntax", "remove it, or write it as an escape in quotes")
    at = getattr(error, "problem_mark", None) or getattr(error, "context_mark", None)
    mark = Mark(file, at.line + 1, at.column + 1) if at else Mark(file, 1, 1)
    why = str(getattr(error, "problem", None) or error)
    context = str(getattr(error, "context", None) or "")
    if "nesting" in why or "depth" in why:
        return _too_deep(mark)
    template = _unquoted_template(text, mark.line)
    if template:
        return Problem(Mark(file, *template), _UNQUOTED, "unquoted-template", _QUOTE)
    if "expected a single document" in context + why:
        why = "a recipe is one document: a second one starts here"
    hint = next((hint for sign, hint in _ADVICE if sign in why or sign in context), "")
    return Problem(mark, why, "yaml-syntax", hint)


_UNQUOTED = "a template must stand in quotes, or YAML reads '{{' as a mapping"
_QUOTE = 'write "{{ … }}"'


def _unquoted_template(text: str, line: int) -> tuple[int, int] | None:
    """Return the place of an unquoted ``{{`` at the start of a value near `line`."""
    rows = text.splitlines()
    for number in (line, line - 1):
        if 0 < number <= len(rows):
            found = re.search(r"(?:^|:|-|,|\[)\s*(\{\{)", rows[number - 1])
            if found:
                return number, found.start(1) + 1
    return None


def _too_deep(mark: Mark) -> Problem:
    return Problem(mark, f"nested more than {MAX_DEPTH} levels deep", "too-deep", "flatten it")


class _Builder:
    """Turns PyYAML's node graph into our tree, expanding aliases within bounds."""

    def __init__(self, document: Document) -> None:
        self.file = document.file
        self.problems = document.problems
        self.seen: set[int] = set()
        self.open: set[int] = set()
        self.nodes = 0
        self.aliased = 0
        self.stopped = False

    def build(self, top: Any) -> Node | None:
        root = self.node(top, None, 0)
        return None if self.stopped else root

    def node(self, raw: Any, key: tuple[int, int] | None, depth: int) -> Node:
        at = raw.start_mark
        node = Node(None, self.file, at.line + 1, at.column + 1, key)
        tag = raw.tag
        if tag in _TAGS:
            node.tag, tag = _TAGS[tag], "plain"
        if isinstance(raw, yaml.ScalarNode):
            node.value = self.scalar(raw, tag, node)
            return node
        if self.enter(raw, node, depth):
            self.open.add(id(raw))
            if isinstance(raw, yaml.MappingNode):
                node.value = self.mapping(raw, tag, node, depth)
            else:
                node.value = [self.node(item, None, depth + 1) for item in raw.value]
                self.standard(tag, "seq", node)
            self.open.discard(id(raw))
        return node

    def enter(self, raw: Any, node: Node, depth: int) -> bool:
        """Count a collection against the bounds; False where one is passed."""
        known = id(raw) in self.seen
        self.seen.add(id(raw))
        self.nodes += len(raw.value) + 1
        self.aliased += (len(raw.value) + 1) if known or self.aliased_above() else 0
        if self.stopped:
            return False
        if id(raw) in self.open:
            self.stop(node, "this alias stands inside its own anchor", "alias-cycle")
        elif depth > MAX_DEPTH:
            self.problems.append(_too_deep(node.mark))
            self.stopped = True
        elif self.aliased > MAX_ALIASED or self.nodes > MAX_NODES:
            self.stop(node, "aliases expand to more values than a recipe may hold", "alias-bomb")
        return not self.stopped

    def aliased_above(self) -> bool:
        return self.aliased > 0 and bool(self.open)

    def stop(self, node: Node, why: str, rule: str) -> None:
        self.problems.append(Problem(node.mark, why, rule, "write the values out, or fewer"))
        self.stopped = True

    def mapping(self, raw: Any, tag: str, node: Node, depth: int) -> dict[str, Node]:
        self.standard(tag, "map", node)
        own: dict[str, Node] = {}
        merged: dict[str, Node] = {}
        for raw_key, raw_value in raw.value:
            at = raw_key.start_mark
            place = (at.line + 1, at.column + 1)
            name = self.key(raw_key, Mark(self.file, *place))
            if name is None:
                continue
            value = self.node(raw_value, place, depth + 1)
            if name == "<<" and raw_key.tag == "plain":
                for key, child in self.merge_key(value):
                    merged.setdefault(key, child)
            elif name in own:
                first = own[name].key_mark
                why = f"'{name}' is given twice; YAML would keep only one of them"
                self.say(value.key_mark, why, "duplicate-key", f"the first one is at {first}")
            else:
                own[name] = value
        return {**merged, **own} if merged else own

    def merge_key(self, value: Node) -> Iterator[tuple[str, Node]]:
        sources = value.value if isinstance(value.value, list) else [value]
        for source in sources:
            if isinstance(source.value, dict):
                yield from source.value.items()
            elif not self.stopped:
                self.say(source.mark, "'<<' takes a mapping or a list of them", "bad-merge-key")

    def key(self, raw: Any, mark: Mark) -> str | None:
        if not isinstance(raw, yaml.ScalarNode):
            if isinstance(raw, yaml.MappingNode) and raw.flow_style:
                self.say(
                    Mark(mark.file, mark.line, max(1, mark.column - 1)),
                    _UNQUOTED,
                    "unquoted-template",
                    _QUOTE,
                )
            else:
                self.say(mark, "a key must be text", "key-not-text", "write a plain word")
            return None
        name = str(raw.value)
        kind = self.plain(name, mark) if raw.tag == "plain" else name
        if not isinstance(kind, str):
            self.say(mark, f"a key must be text, not {name or 'null'}", "key-not-text", "quote it")
            return None
        return name

    def scalar(self, raw: Any, tag: str, node: Node) -> Any:
        if tag == "plain":
            value = self.plain(raw.value, node.mark)
        else:
            value = raw.value
            kind = _KINDS.get(tag.removeprefix(_TAG))
            if kind is None:
                self.unknown_tag(tag, node.mark)
            elif kind is not str:
                value = self.plain(raw.value, node.mark)
                value = float(value) if kind is float and type(value) is int else value
                if not isinstance(value, kind):
                    self.say(node.mark, f"'{raw.value}' is not {kind.__name__}", "bad-tag")
        if isinstance(value, str) and RUN_DIR in value:
            why = f"{RUN_DIR} is the runner's own word for the run directory"
            self.say(node.mark, why, "run-dir-in-text", "refer to a stage's output instead")
        return value

    def plain(self, text: str, mark: Mark) -> Any:
        try:
            return scalar(text)
        except ValueError:
            why = f"{text}: a leading zero means octal in YAML 1.1 and nothing in YAML 1.2"
            hint = f"write {int(text)}, or 0o{text.lstrip('+-0') or 0} for octal, or quote it"
            self.say(mark, why, "leading-zero", hint)
            return int(text)

    def standard(self, tag: str, kind: str, node: Node) -> None:
        if tag not in {"plain", f"{_TAG}{kind}"}:
            self.unknown_tag(tag, node.mark)

    def unknown_tag(self, tag: str, mark: Mark) -> None:
        word = "!!" + tag.removeprefix(_TAG) if tag.startswith(_TAG) else tag
        why = f"a recipe has no tag {word}"
        self.say(mark, why, "unknown-tag", "there are !reset and !override; quote text with '!'")

    def say(self, mark: Mark, why: str, rule: str, hint: str = "") -> None:
        self.problems.append(Problem(mark, why, rule, hint))
