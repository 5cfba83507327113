"""Rows: what is wrong with them (rows/); the tools that mix, split, weight, sort, format.

Imports base and system. Read rows/__init__.py first.
"""
