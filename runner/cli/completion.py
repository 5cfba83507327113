"""What a shell completes: recipes, their parts, runs, revisions, tools and rules.

Nothing here raises: a recipe that cannot be read has no completions.
"""

import os
from collections.abc import Iterable, Iterator, Mapping
from typing import TYPE_CHECKING, Any

import click
from click.shell_completion import (
    BashComplete,
    CompletionItem,
    add_completion_class,
    get_completion_class,
    split_arg_string,
)

from runner.base.errors import Exit, RecipeError
from runner.cli import first_word

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from runner.plan.compile import Compilation

VARIABLE = "_RUN_RECIPE_COMPLETE"
_BASH = """\
%(complete_func)s() {
    local IFS=$'\\n' line=${COMP_LINE:0:$COMP_POINT} type value quote= char= at start=0
    for ((at = 0; at < ${#line}; at++)); do  # where the last word starts
        char=${line:at:1}
        case $quote$char in
            \\\\ | \\"\\\\) ((at++)) ;;
            \\'\\' | \\"\\") quote= ;;
            \\' | \\") quote=$char ;;
            ' ') start=$((at + 1)) ;;
        esac
    done
    local word=${line:start} breaks=${COMP_WORDBREAKS//[^:=]/} cut=
    if [ -n "$breaks" ]; then cut=${word%%"${word##*[$breaks]}"}; fi
    COMPREPLY=()
    while IFS=, read -r type value; do
        if [ "$type" = plain ]; then
            case $value in *[/=.:]) compopt -o nospace 2> /dev/null ;; esac
            if [ -z "$quote" ]; then printf -v value %%q "$value"; fi
            COMPREPLY+=("${value#"${cut#[\\"\\']}"}")
        fi
    done < <(COMP_SO_FAR=$line %(complete_var)s=bash_complete "$1" 2> /dev/null)
}
complete -o default -o nosort -F %(complete_func)s %(prog_name)s 2> /dev/null ||
    complete -o default -F %(complete_func)s %(prog_name)s
"""


class Bash(BashComplete):
    """Bash's completion for words with ``=`` and ``:``, which bash takes apart."""

    source_template = _BASH

    @staticmethod
    def _check_version() -> None:
        """Ask nothing: the script does without what old versions lack."""

    def get_completion_args(self) -> tuple[list[str], str]:
        """Return the words of the line so far, and the one being written."""
        line = os.environ.get("COMP_SO_FAR", "")
        words = split_arg_string(line)
        blank = (" ", "\t")  # one that ends the line and a word is part of it: ``sp\\ ``
        over = not words or (line.endswith(blank) and not words[-1].endswith(blank))
        incomplete = "" if over else words.pop()
        return words[1:], incomplete

    def get_completions(self, args: list[str], incomplete: str) -> list[CompletionItem[str]]:
        """Return what may be in the line as it is, also where a quote is open there."""
        items = super().get_completions(args, incomplete)
        return [item for item in items if not first_word.ACTS.search(str(item.value))]


def register() -> None:
    """Make bash's completion ours."""
    add_completion_class(Bash, "bash")


def recipes(_: click.Context, __: click.Parameter, incomplete: str) -> list[CompletionItem[str]]:
    """Return recipes and folders that begin like a path, and the shipped recipes."""
    return [CompletionItem(name) for name in first_word.recipes(incomplete)]


def profiles(ctx: click.Context, _: click.Parameter, incomplete: str) -> list[CompletionItem[str]]:
    """Return the profiles of the recipe on the line."""
    return _section_names(ctx, "profiles", incomplete)


def stages(ctx: click.Context, _: click.Parameter, incomplete: str) -> list[CompletionItem[str]]:
    """Return the stages of the recipe on the line."""
    return _section_names(ctx, "stages", incomplete)


def values(ctx: click.Context, _: click.Parameter, incomplete: str) -> list[CompletionItem[str]]:
    """Return what ``show`` shows: vars, a stage's parameters, or one of all stages."""
    compilation = _compilation(ctx)
    if compilation is None or compilation.plan is None:
        return []
    from runner.catalog.validate import dotted
    from runner.provenance.origins import leaves

    inside = {
        stage.name: [dotted(path) for path, _ in leaves(stage.params)]
        for stage in compilation.plan.stages
    }
    choices = [f"vars.{name}" for name in _leaves(compilation.resolver.recipe.tree.get("vars"))]
    choices += [f"{stage}.{name}" for stage, names in inside.items() for name in names]
    if incomplete:  # all of them would hide the stages
        choices += [name for names in inside.values() for name in names]
    steps = (_step(name, incomplete) for name in choices if name.startswith(incomplete))
    return [CompletionItem(one) for one in dict.fromkeys(steps)]


def _step(name: str, incomplete: str) -> str:
    """Return a name up to its next dot: one step further than what is there already."""
    dot = name.find(".", len(incomplete))
    return name if dot < 0 else name[: dot + 1]


def shipped(_: click.Context, __: click.Parameter, incomplete: str) -> list[CompletionItem[str]]:
    """Return the shipped recipes that ``new`` starts from."""
    from runner.cli import new_recipe

    return _items(new_recipe.names(), incomplete)


def runs(ctx: click.Context, _: click.Parameter, incomplete: str) -> list[CompletionItem[str]]:
    """Return the recipes that have runs, and the runs by their ids, the newest first."""
    ids = [CompletionItem(one.name, help=one.parent.name) for one in reversed(_folders(ctx))]
    return [*ran(ctx, _, incomplete), *(one for one in ids if one.value.startswith(incomplete))]


