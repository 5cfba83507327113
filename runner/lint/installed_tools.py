"""What the installed tools say: of a recipe's stages by their own parsers, of the catalogue."""

from collections.abc import Sequence

from runner.base.errors import UnfitError
from runner.base.problems import Mark, Problem
from runner.catalog import load, packaged_tools
from runner.catalog.drift import compare
from runner.plan.compile import Compilation
from runner.plan.model import Plan
from runner.runs import trust
from runner.runs.rehearse import rehearse
from runner.system import machine


def parser_problems(result: Compilation, *, trust_tools: bool = False) -> list[Problem]:
    """Return what the installed tools' own parsers refuse, or read differently, of a recipe.

    A tool that comes with the recipe is checked only with permission; `trust_tools` gives it.
    """
    whole, drafts = result.plan, result.resolver.drafts
    if whole is None:
        return []
    names = [stage.name for stage in whole.stages]
    new = trust.new_tools(whole, names, consent=trust_tools)
    asked = [stage.name for stage in whole.stages if stage.tool not in new]
    problems = [
        _problem(drafts[name].node.key_mark, whole.stage(name).tool, output, whole, ran=ran)
        for name, output, ran in rehearse(whole, load.installed_catalog(whole.tools), asked)
    ]
    others = (stage for stage in whole.stages if stage.tool in new)
    return [*problems, *(_untrusted(drafts[one.name].node.key_mark, one.tool) for one in others)]


def _untrusted(mark: Mark, tool: str) -> Problem:
    return Problem(
        mark=mark,
        message=f"the parser of {tool} was not checked: it comes with the recipe",
        rule="tool-not-asked",
        hint="review its file under 'tools:', then run with --trust-tools, which is remembered",
        severity="warning",
    )


def _problem(mark: Mark, tool: str, output: str, plan: Plan, *, ran: bool) -> Problem:
    notes = tuple((None, line) for line in output.splitlines())
    if ran:
        why = f"the installed {tool} does not accept this stage as planned"
        hint = "run-recipe doctor shows how the installation differs"
        if tool in plan.tools:
            hint = (
                "correct its file: run-recipe tools --draft PROGRAM prints what its parser accepts"
            )
        return Problem(mark=mark, message=why, rule="installed-tool", hint=hint, notes=notes)
    why = f"the parser of {tool} was not checked"
    hint = "only a run shows how it reads its options"
    return Problem(
        mark=mark, message=why, rule="tool-not-asked", hint=hint, notes=notes, severity="warning"
    )


def drift(names: Sequence[str]) -> tuple[list[str], dict[str, str]]:
    """Return what catalogue and installation do not say alike, and the tools not to be asked."""
    catalog = load.installed_catalog(packaged_tools.tools(packaged_tools.names()))
    answers = machine.ask("runner.worker.introspect", *names)
    if set(answers) == {"error"}:
        raise UnfitError(f"the installed tools cannot be checked: {answers['error']}")
    differences: list[str] = []
    unavailable: dict[str, str] = {}
    for name, answer in answers.items():
        tool = catalog.get(name)
        if "unavailable" in answer:
            unavailable[name] = answer["unavailable"]
        elif tool is not None:
            differences += [str(difference) for difference in compare(tool, answer)]
    return differences, unavailable
