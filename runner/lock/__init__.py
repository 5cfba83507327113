"""NAME.lock: the commits that a recipe's names of the hub stand for, and the files at them.

`names` finds what a recipe names under any of its profiles, `entries` asks the hub and compares.
What a lock looks like is recipe/lock_file; what it does to a plan is plan/pins. Imports all rooms
above. Read entries.py first.
"""
