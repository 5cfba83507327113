"""What a run came to: for terminals, pages, Markdown and trackers; annotations of problems.

Imports base to runs. Read report.py first.
"""
