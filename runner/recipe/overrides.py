"""What a caller lays over a recipe: profiles, variables, and ``PATH=VALUE`` texts."""

import re
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from itertools import accumulate

from msgspec import Struct, field
from msgspec.structs import replace

from runner.base.patterns import pattern
from runner.base.problems import Mark, Problem, listing, offer, suggest
from runner.recipe.inline import inline
from runner.recipe.merge import ENVIRONMENT, SET, merge
from runner.recipe.node import Node
from runner.recipe.template.allowance import MAX_DEPTH

OTHERS = "x-"
"""How top-level keys begin that hold anchors, or are for other tools."""
PREFIX = "RECIPE_VARS_"
PROFILE = "--profile"
_INVISIBLE = pattern("[\x00-\x1f\x7f-\x9f\u2028\u2029\ud800-\udfff]")
_PARTS = ("vars", "defaults", "stages")


class Overrides(Struct, frozen=True, kw_only=True):
    """What a caller puts on top of the files: profiles, environment, ``PATH=VALUE`` texts.

    `without` are those of the last two, by place, that are left out.
    """

    profiles: tuple[str, ...] = ()
    environ: Mapping[str, str] = field(default_factory=dict)
    sets: tuple[str, ...] = ()
    without: frozenset[tuple[str, int]] = frozenset()


class _Option(Struct, frozen=True, kw_only=True):
    """One ``PATH=VALUE``: the line the user sees of it, and at which column the path begins."""

    file: str
    number: int
    line: str
    start: int
    words: tuple[str, ...]
    value: str

    def column(self, count: int) -> int:
        """Return the column of the word after the first `count` words, from 1."""
        return self.start + sum(len(word) + 1 for word in self.words[:count])

    def mark(self, count: int = 0) -> Mark:
        """Return the place of the word after the first `count` words."""
        return Mark(file=self.file, line=self.number, column=self.column(count))


def overlay(
    tree: Node, overrides: Overrides, sources: dict[str, str], problems: list[Problem]
) -> tuple[Node, ...]:
    """Return the recipe as it is, then with each further layer: profiles, environment, options.

    The last one is the recipe with everything laid over it; what matches nothing is a problem.
    """
    trees = [tree, *_profiles(tree, overrides.profiles, sources, problems)]
    options = [*_environment(trees[-1], overrides.environ, problems)]
    if options:
        sources[ENVIRONMENT] = "\n".join(option.line for option in options)
    without = overrides.without
    trees.append(_lay(trees[-1], options, without, problems))
    options = [*_sets(trees[-1], overrides.sets, sources, problems)]
    trees.append(_lay(trees[-1], options, without, problems))
    return tuple(trees)


def _lay(
    tree: Node,
    options: Iterable[_Option],
    without: Collection[tuple[str, int]],
    problems: list[Problem],
) -> Node:
    for option in options:
        if (option.file, option.number) in without:
            continue
        layer = _layer(tree, option, problems)
        if layer is not None:
            tree = merge(tree, layer)
    return tree


def _profiles(
    tree: Node, names: Sequence[str], sources: dict[str, str], problems: list[Problem]
) -> Iterator[Node]:
    """Yield the recipe with one more of the chosen profiles each time."""
    profiles = {
        name: one for name, one in _children(tree, "profiles").items() if one.tag != "reset"
    }
    fitting: dict[str, Node] = {}
    for name, profile in profiles.items():
        strays = [*_strays(tree, profile, f"profile '{name}'")]
        problems += [problem for _, problem in strays]
        fitting[name] = _without(profile, [path for path, _ in strays])
    if names:
        sources[PROFILE] = "\n".join(names)
    for number, name in enumerate(names, start=1):
        if name not in profiles:
            why = f"the recipe has no profile '{name}'"
            mark = Mark(file=PROFILE, line=number, column=1)
            problems.append(
                Problem(mark=mark, message=why, rule="unknown-profile", hint=offer(name, profiles))
            )
        elif isinstance(fitting[name].value, dict):
            parts = {key: child for key, child in fitting[name].value.items() if key in _PARTS}
            # A tag on the profile is about the profile that it replaces, not about the recipe.
            tree = merge(tree, replace(fitting[name], value=parts, tag="", over=None))
            yield tree


