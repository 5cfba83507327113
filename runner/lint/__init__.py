"""The rules, each a function, and the facts about the files that a plan names.

Imports base to tools. Rules, lineage and forecast are pure. Read rule.py first.
"""
