"""run-recipe: declarative YAML recipes for Apple's MLX.

``load`` reads a recipe, ``compile`` turns it into a plan, ``run`` runs the plan. Importing this
package imports neither mlx nor mlx_lm.
"""

__version__ = "0.1.0"
