"""A stage's ``launch:`` in, every parameter of the launcher out; how many ranks, which failed."""

import re
from collections.abc import Mapping
from typing import Any

from runner.catalog.tools import Tool, complete

Json = dict[str, Any]
LOCAL = "127.0.0.1"
AUDIT = 6
_FAILED = re.compile(r"Node with rank (\d+) (?:exited with code (-?\d+)|was killed)")


def arguments(declared: Mapping[str, Any]) -> Json:
    """Return what a stage says with ``hosts: N`` written as N ranks on this machine."""
    hosts = declared.get("hosts")
    if type(hosts) is not int:
        return dict(declared)
    return {**declared, "hosts": [LOCAL], "repeat_hosts": hosts}


def full(arguments: Mapping[str, Any], launcher: Tool) -> Json:
    """Return every parameter of the launcher."""
    return complete(launcher.schema, arguments, launcher.schema)


def ranks(launch: Mapping[str, Any]) -> int | None:
    """Return how many ranks there will be; None where a hostfile says it."""
    if launch.get("hostfile") is not None:
        return None
    return len(launch["hosts"]) * int(launch["repeat_hosts"])


def code(log: str) -> int:
    """Return how a launched stage ended; the launcher exits with 0 when ranks fail (T95).

    A rank that found another plan than ours ends the stage as its own process would.
    """
    codes = [match.group(2) for match in _FAILED.finditer(log)]
    if str(AUDIT) in codes:
        return AUDIT
    return 1 if codes else 0
