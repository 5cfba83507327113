"""run-recipe: declarative YAML recipes for Apple's MLX.

``load`` reads a recipe, ``compile`` turns it into a plan, ``run`` runs the plan and returns a
Result; ``check`` returns every Problem. docs/library.md shows them. Importing this package imports
neither mlx nor mlx_lm, and hardly anything else.
"""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from pathlib import Path

    from runner.base.errors import InvalidRecipeError, RecipeError
    from runner.base.problems import Problem
    from runner.plan.model import Plan, Stage
    from runner.recipe.load import Recipe
    from runner.runs.audit import Verdict
    from runner.runs.result import Gate, Result, StageResult

__all__ = [
    "Gate",
    "InvalidRecipeError",
    "Plan",
    "Problem",
    "Recipe",
    "RecipeError",
    "Result",
    "Stage",
    "StageResult",
    "Verdict",
    "__version__",
    "check",
    "compile",
    "load",
    "run",
]
_HOMES = {
    "Gate": "runner.runs.result",
    "InvalidRecipeError": "runner.base.errors",
    "Plan": "runner.plan.model",
    "Problem": "runner.base.problems",
    "Recipe": "runner.recipe.load",
    "RecipeError": "runner.base.errors",
    "Result": "runner.runs.result",
    "Stage": "runner.plan.model",
    "StageResult": "runner.runs.result",
    "Verdict": "runner.runs.audit",
}


def __getattr__(name: str) -> Any:
    """Return a type of the library from its own module, imported when it is first asked for."""
    if name not in _HOMES:
        raise AttributeError(f"module 'runner' has no attribute '{name}'")
    from importlib import import_module

    return getattr(import_module(_HOMES[name]), name)


def load(
    path: "str | Path",
    *,
    profiles: Sequence[str] = (),
    sets: Sequence[str] = (),
    environ: Mapping[str, str] | None = None,
) -> "Recipe":
    """Read a recipe with its parents, profiles and overrides (like ``--profile`` and ``--set``).

    `environ` is the environment; None means that of this process. Raises InvalidRecipeError.
    """
    from runner import workflow  # importing runner stays cheap

    return workflow.load(str(path), tuple(profiles), tuple(sets), environ)


def check(recipe: "Recipe", *, environ: Mapping[str, str] | None = None) -> "list[Problem]":
    """Return the problems that the rules and a check of every row find, including warnings.

    ``compile`` also fails on errors that a rule finds; only this function finds problems of rows.
    """
    from runner import workflow
    from runner.lint import findings

    compilation = workflow.compile_recipe(recipe, environ)
    return [*findings.all_problems(compilation), *workflow.reaching(compilation)]


def compile(  # noqa: A001  (the field's word for it; the built-in is of no use to a recipe)
    recipe: "Recipe", *, smoke: bool = False, environ: Mapping[str, str] | None = None
) -> "Plan":
    """Turn a recipe into a plan of fully specified stages; `smoke` gives the plan at toy scale.

    Raises InvalidRecipeError, also if a rule finds an error.
    """
    from runner import workflow
    from runner.lint import findings

    compilation = workflow.compile_recipe(recipe, environ)
    findings.refuse(findings.rule_problems(compilation), recipe.sources)
    return workflow.plan(compilation, recipe, smoke=smoke)


def run(
    what: "Recipe | Plan",
    *,
    runs: "str | Path" = "runs",
    smoke: bool = False,
    stages: Sequence[str] = (),
    resume: "str | Path | None" = None,
    progress: bool = True,
    trust: bool = False,
    trust_tools: bool = False,
    fresh: bool = False,
    environ: Mapping[str, str] | None = None,
) -> "Result":
    """Run a recipe, or some of its stages, in the working directory; return the results.

    It does the same as the command line: it first applies the rules and checks every row. It also
    runs a plan from ``compile``, smoke or not; then it only checks the rows, because the rules need
    a recipe. `resume` is the folder or id of the run to resume; "" resumes the latest run.
    """
    from pathlib import Path

    from msgspec.structs import replace

    from runner import workflow
    from runner.plan.model import Plan
    from runner.runs.job import Search

    compilation, whole = None, what
    if not isinstance(whole, Plan):
        compilation = workflow.compile_recipe(whole, environ)
        whole = workflow.plan(compilation, whole, smoke=smoke)
    todo = workflow.job(
        whole,
        compilation,
        runs=Path(runs),
        names=workflow.select(whole, tuple(stages)),
        resume=None if resume is None else str(resume),
    )
    return workflow.run(
        replace(todo, trust=trust, trust_tools=trust_tools, search=Search(fresh=fresh)),
        workflow.hearers(progress=progress),
    )
