"""Regular expressions that are compiled when they are first asked.

A module names its patterns at its top, and a start uses few of them: compiled as they are imported,
they took a fiftieth of it.
"""

import re
from typing import Any, AnyStr, cast


class _Uncompiled:
    """Becomes what it is asked for: each attribute is the compiled pattern's own from then on."""

    def __init__(self, source: str | bytes, flags: int) -> None:
        self._source, self._flags = source, flags

    def __getattr__(self, name: str) -> Any:
        value = getattr(re.compile(self._source, self._flags), name)
        setattr(self, name, value)
        return value


def pattern(source: AnyStr, flags: int = 0) -> re.Pattern[AnyStr]:
    """Return a pattern as ``re.compile`` does; a mistake in it is raised at its first use."""
    return cast("re.Pattern[AnyStr]", _Uncompiled(source, flags))
