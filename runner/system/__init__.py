"""The machine: files, packages, the hub's cache, workers, progress. It knows no recipes.

Imports base. Read files.py first.
"""