def ran(ctx: click.Context, _: click.Parameter, incomplete: str) -> list[CompletionItem[str]]:
    """Return the recipes that have runs."""
    return _items(sorted({one.parent.name for one in _folders(ctx)}), incomplete)


def _folders(ctx: click.Context) -> "Sequence[Path]":
    """Return the folders of the runs, the newest last; none where they cannot be reached."""
    from pathlib import Path

    from runner.runs import history

    try:
        return history.folders(Path(ctx.params.get("runs") or "runs"))
    except RecipeError:
        return []


def sides(ctx: click.Context, param: click.Parameter, incomplete: str) -> list[CompletionItem[str]]:
    """Return what ``diff`` compares: recipes, and after the first one revisions and runs."""
    items = recipes(ctx, param, incomplete)
    words = ctx.params.get("words") or ()
    if not words:
        return items
    from runner.system import git

    above, dots, prefix = incomplete.rpartition("..")
    names = git.names(str(words[0]))
    revisions = [
        CompletionItem(f"{above}{dots}{name}") for name in names if name.startswith(prefix)
    ]
    ids = [one.name for one in reversed(_folders(ctx))]
    return [*revisions, *items, *_items(ids, incomplete)]


def tools(_: click.Context, __: click.Parameter, incomplete: str) -> list[CompletionItem[str]]:
    """Return the tools of the catalogue."""
    from runner.catalog import load

    return _items(load.catalog().names, incomplete)


def rules(_: click.Context, __: click.Parameter, incomplete: str) -> list[CompletionItem[str]]:
    """Return the slugs of the rules."""
    from runner.lint.rule import rules as all_rules

    return _items(all_rules(), incomplete)


def _items(names: Iterable[str], incomplete: str) -> list[CompletionItem[str]]:
    return [CompletionItem(name) for name in names if name.startswith(incomplete)]


def paths(ctx: click.Context, _: click.Parameter, incomplete: str) -> list[CompletionItem[str]]:
    """Return paths for --set that begin alike; after ``=`` the values a parameter may take."""
    compilation = _compilation(ctx)
    if compilation is None:
        return []
    path, equals, value = incomplete.partition("=")
    if equals:
        choices = _values(path, compilation)
        return [CompletionItem(f"{path}={one}") for one in choices if one.startswith(value)]
    items = list(_paths(compilation, incomplete))
    return [item for item in items if item.value.startswith(incomplete)]


def _paths(compilation: "Compilation", incomplete: str) -> Iterator[CompletionItem[str]]:
    recipe = compilation.resolver.recipe
    for name in _leaves(recipe.tree.get("vars")):
        yield CompletionItem(f"vars.{name}=")
    for name, draft in compilation.resolver.drafts.items():
        lead = f"stages.{name}.params."
        if not incomplete.startswith(lead):
            yield CompletionItem(lead, help=draft.tool.name if draft.tool else None)
            continue
        for parameter in draft.tool.parameters.values() if draft.tool else ():
            about = str(parameter.schema["description"])
            yield CompletionItem(f"{lead}{parameter.name}=", help=about)


def _leaves(node: Any, above: str = "") -> Iterator[str]:
    for name, child in node.value.items() if node is not None else ():
        if isinstance(child.value, dict):
            yield from _leaves(child, f"{above}{name}.")
        else:
            yield f"{above}{name}"


def _values(path: str, compilation: "Compilation") -> list[str]:
    words = path.split(".")
    draft = compilation.resolver.drafts.get(words[1]) if len(words) == 4 else None  # noqa: PLR2004
    tool = draft.tool if draft else None
    schema: Mapping[str, Any] = tool.schema["properties"].get(words[3], {}) if tool else {}
    if schema.get("type") == "boolean":
        return ["true", "false"]
    return [str(one) for one in schema.get("enum", ())]


def _section_names(ctx: click.Context, section: str, incomplete: str) -> list[CompletionItem[str]]:
    compilation = _compilation(ctx)
    nodes = compilation.resolver.recipe.section(section) if compilation else {}
    return [
        CompletionItem(name, help=str(about.value) if about is not None else None)
        for name, node in nodes.items()
        for about in [node.get("description")]
        if name.startswith(incomplete)
    ]


def _compilation(ctx: click.Context) -> "Compilation | None":
    """Return the recipe on the line, compiled; None if there is none that can be read."""
    from runner import workflow

    arguments = [ctx.params.get(name) for name in ("recipe", "recipes", "words")]
    files = [one for value in arguments for one in (value if isinstance(value, tuple) else [value])]
    for file in filter(None, [*files, *ctx.args]):  # where an option waits for its value
        reading = workflow.read(str(file))
        if reading.recipe is not None:
            return workflow.compile_recipe(reading.recipe)
    return None


@click.command("completion")
@click.argument("shell", type=click.Choice(["bash", "zsh", "fish"]))
@click.pass_context
def command(ctx: click.Context, shell: str) -> int:
    """Print the completion script for a shell.

    It completes commands, recipes, profiles, stages and paths.

    For bash, put eval "$(run-recipe completion bash)" into ~/.bashrc; for zsh, the same with zsh
    into ~/.zshrc; for fish: run-recipe completion fish > ~/.config/fish/completions/run-recipe.fish
    """
    register()
    kind = get_completion_class(shell)
    if kind is not None:
        script = kind(ctx.find_root().command, {}, "run-recipe", VARIABLE).source()
        from runner.system import printer

        printer.payload(f"{script}\n")
    return Exit.OK
