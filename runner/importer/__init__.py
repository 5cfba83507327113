"""Scripts, commands, -c files and adapters -> a recipe.

Imports base to lint and workflow. Pure except translation.py: read it first.
"""
