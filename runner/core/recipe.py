"""Layers in, one recipe out: extends, profiles, environment and --set, and who said what."""

import posixpath
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace

from runner.core.document import Document, Node, parse
from runner.core.problem import Mark, Problem, listing, suggest

BUILTIN = "builtin:"
ENVIRONMENT = "environment"
PREFIX = "RECIPE_VARS_"
SET = "--set"

Read = Callable[[str], bytes]


@dataclass(frozen=True, slots=True)
class Overrides:
    """What a caller puts on top of the files: profiles, environment, ``PATH=VALUE`` texts."""

    profiles: tuple[str, ...] = ()
    environ: Mapping[str, str] = field(default_factory=dict)
    sets: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Recipe:
    """One merged tree; `sources` is each file's text, `trail` the places that named each file."""

    file: str
    tree: Node
    sources: Mapping[str, str]
    trail: Mapping[str, tuple[Mark, ...]]

    @property
    def name(self) -> str:
        """The recipe's name: what it says, else the file's stem."""
        said = self.tree.get("name")
        if said is not None and isinstance(said.value, str):
            return said.value
        return posixpath.splitext(posixpath.basename(self.file))[0]

    @property
    def dir(self) -> str:
        """The recipe's folder as the user wrote it, ``.`` for the working directory."""
        return posixpath.dirname(self.file) or "."

    def section(self, name: str) -> dict[str, Node]:
        """Return a top-level mapping's children, empty where there is none."""
        node = self.tree.get(name)
        return node.value if node is not None and isinstance(node.value, dict) else {}


@dataclass(slots=True)
class Loaded:
    """A recipe, or None where it cannot be put together, with every problem and every text."""

    recipe: Recipe | None
    problems: list[Problem]
    sources: dict[str, str]


def load(file: str, read: Read, overrides: Overrides | None = None) -> Loaded:
    """Read a recipe and its parents through `read` (path -> bytes, OSError) and fold them."""
    overrides = overrides or Overrides()
    gathering = _Gathering(read)
    tree = gathering.fold(file, ())
    loaded = Loaded(None, gathering.problems, gathering.sources)
    if tree is None:
        return loaded
    tree = _overlay(tree, overrides, loaded)
    tree = settle(tree, loaded.problems, keep=("stages", "profiles"))
    loaded.recipe = Recipe(file, tree, loaded.sources, gathering.trail)
    return loaded


def merge(below: Node, above: Node) -> Node:
    """Return `above` laid over `below`: mappings deep, everything else replaced."""
    if above.tag == "override":
        return replace(above, tag="", over=below)
    if (
        above.tag
        or below.tag
        or not (isinstance(above.value, dict) and isinstance(below.value, dict))
    ):
        return replace(above, over=_last(above, below))
    merged = dict(below.value)
    for key, child in above.value.items():
        merged[key] = merge(merged[key], child) if key in merged else child
    # What an option adds to a mapping does not move the mapping out of its file.
    return replace(below if above.file in {SET, ENVIRONMENT} else above, value=merged)


def settle(node: Node, problems: list[Problem], keep: Iterable[str] = ()) -> Node:
    """Return the tree without its ``!reset`` keys; one that removes nothing is a problem."""
    if not isinstance(node.value, dict):
        return node
    kept = {}
    for key, child in node.value.items():
        if child.tag != "reset":
            kept[key] = child if key in keep else settle(child, problems)
        elif child.over is None:
            why = f"!reset removes nothing: no '{key}' is inherited here"
            problems.append(Problem(child.key_mark, why, "reset-nothing", "remove this line"))
    same = len(kept) == len(node.value) and all(kept[key] is node.value[key] for key in kept)
    return node if same else replace(node, value=kept)


def _last(above: Node, below: Node) -> Node:
    """Return the loser chain of `above`, `below` at its end."""
    return below if above.over is None else replace(above.over, over=_last(above.over, below))


