"""Decide, execute, record, resume: run.json, the audit's verdicts, failures and their remedies.

Imports base to command. Read runner.py first.
"""
