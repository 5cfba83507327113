"""Who said a value, who lost, and which line made it another one.

Imports base to command. Pure. Read origins.py first.
"""
