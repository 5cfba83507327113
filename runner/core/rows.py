"""Rows of data: lines of a .jsonl file -> all that mlx-lm would stumble over, and statistics."""

import json
import re
from array import array
from collections import Counter, deque
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field, fields
from difflib import get_close_matches
from hashlib import sha256
from typing import Any, NamedTuple, Protocol

from runner.core.problem import Mark, Problem, listing, ordered, suggest

SPLITS = ("train", "valid", "test")
ROLES = frozenset({"system", "developer", "user", "assistant", "tool", "function"})
OTHER_NAMES = {
    "train": ("training",),
    "valid": ("val", "validation", "validate", "dev", "eval", "evaluation"),
    "test": ("tests", "testing"),
}
OTHER_KEYS = {
    "chat": ("messages", "message", "conversations", "conversation", "dialog", "chat", "turns"),
    "prompt": ("prompt", "instruction", "question", "input"),
    "completion": ("completion", "response", "output", "answer"),
    "text": ("text", "content", "document"),
}
SUFFIXES = (".jsonl", ".json", ".jsonl.gz", ".ndjson", ".parquet", ".csv")
MOST_PADDING = 0.5
"""A larger share of a split's computation that is padding is worth a word."""

BUCKETS = 256


# --- what the rows are for


@dataclass(frozen=True, slots=True)
class Features:
    """The keys of a row; mlx-lm's ``prompt_feature``, ``chat_feature``, … rename them."""

    prompt: str = "prompt"
    completion: str = "completion"
    chat: str = "messages"
    text: str = "text"


@dataclass(frozen=True, slots=True)
class Use:
    """What the rows will be trained with, and how many problems of a kind to show per file."""

    features: Features = Features()
    mask_prompt: bool = False
    batch_size: int | None = None
    max_seq_length: int = 2048
    roles: frozenset[str] = ROLES
    limit: int = 20


class Encode(Protocol):
    """Text (with its end) or messages -> tokens, as mlx-lm makes them; ValueError if it cannot.

    `answer_next` asks for the start of an answer after the messages.
    """

    def __call__(
        self, content: str | Sequence[Any], *, tools: Any = None, answer_next: bool = False
    ) -> Sequence[int]:
        """Return the tokens."""
        ...  # pragma: no cover


# --- one line


class Flaw(NamedTuple):
    """What is wrong with a row, as a sentence whose subject is the row."""

    rule: str
    message: str
    hint: str = ""
    path: tuple[str | int, ...] = ()
    severity: str = "error"
    column: int = 0


class RowError(ValueError):
    """A line that mlx-lm cannot read at all."""

    def __init__(self, flaw: Flaw) -> None:
        super().__init__(flaw.message)
        self.flaw = flaw


def decode(text: str) -> tuple[Any, str]:
    """Read JSON; and beside the value the NaN in it that Python accepts, although JSON has none.

    The one place that reads rows: a faster parser must accept and refuse exactly what this does.
    """
    try:
        return _STRICT.decode(text), ""
    except _ConstantError as constant:
        return json.loads(text), str(constant)


class _ConstantError(ValueError):
    """A constant that is not JSON."""


def _refuse(constant: str) -> None:
    raise _ConstantError(constant)


_STRICT = json.JSONDecoder(parse_constant=_refuse)


def parse(line: bytes) -> tuple[Any, str]:
    """Decode one line as mlx-lm reads it; a line that it cannot read is a RowError."""
    body = line.removesuffix(b"\n").removesuffix(b"\r")
    if b"\r" in body:
        raise RowError(_carriage_return(body))
    try:
        return decode(body.decode())
    except UnicodeDecodeError as error:
        raise RowError(_not_utf8(body, error)) from error
    except json.JSONDecodeError as error:
        raise RowError(_not_json(body, error)) from error
    except (ValueError, RecursionError) as error:
        raise RowError(Flaw("row-not-json", f"cannot be read: {error}")) from error


def _carriage_return(body: bytes) -> Flaw:
    if not body.strip():
        return _BLANK
    head = body[: body.index(b"\r")].decode(errors="replace")
    message = "has a carriage return inside; mlx-lm would end the row there"
    return Flaw(
        "row-carriage-return", message, "end every row with one \\n", (), "error", len(head) + 1
    )


def _not_utf8(body: bytes, error: UnicodeDecodeError) -> Flaw:
    utf16 = body.startswith((b"\xff\xfe", b"\xfe\xff"))
    hint = "the file looks like UTF-16; " * utf16 + "save it as UTF-8"
    column = len(body[: error.start].decode()) + 1
    return Flaw("row-not-utf8", f"cannot be read: {error}", hint, (), "error", column)


