"""A Stage -> the arguments and -c file of its command; a Plan -> bash, JSON, a resolved recipe.

The only room that writes arguments for mlx_lm. Imports base to plan. Pure. Read argv.py first.
"""
