"""Following hints on rows of data and on prompts: the files as someone would write them then.

FORMS are the ways in which such a hint is said; each yields one data set for each way out.
"""

import json
import re
import shlex
from collections.abc import Callable, Iterator, Mapping
from importlib import import_module
from pathlib import Path
from typing import Any

from msgspec import Struct, field
from msgspec.structs import replace

from runner.base.problems import Problem
from runner.data.rows import ROLES, Features


class Work(Struct, frozen=True):
    """Files by name, and how the data set `folder` is read."""

    files: Mapping[str, bytes]
    options: Mapping[str, Any] = field(default_factory=dict)
    folder: str = "data"

    def lines(self, file: str) -> list[bytes]:
        return self.files[file].splitlines(keepends=True)

    def with_file(self, file: str, new: bytes) -> "Work":
        return replace(self, files={**self.files, file: new})

    def with_options(self, **new: Any) -> "Work":
        return replace(self, options={**self.options, **new})


class Row(Struct, frozen=True):
    """The row that a problem is about: the text a person would edit there."""

    work: Work
    problem: Problem

    @property
    def file(self) -> str:
        return self.problem.mark.file

    @property
    def text(self) -> str:
        return self.work.lines(self.file)[self.problem.mark.line - 1].decode()

    @property
    def value(self) -> dict[str, Any]:
        return json.loads(self.text)

    def to(self, *new: str) -> Work:
        """Return the data set with other lines in place of this one."""
        lines = self.work.lines(self.file)
        at = self.problem.mark.line - 1
        lines[at : at + 1] = [one.rstrip("\n").encode() + b"\n" for one in new]
        return self.work.with_file(self.file, b"".join(lines))

    def rows(self, *new: Mapping[str, Any]) -> Work:
        return self.to(*(json.dumps(one, ensure_ascii=False) for one in new))

    def without(self, *keys: str) -> Work:
        return self.rows({key: value for key, value in self.value.items() if key not in keys})

    @property
    def start(self) -> int:
        return self.problem.mark.column - 1

    @property
    def member(self) -> Any:
        return json.JSONDecoder().raw_decode(self.text, self.start)[0]

    def with_member(self, new: str) -> Work:
        """Write another value where the problem stands."""
        _, end = json.JSONDecoder().raw_decode(self.text, self.start)
        return self.to(self.text[: self.start] + new + self.text[end:])

    def quoted(self) -> list[str]:
        return re.findall(r"'([^']+)'", self.problem.message)


Follow = Callable[[Row, re.Match[str]], Iterator[Work]]
FORMS: list[tuple[re.Pattern[str], Follow]] = []


def form(pattern: str) -> Callable[[Follow], Follow]:
    def register(follow: Follow) -> Follow:
        FORMS.append((re.compile(pattern), follow))
        return follow

    return register


def follow(work: Work, problem: Problem) -> list[Work] | None:
    """Return the data sets that the hint of a problem makes; None where no form reads it."""
    for pattern, apply in FORMS:
        if found := pattern.fullmatch(problem.hint):
            return list(apply(Row(work, problem), found))
    return None


# -- a line


@form(r"remove the row|remove the line|remove it|remove one; .*|keep one of them")
def _(row: Row, _: re.Match[str]) -> Iterator[Work]:
    if row.problem.rule == "prompt-rule":  # an option that the rule does not read
        option = re.findall(r"has (\w+) in", row.problem.message)[0]
        value = row.value
        value["rules"] = [{k: v for k, v in r.items() if k != option} for r in value["rules"]]
        yield row.rows(value)
    else:
        yield row.to()


@form(r"remove '(?P<key>\w+)' if .*")
def _(row: Row, found: re.Match[str]) -> Iterator[Work]:
    yield row.without(found["key"])


@form(r"move it into the question or into its own message, or remove it")
def _(row: Row, _: re.Match[str]) -> Iterator[Work]:
    (key,) = row.quoted()
    value = row.value
    said = value.pop(key)
    yield row.rows({**value, "prompt": f"{said}\n{value['prompt']}"})
    turns = [("system", said), ("user", value["prompt"]), ("assistant", value["completion"])]
    messages = [{"role": role, "content": text} for role, text in turns]
    yield replace(row.work, files={row.file: json.dumps({"messages": messages}).encode() + b"\n"})
    yield row.rows(value)