def _not_json(body: bytes, error: json.JSONDecodeError) -> Flaw:
    if not body.strip():
        return _BLANK
    if body.startswith(b"\xef\xbb\xbf"):
        message = "is not JSON: Unexpected UTF-8 BOM, and mlx-lm does not skip it"
        return Flaw("row-byte-order-mark", message, "save the file as UTF-8 without a BOM")
    message = f"is not JSON: {error.msg} at column {error.colno}"
    hint = "one JSON object a line" if error.msg == "Extra data" or body in {b"[", b"{"} else ""
    return Flaw("row-not-json", message, hint, (), "error", error.colno)


_BLANK = Flaw("row-blank", "is blank; mlx-lm cannot read past a blank line, remove it")


def formats_of(row: Mapping[str, Any], features: Features) -> list[str]:
    """Return every format a row could be read in, mlx-lm's choice first."""
    found = []
    if features.prompt in row and features.completion in row:
        found.append("completions")
    if features.chat in row:
        found.append("chat")
    if features.text in row:
        found.append("text")
    return found


def require_format(row: Any, features: Features) -> list[str]:
    """Return the formats of a row that has at least one; else it is a RowError."""
    if not isinstance(row, dict):
        raise RowError(Flaw("row-not-object", "is not a JSON object"))
    found = formats_of(row, features)
    if not found:
        message = (
            "has no format mlx-lm knows: a row needs "
            f"{features.prompt} and {features.completion}, {features.chat}, or {features.text}"
        )
        raise RowError(Flaw("row-without-format", message, _rename(row, features)))
    return found


def _rename(row: Mapping[str, Any], features: Features) -> str:
    for name, others in OTHER_KEYS.items():
        wanted = getattr(features, name)
        near = [key for key in row if key.casefold() in others]
        near += get_close_matches(wanted, row, n=1, cutoff=0.75)
        if wanted not in row and near:
            return f"'{near[0]}' looks like '{wanted}': rename it, or set {name}_feature: {near[0]}"
    return ""


def first_format(lines: Iterable[bytes], features: Features) -> str | None:
    """Return the format mlx-lm reads a file in: that of its first row that has one."""
    for line in lines:
        try:
            return require_format(parse(line)[0], features)[0]
        except RowError:
            continue
    return None


# --- one row


class Row(NamedTuple):
    """A row that can be read: its keys and values, its format, the strings it trains on."""

    value: Mapping[str, Any]
    format: str
    parts: list[str]


def _kind(value: Any) -> str:
    names = {dict: "an object", list: "a list", str: "a string", bool: "true or false"}
    return "null" if value is None else names.get(type(value), "a number")


def _string(row: Mapping[str, Any], key: str) -> Flaw | None:
    value = row[key]
    if isinstance(value, str):
        return None
    lists = isinstance(value, list)
    hint = "for messages use a chat row: one list under one key" if lists else "write a string"
    return Flaw("row-field-type", f"has {_kind(value)} as {key}, not a string", hint, (key,))


def text_flaws(row: Mapping[str, Any], use: Use) -> Iterator[Flaw]:
    """Yield what is wrong with a row of text."""
    key = use.features.text
    if flaw := _string(row, key):
        yield flaw
    elif not row[key]:
        message = f"has an empty {key}; mlx-lm stops with an IndexError when a batch draws it"
        yield Flaw("row-empty-text", message, "remove the row", (key,))
    elif row[key].isspace():
        yield Flaw(
            "row-empty-text", f"has only white space as {key}", "remove it", (key,), "warning"
        )


def completion_flaws(row: Mapping[str, Any], use: Use) -> Iterator[Flaw]:
    """Yield what is wrong with a row of prompt and completion."""
    for key in (use.features.prompt, use.features.completion):
        if flaw := _string(row, key):
            yield flaw
        elif not row[key] or row[key].isspace():
            yield _empty(f"its {key} is empty", (key,), answer=key == use.features.completion)
    if row.get("tools"):
        yield from _tools_flaws(row)


def chat_flaws(row: Mapping[str, Any], use: Use) -> Iterator[Flaw]:
    """Yield what is wrong with a row of messages."""
    key = use.features.chat
    messages = row[key]
    if not isinstance(messages, list):
        message = f"has {_kind(messages)} as {key}, not a list of messages"
        yield Flaw("row-field-type", message, "", (key,))
    elif not messages:
        message = f"has no message in {key}; mlx-lm stops with a ValueError when a batch draws it"
        yield Flaw("row-no-messages", message, "remove the row", (key,))
    else:
        last = len(messages) - 1
        for at, message in enumerate(messages):
            if not _plain(message, use.roles):
                yield from _message_flaws(message, at, use, is_last=at == last)
        end = messages[last]
        if isinstance(end, dict) and (use.mask_prompt or end.get("role") != "assistant"):
            yield from _order_flaws(messages, use)
    if row.get("tools"):
        yield from _tools_flaws(row)


