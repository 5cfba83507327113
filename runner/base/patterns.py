"""Regular expressions that are compiled at their first use.

A module defines its patterns at its top, but one command uses few of them. Compiling all of them on
import took a fiftieth of the start-up time.
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
