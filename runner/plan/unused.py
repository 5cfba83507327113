"""What a recipe says and nothing reads: it would silently drop."""

from collections.abc import Collection, Iterable, Iterator, Mapping

from msgspec import Struct
from msgspec.structs import replace

from runner.base.constants import BUILTIN
from runner.base.problems import Mark, Problem, offer, suggest
from runner.catalog.validate import unknown, violations
from runner.plan.keys import Json, problem_at
from runner.plan.resolve import Resolver
from runner.plan.scope import Use
from runner.recipe.load import Recipe
from runner.recipe.merge import ENVIRONMENT, SET
from runner.recipe.node import Node, locate
from runner.recipe.template import render
from runner.recipe.template.expressions import names
from runner.recipe.template.sandbox import TemplateError


class Offers(Struct, frozen=True, kw_only=True):
    """What the bases of a recipe offer: the places of what it uses, and what it does not use.

    What one recipe does not use is a mistake of the base only where no other recipe uses it.
    """

    used: frozenset[Mark] = frozenset()
    unread: tuple[Problem, ...] = ()


def unused(recipe: Recipe, resolver: Resolver, reads: Collection[Use]) -> Iterator[Problem]:
    """Yield a problem for each var and each tool's defaults of its own that reach no stage.

    `reads` are the names that were read, or named if nothing is read. What a base says may be
    for other recipes: see `offers`. Where there are no stages at all, what is for them is no
    second mistake.
    """
    if recipe.tree.get("stages") is None:
        return
    if not recipe.gaps:
        yield from _vars(recipe, reads)
    yield from _defaults(recipe, resolver)


def offers(recipe: Recipe, resolver: Resolver, reads: Collection[Use]) -> Offers:
    """Return which vars and defaults of its bases a recipe uses; shipped bases only offer.

    A line that another one overrules uses what it names, too: a base may read its own vars.
    """
    if not any(_of_base(recipe, file) for file in recipe.trail):
        return Offers()
    used: set[Mark] = set()
    unread: list[Problem] = []
    read = _ever_read(recipe, {use[1:] for use in reads if use[0] == "vars"})
    for path, node in _every_leaf(recipe.tree.get("vars"), ()):
        if not _of_base(recipe, node.file) or node.tag == "reset":
            continue
        if not path[0].isidentifier() or path in read or _covers(read, path):
            used.add(node.key_mark)
            continue
        name = ".".join(path)
        why, hint = f"nothing reads vars.{name}", f"use it as {{{{ vars.{name} }}}}, or remove it"
        unread.append(Problem(mark=node.key_mark, message=why, rule="unused-var", hint=hint))
    tools = _tools(recipe, resolver)
    for name, node in _every_child(recipe.tree.get("defaults")):
        if not _of_base(recipe, node.file) or name not in resolver.catalog.names:
            continue
        if name in tools:
            used.add(node.key_mark)
        elif node.tag != "reset":
            why = f"no stage uses '{name}'"
            unread.append(
                Problem(mark=node.key_mark, message=why, rule="unused-defaults", hint="remove it")
            )
    return Offers(used=frozenset(used), unread=tuple(unread))


def _of_base(recipe: Recipe, file: str) -> bool:
    """Return whether a file is a base of the recipe that is a user's own."""
    own = {recipe.file, SET, ENVIRONMENT}
    return file not in own and not file.startswith(BUILTIN)


def _ever_read(recipe: Recipe, read: set[Use]) -> set[Use]:
    """Return what is read, and what overruled and removed lines would read; all around it, too."""
    parts = ("stages", "defaults", "track", "description", "profiles")
    layers = (recipe.tree, *recipe.below)
    texts = {text for layer in layers for part in parts for text in _texts_ever(layer.get(part))}
    read |= {words[1:] for text in texts for words in _reads(text, bare=True) if words[0] == "vars"}
    waiting = [
        (
            path,
            {
                words[1:]
                for text in _texts({"": node})
                for words in _reads(text)
                if words[0] == "vars"
            },
        )
        for path, node in _every_leaf(recipe.tree.get("vars"), ())
    ]
    waiting = [(path, uses) for path, uses in waiting if uses]
    around = {use[:size] for use in read for size in range(1, len(use) + 1)}
    count = -1
    while count != len(waiting):
        count, rest = len(waiting), []
        for path, uses in waiting:
            if path in around or _covers(read, path):
                read |= uses
                around |= {use[:size] for use in uses for size in range(1, len(use) + 1)}
            else:
                rest.append((path, uses))
        waiting = rest
    return read | around


def _texts_ever(node: Node | None) -> Iterator[str]:
    for _, leaf in _every_leaf(node, ()):
        yield from _texts({"": leaf})