def _plain(message: Any, roles: frozenset[str]) -> bool:
    """Say quickly that a message is as nearly all are: a known role and a text."""
    if type(message) is not dict:
        return False
    role, content = message.get("role"), message.get("content")
    return (
        type(role) is str
        and role in roles
        and type(content) is str
        and bool(content)
        and not content.isspace()
    )


def _message_flaws(message: Any, at: int, use: Use, *, is_last: bool) -> Iterator[Flaw]:
    path: tuple[str | int, ...] = (use.features.chat, at)
    name = f"{use.features.chat}[{at}]"
    if not isinstance(message, dict):
        hint = 'write {"role": …, "content": …}'
        yield Flaw("row-field-type", f"has {_kind(message)} as {name}, not an object", hint, path)
        return
    share_gpt = "from" in message and "value" in message
    hint = "from and value are called role and content in mlx-lm" if share_gpt else ""
    if "role" not in message:
        yield Flaw("row-message-without-role", f"has no role in {name}", hint, path)
    else:
        yield from _role_flaws(message["role"], name, path, use)
    calls = bool(message.get("tool_calls"))
    answers = is_last and not calls and message.get("role") == "assistant"
    if "content" not in message and not calls:
        yield Flaw("row-message-without-content", f"has no content in {name}", hint, path)
    elif not calls or message.get("content") is not None:
        yield from _content_flaws(message["content"], name, path, answers=answers)


def _role_flaws(role: Any, name: str, path: tuple[str | int, ...], use: Use) -> Iterator[Flaw]:
    path = (*path, "role")
    if not isinstance(role, str):
        yield Flaw("row-field-type", f"has {_kind(role)} as role of {name}, not a string", "", path)
    elif role not in use.roles:
        message = (
            f"has the unknown role '{role}' in {name}; chat templates leave such a message out"
        )
        others = {"human": "user", "gpt": "assistant", "bot": "assistant", "model": "assistant"}
        meant = others.get(role.casefold())
        hint = f"did you mean '{meant}'?" if meant else suggest(role, sorted(use.roles))
        otherwise = f"known are {listing(sorted(use.roles))}; --role {role} adds one"
        yield Flaw("row-unknown-role", message, hint or otherwise, path)


def _content_flaws(
    content: Any, name: str, path: tuple[str | int, ...], *, answers: bool
) -> Iterator[Flaw]:
    path = (*path, "content")
    if isinstance(content, str):
        if not content or content.isspace():
            yield _empty(f"the content of {name} is empty", path, answer=answers)
    elif _text_parts(content) is not None:
        message = f"has a list of parts as content of {name}; many templates print it as it stands"
        yield Flaw("row-content-parts", message, "join the parts to one string", path, "warning")
    else:
        message = f"has {_kind(content)} as content of {name}, not a string"
        yield Flaw("row-field-type", message, "", path)


def _text_parts(content: Any) -> list[str] | None:
    if not isinstance(content, list) or not content:
        return None
    texts = [part.get("text") if isinstance(part, dict) else None for part in content]
    return (
        [t for t in texts if isinstance(t, str)] if all(isinstance(t, str) for t in texts) else None
    )


def _empty(what: str, path: tuple[str | int, ...], *, answer: bool) -> Flaw:
    if answer:
        message = f"teaches the model to answer with nothing: {what}"
        return Flaw("row-empty-answer", message, "remove the row", path, "warning")
    return Flaw("row-empty-field", f"has a gap: {what}", "", path, "warning")


def _order_flaws(messages: Sequence[Any], use: Use) -> Iterator[Flaw]:
    last = len(messages) - 1
    path = (use.features.chat, last)
    role = messages[last].get("role")
    if use.mask_prompt and not last:
        message = "has a single message; with mask_prompt mlx-lm stops with a ValueError there"
        yield Flaw(
            "row-single-message", message, "write the question, too, or remove the row", path
        )
    elif isinstance(role, str) and role in use.roles and role != "assistant":
        masked = f"; with mask_prompt only this message of the {role} is trained"
        message = f"ends with a message of the {role}, not the assistant" + masked * use.mask_prompt
        severity = "error" if use.mask_prompt else "warning"
        yield Flaw("row-last-not-assistant", message, "end with the answer", path, severity)
    elif use.mask_prompt:
        answers = sum(isinstance(m, dict) and m.get("role") == "assistant" for m in messages)
        if answers > 1:
            message = f"has {answers} answers; with mask_prompt mlx-lm trains only the last"
            hint = "write one row per answer, or train without mask_prompt"
            yield Flaw("row-answers-masked", message, hint, path, "warning")


