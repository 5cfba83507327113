"""The rules, each a function, and what is known of the files that a plan names.

Imports base to tools. Rules, lineage and forecast are pure. Read rule.py first.
"""
