"""Files in, one recipe out: what it extends, what is laid over it, and who said what."""

import posixpath
from collections.abc import Callable, Collection, Iterable, Mapping
from typing import Any

from msgspec import Struct, field
from msgspec.structs import replace

from runner.base.constants import BUILTIN, SUFFIXES
from runner.base.problems import Mark, Problem, as_yaml, suggest
from runner.recipe import remote
from runner.recipe.lock_file import LockFile
from runner.recipe.merge import merge, settle
from runner.recipe.node import MISSING, Node
from runner.recipe.overrides import OTHERS, PREFIX, Overrides, overlay
from runner.recipe.size import MAX_FILES, too_large
from runner.recipe.yaml import MAX_NODES, Document, parse

__all__ = ["LoadResult", "Overrides", "Recipe", "load"]

Read = Callable[[str], bytes]
Beside = Callable[[str], Iterable[str]]
Trail = tuple[tuple[str, Mark], ...]


class Recipe(Struct, frozen=True, kw_only=True):
    """One merged tree; `sources` is each file's text, `trail` the places that named each file.

    `gaps` says that something in it could not be read, `missing_files` that a whole file is not in
    it, so that nobody takes what is missing for its own mistake. `below` are the trees that
    the caller's layers were laid over: the files, then each profile, then the environment.
    `tools` are the files of tools that it names, by the names of these. `lock` is the lock beside
    it, None where there is none.
    """

    file: str
    tree: Node
    sources: Mapping[str, str]
    trail: Mapping[str, tuple[Mark, ...]]
    gaps: bool = False
    missing_files: bool = False
    below: tuple[Node, ...] = ()
    tools: Mapping[str, dict[str, Any]] = field(default_factory=dict)
    lock: LockFile | None = None

    @property
    def name(self) -> str:
        """The recipe's name: its `name`, or the file's stem."""
        node = self.tree.get("name")
        if node is not None and isinstance(node.value, str):
            return node.value
        return posixpath.splitext(posixpath.basename(self.file.removeprefix(BUILTIN)))[0]

    @property
    def dir(self) -> str:
        """The recipe's folder as the user wrote it; ``.`` is the working directory."""
        return posixpath.dirname(self.file) or "."

    def section(self, name: str) -> dict[str, Node]:
        """Return a top-level mapping's children, empty if there is none."""
        node = self.tree.get(name)
        return node.value if node is not None and isinstance(node.value, dict) else {}

    def inherited(self, node: Node) -> tuple[tuple[Mark, str], ...]:
        """Return the places that brought a node's file into the recipe, as notes of a problem."""
        return tuple((mark, "inherited here") for mark in self.trail.get(node.file, ()))


class LoadResult(Struct, kw_only=True):
    """A recipe, or None if it cannot be assembled, with every problem and every text."""

    recipe: Recipe | None
    problems: list[Problem]
    sources: dict[str, str]


class SourceTree(Struct, frozen=True, kw_only=True):
    """The files of a recipe, folded: what a caller lays over them is not in it yet.

    `tree` is None where they cannot be put together.
    """

    file: str
    tree: Node | None
    problems: tuple[Problem, ...]
    sources: Mapping[str, str]
    trail: Mapping[str, tuple[Mark, ...]]
    missing_files: bool
    tools: Mapping[str, dict[str, Any]] = field(default_factory=dict)
    lock: LockFile | None = None


def load(
    file: str, read: Read, overrides: Overrides | None = None, beside: Beside | None = None
) -> LoadResult:
    """Read a recipe and its parents through `read` (path -> bytes, OSError) and fold them.

    `beside` names the files near a path that cannot be read.
    """
    return fold(gather(file, read, beside), overrides)


def gather(file: str, read: Read, beside: Beside | None = None) -> SourceTree:
    """Read a recipe and its parents once, to be merged several times."""
    gathering = _Gathering(read, beside or (lambda _: ()))
    gathering.lay(file, ())
    tree: Node | None = None
    if gathering.layers and gathering.layers[-1].file == file:
        tree = gathering.layers[0]
        for layer in gathering.layers[1:]:
            tree = merge(tree, layer)
    return SourceTree(
        file=file,
        tree=tree,
        problems=tuple(gathering.problems),
        sources=gathering.sources,
        trail=gathering.trail,
        missing_files=gathering.missing_files,
    )