@form(r"write the missing keys, or choose another train_mode")
def _(row: Row, _: re.Match[str]) -> Iterator[Work]:
    rows = [json.loads(line) for line in row.work.lines(row.file)]
    whole = [{**one, "chosen": f"a {n}", "rejected": f"b {n}"} for n, one in enumerate(rows)]
    content = "".join(json.dumps(one) + "\n" for one in whole)
    yield row.work.with_file(row.file, content.encode())
    yield row.work.with_options(kind="prompts")


@form(r'write \["…"\]')
def _(row: Row, _: re.Match[str]) -> Iterator[Work]:
    (key,) = (name for name in row.value if f"as {name}," in row.problem.message)
    yield row.rows({**row.value, key: [row.value[key]]})


@form(r"end every row with one \\n")
def _(row: Row, _: re.Match[str]) -> Iterator[Work]:
    yield row.work.with_file(row.file, row.work.files[row.file].replace(b"\r", b"\n"))


@form(r"(?P<wide>the file looks like UTF-16; )?save (?:it|the file) as UTF-8(?: without a BOM)?")
def _(row: Row, found: re.Match[str]) -> Iterator[Work]:
    content = row.work.files[row.file]
    encoding = "utf-16" if found["wide"] else "cp1252" if b"\xff" in content else "utf-8-sig"
    yield row.work.with_file(row.file, content.decode(encoding).encode())


@form(r"(?:write )?one (?:JSON )?object per line(?:, without \[ \] around it)?")
def _(row: Row, _: re.Match[str]) -> Iterator[Work]:
    if row.problem.rule == "row-too-many":
        kept = [line for line in row.work.lines(row.file) if line.strip()]
        yield row.work.with_file(row.file, b"".join(kept))
        return
    found, text = [], row.text.strip()
    while text:
        one, end = json.JSONDecoder().raw_decode(text)
        found += one if isinstance(one, list) else [one]
        text = text[end:].strip(", \n")
    yield row.rows(*found)


@form(r"remove one of them, or rename one")
def _(row: Row, _: re.Match[str]) -> Iterator[Work]:
    key = row.quoted()[0]
    first = re.search(rf'"{key}": "[^"]*"(, )?', row.text)
    assert first
    yield row.to(row.text[: first.start()] + row.text[first.end() :])
    yield row.to(row.text.replace(f'"{key}"', f'"{key}_before"', 1))


@form(r"write null or a number")
def _(row: Row, _: re.Match[str]) -> Iterator[Work]:
    constant = re.findall(r"contains (\S+),", row.problem.message)[0]
    yield row.to(row.text.replace(constant, "null"))
    yield row.to(row.text.replace(constant, "1"))


@form(r"write the whole character, as UTF-8")
def _(row: Row, _: re.Match[str]) -> Iterator[Work]:
    yield row.to(re.sub(r"\\ud83d", "\U0001f600", row.text))


@form(r"split it")
def _(row: Row, _: re.Match[str]) -> Iterator[Work]:
    text = row.value["text"]
    size = len(text) // 8 + 1
    yield row.rows(*({"text": text[at : at + size]} for at in range(0, len(text), size)))


# -- its members


@form(r"write a string")
def _(row: Row, _: re.Match[str]) -> Iterator[Work]:
    yield row.with_member('"a text"')


@form(r"write JSON schemas, not text")
def _(row: Row, _: re.Match[str]) -> Iterator[Work]:
    schema = {"type": "function", "function": {"name": "add", "parameters": {"type": "object"}}}
    yield row.with_member(json.dumps([schema]))


@form(r"write (?P<new>[\[{].*….*[\]}])(?:; a line .*)?")
def _(row: Row, found: re.Match[str]) -> Iterator[Work]:
    """What is to stand there whole; the dots are the reader's own."""
    yield row.with_member(dotless(found["new"], row.member))


@form(r'write (?P<new>"\w+": .*?)(?:(?P<more>, here or for its category)|; .*)?')
def _(row: Row, found: re.Match[str]) -> Iterator[Work]:
    """A member to write; a rule that stood beside it goes into it."""
    key, _, new = found["new"].partition(": ")
    value = row.value
    there = next((one for one in row.quoted() if one in value), "")
    said = value.pop(there, "a text")
    value[json.loads(key)] = json.loads(dotless(new, said))
    yield row.rows(value)
    if found["more"]:
        rules = value.pop("rules")
        lines = row.work.files[row.file]
        line = json.dumps({"category": value["category"], "rules": rules}).encode()
        yield row.work.with_file(row.file, lines + line + b"\n")