def _environment(
    tree: Node, environ: Mapping[str, str], problems: list[Problem]
) -> Iterator[_Option]:
    """Yield the variables that are meant for the recipe's vars."""
    variables = _children(tree, "vars")
    names = sorted(name for name in environ if name.startswith(PREFIX))
    for number, name in enumerate(names, start=1):
        word = name.removeprefix(PREFIX)
        fits = [one for one in variables if one == word] or [
            one for one in variables if one.upper() == word.upper()
        ]
        line = _one_line(f"{name}={environ[name]}")
        start = len(PREFIX) + 1 - len("vars.")
        if len(fits) == 1:
            words = ("vars", fits[0])
            yield _Option(
                file=ENVIRONMENT,
                number=number,
                line=line,
                start=start,
                words=words,
                value=environ[name],
            )
            continue
        yield _Option(
            file=ENVIRONMENT, number=number, line=line, start=start, words=(), value=environ[name]
        )
        mark = Mark(file=ENVIRONMENT, line=number, column=len(PREFIX) + 1)
        if fits:
            why, rule = f"{name} matches several vars: {listing(fits)}", "bad-override"
            hint = f"write --set vars.{fits[0]}=…, or rename one of them"
        elif word:
            why, rule = f"{name}: the recipe has no var '{word.lower()}'", "override-nothing"
            hint = offer(word, variables)
        else:
            why, rule, hint = f"{name} names no var", "bad-override", f"write {PREFIX}NAME"
        problems.append(Problem(mark=mark, message=why, rule=rule, hint=hint))


def _sets(
    tree: Node, sets: Sequence[str], sources: dict[str, str], problems: list[Problem]
) -> Iterator[_Option]:
    if sets:
        sources[SET] = "\n".join(map(_one_line, sets))
    for number, text in enumerate(sets, start=1):
        path, equals, value = text.partition("=")
        hint = "write --set stages.NAME.params.PARAMETER=VALUE"
        if not equals or not path:
            why = f"'{_one_line(text)}' is not PATH=VALUE"
            problems.append(
                Problem(
                    mark=Mark(file=SET, line=number, column=1),
                    message=why,
                    rule="bad-override",
                    hint=hint,
                )
            )
            continue
        if path.count(".") > MAX_DEPTH:
            why = f"a path has at most {MAX_DEPTH} names, and this one has {path.count('.') + 1:,}"
            problems.append(
                Problem(
                    mark=Mark(file=SET, line=number, column=1),
                    message=why,
                    rule="bad-override",
                    hint=hint,
                )
            )
            continue
        words = _words(path, tree)
        option = _Option(
            file=SET, number=number, line=_one_line(text), start=1, words=words, value=value
        )
        if "" in words:
            why = f"'{path[:80]}' has an empty name between its dots"
            mark = option.mark(words.index(""))
            problems.append(Problem(mark=mark, message=why, rule="bad-override", hint=hint))
            continue
        yield option


def _one_line(text: str) -> str:
    """Return an option as the one line that its problems show, each character at its place."""
    return _INVISIBLE.sub(" ", text)


def _layer(tree: Node, option: _Option, problems: list[Problem]) -> Node | None:
    """Return an option as a layer, None if a problem is in its way."""
    if not option.words:
        return None
    lead = option.line.index("=") + 1
    if not option.value.strip():
        problems.append(_empty(option))
        return None
    document = inline(option.value, option.file)
    starts = [0, *accumulate(len(row) + 1 for row in option.value.split("\n"))]

    def move(line: int, column: int) -> tuple[int, int]:
        return option.number, lead + starts[min(line, len(starts)) - 1] + column

    if document.problems:
        for problem in document.problems:
            marks = [problem.mark, *(mark for mark, _ in problem.notes if mark)]
            mark, *others = [Mark.at(option.file, move(m.line, m.column)) for m in marks]
            notes = tuple(zip(others, (text for _, text in problem.notes), strict=True))
            problems.append(replace(problem, mark=mark, notes=notes))
        return None
    leaf = _shift(document.root or Node(value=None, file=option.file, line=1, column=1), move)
    refusals = _into_list(tree, option)
    layer = _nest(option, leaf)
    refusals += [problem for _, problem in _foreign(tree, layer, option)]
    refusals += [problem for _, problem in _strays(tree, layer, "an override")]
    problems += refusals
    return None if refusals else layer


def _empty(option: _Option) -> Problem:
    """Return the problem of a value that is not there: an unset variable of a shell, mostly."""
    name = option.line.partition("=")[0]
    out = f"unset {name}" if option.file == ENVIRONMENT else "leave it out"
    hint = f"give it a value, or {out}; write null for null"
    return Problem(
        mark=option.mark(), message=f"{name} has no value", rule="empty-value", hint=hint
    )


def _shift(node: Node, move: Callable[[int, int], tuple[int, int]]) -> Node:
    """Return a tree with its places moved to where the user sees them."""
    value = node.value
    if isinstance(value, dict):
        value = {key: _shift(child, move) for key, child in value.items()}
    elif isinstance(value, list):
        value = [_shift(child, move) for child in value]
    line, column = move(node.line, node.column)
    key = move(*node.key) if node.key else None
    return replace(node, value=value, line=line, column=column, key=key)


