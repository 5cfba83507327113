"""The machine: files, packages, the hub's cache, workers, progress. It knows nothing of recipes.

Imports base. Read files.py first.
"""
