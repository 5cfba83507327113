"""The language: YAML texts, parents, profiles, --set and templates -> one Recipe of Nodes.

Imports base. Pure but for find.py. Read yaml.py, then load.py.
"""