def _words(path: str, tree: Node) -> tuple[str, ...]:
    """Split a dotted path; keys of the tree that hold dots themselves are kept whole.

    Below ``defaults`` stand names of tools, each of two words.
    """
    words: list[str] = []
    node: Node | None = tree
    rest: str | None = path
    while rest is not None:
        children = node.value if node is not None and isinstance(node.value, dict) else {}
        fits = [key for key in children if rest == key or rest.startswith(f"{key}.")]
        count = 2 if words == ["defaults"] else 1
        word = max(fits, key=len) if fits else ".".join(rest.split(".")[:count])
        words.append(word)
        rest = rest[len(word) + 1 :] if len(rest) > len(word) else None
        node = children.get(word)
    return tuple(words)


def _nest(option: _Option, leaf: Node) -> Node:
    """Return a tree that holds `leaf` at the option's path; each mapping is at its key."""
    node = leaf
    for at in reversed(range(len(option.words))):
        node = replace(node, key=(option.number, option.column(at)))
        above = option.column(max(at - 1, 0))
        node = Node(
            value={option.words[at]: node}, file=option.file, line=option.number, column=above
        )
    return node


def _into_list(tree: Node, option: _Option) -> list[Problem]:
    """Return a problem where a path points at an entry of a list."""
    node: Node | None = tree
    for at, word in enumerate(option.words):
        before = ".".join(option.words[:at])
        inside = re.fullmatch(r"(.+)\[-?\d*\]", word)
        if inside or (node is not None and isinstance(node.value, list)):
            whole = f"{before}.{inside[1]}" if inside else before
            why = "a path cannot point into a list: lists are replaced as a whole"
            return [
                Problem(
                    mark=option.mark(at),
                    message=why,
                    rule="bad-override",
                    hint=f"write {whole}=[…]",
                )
            ]
        node = node.get(word) if node is not None else None
    return []


def _foreign(tree: Node, layer: Node, option: _Option) -> Iterator[tuple[tuple[str, ...], Problem]]:
    """Yield a problem for the first word of a path that names no part of a recipe."""
    for name, child in layer.value.items():
        if name in (*_PARTS, "name", "description"):
            continue
        rest = [word for word in option.words[1:] if word != "params"]
        last = rest[-1] if rest else option.words[-1]
        if name in {"version", "extends", "profiles", "tools"}:
            why = f"'{name}' is set in the file and cannot be overridden"
            hint = f"a path starts with one of: {listing(_PARTS)}"
        elif name.startswith(OTHERS):
            why = f"'{name}' is for anchors and for other tools, and cannot be overridden"
            hint = f"a path starts with one of: {listing(_PARTS)}"
        else:
            why = f"'{name}' is not a part of a recipe"
            hint = suggest(name, _PARTS, f"write stages.NAME.params.{last}=…")
        if name in _children(tree, "stages"):
            hint = f"write stages.{name}.params.{last}=…"
        elif name in _children(tree, "vars"):
            hint = f"write vars.{'.'.join(option.words)}=…"
        elif name == "params":
            hint = f"write stages.NAME.params.{last}=…"
        yield (name,), Problem(mark=child.key_mark, message=why, rule="override-nothing", hint=hint)


def _strays(tree: Node, layer: Node, what: str) -> Iterator[tuple[tuple[str, ...], Problem]]:
    """Yield path and problem of each var and stage that an overlay names and the recipe has not.

    Where the recipe has no stages at all, that is reported alone.
    """
    for section, one in (("vars", "var"), ("stages", "stage")):
        names = _children(tree, section)
        if section == "stages" and tree.get(section) is None:
            continue
        for name, child in _children(layer, section).items():
            if name not in names:
                why = f"{what} matches nothing: the recipe has no {one} '{name}'"
                hint = offer(name, names)
                yield (
                    (section, name),
                    Problem(mark=child.key_mark, message=why, rule="override-nothing", hint=hint),
                )


def _without(layer: Node, paths: Sequence[tuple[str, ...]]) -> Node:
    """Return a layer without the children at these paths of two words."""
    if not isinstance(layer.value, dict):
        return layer
    sections = {}
    for section, child in layer.value.items():
        names = {path[1] for path in paths if path[0] == section}
        if names:
            sections[section] = replace(
                child, value={k: v for k, v in child.value.items() if k not in names}
            )
        else:
            sections[section] = child
    return replace(layer, value=sections)


def _children(tree: Node, name: str) -> dict[str, Node]:
    node = tree.get(name)
    return node.value if node is not None and isinstance(node.value, dict) else {}
