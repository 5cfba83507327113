"""The user's cache folder: what is kept there is a hint, never a need.

``RUN_RECIPE_CACHE`` names another folder; set to nothing, nothing is kept.
"""

import os
import sys
from contextlib import suppress
from pathlib import Path

VARIABLE = "RUN_RECIPE_CACHE"


def folder() -> Path | None:
    """Return the cache folder, None where nothing is to be kept."""
    said = os.environ.get(VARIABLE)
    if said is not None:
        return Path(said) if said else None
    named = os.environ.get("XDG_CACHE_HOME")
    with suppress(RuntimeError):  # a user without a home
        caches = "Library/Caches" if sys.platform == "darwin" else ".cache"
        return (Path(named) if named else Path.home() / caches) / "run-recipe"
    return None