def _tools_flaws(row: Mapping[str, Any]) -> Iterator[Flaw]:
    tools = row["tools"]
    if not isinstance(tools, list) or not all(isinstance(tool, dict) for tool in tools):
        message = f"has {_kind(tools)} as tools, not a list of objects"
        yield Flaw("row-field-type", message, "write JSON schemas, not text", ("tools",))


CHECKS: Mapping[str, Callable[[Mapping[str, Any], Use], Iterator[Flaw]]] = {
    "completions": completion_flaws,
    "chat": chat_flaws,
    "text": text_flaws,
}


def _strings(row: Mapping[str, Any], kind: str, features: Features) -> list[str]:
    """Return the strings of a sound row that mlx-lm trains on, in order."""
    if kind == "text":
        return [row[features.text]]
    if kind == "completions":
        return [row[features.prompt], row[features.completion]]
    found: list[str] = []
    for message in row[features.chat]:
        content = message.get("content")
        found += [content] if isinstance(content, str) else _text_parts(content) or []
    return found


def _identity(row: Row, features: Features) -> bytes:
    """Return what makes two rows the same to a training; a lone surrogate is a UnicodeError."""
    words = [row.format, *row.parts]
    if row.format == "chat":
        for message in row.value[features.chat]:
            words.append(message["role"])
            if len(message) > 2:  # noqa: PLR2004 - more than role and content
                words.append(json.dumps(message, sort_keys=True))
    if row.value.get("tools"):
        words.append(json.dumps(row.value["tools"], sort_keys=True))
    return "\x1f".join(words).encode()


def _two_formats(formats: Sequence[str], wanted: str) -> Flaw:
    others = listing(kind for kind in formats if kind != wanted)
    message = f"can be read as {wanted} and as {others}; mlx-lm reads it as {wanted}"
    return Flaw("row-two-formats", message, "leave only the keys you mean", (), "warning")


def _other_format(row: Mapping[str, Any], found: str, wanted: str, features: Features) -> Flaw:
    keys = {"completions": (features.prompt, features.completion)}
    needed = keys.get(wanted, (features.chat if wanted == "chat" else features.text,))
    missing = next((key for key in needed if key not in row), needed[0])
    message = (
        f"is {found} and the first row is {wanted}: mlx-lm reads it as {wanted}, "
        f"and stops with KeyError '{missing}' in the middle of the training"
    )
    return Flaw("row-other-format", message, "keep one format per file")


def _constant(found: str) -> Flaw:
    message = f"holds {found}, which is not JSON; mlx-lm reads it, other programs refuse the file"
    return Flaw("row-constant", message, "write null or a number", (), "warning")


def column_of(text: str, path: Sequence[str | int]) -> int:
    """Return the column, from 1, of a member inside one line of JSON."""
    at = _skip(text, 0)
    for step in path:
        at = _member(text, at, step)
    return at + 1


def _member(text: str, at: int, step: str | int) -> int:
    """Return where the member `step` starts of what starts at `at`; `at` itself if it has none."""
    found, number, keyed = at, 0, text[at] == "{"
    if text[at] not in "{[":
        return at
    at = _skip(text, at + 1)
    while text[at] not in "}]":
        name: str | int = number
        if keyed:
            name, at = _DECODER.raw_decode(text, at)
            at = _skip(text, _skip(text, at) + 1)
        found = at if name == step else found
        _, at = _DECODER.raw_decode(text, at)
        at = _skip(text, at)
        at = _skip(text, at + 1) if text[at] == "," else at
        number += 1
    return found


def _skip(text: str, at: int) -> int:
    match = _SPACE.match(text, at)
    return match.end() if match else at


_DECODER = json.JSONDecoder()
_SPACE = re.compile(r"[ \t\r\n]*")


# --- many rows: counting without keeping them


@dataclass(frozen=True, slots=True)
class Spread:
    """How a number is spread over the rows; quantiles are within 1 %."""

    rows: int
    total: int
    minimum: int
    median: int
    p90: int
    p99: int
    maximum: int