def dotless(text: str, said: object) -> str:
    """Return an example of a hint with something in place of its dots."""
    text = text.replace("[…]", '[{"contain": "a"}]').replace('"…"', "…")
    text = text.replace('"role": …', '"role": "assistant"')
    return text.replace("…", json.dumps(said if isinstance(said, str) else "a text"))


@form(r"did you mean '(?P<name>\w+)'\?")
def _(row: Row, found: re.Match[str]) -> Iterator[Work]:
    if row.problem.rule == "prompt-unknown-key":
        yield row.to(row.text.replace(f'"{row.quoted()[0]}"', f'"{found["name"]}"'))
    else:
        member = row.member
        new = {**member, "role": found["name"]} if isinstance(member, dict) else found["name"]
        yield row.with_member(json.dumps(new))


@form(r"use one of: .*; --role (?P<role>\w+) adds one")
def _(row: Row, found: re.Match[str]) -> Iterator[Work]:
    yield row.with_member('"user"')
    yield row.work.with_options(roles=ROLES | {found["role"]})


@form(r"join the parts into one string")
def _(row: Row, _: re.Match[str]) -> Iterator[Work]:
    yield row.with_member(json.dumps("".join(part["text"] for part in row.member)))


@form(r"write one row per answer, or train without mask_prompt")
def _(row: Row, _: re.Match[str]) -> Iterator[Work]:
    said = row.value["messages"]
    yield row.rows(*({"messages": said[at : at + 2]} for at in range(0, len(said), 2)))
    yield row.work.with_options(mask_prompt=False)


@form(r"add the question, or remove the row")
def _(row: Row, _: re.Match[str]) -> Iterator[Work]:
    question = {"role": "user", "content": "a question"}
    yield row.rows({"messages": [question, *row.value["messages"]]})
    yield row.to()


@form(r"end with the (?:answer|question: the answer is the model's)")
def _(row: Row, _: re.Match[str]) -> Iterator[Work]:
    messages = row.value["messages"]
    answer = {"role": "assistant", "content": "an answer"}
    ended = [*messages, answer] if row.problem.rule[:4] == "row-" else messages[:-1]
    yield row.rows({**row.value, "messages": ended})


@form(r"for messages, use a chat row: one list under one key")
def _(row: Row, _: re.Match[str]) -> Iterator[Work]:
    value = row.value
    answer = {"role": "assistant", "content": value["completion"]}
    messages = [*value["prompt"], answer]
    yield replace(row.work, files={row.file: json.dumps({"messages": messages}).encode() + b"\n"})


@form(r"keep one format per file")
def _(row: Row, _: re.Match[str]) -> Iterator[Work]:
    value = row.value
    yield row.rows({"text": f"{value['prompt']} {value['completion']}"})


@form(r"leave only the keys you mean")
def _(row: Row, _: re.Match[str]) -> Iterator[Work]:
    yield row.without("text")


# -- keys that are called otherwise


@form(r"rename '(?P<old>\w+)' to '(?P<new>\w+)'")
def _(row: Row, found: re.Match[str]) -> Iterator[Work]:
    yield renamed(row, found["old"], found["new"])


@form(
    r"'(?P<old>\w+)' (?:contains messages|looks like '\w+'): rename it(?: to (?P<new>\w+))?, or set "
    r"(?P<kind>\w+)_feature: (?P<key>\w+)"
)
def _(row: Row, found: re.Match[str]) -> Iterator[Work]:
    yield renamed(row, found["old"], found["new"] or found["kind"])
    yield featured(row.work, [(found["kind"], found["key"])])


@form(r"'\w+' and '\w+' are prompt and completion: .*")
def _(row: Row, found: re.Match[str]) -> Iterator[Work]:
    yield featured(row.work, re.findall(r"set (\w+)_feature: (\w+)", found[0]))


def renamed(row: Row, old: str, new: str) -> Work:
    """Rename a key in all rows: that is one replacement in an editor."""
    content = row.work.files[row.file]
    return row.work.with_file(row.file, content.replace(f'"{old}":'.encode(), f'"{new}":'.encode()))


def featured(work: Work, said: list[tuple[str, str]]) -> Work:
    return work.with_options(features=replace(Features(), **dict(said)))


@form(
    r"(?:write them as chat|train only on the better answers|order them): run-recipe data "
    r"(?P<tool>\w+) (?P<words>.*?)(?:, or (?P<other>lower batch_size))?"
)
def _(row: Row, found: re.Match[str]) -> Iterator[Work]:
    words = shlex.split(found["words"])
    import_module(f"runner.data.{found['tool']}").main(words)
    out = words[words.index("--out") + 1]
    made = {str(file): file.read_bytes() for file in Path(out).glob("*.jsonl")}
    yield replace(row.work, files=made, folder=out)
    if found["other"]:
        yield row.work.with_options(batch_size=1)


