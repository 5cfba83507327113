"""Fixtures of the tests of diff."""

from tests.diff.test_diff import diff, repository

__all__ = ["diff", "repository"]
