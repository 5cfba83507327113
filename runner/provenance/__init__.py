"""Which line set a value, what it overrode, and which line changed it.

Imports base to command. Pure. Read origins.py first.
"""
