"""What a command printed in; what must not be so out."""

import json
import re
import subprocess
import unicodedata
from collections.abc import Iterator
from dataclasses import dataclass

from fuzz.child import INTERNAL, Result

CANARY = "canary-5f1d"
"""Stands in files outside of the project, and nowhere else: nobody asked to see them."""
KINDS = ("hang", "exit 70", "foreign", "raw", "untrue")
_PLAIN = {"\n", "\t"}
_TURNS = {*map(chr, (*range(0x202A, 0x202F), *range(0x2066, 0x206A), 0x2028, 0x2029))}


@dataclass(frozen=True, kw_only=True)
class Finding:
    """One thing that must not be: its kind, the command, and in words what it is."""

    kind: str
    words: tuple[str, ...]
    what: str

    @property
    def signature(self) -> tuple[str, str, str]:
        """What makes two findings the same mistake: numbers and names in it are left out."""
        bare = re.sub(r"[0-9]+|'[^']*'|\"[^\"]*\"", "·", self.what)
        return self.kind, self.words[0], bare[:160]


def judged(result: Result) -> Iterator[Finding]:
    """Yield what is wrong with how one command ended and with what it printed."""

    def found(kind: str, what: str) -> Finding:
        return Finding(kind=kind, words=result.words, what=what)

    text = result.said.decode("utf-8", "replace")
    if result.hung:
        yield found("hang", f"stopped after {result.seconds:.1f} s")
        return
    if result.code == INTERNAL or result.code < 0 or "Traceback (most recent call" in text:
        last = [row for row in text.splitlines() if re.match(r"[\w.]+(Error|Exit|Interrupt)", row)]
        yield found("exit 70", f"{result.code}: {last[-1] if last else text[-200:]}")
    if CANARY in text:
        row = next(row for row in text.splitlines() if CANARY in row)
        yield found("foreign", row[:200])
    if raw := sorted({sign for sign in text if _raw(sign)}):
        yield found("raw", " ".join(f"U+{ord(sign):04X}" for sign in raw[:5]))
    for row in text.splitlines():
        if row.startswith("::") and "github" not in result.words:
            yield found("raw", f"a line for GitHub: {row[:80]}")
            break


def _raw(sign: str) -> bool:
    """Say whether a terminal, or a reader of it, may be led astray by a sign."""
    return (unicodedata.category(sign) == "Cc" and sign not in _PLAIN) or sign in _TURNS


def agreed(check: Result, others: list[Result], sentinels: list[str]) -> Iterator[Finding]:
    """Yield where an "ok" of `check` is untrue: what it let pass fails, or a value is gone."""

    def found(result: Result, what: str) -> Finding:
        return Finding(kind="untrue", words=result.words, what=what)

    if check.code != 0 or check.hung:
        return
    for one in others:
        if one.hung or one.code == INTERNAL:
            continue  # told already
        if one.code != 0:
            yield found(one, f"check says 0, and this {one.code}: {one.err.decode()[:300]}")
        elif "json" in one.words:
            try:
                json.loads(one.out)
            except ValueError as error:
                yield found(one, f"no JSON: {error}")
        elif "-n" in one.words:
            yield from _script(one, sentinels, check)


def _script(result: Result, sentinels: list[str], check: Result) -> Iterator[Finding]:
    looked = subprocess.run(["bash", "-n"], input=result.out, capture_output=True, check=False)
    if looked.returncode:
        what = f"bash does not take the script: {looked.stderr.decode('utf-8', 'replace')[:200]}"
        yield Finding(kind="untrue", words=result.words, what=what)
    text = (result.said + check.said).decode("utf-8", "replace")
    for sentinel in sentinels:
        if sentinel not in text:
            what = f"{sentinel} is in the recipe, and neither in the script nor in a problem"
            yield Finding(kind="untrue", words=result.words, what=what)