class _Gathering:
    """Reads a file and its parents, each text once."""

    def __init__(self, read: Read) -> None:
        self.read = read
        self.problems: list[Problem] = []
        self.sources: dict[str, str] = {}
        self.trail: dict[str, tuple[Mark, ...]] = {}
        self.documents: dict[str, Document | None] = {}

    def fold(self, file: str, trail: tuple[tuple[str, Mark], ...]) -> Node | None:
        document = self.document(file, trail)
        if document is None or document.root is None:
            return None
        root = document.root
        parents = [self.parent(file, target, trail) for target in self.targets(root)]
        layers = [_inheritable(layer) for layer in parents if layer is not None]
        own = {key: child for key, child in root.value.items() if key != "extends"}
        folded = replace(root, value=own)
        if not layers:
            return folded
        base = layers[0]
        for layer in layers[1:]:
            base = merge(base, layer)
        return merge(base, folded)

    def targets(self, root: Node) -> list[Node]:
        """Return the file names of ``extends``, each with its place."""
        said = root.get("extends")
        if said is None:
            return []
        targets = said.value if isinstance(said.value, list) else [said]
        good = [target for target in targets if isinstance(target.value, str) and target.value]
        for target in targets:
            if target not in good:
                why = "'extends' takes a file name or a list of them"
                self.problems.append(Problem(target.mark, why, "bad-extends"))
            elif "{{" in target.value:
                why = "'extends' is read before templates are filled in"
                hint = "write the file name out; vary with a profile"
                self.problems.append(Problem(target.mark, why, "bad-extends", hint))
        return [target for target in good if "{{" not in target.value]

    def parent(self, file: str, target: Node, trail: tuple[tuple[str, Mark], ...]) -> Node | None:
        path = _join(file, target.value)
        here = (*trail, (file, target.mark))
        if path in [name for name, _ in here]:
            start = [name for name, _ in here].index(path)
            rows = tuple(
                (mark, f"{name} extends {after}")
                for (name, mark), after in zip(
                    here[start:], [*[name for name, _ in here[start + 1 :]], path], strict=True
                )
            )
            why = f"{path} extends itself"
            problem = Problem(target.mark, why, "extends-cycle", "break the circle", rows)
            self.problems.append(problem)
            return None
        return self.fold(path, here)

    def document(self, file: str, trail: tuple[tuple[str, Mark], ...]) -> Document | None:
        if file not in self.documents:
            self.documents[file] = self.open(file, trail)
            self.trail[file] = tuple(mark for _, mark in reversed(trail))
        return self.documents[file]

    def open(self, file: str, trail: tuple[tuple[str, Mark], ...]) -> Document | None:
        try:
            data = self.read(file)
        except OSError as error:
            why = f"cannot read {file}: {error.strerror or error}"
            mark = trail[-1][1] if trail else Mark(file, 1, 1)
            hint = "paths of 'extends' are relative to the file that says so" if trail else ""
            self.problems.append(Problem(mark, why, "cannot-read", hint))
            return None
        document = parse(data, file)
        self.sources[file] = document.text
        notes = tuple((mark, "inherited here") for _, mark in reversed(trail))
        self.problems += [replace(problem, notes=notes) for problem in document.problems]
        if document.root is None and not document.problems:
            why = "this file is empty"
            self.problems.append(
                Problem(Mark(file, 1, 1), why, "empty-recipe", "see: run-recipe new")
            )
        elif document.root is not None and not isinstance(document.root.value, dict):
            why = "a recipe is a mapping: 'stages:' and what belongs to them"
            self.problems.append(Problem(document.root.mark, why, "not-a-mapping"))
            return None
        return document


def _inheritable(layer: Node) -> Node:
    """Return a parent without what is its own: its name and its description."""
    kept = {k: child for k, child in layer.value.items() if k not in {"name", "description"}}
    return replace(layer, value=kept)


def _join(file: str, target: str) -> str:
    """Return the path of a parent, named in `file` as `target`."""
    if target.startswith(BUILTIN):
        return target if target.endswith((".yaml", ".yml")) else f"{target}.yaml"
    if file.startswith(BUILTIN):
        folder = posixpath.dirname(file.removeprefix(BUILTIN))
        return BUILTIN + posixpath.normpath(posixpath.join(folder, target))
    return posixpath.normpath(posixpath.join(posixpath.dirname(file), target))


def _overlay(tree: Node, overrides: Overrides, loaded: Loaded) -> Node:
    tree = _profiles(tree, overrides.profiles, loaded.problems)
    for layer in (
        *_environment(tree, overrides.environ, loaded),
        *_sets(tree, overrides.sets, loaded),
    ):
        tree = merge(tree, layer)
    return tree