def _every_leaf(node: Node | None, above: Use) -> Iterator[tuple[Use, Node]]:
    """Yield all leaves below a node, also those that are overruled or removed."""
    for name, child in _every_child(node):
        path = (*above, name)
        if isinstance(child.value, dict) and child.value:
            yield from _every_leaf(replace(child, over=None), path)
        else:
            yield path, child


def _every_child(node: Node | None) -> Iterator[tuple[str, Node]]:
    """Yield the children of a mapping and of what it replaced, each with what it replaced."""
    for layer in (node, *node.losers()) if node is not None else ():
        if isinstance(layer.value, dict):
            for name, child in {**layer.value, **(layer.removed or {})}.items():
                for one in (child, *child.losers()):
                    yield name, one


def _tools(recipe: Recipe, resolver: Resolver) -> set[str]:
    """Return the tools of the stages, also of those that a layer or an unchosen profile has."""
    names = {draft.tool.name for draft in resolver.drafts.values() if draft.tool}
    for layer in (recipe.tree, *recipe.below):
        profiles = [one for _, one in _every_child(layer.get("profiles"))]
        for whole in (layer, *profiles):
            stages = (one for _, one in _every_child(whole.get("stages")))
            told = (one for stage in stages for key, one in _every_child(stage) if key == "tool")
            names |= {one.value for one in told if isinstance(one.value, str)}
    return names


def profile_problems(recipe: Recipe, resolver: Resolver, stage_schema: Json) -> Iterator[Problem]:
    """Yield each key in a profile, chosen or not, that its stage or its tool does not know."""
    for profile in recipe.section("profiles").values():
        for name, node in _children(profile.get("stages")).items():
            draft = resolver.drafts.get(name)
            if draft is None:
                continue
            for key in node.value if isinstance(node.value, dict) else ():
                if key not in stage_schema["properties"]:
                    yield problem_at(unknown(stage_schema, (), key), node, f"stage '{name}'")
            declared = node.get("tool")
            tool = resolver.catalog.get(declared.value) if declared is not None else draft.tool
            params = node.get("params")
            if tool is not None and params is not None and isinstance(params.value, dict):
                yield from _unknown(tool.schema, params, tool.name)
        for name, node in _children(profile.get("defaults")).items():
            tool = resolver.catalog.get(name)
            if tool is not None and isinstance(node.value, dict):
                yield from _unknown(tool.schema, node, tool.name)


def _unknown(schema: Json, node: Node, owner: str) -> Iterator[Problem]:
    for violation in violations(schema, node.plain()):
        if violation.rule == "unknown-key":
            yield problem_at(violation, node, owner)


def _vars(recipe: Recipe, reads: Collection[Use]) -> Iterator[Problem]:
    variables = recipe.section("vars")
    read = _closure(variables, {use[1:] for use in reads if use[0] == "vars"})
    since = _Layers(recipe)
    for path, node in _unread(variables, (), read):
        if not path[0].isidentifier() or node.file not in {recipe.file, SET, ENVIRONMENT}:
            continue
        since_then = since.read(path, node)
        if _covers(since_then, path):
            continue  # what read it is overruled by a layer above the one that says it
        name = ".".join(path)
        why, rule = f"nothing reads vars.{name}", "unused-var"
        hint = f"use it as {{{{ vars.{name} }}}}, or remove it"
        if node.file in {SET, ENVIRONMENT}:
            hint = _instead(recipe, path)
        if node.file in {SET, ENVIRONMENT} and len(path) > 1:
            beside = [
                key for key in locate(recipe.tree, ("vars", *path[:-1])).value if key != path[-1]
            ]
            neighbour = suggest(path[-1], beside)
            if neighbour:
                why, hint, rule = (
                    f"an override matches nothing: {why}",
                    neighbour,
                    "override-nothing",
                )
        yield Problem(mark=node.key_mark, message=why, rule=rule, hint=hint)


def _unread(
    section: Mapping[str, Node], above: Use, read: Collection[Use]
) -> Iterator[tuple[Use, Node]]:
    """Yield the leaves that no use reads; a mapping around many is looked up once for them all."""
    if above in read:
        return
    for name, node in section.items():
        path = (*above, name)
        if isinstance(node.value, dict) and node.value:
            yield from _unread(node.value, path, read)
        elif path not in read:
            yield path, node


def _covers(uses: Collection[Use], path: Use) -> bool:
    """Return whether one of `uses` reads the var at `path`, or a mapping around it."""
    return any(path[:size] in uses for size in range(len(path) + 1))


