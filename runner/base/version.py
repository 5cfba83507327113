"""The release of run-recipe."""

__version__ = "0.1.0"