def _profiles(tree: Node, names: Sequence[str], problems: list[Problem]) -> Node:
    said = tree.get("profiles")
    known = said.value if said is not None and isinstance(said.value, dict) else {}
    for name, profile in known.items():
        problems += _strays(tree, profile, f"profile '{name}'")
    for name in names:
        if name in known:
            if isinstance(known[name].value, dict):
                tree = merge(tree, known[name])
            continue
        hint = suggest(name, known, f"there are: {listing(known)}" if known else "")
        why = f"the recipe has no profile '{name}'"
        problems.append(Problem(Mark("--profile", 1, 1), why, "unknown-profile", hint))
    return tree


def _environment(tree: Node, environ: Mapping[str, str], loaded: Loaded) -> list[Node]:
    said = tree.get("vars")
    known = said.value if said is not None and isinstance(said.value, dict) else {}
    folded = {name.upper(): name for name in known}
    names = sorted(name for name in environ if name.startswith(PREFIX))
    texts = []
    for name in names:
        word = name.removeprefix(PREFIX)
        texts.append(f"vars.{folded.get(word.upper(), word)}={environ[name]}")
    lines = [f"{name}={environ[name]}" for name in names]
    return _layers(tree, texts, lines, ENVIRONMENT, loaded)


def _sets(tree: Node, sets: Sequence[str], loaded: Loaded) -> list[Node]:
    return _layers(tree, sets, sets, SET, loaded)


def _layers(
    tree: Node, texts: Sequence[str], lines: Sequence[str], file: str, loaded: Loaded
) -> list[Node]:
    """Return one overlay for each ``PATH=VALUE``; `lines` are what the user sees of them."""
    if lines:
        loaded.sources[file] = "\n".join(line.replace("\n", " ") for line in lines)
    layers = []
    for number, (text, line) in enumerate(zip(texts, lines, strict=True), start=1):
        path, equals, value = text.partition("=")
        mark = Mark(file, number, 1)
        if not equals or not path:
            hint = "write --set stages.NAME.params.PARAMETER=VALUE"
            loaded.problems.append(
                Problem(mark, f"'{text}' is not PATH=VALUE", "bad-override", hint)
            )
            continue
        pad = "\n" * (number - 1) + " " * (line.index("=") + 1)
        parsed = parse(pad + value, file)
        loaded.problems += parsed.problems
        if parsed.problems:
            continue
        leaf = parsed.root or Node(None, file, number, len(pad.rsplit("\n", 1)[-1]) + 1)
        layer = _nest(_words(path, tree), leaf, mark)
        strays = _strays(tree, layer, "an override", top=True)
        loaded.problems += strays
        if not strays:
            layers.append(layer)
    return layers


def _words(path: str, tree: Node) -> list[str]:
    """Split a dotted path; keys of the tree that hold dots themselves are kept whole."""
    words: list[str] = []
    node: Node | None = tree
    while path:
        known = node.value if node is not None and isinstance(node.value, dict) else {}
        fits = [key for key in known if path == key or path.startswith(f"{key}.")]
        word = max(fits, key=len) if fits else path.split(".", 1)[0]
        words.append(word)
        path = path[len(word) + 1 :]
        node = known.get(word)
    return words


def _nest(words: Sequence[str], leaf: Node, mark: Mark) -> Node:
    column = mark.column + sum(len(word) + 1 for word in words)
    node = leaf
    for word in reversed(words):
        column -= len(word) + 1
        node = replace(node, key=(mark.line, column))
        node = Node({word: node}, mark.file, mark.line, mark.column)
    return node


def _strays(tree: Node, layer: Node, what: str, *, top: bool = False) -> list[Problem]:
    """Return a problem for each var and stage that an overlay names and the recipe has not."""
    if not isinstance(layer.value, dict):
        return []
    problems = []
    if top:
        known = ("vars", "defaults", "stages", "name", "description")
        for name, child in layer.value.items():
            if name not in known:
                hint = suggest(name, known, f"a path starts with one of: {listing(known[:3])}")
                why = f"{what} matches nothing: '{name}'"
                problems.append(Problem(child.key_mark, why, "override-nothing", hint))
    for section, one in (("vars", "var"), ("stages", "stage")):
        over, under = layer.get(section), tree.get(section)
        known_names = under.value if under is not None and isinstance(under.value, dict) else {}
        for name, child in (over.value if over and isinstance(over.value, dict) else {}).items():
            if name not in known_names:
                hint = suggest(name, known_names, f"there are: {listing(known_names)}")
                why = f"{what} matches nothing: the recipe has no {one} '{name}'"
                problems.append(Problem(child.key_mark, why, "override-nothing", hint))
    return problems
