"""Answers given before, kept with the prints of what they were made of.

Imports base and system. Read answers.py first.
"""
