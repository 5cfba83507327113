"""The language: YAML texts, parents, profiles, --set and templates -> one Recipe of Nodes.

Imports base. Pure except find.py. Read yaml.py, then load.py.
"""