@dataclass(slots=True)
class Histogram:
    """Counts of whole numbers in buckets that grow with them: exact below 128, then within 1 %."""

    counts: Counter[int] = field(default_factory=Counter)
    total: int = 0
    minimum: int | None = None
    maximum: int = 0

    def add(self, value: int) -> None:
        """Count one number of at least 0."""
        bits = value.bit_length()
        shift = bits - 7 if bits > 7 else 0  # noqa: PLR2004 - twice per row
        self.counts[(shift << 6) + (value >> shift)] += 1
        self.total += value
        if self.minimum is None or value < self.minimum:
            self.minimum = value
        self.maximum = max(self.maximum, value)

    def merge(self, other: "Histogram") -> None:
        """Count what another one counted."""
        self.counts.update(other.counts)
        self.total += other.total
        known = [m for m in (self.minimum, other.minimum) if m is not None]
        self.minimum = min(known, default=None)
        self.maximum = max(self.maximum, other.maximum)

    def spread(self) -> Spread:
        """Return the quantiles."""
        rows = self.counts.total()
        median, p90, p99 = (self._quantile(share, rows) for share in (50, 90, 99))
        return Spread(rows, self.total, self.minimum or 0, median, p90, p99, self.maximum)

    def _quantile(self, share: int, rows: int) -> int:
        wanted, seen = -(-rows * share // 100), 0
        for bucket in sorted(self.counts):
            seen += self.counts[bucket]
            if seen >= wanted:
                shift = max((bucket >> 6) - 1, 0)
                middle = (bucket - (shift << 6) << shift) + (1 << shift >> 1)
                return min(max(middle, self.minimum or 0), self.maximum)
        return 0


@dataclass(slots=True)
class Tally:
    """Problems of one file: the first few of each kind, and the number of all."""

    limit: int
    shown: dict[str, list[Problem]] = field(default_factory=dict)
    counts: Counter[str] = field(default_factory=Counter)
    last: dict[str, int] = field(default_factory=dict)

    def count(self, rule: str, line: int) -> bool:
        """Count one; say whether it is among those to show."""
        self.counts[rule] += 1
        self.last[rule] = max(line, self.last.get(rule, 0))
        shown = self.shown.setdefault(rule, [])
        return len(shown) < self.limit or line < shown[-1].mark.line

    def show(self, problem: Problem) -> None:
        """Keep a problem that `count` said is to be shown."""
        shown = [*self.shown.get(problem.rule, ()), problem]
        shown.sort(key=lambda p: p.mark)
        self.shown[problem.rule] = shown[: self.limit]

    def merge(self, other: "Tally") -> None:
        """Take over the problems of later lines of the same file."""
        for rule, problems in other.shown.items():
            for problem in problems:
                self.show(problem)
            self.counts[rule] += other.counts[rule]
            self.last[rule] = max(self.last.get(rule, 0), other.last[rule])

    def problems(self) -> Iterator[Problem]:
        """Yield those shown, and one that counts the rest of its kind, at the last of them."""
        for rule, shown in self.shown.items():
            yield from shown
            if rest := self.counts[rule] - len(shown):
                example = shown[0]
                mark = Mark(example.mark.file, self.last[rule], 1)
                message = f"{rest} more like the {len(shown)} shown; this is the last"
                yield Problem(mark, message, rule, example.hint, (), example.severity)


@dataclass(frozen=True, slots=True)
class Tokens:
    """What max_seq_length and the mask do: rows and tokens cut, answers without a trained token."""

    lengths: Spread
    cut_rows: int
    cut_tokens: int
    lost_answers: int
    hidden_answers: int


@dataclass(frozen=True, slots=True)
class Stats:
    """What the rows of one file are like; `turns` counts the messages of chats."""

    rows: int
    bytes: int
    format: str | None
    characters: Spread
    turns: Spread
    tokens: Tokens | None = None


@dataclass(slots=True)
class Survey:
    """The rows of one file, or of a piece of it, taken one after the other and forgotten.

    What grows with the rows is `seen`: 16 bytes a row, a digest and a line, in buckets of digests.
    `tails` holds, by number of keys, the last lines: the end of mlx-lm's order of the rows.
    """

    file: str
    format: str | None
    use: Use
    rows: int = 0
    size: int = 0
    characters: Histogram = field(default_factory=Histogram)
    turns: Histogram = field(default_factory=Histogram)
    lengths: Histogram = field(default_factory=Histogram)
    sums: Counter[str] = field(default_factory=Counter)
    tally: Tally = field(init=False)
    seen: list["array[int]"] = field(init=False)
    tails: dict[int, deque[int]] = field(default_factory=dict)
    batch: list[int] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.tally = Tally(self.use.limit)
        self.seen = [array("Q") for _ in range(BUCKETS)]

    def take(self, number: int, line: bytes, encode: Encode | None = None) -> None:
        """Check one line and count what it is like."""
        self.size += len(line)
        self.rows += 1
        try:
            value, constant = parse(line)
            formats = require_format(value, self.use.features)
        except RowError as error:
            self.rows -= error.flaw is _BLANK
            self._flawed(error.flaw, number, line)
            return
        self._tail(len(value), number)
        if constant:
            self._flawed(_constant(constant), number, line)
        wanted = self.format or formats[0]
        if wanted not in formats:
            flaw = _other_format(value, formats[0], wanted, self.use.features)
            self._flawed(flaw, number, line)
            return
        if len(formats) > 1:
            self._flawed(_two_formats(formats, wanted), number, line)
        broken = False
        for flaw in CHECKS[wanted](value, self.use):
            broken = broken or flaw.severity == "error"
            self._flawed(flaw, number, line)
        if not broken:
            row = Row(value, wanted, _strings(value, wanted, self.use.features))
            self._sound(row, number, line, encode)

    def skip(self, number: int, size: int) -> None:
        """Count a line that is too long to be looked at."""
        self.size += size
        self.rows += 1
        message = (
            f"is {size / 1e6:.0f} MB long and was not checked; mlx-lm cuts it after max_seq_length"
        )
        self._flawed(Flaw("row-too-long", message, "split it", (), "warning"), number, b"")

    def _sound(self, row: Row, number: int, line: bytes, encode: Encode | None) -> None:
        try:
            identity = _identity(row, self.use.features)
        except UnicodeEncodeError:
            message = "holds half of a surrogate pair; the tokenizer stops there with a TypeError"
            flaw = Flaw("row-lone-surrogate", message, "write the whole character, as UTF-8")
            self._flawed(flaw, number, line)
            return
        digest = int.from_bytes(sha256(identity).digest()[:8])
        bucket = self.seen[digest % BUCKETS]
        bucket.append(digest)
        bucket.append(number)
        size = sum(map(len, row.parts))
        self.characters.add(size)
        self._batched(size)
        if row.format == "chat":
            self.turns.add(len(row.value[self.use.features.chat]))
        if encode:
            self._encoded(row, number, line, encode)

    def _batched(self, size: int) -> None:
        """Count what mlx-lm pads: its batches are rows that follow each other (T64)."""
        self.batch.append(size)
        if len(self.batch) == (self.use.batch_size or 1):
            self.sums["content"] += sum(self.batch)
            self.sums["computed"] += max(self.batch) * len(self.batch)
            self.batch.clear()

    def _tail(self, keys: int, number: int) -> None:
        self.sums["readable"] += 1
        size = (self.use.batch_size or 1) - 1
        if size:
            self.tails.setdefault(keys, deque(maxlen=size)).append(number)

    def _encoded(self, row: Row, number: int, line: bytes, encode: Encode) -> None:
        try:
            whole, prompt = tokens(row, self.use, encode)
        except ValueError as error:
            message = f"cannot be tokenized: {error}"
            self._flawed(Flaw("row-template-error", message), number, line)
            return
        self.lengths.add(len(whole))
        self.sums["cut_rows"] += len(whole) > self.use.max_seq_length
        self.sums["cut_tokens"] += max(len(whole) - self.use.max_seq_length, 0)
        for flaw in token_flaws(whole, prompt, self.use):
            self.sums["lost_answers"] += flaw.rule == "row-answer-lost"
            self.sums["hidden_answers"] += flaw.rule == "row-mask-hides-answer"
            self._flawed(flaw, number, line)

    def _flawed(self, flaw: Flaw, number: int, line: bytes) -> None:
        if self.tally.count(flaw.rule, number):
            column = flaw.column or (column_of(line.decode(), flaw.path) if flaw.path else 1)
            mark = Mark(self.file, number, column)
            sentence = f"the row {flaw.message}"
            problem = Problem(mark, sentence, flaw.rule, flaw.hint, (), flaw.severity)
            self.tally.show(problem)

    def merge(self, later: "Survey") -> None:
        """Take over the survey of the lines that follow."""
        self.rows += later.rows
        self.size += later.size
        self.sums.update(later.sums)
        self.batch.extend(later.batch)
        for name in ("characters", "turns", "lengths", "tally"):
            getattr(self, name).merge(getattr(later, name))
        for mine, other in zip(self.seen, later.seen, strict=True):
            mine.extend(other)
        for keys, numbers in later.tails.items():
            self.tails.setdefault(keys, deque(maxlen=numbers.maxlen)).extend(numbers)

    def stats(self) -> Stats:
        """Return what the rows are like."""
        names = (f.name for f in fields(Tokens) if f.name != "lengths")
        lengths = self.lengths.spread()
        seen = Tokens(lengths, **{n: self.sums[n] for n in names}) if lengths.rows else None
        characters, turns = self.characters.spread(), self.turns.spread()
        return Stats(self.rows, self.size, self.format, characters, turns, seen)


# --- tokens


def tokens(row: Row, use: Use, encode: Encode) -> tuple[Sequence[int], Sequence[int] | None]:
    """Return the tokens of a row and, where it matters, those mlx-lm takes for its prompt."""
    if row.format == "text":
        return encode(row.parts[0]), None
    tools = row.value.get("tools")
    if row.format == "completions":
        prompt, completion = row.parts
        messages = [
            {"role": "user", "content": prompt},
            {"role": "assistant", "content": completion},
        ]
    else:
        messages = row.value[use.features.chat]
    whole = encode(messages, tools=tools)
    if len(messages) == 1 or not (use.mask_prompt or len(whole) > use.max_seq_length):
        return whole, None
    answers = messages[-1].get("role") == "assistant"
    return whole, encode(messages[:-1], tools=tools, answer_next=answers)


def token_flaws(whole: Sequence[int], prompt: Sequence[int] | None, use: Use) -> Iterator[Flaw]:
    """Yield what max_seq_length and the mask do to a row of these tokens."""
    size, longest = len(whole), use.max_seq_length
    start = 0 if prompt is None else len(prompt)
    if size > longest and start >= longest:
        message = (
            f"has {start} tokens before its answer and max_seq_length is {longest}: "
            "no token of the answer is trained"
        )
        if use.mask_prompt:
            message += ", and in a batch of such rows the loss is NaN, as is every weight after it"
        hint = f"raise max_seq_length to {size}, or shorten the prompt"
        yield Flaw("row-answer-lost", message, hint, (), "error" if use.mask_prompt else "warning")
    elif size > longest:
        message = (
            f"has {size} tokens and max_seq_length is {longest}: "
            f"the last {size - longest} are cut off, with the end of the answer"
        )
        yield Flaw(
            "row-cut", message, f"raise max_seq_length to {size}, or split it", (), "warning"
        )
    if use.mask_prompt and prompt is not None:
        yield from _mask_flaws(whole, prompt)


def _mask_flaws(whole: Sequence[int], prompt: Sequence[int]) -> Iterator[Flaw]:
    pairs = zip(whole, prompt, strict=False)
    shared = next((at for at, (a, b) in enumerate(pairs) if a != b), min(len(whole), len(prompt)))
    if shared == len(prompt) < len(whole):
        return
    hidden = min(len(whole), len(prompt)) - shared
    everything = len(prompt) >= len(whole)
    message = (
        f"does not start with the tokens of its own prompt: they part at token {shared}, and "
        f"the mask of {len(prompt)} hides {'all' if everything else f'{hidden} tokens'} after it"
    )
    hint = "train without mask_prompt, or with a chat template whose start of an answer it repeats"
    severity = "error" if everything else "warning"
    yield Flaw("row-mask-hides-answer", message, hint, (), severity)


# --- the splits together


@dataclass(frozen=True, slots=True)
class Report:
    """Every problem of a data folder, and what the rows of each split are like."""

    problems: tuple[Problem, ...]
    splits: Mapping[str, Stats]

    @property
    def failed(self) -> bool:
        """Whether something is an error."""
        return any(problem.severity == "error" for problem in self.problems)

    def as_dict(self) -> dict[str, Any]:
        """Return the report as JSON-ready values."""
        return {
            "problems": [problem.as_dict() for problem in self.problems],
            "splits": {name: asdict(stats) for name, stats in self.splits.items()},
        }


def report(
    folder: str,
    names: Collection[str],
    surveys: Mapping[str, Survey],
    *,
    splits: Sequence[str] = SPLITS,
    required: Collection[str] = ("train",),
) -> Report:
    """Put the surveys of a folder's splits together; `names` are the files in it."""
    for split, number, first, other in _repeats(surveys):
        _repeated(surveys, split, number, first, other)
    found = list(_absent(folder, names, splits, required))
    found += _formats_differ(surveys)
    for survey in surveys.values():
        found += ordered([*_split_problems(survey), *survey.tally.problems()])
    return Report(tuple(found), {split: survey.stats() for split, survey in surveys.items()})


def _repeats(surveys: Mapping[str, Survey]) -> Iterator[tuple[str, int, int, str]]:
    """Yield every row that stands before: its split and line, the line and split of the first."""
    for bucket in range(BUCKETS):
        first: dict[int, tuple[int, str]] = {}
        for split, survey in surveys.items():
            pairs = iter(survey.seen[bucket])
            for digest, number in zip(pairs, pairs, strict=True):
                if digest in first:
                    yield split, number, *first[digest]
                else:
                    first[digest] = (number, split)


def _repeated(
    surveys: Mapping[str, Survey], split: str, number: int, first: int, other: str
) -> None:
    tally, place = surveys[split].tally, Mark(surveys[other].file, first, 1)
    rule = "row-repeated" if split == other else "row-in-two-splits"
    if not tally.count(rule, number):
        return
    message, hint = f"the row is the same as in line {first}", "it counts twice in the training"
    if split != other:
        message = f"the row stands in the {other} split, too, in line {first}"
        hint = f"remove one; the {split} loss says nothing of rows the model has seen"
    mark = Mark(surveys[split].file, number, 1)
    tally.show(Problem(mark, message, rule, hint, ((place, "the first"),), "warning"))


def _absent(
    folder: str, names: Collection[str], splits: Sequence[str], required: Collection[str]
) -> Iterator[Problem]:
    for split in splits:
        wanted = f"{split}.jsonl"
        wrong = [n for n in sorted(names) if n != wanted and _means(n, split)]
        wrong = [n for n in wrong if n.endswith(".jsonl") or wanted not in names]
        for name in wrong:
            message = f"mlx-lm does not read {name}; the {split} split is {wanted}"
            lost = wanted not in names
            hint = f"rename it to {wanted}" if lost else f"remove it, or move its rows to {wanted}"
            severity = "error" if lost else "warning"
            yield Problem(
                Mark(f"{folder}/{name}", 1, 1), message, "split-misnamed", hint, (), severity
            )
        if wanted in names or wrong:
            continue
        mark, message = Mark(f"{folder}/{wanted}", 1, 1), f"there is no {wanted}"
        if split in required:
            yield Problem(mark, message, "split-missing", "mlx-lm stops without it")
        elif split == "valid":
            message += "; mlx-lm trains without validation and says so in one line"
            yield Problem(
                mark, message, "split-missing", "run-recipe data split makes one", (), "warning"
            )


def _means(name: str, split: str) -> bool:
    """Say whether a file is probably meant for a split although mlx-lm does not read it."""
    stem, suffix = next(
        ((name.removesuffix(s), s) for s in sorted(SUFFIXES, key=len)[::-1] if name.endswith(s)),
        ("", ""),
    )
    folded = stem.casefold()
    return bool(suffix) and (folded == split or folded in OTHER_NAMES.get(split, ()))


def _formats_differ(surveys: Mapping[str, Survey]) -> Iterator[Problem]:
    known = {split: survey for split, survey in surveys.items() if survey.format}
    first = next(iter(known), "")
    for split, survey in known.items():
        if survey.format != known[first].format:
            message = (
                f"the {split} split is {survey.format} and {first} is {known[first].format}; "
                "mlx-lm takes both, and their losses cannot be compared"
            )
            hint = "write both in one format"
            mark = Mark(survey.file, 1, 1)
            yield Problem(mark, message, "splits-of-two-formats", hint, (), "warning")


def _split_problems(survey: Survey) -> Iterator[Problem]:
    mark, batch = Mark(survey.file, 1, 1), survey.use.batch_size
    if not survey.size:
        message = "the file is empty; mlx-lm stops with an IndexError"
        yield Problem(mark, message, "split-empty", "write rows, or delete the file")
        return
    if survey.use.mask_prompt and survey.format == "text":
        message = (
            "mask_prompt needs prompts and these rows are text; mlx-lm stops with a ValueError"
        )
        hint = "train without mask_prompt, or write chat rows; mlx-lm reads all three files"
        yield Problem(mark, message, "mask-prompt-with-text", hint)
    if not batch:
        return
    rest = survey.rows % batch
    if survey.rows < batch:
        message = (
            f"{_rows(survey.rows)} cannot fill a batch of {batch}; mlx-lm stops with a ValueError"
        )
        hint = f"add rows, or set batch_size to at most {survey.rows}"
        yield Problem(mark, message, "split-smaller-than-batch", hint)
    elif rest and survey.sums["readable"] == survey.rows:
        lines = unreached(survey.tails, rest)
        message = (
            f"{_rows(rest)} of {survey.rows} never get into a batch of {batch}: "
            f"line{'s' * (len(lines) > 1)} {listing(map(str, lines))}"
        )
        hint = f"add {_rows(batch - rest)}, or choose a batch_size that divides {survey.rows}"
        place = Mark(survey.file, lines[0], 1)
        yield Problem(place, message, "rows-never-reached", hint, (), "warning")
    padding = 1 - survey.sums["content"] / (survey.sums["computed"] or 1)
    if survey.sums["computed"] and padding > MOST_PADDING:
        message = (
            f"{padding:.0%} of what a batch of {batch} computes is padding: mlx-lm batches rows "
            "that follow each other, whatever their lengths"
        )
        hint = "put rows of similar length next to each other, or lower batch_size"
        yield Problem(mark, message, "batches-mostly-padding", hint, (), "warning")


def unreached(tails: Mapping[int, Sequence[int]], rest: int) -> list[int]:
    """Return the lines of the last rows in mlx-lm's order, which it means to be by length.

    It sorts by the number of keys of a row, and rows of as many keys stay as in the file.
    """
    in_order = [number for keys in sorted(tails) for number in tails[keys]]
    return sorted(in_order[-rest:])


def _rows(number: int) -> str:
    return f"{number} row{'s' * (number != 1)}"
