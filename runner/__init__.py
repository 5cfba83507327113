"""run-recipe: declarative YAML recipes for Apple's MLX.

``load`` reads a recipe, ``compile`` turns it into a plan, ``run`` runs the plan. Importing this
package imports neither mlx nor mlx_lm, and hardly anything else.
"""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from runner.core.manifest import Manifest
    from runner.core.plan import Plan
    from runner.core.recipe import Recipe

__version__ = "0.1.0"
__all__ = ["__version__", "compile", "load", "run"]


def load(
    path: str | Path,
    *,
    profiles: Sequence[str] = (),
    sets: Sequence[str] = (),
    environ: Mapping[str, str] | None = None,
) -> "Recipe":
    """Read a recipe with its parents and overrides. Raises InvalidRecipeError."""
    from runner import workflow  # noqa: PLC0415  (importing runner stays cheap)

    return workflow.load(str(path), tuple(profiles), tuple(sets), environ)


def compile(  # noqa: A001  (the field's word for it; the built-in is of no use to a recipe)
    recipe: "Recipe", *, smoke: bool = False, environ: Mapping[str, str] | None = None
) -> "Plan":
    """Turn a recipe into a plan of fully specified stages. Raises InvalidRecipeError."""
    from runner import workflow  # noqa: PLC0415

    return workflow.plan(workflow.compiled(recipe, environ), recipe, smoke=smoke)


def run(plan: "Plan", *, runs: str | Path = "runs", stages: Sequence[str] = ()) -> "Manifest":
    """Run a plan, or some of its stages, and return what happened. Raises RecipeError."""
    from runner import workflow  # noqa: PLC0415

    return workflow.run(plan, Path(runs), tuple(stages))