# -- files and batches


@form(r"lower batch_size")
def _(row: Row, _: re.Match[str]) -> Iterator[Work]:
    yield row.work.with_options(batch_size=1)


@form(r"rename it to (?P<new>\S+)")
def _(row: Row, found: re.Match[str]) -> Iterator[Work]:
    files = dict(row.work.files)
    files[f"{row.work.folder}/{found['new']}"] = files.pop(row.file)
    yield replace(row.work, files=files)


@form(r"remove it, or move its rows to (?P<other>\S+)")
def _(row: Row, found: re.Match[str]) -> Iterator[Work]:
    files = dict(row.work.files)
    rows = files.pop(row.file)
    yield replace(row.work, files=files)
    other = f"{row.work.folder}/{found['other']}"
    yield replace(row.work, files={**files, other: files[other] + rows})


@form(r"move some rows of train\.jsonl to valid\.jsonl")
def _(row: Row, _: re.Match[str]) -> Iterator[Work]:
    lines = row.work.lines("data/train.jsonl")
    work = row.work.with_file("data/train.jsonl", b"".join(lines[1:]))
    yield work.with_file("data/valid.jsonl", lines[0])


@form(r"write both in the same format")
def _(row: Row, _: re.Match[str]) -> Iterator[Work]:
    texts = [
        {"text": " ".join(str(one) for one in json.loads(line).values())}
        for line in row.work.lines(row.file)
    ]
    yield row.work.with_file(row.file, "".join(json.dumps(one) + "\n" for one in texts).encode())


@form(r"(?:write rows into it|add rows, or (?P<delete>delete the file))")
def _(row: Row, found: re.Match[str]) -> Iterator[Work]:
    yield row.work.with_file(row.file, b'{"text": "new"}\n')
    if found["delete"]:
        files = {name: text for name, text in row.work.files.items() if name != row.file}
        yield replace(row.work, files=files)


@form(
    r"add (?:(?P<rows>\d+) )?rows?, or (?:choose|set) a? ?batch_size (?P<way>.*?) (?P<number>\d+)"
)
def _(row: Row, found: re.Match[str]) -> Iterator[Work]:
    count, number = int(found["rows"] or 0), int(found["number"])
    count = count or row.work.options["batch_size"] - number
    new = "".join(json.dumps({"text": f"one more, {n}"}) + "\n" for n in range(count)).encode()
    yield row.work.with_file(row.file, row.work.files[row.file] + new)
    dividing = [size for size in range(2, number + 1) if number % size == 0]
    sizes = dividing if found["way"] == "that divides" else range(1, number + 1)
    for size in sizes:
        yield row.work.with_options(batch_size=size)


@form(r"train without mask_prompt, or (?:write chat rows; .*|(?P<other>use a chat template .*))")
def _(row: Row, found: re.Match[str]) -> Iterator[Work]:
    yield row.work.with_options(mask_prompt=False)
    if not found["other"]:
        work = row.work
        for file in work.files:
            rows = [json.loads(line)["text"] for line in work.lines(file)]
            work = work.with_file(file, "".join(map(chat, rows)).encode())
        yield work


def chat(text: str) -> str:
    turns = [("user", "a question"), ("assistant", text)]
    messages = [{"role": role, "content": content} for role, content in turns]
    return json.dumps({"messages": messages}) + "\n"


