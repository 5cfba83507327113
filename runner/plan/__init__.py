"""A Recipe and the catalogue -> a Plan of frozen Stages: inheritance, values, order, smoke.

Imports base, recipe and catalog. Pure. Read model.py, then compile.py.
"""
