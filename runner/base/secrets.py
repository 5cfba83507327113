"""What must never be stored: secret-like names and secret-like values, and how both are masked.

A secret is recognised by its source (a variable with a secret-like name, the hub's own file) or by
its form: services issue tokens with prefixes of their own. A secret without such a form, such as 40
hexadecimal digits (which could be a commit), is recognised only by its variable.
"""

import re
from collections.abc import Iterable, Iterator, Mapping
from functools import cache
from itertools import pairwise

from runner.base.patterns import pattern

MASK = "***"
LEAST = 8
"""A shorter value is no secret worth the name, and would mask half a log."""
_TAIL = 16_384
"""So many bytes at the end of a stream may be the start of a secret: a key of RSA is 3,300."""

# In a name, wherever it is in it, as in PGPASSWORD or secretsManager.
_ANYWHERE = pattern(
    "PASSWORD|PASSWD|PASSPHRASE|SECRET|CREDENTIAL|APIKEY|ACCESSKEY|PRIVATEKEY|AUTHKEY|WEBHOOK"
)
# A word of a name, or its end, as in SSHPASS, MYSQL_PWD or GHTOKEN.
_WORD = pattern(r"(?:.*TOKEN|.*PASS|.*PWD|JWT|BEARER|CREDS)\Z")
# A name's last word.
_LAST = {"KEY", "PAT", "AUTH", "COOKIE", "COOKIES", "OTP", "TOTP", "SAS"}
_ELSE = {"OLDPWD", "BYPASS", "COMPASS", "ENCOMPASS", "SURPASS", "OVERPASS", "TRESPASS"}
# What a name is about that only says where a secret is, or how long.
_ABOUT = {"ID", "FILE", "PATH", "DIR", "COUNT", "TYPE", "NAME", "SOCK", "LENGTH", "LIMIT"}
# Keys and tokens that are no secrets, in our field and in that of data.
_OF_TEXT = pattern(
    "(?:EOS|BOS|PAD|UNK|SEP|CLS|MASK|STOP|END|START|EXTRA|SPECIAL|NEW|FIRST|LAST|MAX|MIN|NUM|PER|EOT"
    "|IMAGE|AUDIO|PUBLIC|PRIMARY|FOREIGN|SORT|PARTITION|CACHE|GROUP|ROW|TEXT|PROMPT|COMPLETION|CHAT"
    r"|DATA|JSON|MAP|HOT|COLUMN|FIELD|FEATURE|LABEL|ANSWER|QUESTION|MESSAGES)\Z"
)
_PARTS = pattern(r"[A-Z]+(?![a-z])|[A-Z]?[a-z]+")

