"""schema/ -> Tools and Parameters; values held against a schema, in words.

Imports base, system and recipe. Pure but for load.py and project.py. Read tools.py first.
"""
