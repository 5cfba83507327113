"""The results of a run for terminals, pages, Markdown and trackers; annotations of problems.

Imports base to runs. Read report.py first.
"""