def fold(
    files: SourceTree, overrides: Overrides | None = None, *, alone: bool = False
) -> LoadResult:
    """Apply profiles, the environment and ``--set`` to a recipe's files.

    With `alone`, the recipe has only the chosen profiles.
    """
    over = overrides or Overrides()
    result = LoadResult(recipe=None, problems=[*files.problems], sources={**files.sources})
    if files.tree is None:
        return result
    options = (
        len(over.sets) + len(over.profiles) + sum(name.startswith(PREFIX) for name in over.environ)
    )
    if large := [*too_large(files.tree, options)]:
        result.problems += large
        return result
    tree = _only(files.tree, over.profiles) if alone else files.tree
    *below, tree = overlay(tree, over, result.sources, result.problems)
    tree = _settle(tree, result.problems)
    gaps = bool(result.problems)
    result.recipe = Recipe(
        file=files.file,
        tree=tree,
        sources=result.sources,
        trail=files.trail,
        gaps=gaps,
        missing_files=files.missing_files,
        below=tuple(below),
        tools=files.tools,
        lock=files.lock,
    )
    return result


def _only(tree: Node, names: Collection[str]) -> Node:
    """Return a recipe without the profiles that are not named."""
    profiles = tree.get("profiles")
    if profiles is None or not isinstance(profiles.value, dict):
        return tree
    selection = {name: profiles.value[name] for name in names if name in profiles.value}
    return replace(tree, value={**tree.value, "profiles": replace(profiles, value=selection)})


def _settle(tree: Node, problems: list[Problem]) -> Node:
    """Return the recipe without what ``!reset`` removes; inside stages that is not known yet."""
    tree = settle(tree, problems, keep=("stages", "profiles"))
    for name in ("stages", "profiles"):
        part = tree.get(name)
        if part is not None and isinstance(part.value, dict):
            part = settle(part, problems, keep=tuple(part.value))
            tree = replace(tree, value={**tree.value, name: part})
    return tree


class _Gathering:
    """Reads a file and its parents; each is one layer, laid where it is first needed."""

    def __init__(self, read: Read, beside: Beside) -> None:
        self.read = read
        self.beside = beside
        self.problems: list[Problem] = []
        self.sources: dict[str, str] = {}
        self.trail: dict[str, tuple[Mark, ...]] = {}
        self.layers: list[Node] = []
        self.missing_files = self.full = False
        self.values = 0

    def lay(self, file: str, trail: Trail) -> None:
        """Append the layers of a file's parents, then its own."""
        if file in self.trail:
            return
        if len(self.trail) >= MAX_FILES:
            self.many(trail, f"more than {MAX_FILES:,} files")
            return
        if self.values > MAX_NODES:
            self.many(trail, f"more than {MAX_NODES:,} values in its files")
            return
        self.trail[file] = tuple(mark for _, mark in reversed(trail))
        root = self.open(file, trail)
        if root is None:
            self.missing_files = True
            return
        for target in self.targets(root):
            path = _join(file, target.value)
            here = (*trail, (file, target.mark))
            if path in [name for name, _ in here]:
                self.circle(path, target, here)
            else:
                self.lay(path, here)
        # A parent's name and description are its own.
        own = {"extends"} if not trail else {"extends", "name", "description"}
        children = {key: child for key, child in root.value.items() if key not in own}
        self.layers.append(replace(root, value=children))

    def targets(self, root: Node) -> list[Node]:
        """Return the file names of ``extends``, each with its place."""
        extends = root.get("extends")
        if extends is None:
            return []
        good = []
        for target in extends.value if isinstance(extends.value, list) else [extends]:
            if target.value is MISSING:
                self.missing_files = True
                continue
            if not isinstance(target.value, str) or not target.value:
                why = "'extends' takes a file name or a list of them"
                hint = "remove this line" if target.value is None else "write extends: FILE.yaml"
            elif "{{" in target.value:
                why = "'extends' is read before templates are filled in"
                hint = "write the file name out; vary with a profile"
            else:
                good.append(target)
                continue
            self.missing_files = True
            self.say(target.mark, why, "bad-extends", hint)
        return good

    def circle(self, path: str, target: Node, here: Trail) -> None:
        names = [name for name, _ in here]
        start = names.index(path)
        after = [*names[start + 1 :], path]
        rows = tuple(
            (mark, f"{name} extends {follower}")
            for (name, mark), follower in zip(here[start:], after, strict=True)
        )
        hint = "remove one of these lines" if len(rows) > 1 else "remove this line"
        notes = rows if len(rows) > 1 else ()
        self.missing_files = True
        why = f"{path} extends itself"
        self.problems.append(
            Problem(mark=target.mark, message=why, rule="extends-cycle", hint=hint, notes=notes)
        )

    def open(self, file: str, trail: Trail) -> Node | None:
        """Return the root of a file, None if it is not a recipe."""
        try:
            data = self.read(file)
        except OSError as error:
            self.unreadable(file, error, trail)
            return None
        document = _own(parse(data, file))
        self.values += document.values
        self.sources[file] = document.text
        notes = tuple((mark, "inherited here") for mark in self.trail[file])
        self.problems += [
            replace(problem, notes=(*problem.notes, *notes)) for problem in document.problems
        ]
        root = document.root
        if root is None:
            if not document.problems:
                mark = Mark(file=file, line=1, column=1)
                self.say(
                    mark,
                    "this file is empty",
                    "empty-recipe",
                    "begin with: version: 1, and stages: {NAME: {tool: …, params: …}}",
                    notes,
                )
            return None
        if not isinstance(root.value, dict):
            why = "a recipe must be a mapping with 'stages:'"
            if not document.problems:
                self.say(
                    root.mark,
                    why,
                    "not-a-mapping",
                    "begin with: version: 1, and stages: {NAME: {tool: …, params: …}}",
                    notes,
                )
            return None
        if root.tag:
            why = f"!{root.tag} before the whole recipe has no effect"
            self.say(root.mark, why, "bad-tag", "put it after a key", notes)
        tools = root.get("tools")
        if tools is not None and remote.is_remote(file):
            why = "a file of another repository brings no tools along"
            self.say(tools.key_mark, why, "remote-tools", "name them in your own recipe", notes)
        version = root.get("version")
        if version is not None and not _first(version.value):
            why = f"version must be 1, not {as_yaml(version.value)}"
            hint = "this run-recipe supports version 1 of the language: write version: 1"
            self.say(version.mark, why, "bad-version", hint, notes)
        return root

    def many(self, trail: Trail, what: str) -> None:
        """Tell that a recipe has too much, once."""
        if self.full:
            return
        self.full = self.missing_files = True
        hint = "combine them into fewer files"
        self.say(trail[-1][1], f"this recipe has {what}", "too-large", hint)

    def unreadable(self, file: str, error: OSError, trail: Trail) -> None:
        beside = () if remote.is_remote(file) else self.beside(file)
        stems = {posixpath.splitext(name)[0]: name for name in beside}
        neighbour = suggest(posixpath.splitext(file)[0], stems)
        for stem, name in stems.items():
            neighbour = neighbour.replace(f"'{stem}'", f"'{name}'")
        if set(file) & set("*?[") and not trail:
            hint = "let the shell expand it (without quotes), or name the folder"
        elif isinstance(error, remote.RemoteError):
            hint = error.hint
        elif isinstance(error, IsADirectoryError):
            hint = "name a file in it"
        elif file.startswith(BUILTIN):
            names = ", ".join(self.beside(file))
            hint = neighbour or f"there are: {names}"
        elif trail:
            hint = neighbour or "paths in 'extends' are relative to the file that contains them"
        else:
            hint = neighbour
        why = f"cannot read {file}: {error.strerror or error}"
        self.say(
            trail[-1][1] if trail else Mark(file=file, line=1, column=1), why, "cannot-read", hint
        )

    def say(
        self, mark: Mark, why: str, rule: str, hint: str, notes: tuple[tuple[Mark, str], ...] = ()
    ) -> None:
        self.problems.append(Problem(mark=mark, message=why, rule=rule, hint=hint, notes=notes))


