"""One YAML text in, a tree that remembers its places out.

YAML is read by the 1.2 core schema (``no`` and ``1:30`` are text, ``1e-5`` is a number), with
anchors, ``<<`` and the two tags ``!reset`` and ``!override``.
"""

import re
from collections.abc import Iterator
from typing import Any

from msgspec import Struct, field

from runner.base.constants import HUB, RUN_DIR
from runner.base.patterns import pattern
from runner.base.problems import Mark, Problem, suggest
from runner.recipe import libyaml
from runner.recipe.node import MISSING, Missing, Node
from runner.recipe.template.allowance import MAX_DEPTH
from runner.recipe.yaml_errors import QUOTE, UNQUOTED, syntax, too_deep
from runner.recipe.yaml_scalars import NumberError, scalar, unfit

MAX_BYTES = 2 * 1024 * 1024
MAX_NODES = 80_000
"""Values of a file, what its aliases expand to with them, and of all files of a recipe."""
_HUB = f"${{{HUB}"
MAX_ALIASED = 80_000

_MOST = 2 * MAX_NODES + 1
_TAG = "tag:yaml.org,2002:"
_TAGS = {"!reset": "reset", "!override": "override"}
_COMMA = pattern(r"[-+]?\d+\s*,\s*\d+(?:[eE][-+]?\d+)?\Z")
_KINDS = {"str": str, "int": int, "float": float, "bool": bool, "null": type(None)}


class Document(Struct, kw_only=True):
    """A parsed text: `root` is None if a problem made it unreadable; `values` is their number."""

    file: str
    text: str
    root: Node | None = None
    values: int = 0
    problems: list[Problem] = field(default_factory=list)


def parse(data: bytes | str, file: str) -> Document:
    """Parse one YAML text; every problem found is in the Document, none is raised."""
    text, problem = _decode(data, file)
    document = Document(file=file, text=text)
    if problem:
        document.problems.append(problem)
        return document
    top = _tree(document)
    if top and not document.problems:
        builder = _NodeBuilder(document)
        document.root = builder.build(top)
        document.values = builder.nodes
    return document


def _tree(document: Document) -> Any:
    """Return libyaml's tree of a text; None with a problem where it has none, or for no value."""
    text, file = document.text, document.file
    try:
        return libyaml.compose(text, _MOST)
    except libyaml.YAMLError as error:
        document.problems.append(syntax(error, text, file))
    except libyaml.TooDeepError as error:
        document.problems.append(too_deep(Mark(file=file, line=error.line, column=error.column)))
    except libyaml.TooManyError as error:
        document.problems.append(_too_many(Mark(file=file, line=error.line, column=error.column)))
    return None


def bare(text: str, file: str) -> Document:
    """Read a text that is one plain scalar whatever is in it; its white space stays."""
    document = Document(file=file, text=text)
    if not text.isprintable() and not unfit(text):
        error = libyaml.foreign(text, file)
        if error is not None:
            document.problems.append(syntax(error, text, file))
            return document
    node, builder = Node(value=None, file=file, line=1, column=1), _NodeBuilder(document)
    value = builder.plain(text.strip(), (1, 1))
    node.value = builder.safe_text(text if isinstance(value, str) else value, node)
    document.root = node
    return document


def _decode(data: bytes | str, file: str) -> tuple[str, Problem | None]:
    if len(data) > MAX_BYTES:
        why = f"this file has {len(data):,} bytes; the limit is {MAX_BYTES:,}"
        return "", Problem(
            mark=Mark(file=file, line=1, column=1),
            message=why,
            rule="file-too-large",
            hint="is it a recipe?",
        )
    if isinstance(data, str):
        return _word(data, file)
    try:
        return data.decode("utf-8-sig"), None
    except UnicodeDecodeError as error:
        line = data.count(b"\n", 0, error.start) + 1
        column = error.start - data.rfind(b"\n", 0, error.start)
        why = f"byte 0x{data[error.start]:02x} is not UTF-8"
        return "", Problem(
            mark=Mark(file=file, line=line, column=column),
            message=why,
            rule="not-utf8",
            hint="save the file as UTF-8",
        )


