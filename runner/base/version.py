"""Which release of run-recipe this is, and where its files are."""

from pathlib import Path

__version__ = "0.1.0"
PACKAGE = Path(__file__).parent.parent
