"""Facts about files that take seconds to find out, reused while the files are unchanged.

Imports base and system. Read kept.py first.
"""