# What begins with its own sign, and what it looks like. The sign is looked for first: this is
# done for all that is printed or written.
_FORMS = {
    "hf_": r"hf_[A-Za-z0-9]{20,}",
    "api_org_": r"(?<![A-Za-z0-9])api_org_[A-Za-z0-9]{20,}",
    "sk-": r"(?<![\w-])sk-[\w-]*?[A-Za-z0-9]{20,}[\w-]*",
    "sk_live_": r"(?<![A-Za-z0-9])sk_live_[A-Za-z0-9]{10,}",
    "sk_test_": r"(?<![A-Za-z0-9])sk_test_[A-Za-z0-9]{10,}",
    "rk_live_": r"(?<![A-Za-z0-9])rk_live_[A-Za-z0-9]{10,}",
    "ghp_": r"(?<![A-Za-z0-9])ghp_[A-Za-z0-9]{20,}",
    "gho_": r"(?<![A-Za-z0-9])gho_[A-Za-z0-9]{20,}",
    "ghu_": r"(?<![A-Za-z0-9])ghu_[A-Za-z0-9]{20,}",
    "ghs_": r"(?<![A-Za-z0-9])ghs_[A-Za-z0-9]{20,}",
    "ghr_": r"(?<![A-Za-z0-9])ghr_[A-Za-z0-9]{20,}",
    "github_pat_": r"(?<![A-Za-z0-9])github_pat_\w{20,}",
    "glpat-": r"(?<![A-Za-z0-9])glpat-[\w-]{16,}",
    "gldt-": r"(?<![A-Za-z0-9])gldt-[\w-]{16,}",
    "glrt-": r"(?<![A-Za-z0-9])glrt-[\w-]{16,}",
    "xox": r"(?<![A-Za-z0-9])xox[a-z]-[\w-]{10,}",
    "xapp-": r"(?<![A-Za-z0-9])xapp-[\w-]{10,}",
    "AKIA": r"(?<![A-Za-z0-9])AKIA[0-9A-Z]{16}(?![A-Za-z0-9])",
    "ASIA": r"(?<![A-Za-z0-9])ASIA[0-9A-Z]{16}(?![A-Za-z0-9])",
    "AIza": r"(?<![A-Za-z0-9])AIza[\w-]{30,}",
    "GOCSPX-": r"(?<![A-Za-z0-9])GOCSPX-[\w-]{20,}",
    "ya29.": r"(?<![A-Za-z0-9])ya29\.[\w-]{20,}",
    "eyJ": r"(?<![A-Za-z0-9])eyJ[\w-]{8,}\.eyJ[\w-]{8,}\.[\w-]*",
    "npm_": r"(?<![A-Za-z0-9])npm_[A-Za-z0-9]{30,}",
    "pypi-": r"(?<![A-Za-z0-9])pypi-[\w-]{50,}",
    "dop_v1_": r"(?<![A-Za-z0-9])dop_v1_[a-f0-9]{40,}",
    "dckr_pat_": r"(?<![A-Za-z0-9])dckr_pat_[\w-]{20,}",
    "SG.": r"(?<![A-Za-z0-9])SG\.[\w-]{16,}\.[\w-]{16,}",
    "shpat_": r"(?<![A-Za-z0-9])shpat_[a-fA-F0-9]{20,}",
    "hvs.": r"(?<![A-Za-z0-9])hvs\.[\w-]{20,}",
    "gsk_": r"(?<![A-Za-z0-9])gsk_[A-Za-z0-9]{30,}",
    "xai-": r"(?<![A-Za-z0-9])xai-[A-Za-z0-9]{30,}",
    "r8_": r"(?<![A-Za-z0-9])r8_[A-Za-z0-9]{30,}",
    "nvapi-": r"(?<![A-Za-z0-9])nvapi-[\w-]{30,}",
    "pplx-": r"(?<![A-Za-z0-9])pplx-[A-Za-z0-9]{30,}",
    "wandb_v1_": r"(?<![A-Za-z0-9])wandb_v1_\w{20,}",
    "-----BEGIN ": r"-----BEGIN [A-Z ]*PRIVATE KEY-----[A-Za-z0-9+/=\s\\:,-]*?"
    r"(?:-----END [A-Z ]*PRIVATE KEY-----|(?![A-Za-z0-9+/=\s\\:,-]))",
    "://": r"(?<=://)(?P<user>[^\s/:@'\"<>]*:)(?!\*\*\*@|[$<{%])[^\s/@'\"<>]+(?=@)",
}
# What may be in a text that is none: masked where it is shown, and no reason to refuse a recipe.
_LOOSE = {
    "Bearer ": r"(?<=Bearer )(?!\*\*\*)[\w.~+/-]{16,}=*",
    "token=": r"(?<=token=)(?!\*\*\*|[$<{%])[^\s&;'\"]{12,}",
    "assword=": r"(?<=assword=)(?!\*\*\*|[$<{%])[^\s&;'\"]{6,}",
    "ASSWORD=": r"(?<=ASSWORD=)(?!\*\*\*|[$<{%])[^\s&;'\"]{6,}",
    "AccountKey=": r"(?<=AccountKey=)(?!\*\*\*)[^\s&;'\"]{16,}",
    "Signature=": r"(?<=Signature=)(?!\*\*\*)[\w%+/=-]{16,}",
}
_ALL = _FORMS | _LOOSE
_BEGINNINGS = tuple(sign.encode() for sign in _ALL)
_APART = {sign.encode() for sign, form in _ALL.items() if form.startswith("(?<![")}
_KEY = b"-----BEGIN "
_OPEN = pattern(rb"-----BEGIN [A-Z ]*(?:-{0,5}|-----[^-]*(?:-+[A-Z ]*-{0,4})?)")
# What sets a variable, in a script or in what it prints; not what only names another one.
_SET = pattern(r"(\b([A-Z][A-Z0-9_]{2,})=[\"']?)[^\s\"'$;&|<*]{4,}")
_BEFORE = 16
"""So many bytes before a secret its form may ask for."""


@cache
def secret_name(name: str) -> bool:
    """Return whether a variable of that name holds a secret."""
    words = [part.upper() for part in _PARTS.findall(re.sub(r"\d+", "", name))]
    if not words or words[-1] in _ABOUT or words == ["PWD"]:
        return False
    if words[-1] in _LAST and len(words) > 1 and not _OF_TEXT.match(words[-2]):
        return True
    nouns = (word for before, word in pairwise(["", *words]) if not _OF_TEXT.match(before))
    if any(_WORD.match(word) and word not in _ELSE for word in nouns):
        return True
    return bool(_ANYWHERE.search("".join(words)))


def values(environ: Mapping[str, str], more: Iterable[str] = ()) -> frozenset[str]:
    """Return the secrets an environment holds, and `more` that are long enough."""
    secrets = {environ[name].strip() for name in environ if secret_name(name)}
    return frozenset(one for one in {*secrets, *more} if len(one) >= LEAST)


def looks_like_one(data: bytes) -> str:
    """Return how what looks like an access token or a private key begins, '' if nothing does."""
    match = _form(data, _FORMS)
    return match[0][:6].decode("utf-8", "replace") if match else ""


