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
    with suppress(RuntimeError):  # a user without a home
        home = Path.home()
        caches = home / "Library" / "Caches" if sys.platform == "darwin" else home / ".cache"
        return Path(os.environ.get("XDG_CACHE_HOME") or caches) / "run-recipe"
    return None
