"""What every room may use: problems and their places, errors and exit codes, secrets, numbers.

Imports nothing. Read problems.py first.
"""
