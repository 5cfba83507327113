"""schema/ -> Tools and Parameters; values held against a schema, in words.

Imports base, system, recipe and cache. Pure but for load.py and verdicts.py. Read tools.py first.
"""