class _Layers:
    """What was read from each layer of a recipe on, made once for all vars that it says."""

    def __init__(self, recipe: Recipe) -> None:
        self.below = recipe.below
        self.reads: dict[int, set[Use]] = {len(self.below): set()}

    def read(self, path: Use, node: Node) -> set[Use]:
        """Return the vars that were read when the layer was laid that says the var at `path`.

        A profile reads what the files say, whether it is chosen or not.
        """
        layers = (at for at, layer in enumerate(self.below) if _at(layer, path).mark == node.mark)
        first = next(layers, len(self.below))
        if first not in self.reads:
            self.reads[first] = {use for layer in self.below[first:] for use in _read_in(layer)}
            if first == 0:
                profiles = self.below[0].get("profiles")
                self.reads[0] |= _within(self.below[0], (profiles,) if profiles else ())
        return self.reads[first]


def _at(layer: Node, path: Use) -> Node:
    return locate(layer, ("vars", *path))


def _read_in(tree: Node) -> set[Use]:
    """Return the vars that a recipe's tree reads, its profiles left out."""
    parts = (tree.get(name) for name in ("stages", "defaults", "track", "description"))
    return _within(tree, [part for part in parts if part is not None])


def _within(tree: Node, parts: Iterable[Node]) -> set[Use]:
    """Return the vars that parts of a tree read, also through other vars of it."""
    texts = [text for part in parts for text in _texts({"": part})]
    read = {words[1:] for text in texts for words in _reads(text, bare=True) if words[0] == "vars"}
    variables = tree.get("vars")
    return _closure(
        variables.value if variables and isinstance(variables.value, dict) else {}, read
    )


def _instead(recipe: Recipe, path: Use) -> str:
    """Return how to fix it for a var that a caller says and nothing reads."""
    for name, profile in recipe.section("profiles").items():
        if _covers(_within(recipe.tree, (profile,)), path):
            return f"only the profile '{name}' reads it: add --profile {name}"
    for name, stage in recipe.section("stages").items():
        for inside, node in _leaves(_children(stage), ()):
            if node.over and _covers(_within(recipe.tree, node.losers()), path):
                what = ".".join(("stages", name, *inside))
                return f"remove it: only {what} read it, which is now set at {node.mark}"
    return "leave it out"


def _closure(variables: Mapping[str, Node], read: set[Use]) -> set[Use]:
    """Return what is read, and what the vars that are read would read themselves."""
    waiting, visited = list(read), set()
    whole = Node(value=variables, file="", line=0, column=0)
    while waiting:
        node = locate(whole, waiting.pop())
        texts = () if id(node) in visited else _texts({"": node})
        visited.add(id(node))
        for text in texts:
            for words in _reads(text):
                if words[0] == "vars" and words[1:] not in read:
                    read.add(words[1:])
                    waiting.append(words[1:])
    return read


def _reads(text: str, *, bare: bool = False) -> Iterator[Use]:
    """Yield what a template reads; `bare` texts may be an expectation, which is an expression."""
    try:
        if render.is_template(text):
            yield from render.reads(text)
        elif bare and "vars." in text:
            yield from names(text)
    except TemplateError:
        return


def _defaults(recipe: Recipe, resolver: Resolver) -> Iterator[Problem]:
    tools = {draft.tool.name: draft.tool for draft in resolver.drafts.values() if draft.tool}
    tool_names = resolver.catalog.names
    used = _tools(recipe, resolver)
    strays = []
    for name, node in recipe.section("defaults").items():
        notes = recipe.inherited(node)
        if name in tool_names and not isinstance(node.value, dict):
            for violation in violations({"type": "object"}, node.plain()):
                what = replace(violation, hint="write {PARAMETER: VALUE}, or remove it")
                yield problem_at(what, node, f"defaults.{name}", notes)
        elif name in tool_names:
            if name not in used and not recipe.gaps and not notes:
                why = f"no stage uses '{name}'"
                yield Problem(
                    mark=node.key_mark, message=why, rule="unused-defaults", hint="remove it"
                )
        else:
            strays.append((name, node))
    for name, node in strays:
        homes = [tool.name for tool in tools.values() if name in tool.parameters]
        hint = offer(name, tool_names)
        if homes:
            hint = f"write defaults: {{{homes[0]}: {{{name}: …}}}}"
        why = f"there is no tool '{name}'"
        yield Problem(
            mark=node.key_mark,
            message=why,
            rule="unused-defaults",
            hint=hint,
            notes=recipe.inherited(node),
        )


def _leaves(section: Mapping[str, Node], above: Use) -> Iterator[tuple[Use, Node]]:
    for name, node in section.items():
        path = (*above, name)
        if isinstance(node.value, dict) and node.value:
            yield from _leaves(node.value, path)
        else:
            yield path, node


def _texts(section: Mapping[str, Node]) -> Iterator[str]:
    for _, node in _leaves(section, ()):
        items = node.value if isinstance(node.value, list) else [node]
        yield from (item.value for item in items if isinstance(item.value, str))


def _children(node: Node | None) -> Mapping[str, Node]:
    return node.value if node is not None and isinstance(node.value, dict) else {}
