"""What must never be written down: names that say so, their values, and bytes with them masked."""

import re
from collections.abc import Iterable, Mapping

MASK = "***"
LEAST = 8
"""A shorter value is no secret worth the name, and would mask half a log."""

_NAME = re.compile(
    r"(?:^|_)(?:TOKEN|SECRET|PASSWORD|PASSWD|(?:API|ACCESS|PRIVATE|SECRET)_?KEY|CREDENTIALS?)(?:_|$)",
    re.IGNORECASE,
)
# What the hub gives out; also one that no variable holds.
_HUB = r"hf_[A-Za-z0-9]{20,}"
_HELD = 4096
# Access tokens and keys of the services people have at hand.
_LOOKS = re.compile(
    rb"\b(?:hf_[A-Za-z0-9]{30,}|gh[pousr]_[A-Za-z0-9]{30,}|github_pat_\w{40,}|sk-[\w-]{32,}"
    rb"|AKIA[0-9A-Z]{16})\b|-----BEGIN [A-Z ]*PRIVATE KEY-----"
)


def secret_name(name: str) -> bool:
    """Say whether a variable of that name holds a secret."""
    return bool(_NAME.search(name))


def values(environ: Mapping[str, str], more: Iterable[str] = ()) -> frozenset[str]:
    """Return the secrets an environment holds, and `more` that are long enough."""
    found = {environ[name].strip() for name in environ if secret_name(name)}
    return frozenset(one for one in {*found, *more} if len(one) >= LEAST)


def looks_like_one(data: bytes) -> str:
    """Return how what looks like an access token or a private key begins, '' where nothing does."""
    found = _LOOKS.search(data)
    return found[0][:6].decode() if found else ""


class Mask:
    """Replaces secrets in bytes that come in pieces, cut anywhere."""

    def __init__(self, secrets: Iterable[str]) -> None:
        known = sorted((one.encode() for one in secrets), key=len, reverse=True)
        self._known = known
        self._all = re.compile(b"|".join([*map(re.escape, known), _HUB.encode()]))
        self._held = b""

    def feed(self, data: bytes) -> bytes:
        """Return what can be said now; the start of what may be a secret is held back."""
        data = self._held + data
        safe = self._safe(data)
        told = self._all.sub(MASK.encode(), data[:safe])
        self._held = data[safe:]
        return told

    def flush(self) -> bytes:
        """Return what is still held back."""
        data, self._held = self._held, b""
        return self._all.sub(MASK.encode(), data)

    def text(self, text: str) -> str:
        """Return a whole text with its secrets masked."""
        data = text.encode("utf-8", "surrogatepass")
        return self._all.sub(MASK.encode(), data).decode("utf-8", "surrogatepass")

    def finds(self, text: str) -> bool:
        """Say whether a text holds a secret."""
        return bool(self._all.search(text.encode("utf-8", "surrogatepass")))

    def _safe(self, data: bytes) -> int:
        """Return how many bytes hold no secret that what comes next could make a longer one."""
        safe = len(data) - self._begun(data)
        for found in self._all.finditer(data):
            if found.start() < safe and (found.end() > safe or found.end() == len(data)):
                return found.start()
        return safe

    def _begun(self, data: bytes) -> int:
        """Return how many bytes at the end may be the start of a secret."""
        tail = data[-_HELD:]
        begun = re.search(rb"h(?:f(?:_[A-Za-z0-9]*)?)?$", tail)
        longest = len(tail) - begun.start() if begun else 0
        for known in self._known:
            for size in range(min(len(known) - 1, len(tail)), longest, -1):
                if tail.endswith(known[:size]):
                    longest = size
                    break
        return longest
