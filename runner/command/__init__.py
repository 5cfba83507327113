"""A Stage -> the words and the -c file of its command; a Plan -> bash, JSON, a resolved recipe.

The only room that says words to mlx_lm. Imports base to plan. Pure. Read argv.py first.
"""
