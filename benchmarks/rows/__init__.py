"""The rows, a module for each group; ``rows(size)`` sets up what it needs and yields its rows."""

NAMES = (
    "cold",
    "scale",
    "instructions",
    "resume",
    "script",
    "data",
    "digests",
    "reuse",
    "training",
)
