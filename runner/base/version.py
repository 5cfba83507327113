"""Which release of run-recipe this is."""

__version__ = "0.1.0"