def _word(text: str, file: str) -> tuple[str, Problem | None]:
    """Return a word of a command line, which is no text where its bytes were no UTF-8."""
    try:
        text.encode()
    except UnicodeEncodeError as error:
        before = text[: error.start].split("\n")
        mark = Mark(file=file, line=len(before), column=len(before[-1]) + 1)
        return "", Problem(
            mark=mark, message="this is not UTF-8", rule="not-utf8", hint="write it as UTF-8"
        )
    return text, None


def _too_many(mark: Mark) -> Problem:
    why = f"up to here this file has more than {MAX_NODES:,} values: that is the limit"
    return Problem(mark=mark, message=why, rule="too-large", hint="split it")


class _NodeBuilder:
    """Turns PyYAML's node graph into our tree, expanding aliases within bounds."""

    def __init__(self, document: Document) -> None:
        self.file = document.file
        self.text = document.text
        self.texts: dict[str, str] = {}
        self.problems = document.problems
        self.collections: set[int] = set()
        self.open: set[int] = set()
        self.nodes = 0
        self.aliased = 0
        self.stopped = False

    def build(self, top: Any) -> Node | None:
        root = self.node(top, None, 0)
        return None if self.stopped else root

    def node(self, raw: Any, key: tuple[int, int] | None, depth: int) -> Node:
        line, column = _place(raw)
        node = Node(value=None, file=self.file, line=line, column=column, key=key)
        tag = raw.tag
        if tag in _TAGS:
            node.tag, tag = _TAGS[tag], "plain"
        if raw.id == "scalar":
            node.value = self.scalar(raw, tag, node)
        elif self.enter(raw, node, depth):
            self.open.add(id(raw))
            is_standard = self.standard(tag, "map" if raw.id == "mapping" else "seq", node)
            inside = self.mapping if raw.id == "mapping" else self.sequence
            value = inside(raw, depth)
            node.value = value if is_standard else MISSING
            self.open.discard(id(raw))
        if node.tag == "reset" and depth and not (node.value is None or node.value in ({}, [])):
            literal = raw.value if raw.id == "scalar" else "the value"
            hint = (
                f"write {literal} without !reset to set it; !reset alone removes what is inherited"
            )
            self.say(node.mark, "!reset takes no value", "reset-value", hint)
            node.value, node.tag = MISSING, ""
        return node

    def enter(self, raw: Any, node: Node, depth: int) -> bool:
        """Count a collection against the bounds; False where one is passed."""
        is_alias = id(raw) in self.collections
        self.collections.add(id(raw))
        self.nodes += len(raw.value) + 1
        self.aliased += (len(raw.value) + 1) if is_alias or self.aliased_above() else 0
        if self.stopped:
            return False
        if id(raw) in self.open:
            why = "this alias is inside its own anchor"
            self.stop(self.alias(node), why, "alias-cycle", "write the values out")
        elif depth > MAX_DEPTH:
            self.problems.append(too_deep(node.mark))
            self.stopped = True
        elif self.aliased <= MAX_ALIASED and self.nodes - self.aliased > MAX_NODES:
            self.problems.append(_too_many(node.mark))
            self.stopped = True
        elif self.aliased > MAX_ALIASED or self.nodes > MAX_NODES:
            why = "aliases expand to more values than a recipe may have"
            self.stop(node.mark, why, "alias-bomb", "write the values out, or use fewer aliases")
        return not self.stopped

    def aliased_above(self) -> bool:
        return self.aliased > 0 and bool(self.open)

    def alias(self, node: Node) -> Mark:
        """Return the place of an alias, which PyYAML forgets, or else of its anchor."""
        if node.key is None:
            return node.mark
        line, column = node.key
        match = re.search(r":\s+(\*)", self.text.splitlines()[line - 1][column - 1 :])
        return (
            Mark(file=self.file, line=line, column=column + match.start(1)) if match else node.mark
        )

    def stop(self, mark: Mark, why: str, rule: str, hint: str) -> None:
        self.say(mark, why, rule, hint)
        self.stopped = True

    def sequence(self, raw: Any, depth: int) -> list[Node]:
        items = [self.node(item, None, depth + 1) for item in raw.value]
        for item, source in zip(items, raw.value, strict=True):
            if _empty(source, item):
                self.empty(item, "an entry of this list", "write its value, or remove the entry")
        for item in items:
            if item.tag:
                why = f"!{item.tag} is not allowed in a list"
                self.say(item.mark, why, "bad-tag", "lists are replaced as a whole: write it out")
                item.value, item.tag = MISSING, ""
        return items

    def mapping(self, raw: Any, depth: int) -> dict[str, Node] | Missing:
        """Return a mapping's children; MISSING where a key is none, for nothing is sure then."""
        own: dict[str, Node] = {}
        defaults: dict[str, Node] = {}
        whole = True
        before: tuple[Any, Node] | None = None
        for raw_key, raw_value in raw.value:
            place = _place(raw_key)
            if before is not None and self.comma(before, raw_key, raw_value):
                continue
            name = self.key(raw_key, place)
            if name is None:
                whole = False
                continue
            value = self.node(raw_value, place, depth + 1)
            before = (raw_value, value)
            if _empty(raw_value, value):
                hint = f"write a value after '{name}:', or remove it; write null for null"
                self.empty(value, f"'{name}'", hint)
            if name == "<<" and raw_key.tag == "plain":
                for key, child in self.merge_key(value):
                    defaults.setdefault(key, child)
            elif name in own:
                first = own[name].key_mark
                why = f"'{name}' is given twice; YAML would keep only one of them"
                notes = ((first, "the first one"),)
                hint = "remove one of them"
                self.problems.append(
                    Problem(
                        mark=value.key_mark,
                        message=why,
                        rule="duplicate-key",
                        hint=hint,
                        notes=notes,
                    )
                )
            else:
                own[name] = value
        if not whole:
            return MISSING
        return {**defaults, **own} if defaults else own

    def comma(self, before: tuple[Any, Node], raw_key: Any, raw_value: Any) -> bool:
        """Return whether an entry is the end of a number with a decimal comma, and tell it.

        YAML reads ``{scale: 2,0}`` as the number 2 and a key 0 without a value.
        """
        raw, value = before
        parts = [one.value for one in (raw, raw_key) if one.id == "scalar"]
        whole = self.text[raw.start_mark.index : raw_key.end_mark.index]
        bare = raw_value.id == "scalar" and not raw_value.value
        if not bare or len(parts) != 2 or not _COMMA.match(whole):  # noqa: PLR2004
            return False
        why = f"YAML reads '{whole}' as {parts[0]} and a key {parts[1]}: a comma ends a value"
        self.say(value.mark, why, "decimal-comma", f"write {'.'.join(parts)}, with a point")
        value.value = MISSING
        return True

    def empty(self, node: Node, what: str, hint: str) -> None:
        """Tell a value that nobody wrote: YAML takes it for null, and a parameter would be gone."""
        self.say(node.key_mark, f"{what} has no value", "empty-value", hint)
        node.value, node.tag = MISSING, ""

    def merge_key(self, value: Node) -> Iterator[tuple[str, Node]]:
        sources = value.value if isinstance(value.value, list) else [value]
        for source in sources:
            if isinstance(source.value, dict):
                yield from source.value.items()
            elif source.value is not MISSING and not self.stopped:
                why = "'<<' takes a mapping or a list of them"
                word = source.value if isinstance(source.value, str) else "NAME"
                hint = f"write <<: *{word}, with &{word} before a mapping above"
                self.say(source.mark, why, "bad-merge-key", hint)

    def key(self, raw: Any, place: tuple[int, int]) -> str | None:
        if raw.id != "scalar":
            mark = Mark.at(self.file, place)
            if raw.id == "mapping" and raw.flow_style:
                self.say(
                    Mark(file=mark.file, line=mark.line, column=max(1, mark.column - 1)),
                    UNQUOTED,
                    "unquoted-template",
                    QUOTE,
                )
            else:
                self.say(mark, "a key must be text", "key-not-text", "write a plain word")
            return None
        name = str(raw.value)
        kind = self.plain(name, place) if raw.tag == "plain" else name
        if not isinstance(kind, str):
            if kind is not MISSING:
                hint = "quote it; a stage or a var needs a name of letters"
                why = f"a key must be text, not {name or 'null'}"
                self.say(Mark.at(self.file, place), why, "key-not-text", hint)
            return None
        safe = self.fit(name, Mark.at(self.file, place))
        return safe if isinstance(safe, str) else None

    def scalar(self, raw: Any, tag: str, node: Node) -> Any:
        if tag == "plain":
            value = self.plain(raw.value, (node.line, node.column))
        else:
            value = self.with_tag(raw.value, tag, node.mark)
        return self.safe_text(value, node)

    def safe_text(self, value: Any, node: Node) -> Any:
        """Return a scalar that no command is broken by; what would is a problem."""
        if not isinstance(value, str):
            return value
        if RUN_DIR in value:
            why = f"{RUN_DIR} is reserved for the run directory"
            self.say(node.mark, why, "run-dir-in-text", "refer to a stage's output instead")
        elif _HUB in value:
            why = f"{_HUB}…}} is reserved for the folders of pinned names of the hub"
            self.say(node.mark, why, "run-dir-in-text", "name the model instead")
        return self.fit(value, node.mark)

    def fit(self, text: str, mark: Mark) -> str | Missing:
        """Return a text that commands and files can hold; MISSING with a problem for another."""
        sign = unfit(text)
        if sign:
            why = f"this text contains {sign}, which commands and file names cannot"
            self.say(mark, why, "unfit-text", "leave it out")
            return MISSING
        return self.copy(text)

    def copy(self, text: str) -> str:
        """Return the one copy of a text: PyYAML's own would hold the memory of its whole graph."""
        if text not in self.texts:
            copy = text.encode().decode()
            self.texts[copy] = copy
        return self.texts[text]

    def with_tag(self, text: str, tag: str, mark: Mark) -> Any:
        """Return a scalar with one of YAML's own tags, as !!int; MISSING where it does not fit."""
        kind = _KINDS.get(tag.removeprefix(_TAG)) if tag.startswith(_TAG) else None
        if kind is None:
            self.unknown_tag(tag, mark)
            return MISSING
        value = text if kind is str else self.plain(text, (mark.line, mark.column))
        value = float(value) if kind is float and type(value) is int else value
        if value is not MISSING and not isinstance(value, kind):
            word = tag.removeprefix(_TAG)
            self.say(mark, f"'{text}' does not match its tag !!{word}", "bad-tag", "remove the tag")
            return MISSING
        return value

    def plain(self, text: str, place: tuple[int, int]) -> Any:
        try:
            return scalar(text)
        except NumberError as error:
            mark = Mark.at(self.file, place)
            self.say(mark, str(error), error.rule, error.hint)
            return MISSING

    def standard(self, tag: str, kind: str, node: Node) -> bool:
        """Return whether a collection has the tag it has by itself; any other is a problem."""
        if tag not in {"plain", f"{_TAG}{kind}"}:
            self.unknown_tag(tag, node.mark)
            return False
        return True

    def unknown_tag(self, tag: str, mark: Mark) -> None:
        word = "!!" + tag.removeprefix(_TAG) if tag.startswith(_TAG) else tag
        hint = suggest(word, ("!reset", "!override"))
        hint = hint or "the tags are !reset and !override; text that starts with ! needs quotes"
        self.say(mark, f"a recipe has no tag {word}", "unknown-tag", hint)

    def say(self, mark: Mark, why: str, rule: str, hint: str = "") -> None:
        self.problems.append(Problem(mark=mark, message=why, rule=rule, hint=hint))


def _empty(raw: Any, node: Node) -> bool:
    """Return whether a value is nothing at all: neither null nor a tag that says something."""
    plain = raw.id == "scalar" and raw.tag in {"plain", "!override"}
    return plain and not raw.value and node.tag != "reset"


def _place(raw: Any) -> tuple[int, int]:
    return raw.start_mark.line + 1, raw.start_mark.column + 1
