"""Two plans -> the MLX parameters that change, as text, JSON and Markdown.

Imports base to lint and workflow. Pure except sides.py. Read diff.py first.
"""