def _own(document: Document) -> Document:
    """Return a document without its top-level keys for anchors and for other tools.

    What is wrong inside of them counts where an alias uses it.
    """
    root = document.root
    if root is None or not isinstance(root.value, dict):
        return document
    others = {key: child for key, child in root.value.items() if key.startswith(OTHERS)}
    if not others:
        return document
    own = {key: child for key, child in root.value.items() if key not in others}
    unused = _marks(others.values()) - _marks(own.values())
    problems = [
        problem
        for problem in document.problems
        if not unused & {problem.mark, *(mark for mark, _ in problem.notes)}
    ]
    return replace(document, root=replace(root, value=own), problems=problems)


def _marks(nodes: Iterable[Node]) -> set[Mark]:
    """Return the places of nodes, of all that is in them, and of the keys there."""
    marks: set[Mark] = set()
    visits: set[int] = set()
    waiting = list(nodes)
    while waiting:
        node = waiting.pop()
        if id(node) in visits:
            continue
        visits.add(id(node))
        marks |= {node.mark, node.key_mark}
        inside = node.value.values() if isinstance(node.value, dict) else node.value
        waiting += inside if isinstance(node.value, dict | list) else ()
    return marks


def _first(version: object) -> bool:
    """Return whether this is version 1 of the language, or a value that is already reported."""
    return (type(version) is int and version == 1) or not isinstance(
        version, str | int | float | list | dict | None
    )


def _join(file: str, target: str) -> str:
    """Return the path of a parent, named in `file` as `target`."""
    if target.startswith(BUILTIN):
        return target if target.endswith(SUFFIXES) else f"{target}.yaml"
    if remote.is_remote(target):
        return target
    if remote.is_remote(file):
        return remote.join(file, target)
    if file.startswith(BUILTIN):
        folder = posixpath.dirname(file.removeprefix(BUILTIN))
        return BUILTIN + posixpath.normpath(posixpath.join(folder, target))
    return posixpath.normpath(posixpath.join(posixpath.dirname(file), target))