def _form(data: bytes, forms: Mapping[str, str]) -> re.Match[bytes] | None:
    pattern = _pattern((), _signs(data, forms))
    return pattern.search(data) if pattern else None


def _signs(data: bytes, forms: Mapping[str, str]) -> tuple[str, ...]:
    return tuple(sign for sign in forms if sign.encode() in data)


@cache
def _pattern(secrets: tuple[bytes, ...], signs: tuple[str, ...]) -> re.Pattern[bytes] | None:
    """Return what finds secrets: those that are known, and the forms that begin with the signs."""
    forms = [*map(re.escape, secrets), *(_ALL[sign].encode() for sign in signs)]
    return re.compile(b"|".join(forms)) if forms else None


class Mask:
    """Replaces secrets in bytes that come in pieces, cut anywhere.

    Where it is not `loose` it changes only what `finds` finds: no recipe may hold that.
    """

    def __init__(self, secrets: Iterable[str], *, loose: bool = True) -> None:
        self._forms = _ALL if loose else _FORMS
        raw = (one.encode("utf-8", "surrogateescape") for one in secrets)
        self._secrets = tuple(sorted(raw, key=lambda one: (-len(one), one)))
        self._before = self._pending = b""

    def feed(self, data: bytes) -> bytes:
        """Return the text that is safe to print; a possible start of a secret is held back."""
        return self._say(self._pending + data, whole=False)

    def flush(self) -> bytes:
        """Return what is still held back."""
        return self._say(self._pending, whole=True)

    def text(self, text: str) -> str:
        """Return a whole text with its secrets masked; a loose one knows ``NAME=VALUE``, too."""
        if self._forms is _ALL and "=" in text:
            text = _SET.sub(_unset, text)
        data = text.encode("utf-8", "surrogatepass")
        result = b"".join(_masking(data, 0, len(data), self._all(data)))
        return text if result == data else result.decode("utf-8", "surrogatepass")

    def finds(self, text: str) -> bool:
        """Return whether a text holds a secret that it may not hold."""
        data = text.encode("utf-8", "surrogatepass")
        return any(one in data for one in self._secrets) or _form(data, _FORMS) is not None

    def _say(self, new: bytes, *, whole: bool) -> bytes:
        data, start = self._before + new, len(self._before)
        pattern = self._all(data)
        safe = len(data) if whole else max(start, self._safe(data, start, pattern))
        result = b"".join(_masking(data, start, safe, pattern))
        self._pending = data[safe:]
        self._before = data[max(0, safe - _BEFORE) : safe]
        return result

    def _all(self, data: bytes) -> re.Pattern[bytes] | None:
        secrets = self._secrets if any(one in data for one in self._secrets) else ()
        return _pattern(secrets, _signs(data, self._forms))

    def _safe(self, data: bytes, start: int, pattern: re.Pattern[bytes] | None) -> int:
        """Return how many bytes hold no secret that what comes next could make a longer one."""
        safe = len(data) - self._open_size(data)
        for match in pattern.finditer(data, start) if pattern else ():
            if match.start() < safe and (match.end() > safe or match.end() == len(data)):
                return match.start()
        return safe

    def _open_size(self, data: bytes) -> int:
        """Return how many bytes at the end may be the start of a secret."""
        tail = data[-_TAIL:]
        longest = _open_form(tail)
        for secret in self._secrets:
            for size in range(min(len(secret) - 1, len(tail)), longest, -1):
                if tail.endswith(secret[:size]):
                    longest = size
                    break
        return longest


def _masking(
    data: bytes, start: int, end: int, pattern: re.Pattern[bytes] | None
) -> Iterator[bytes]:
    """Yield the bytes from `start` to `end`; what is before only says what they are."""
    for match in pattern.finditer(data, start, end) if pattern else ():
        yield data[start : match.start()]
        yield (match.groupdict().get("user") or b"") + MASK.encode()
        start = match.end()
    yield data[start:end]


def _unset(match: re.Match[str]) -> str:
    return f"{match[1]}{MASK}" if secret_name(match[2]) else match[0]


def _open_form(tail: bytes) -> int:
    """Return how many bytes at the end may be the start of what has a form."""
    key = tail.rfind(_KEY)
    if key >= 0 and _OPEN.fullmatch(tail, key):
        return len(tail) - key
    at = max(tail.rfind(blank) for blank in (b" ", b"\n", b"\r", b"\t")) + 1
    word = tail[at:]
    if tail.endswith(b"Bearer ", 0, at):
        return len(word)
    starts = [len(word) - word.find(sign) for sign in _BEGINNINGS if sign in word]
    ends = [
        size
        for sign in _BEGINNINGS
        for size in range(min(len(sign) - 1, len(tail)), 0, -1)
        if tail.endswith(sign[:size]) and not (sign in _APART and _inside(tail, size))
    ]
    return max([*starts, *ends], default=0)


def _inside(tail: bytes, size: int) -> bool:
    """Return whether the last bytes are the end of a longer word, where a form is apart."""
    return tail[-size - 1 : -size].isalnum()
