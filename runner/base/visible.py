r"""Text from outside in, text that a screen, a log, a page or a program only displays out.

A key, a file name, a row or a stage's output may contain characters that act where they are shown:
move the cursor, set the clipboard, change the text direction, or start a workflow command on a new
line. Here they become Python's and YAML's escapes: ``\x1b``, ``\u202e``.
"""

import codecs
import re
import shlex
from collections.abc import Callable, Iterable

from runner.base.patterns import pattern

# Controls, line ends and tabs apart; what turns the direction; what nobody sees; halves of pairs.
_NEAR = (
    "\x00-\x08\x0b-\x1f\x7f-\x9f\u00ad\u061c\u115f\u1160\u180e\u200b\u200e\u200f\u2028-\u202e"
    "\u2060-\u206f\u3164\ud800-\udfff\ufeff\uffa0\ufff9-\ufffb\ufffe\uffff"
)
_FAR = "\U0001bca0-\U0001bca3\U0001d173-\U0001d17a\U000e0000-\U000e0fff"
# Joiners stay among letters beyond ASCII: they make one emoji of several, and Persian words.
_JOINERS = "(?<![^\x00-\x7f])[\u200c\u200d]|[\u200c\u200d](?![^\x00-\x7f])"
# GitHub takes a line that begins with ``::`` for a command, and ``##[`` wherever it stands.
_ANYWHERE = r"#(?=#\w*\[)"
_COMMAND = pattern(r"^([^\S\n]*):(?=:)", re.MULTILINE)
_TEXT = pattern(f"[{_NEAR}{_FAR}]|{_JOINERS}|{_ANYWHERE}")
_LINE = pattern(f"[\t\n{_NEAR}{_FAR}]|{_JOINERS}|{_ANYWHERE}")
_JSON = pattern(f"[{_NEAR}]|{_JOINERS}|{_ANYWHERE}")
# What no shell touches: a tilde only where it begins something, a revision's is inside.
_PLAIN = pattern(r"[\w@%+,./-][\w@%+,./~-]*\Z", re.ASCII)
_ESCAPES = {"\t": "\\t", "\n": "\\n", "\r": "\\r"}
_MARKUP = pattern(r"[\\`*\[\]<>|#~$]|(?<!\w)_|_(?!\w)|^[+-]|(?<=^\d)[.)]|&(?=#?\w+;)")


def text(raw: str) -> str:
    """Return text in which only line ends and tabs act; no line of it is a workflow command."""
    if _is_plain(raw) and "::" not in raw:
        return raw
    if "::" in raw:
        raw = _COMMAND.sub(r"\1\\x3a", raw)
    return _TEXT.sub(_escape, raw)


def line(raw: str) -> str:
    r"""Return text as a part of one line: what would end it is shown as ``\n``."""
    return raw if _is_plain(raw) else _LINE.sub(_escape, raw)


def words(raw: Iterable[str]) -> str:
    """Return the words of a command as a person may give them to a shell."""
    return " ".join(map(word, raw))


def word(raw: str) -> str:
    """Return text as one word of bash that shows what it holds.

    What acts is written as its bytes, which every bash reads: a Mac's is 3.2.
    """
    if _PLAIN.match(raw):
        return raw
    if text(raw) == raw:
        return shlex.quote(raw)

    def escape(sign: re.Match[str]) -> str:
        number = ord(sign[0])
        if sign[0] in _ESCAPES:
            return _ESCAPES[sign[0]]
        if 0xDC80 <= number <= 0xDCFF:  # noqa: PLR2004  (a byte of a file's name that is no UTF-8)
            return f"\\x{number - 0xDC00:02x}"
        return "".join(f"\\x{byte:02x}" for byte in sign[0].encode("utf-8", "surrogatepass"))

    plain = raw.replace("\\", "\\\\").replace("'", "\\'")
    return f"$'{_LINE.sub(escape, plain)}'"


def json_text(raw: str) -> str:
    """Return the text of JSON, equal in what it says, in which nothing acts where it is shown.

    What lies beyond U+FFFF stays: mlx-lm reads JSON as YAML, which knows no surrogate pairs.
    """
    if _is_plain(raw):
        return raw
    return _JSON.sub(lambda match: f"\\u{ord(match[0]):04x}", raw)


def _is_plain(raw: str) -> bool:
    """Return whether text is harmless, as most is: ten times faster than with a pattern."""
    return raw.isascii() and raw.isprintable() and "##" not in raw


def markdown(raw: str) -> str:
    """Return text as a part of one line of Markdown that reads as it is written."""
    return _MARKUP.sub(r"\\\g<0>", line(raw.replace("\n", " ").strip()))


def code(raw: str) -> str:
    """Return text as code in Markdown, in a table's cell, too; "" for none."""
    longest = max((len(run) for run in re.findall("`+", raw)), default=0)
    fence = "`" * (longest + 1)
    pad = " " if longest else ""
    plain = line(raw.replace("\n", " ")).replace("|", "\\|")
    return f"{fence}{pad}{plain}{pad}{fence}" if raw else ""


def stream() -> Callable[[bytes, bool], bytes]:
    """Return what makes the bytes of a process visible, piece by piece, `final` with the last.

    A carriage return acts: a bar of progress is drawn with it. What is no UTF-8 is shown as bytes.
    """
    decode = codecs.getincrementaldecoder("utf-8")("backslashreplace").decode

    def show(data: bytes, final: bool) -> bytes:
        parts = decode(data, final).split("\r")
        return "\r".join(map(text, parts)).encode()

    return show


def _escape(match: re.Match[str]) -> str:
    sign = match[0]
    number = ord(sign)
    if sign in _ESCAPES:
        return _ESCAPES[sign]
    if number <= 0xFF:  # noqa: PLR2004
        return f"\\x{number:02x}"
    return f"\\u{number:04x}" if number <= 0xFFFF else f"\\U{number:08x}"  # noqa: PLR2004
