"""What every room may say: problems and their places, errors and exit codes, secrets, figures.

Imports nothing. Read problems.py first.
"""
