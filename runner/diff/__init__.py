"""Two plans -> what changes in what MLX is told, as text, JSON and Markdown.

Imports base to lint and workflow. Pure but for sides.py. Read diff.py first.
"""
