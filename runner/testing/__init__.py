"""Tests of recipes: locked commands and NAME.test.yaml, for pytest and for ``check --tests``."""
