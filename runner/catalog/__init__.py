"""schema/ -> Tools and Parameters; values checked against a schema, with explained violations.

Imports base, system and recipe. Pure except load.py and project.py. Read tools.py first.
"""