@form(r"raise max_seq_length to (?P<new>\d+), or (?P<other>split it|shorten the prompt)")
def _(row: Row, found: re.Match[str]) -> Iterator[Work]:
    yield row.work.with_options(max_seq_length=int(found["new"]))
    question, answer = row.value["messages"]
    if found["other"] == "split it":
        words = answer["content"].split()
        halves = (" ".join(words[: len(words) // 2]), " ".join(words[len(words) // 2 :]))
        yield row.rows(*({"messages": [question, {**answer, "content": half}]} for half in halves))
    else:
        yield row.rows({"messages": [{**question, "content": "short"}, answer]})


@form(r"raise max_seq_length, shorten the prompts, or remove the rows")
def _(row: Row, _: re.Match[str]) -> Iterator[Work]:
    yield row.work.with_options(max_seq_length=2048)
    numbers = re.findall(r"lines? ([\d, and]+) is trained", row.problem.message)[0]
    at = [int(one) - 1 for one in re.findall(r"\d+", numbers)]
    lines = row.work.lines(row.file)
    short = [
        re.sub(rb"(w )+", b"w %d" % n, line) if n in at else line for n, line in enumerate(lines)
    ]
    yield row.work.with_file(row.file, b"".join(short))
    kept = [line for n, line in enumerate(lines) if n not in at]
    yield row.work.with_file(row.file, b"".join(kept))


# -- what a chat template refuses


@form(r"write the arguments of tool_calls as an object, not as text")
def _(row: Row, _: re.Match[str]) -> Iterator[Work]:
    value = row.value
    for message in value["messages"]:
        for call in message.get("tool_calls", ()):
            call["function"]["arguments"] = json.loads(call["function"]["arguments"])
    yield row.rows(value)


@form(r"the template accepts no system message: put its text before the first question")
def _(row: Row, _: re.Match[str]) -> Iterator[Work]:
    system, question, *rest = row.value["messages"]
    text = f"{system['content']}\n\n{question['content']}"
    yield row.rows({"messages": [{**question, "content": text}, *rest]})


@form(r"keep only one system message, at the start")
def _(row: Row, _: re.Match[str]) -> Iterator[Work]:
    first, *rest = row.value["messages"]
    yield row.rows({"messages": [first, *(one for one in rest if one["role"] != "system")]})


@form(r"join consecutive messages of the same role: user and assistant must alternate")
def _(row: Row, _: re.Match[str]) -> Iterator[Work]:
    joined: list[dict[str, str]] = []
    for message in row.value["messages"]:
        if joined and joined[-1]["role"] == message["role"]:
            joined[-1]["content"] += f"\n\n{message['content']}"
        else:
            joined.append(message)
    yield row.rows({"messages": joined})


# -- prompts


@form(r"keep one: prompt and messages use the chat template, text does not")
def _(row: Row, found: re.Match[str]) -> Iterator[Work]:
    both = re.findall(r"has both (\w+) and (\w+)", row.problem.message)[0]
    yield from (row.without(one) for one in both)


@form(r"write (?P<word>[a-z][a-z0-9_]*): its score is score_(?P=word)")
def _(row: Row, found: re.Match[str]) -> Iterator[Work]:
    yield row.with_member(json.dumps(found["word"]))


@form(r"name its category")
def _(row: Row, _: re.Match[str]) -> Iterator[Work]:
    named = next(
        json.loads(line)["category"]
        for line in row.work.lines(row.file)
        if "category" in json.loads(line)
    )
    yield row.rows({**row.value, "category": named})


@form(r"one of (?P<kinds>.*) each")
def _(row: Row, _: re.Match[str]) -> Iterator[Work]:
    (rule,) = row.value["rules"]
    yield row.rows({**row.value, "rules": [{key: value} for key, value in rule.items()]})


@form(r"use one of: (?P<names>.*)|there are: (?P<roles>.*)")
def _(row: Row, found: re.Match[str]) -> Iterator[Work]:
    """Of a list all are known there; which is meant is the reader's: one of them must do."""
    for name in re.split(r",| and ", found["names"] or found["roles"]):
        if row.problem.rule == "prompt-message":
            yield row.with_member(json.dumps({**row.member, "role": name.strip(" '")}))
        else:
            yield row.to(row.text.replace(f'"{row.quoted()[0]}"', f'"{name.strip()}"'))


@form(r"to match the text itself: (?P<new>.*)")
def _(row: Row, found: re.Match[str]) -> Iterator[Work]:
    yield row.rows({**row.value, "rules": [json.loads(f"{{{found['new']}}}")]})


@form(r"in JSON, write a backslash twice: \\\\")
def _(row: Row, _: re.Match[str]) -> Iterator[Work]:
    yield row.to(row.text.replace("\\", "\\\\"))


@form(r"write \(\?i\) in the pattern")
def _(row: Row, _: re.Match[str]) -> Iterator[Work]:
    value = row.value
    (rule,) = value["rules"]
    yield row.rows({**value, "rules": [{"match": f"(?i){rule['match']}"}]})


# -- hints without a command and without a value to write

PROSE = [
    re.compile(one)
    for one in (
        r"",
        r"it counts twice in training",
        r"mlx-lm fails without it",
        r"it matters less with longer answers; compare losses only between similar rows",
        r"save it from Excel as CSV UTF-8",
        r"change the row, or use a model whose template accepts it",
        r"check the template; training would hang at such a row",
    )
]
