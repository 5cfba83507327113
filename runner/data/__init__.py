"""Rows and their problems (rows/); the tools that mix, split, weight, sort and format them.

Imports base and system. Read rows/__init__.py first.
"""
