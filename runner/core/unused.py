"""What a recipe says and nothing reads: it would silently drop."""

from collections.abc import Iterator, Mapping
from dataclasses import replace

from runner.core import template
from runner.core.check import unknown, violations
from runner.core.merge import ENVIRONMENT, SET
from runner.core.problem import Problem, listing, suggest
from runner.core.recipe import Recipe
from runner.core.resolve import Resolver
from runner.core.sandbox import TemplateError
from runner.core.scope import Use
from runner.core.shape import Json, placed
from runner.core.tree import Node, locate


def unused(recipe: Recipe, resolver: Resolver) -> Iterator[Problem]:
    """Yield a problem for each var and each tool's defaults that reach no stage.

    Where there are no stages at all, what is for them is no second mistake.
    """
    if recipe.tree.get("stages") is None:
        return
    if not recipe.gaps:
        yield from _vars(recipe, resolver)
    yield from _defaults(recipe, resolver)


def profile_problems(recipe: Recipe, resolver: Resolver, stage_schema: Json) -> Iterator[Problem]:
    """Yield each key in a profile, chosen or not, that its stage or its tool does not know."""
    for profile in recipe.section("profiles").values():
        for name, node in _children(profile.get("stages")).items():
            draft = resolver.drafts.get(name)
            if draft is None:
                continue
            for key in node.value if isinstance(node.value, dict) else ():
                if key not in stage_schema["properties"]:
                    yield placed(unknown(stage_schema, (), key), node, f"stage '{name}'")
            said = node.get("tool")
            tool = resolver.catalog.get(said.value) if said is not None else draft.tool
            params = node.get("params")
            if tool is not None and params is not None and isinstance(params.value, dict):
                yield from _unknown(tool.schema, params, tool.name)
        for name, node in _children(profile.get("defaults")).items():
            tool = resolver.catalog.get(name)
            if tool is not None and isinstance(node.value, dict):
                yield from _unknown(tool.schema, node, tool.name)


def _unknown(schema: Json, node: Node, owner: str) -> Iterator[Problem]:
    for found in violations(schema, node.plain()):
        if found.rule == "unknown-key":
            yield placed(found, node, owner)


def _vars(recipe: Recipe, resolver: Resolver) -> Iterator[Problem]:
    known = recipe.section("vars")
    read = _closed(known, {use[1:] for use in resolver.used if use[0] == "vars"})
    fallbacks = "\n".join(_texts(recipe.section("defaults")))
    for path, node in _leaves(known, ()):
        if not path[0].isidentifier() or any(path[: len(use)] == use for use in read):
            continue
        inherited = node.file not in {recipe.file, SET, ENVIRONMENT}
        if inherited and f"vars.{path[0]}" in fallbacks:
            continue  # a base's own var, read by a default that every stage overrules
        name = ".".join(path)
        why, rule = f"nothing reads vars.{name}", "unused-var"
        hint = f"use it as {{{{ vars.{name} }}}}, or remove it"
        if node.file in {SET, ENVIRONMENT} and len(path) > 1:
            beside = [
                key for key in locate(recipe.tree, ("vars", *path[:-1])).value if key != path[-1]
            ]
            near = suggest(path[-1], beside)
            if near:
                why, hint, rule = f"an override matches nothing: {why}", near, "override-nothing"
        elif inherited:
            hint = f"use it as {{{{ vars.{name} }}}}, or write vars: {{{name}: !reset null}}"
            if len(path) > 1:
                hint = f"use it as {{{{ vars.{name} }}}}, or !reset it"
        yield Problem(node.key_mark, why, rule, hint, recipe.inherited(node))


def _closed(known: Mapping[str, Node], read: set[Use]) -> set[Use]:
    """Return what is read, and what the vars that are read would read themselves."""
    waiting = list(read)
    while waiting:
        use = waiting.pop()
        node = locate(Node(dict(known), "", 0, 0), use)
        for text in _texts({"": node}) if node.value is not known else ():
            for words in _reads(text):
                if words[0] == "vars" and words[1:] not in read:
                    read.add(words[1:])
                    waiting.append(words[1:])
    return read


def _reads(text: str) -> Iterator[Use]:
    try:
        yield from template.reads(text) if template.is_template(text) else ()
    except TemplateError:
        return


def _defaults(recipe: Recipe, resolver: Resolver) -> Iterator[Problem]:
    tools = {draft.tool.name: draft.tool for draft in resolver.drafts.values() if draft.tool}
    known = resolver.catalog.names
    strays = []
    for name, node in recipe.section("defaults").items():
        notes = recipe.inherited(node)
        if name in known and not isinstance(node.value, dict):
            for found in violations({"type": "object"}, node.plain()):
                what = replace(found, hint="write {PARAMETER: VALUE}, or remove it")
                yield placed(what, node, f"defaults.{name}", notes)
        elif name in known:
            if name not in tools and not recipe.gaps:
                hint = "remove it" if not notes else f"write defaults: {{{name}: !reset null}}"
                why = f"no stage uses '{name}'"
                yield Problem(node.key_mark, why, "unused-defaults", hint, notes)
        else:
            strays.append((name, node))
    for name, node in strays:
        homes = [tool.name for tool in tools.values() if name in tool.parameters]
        hint = suggest(name, known, f"there are: {listing(known)}")
        if homes:
            hint = f"write defaults: {{{homes[0]}: {{{name}: …}}}}"
        why = f"there is no tool '{name}'"
        yield Problem(node.key_mark, why, "unused-defaults", hint, recipe.inherited(node))


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
