"""Rows and prompts with a mistake each, whose hints are followed; and what is said of them."""

import json
from collections import Counter
from collections.abc import Iterator, Sequence
from itertools import pairwise
from pathlib import Path
from typing import Any

from following_rows import PROSE, Work, follow

from runner.base.problems import Problem
from runner.data import pieces, read
from runner.data.rows import SPLITS
from runner.tools.evaluate import prompts_file


def line(value: object) -> str:
    return json.dumps(value) + "\n"


def said(*turns: str, **more: Any) -> dict[str, Any]:
    """Return messages of roles and texts in turn, written as ``user: text``."""
    pairs = (turn.partition(": ") for turn in turns)
    return {"messages": [{"role": role, "content": text} for role, _, text in pairs], **more}


def texts(count: int, start: int = 0, longer: str = "") -> str:
    rows = (f"a text, number {n}, that is long enough{longer}" for n in range(start, start + count))
    return "".join(line({"text": one}) for one in rows)


def train(*rows: object, **options: Any) -> Work:
    content = "".join(one if isinstance(one, str) else line(one) for one in rows)
    return Work({"data/train.jsonl": content.encode()}, options)


def data(options: dict[str, Any] | None = None, /, **splits: str | bytes) -> Work:
    files = {
        f"data/{name.replace('_', '.')}{'' if '_' in name else '.jsonl'}": (
            text if isinstance(text, bytes) else text.encode()
        )
        for name, text in splits.items()
    }
    return Work(files, options or {})


def asked(*rows: object) -> Work:
    content = "".join(one if isinstance(one, str) else line(one) for one in rows)
    return Work({"prompts.jsonl": content.encode()})


PAIR = {"prompt": "q", "completion": "a"}
CALL = {"type": "function", "function": {"name": "add", "arguments": '{"a": 1}'}}
RULES: dict[str, Any] = {"rules": [{"contain": "a"}]}
SHORT, LONG = "user: q {}", "user: " + "w " * 40
ANSWER = "assistant: an answer that is long and good"
MASK = {"mask_prompt": True, "max_seq_length": 20}
EVERY = {"splits": SPLITS}
TALK = said("user: q", "assistant: a")["messages"]

ROWS = {
    "not utf-8": data(train=texts(1).encode() + b'{"text": "\xff"}\n'),
    "a byte order mark": data(train=b"\xef\xbb\xbf" + texts(1).encode()),
    "a carriage return": data(train=(texts(1) + texts(1, 1).strip() + "\r" + texts(1, 2)).encode()),
    "one backslash": data(train=texts(1) + '{"text": "\\alpha"}\n'),
    "two objects a line": data(train=texts(1) + texts(2, 1).replace("\n", " ", 1)),
    "a list a line": data(train=texts(1) + '[{"text": "a"}]\n'),
    "many that are no rows": data(train=texts(1) + "\n" * 10_001),
    "a key twice": data(train='{"text": "a", "text": "b"}\n'),
    "a constant": data(train='{"text": "a", "n": NaN}\n'),
    "half a character": data(train='{"text": "a \\ud83d"}\n'),
    "too long": data({"longest": 2000}, train=line({"text": "ab" * 4000})),
    "blank text": data(train=texts(1) + line({"text": " "})),
    "no text": data(train=texts(1) + line({"text": ""})),
    "no answer": train(said("user: q", "assistant: "), said("user: r", "assistant: b")),
    "no message": train(said("user: q", "assistant: a"), {"messages": []}),
    "a number for a text": train({"text": 1}),
    "a text for messages": train({"messages": "hello"}),
    "a text for a message": train({"messages": [*TALK, "an answer"]}),
    "messages for a prompt": train({"prompt": TALK[:1], "completion": "a"}),
    "tools as text": train(said("user: q", "assistant: a", tools="add")),
    "parts": train({"messages": [{"role": "user", "content": [{"type": "text", "text": "b"}]}, TALK[1]]}),
    "a role of another program": train(said("human: q", "assistant: a")),
    "a role misspelt": train(said("usr: q", "assistant: a")),
    "a strange role": train(said("critic: q", "assistant: a")),
    "one message, masked": train(said("assistant: a"), said("user: r", "assistant: b"), **MASK),
    "several answers, masked": train(said("user: q", "assistant: a", "user: r", "assistant: b"), **MASK),
    "no answer at the end": train(said("user: q", "assistant: a", "user: r")),
    "two formats in a row": train({"text": "q a", **PAIR}),
    "two formats in a file": train({"text": "q a"}, PAIR),
    "a key misspelt": train({"txet": "a"}, {"txet": "b"}),
    "messages under another key": train({"conversation": TALK}),
    "text under another key": train({"content": "a"}),
    "a pair under other keys": train({"question": "q", "answer": "a"}),
    "alpaca": train({"instruction": "q", "input": "in", "output": "a"}),
    "dpo": train({"prompt": "q", "chosen": "a", "rejected": "b"}),
    "a worse answer beside": train({**PAIR, "rejected": "b"}),
    "a wrong answer": train({**PAIR, "label": False}, {"prompt": "r", "completion": "b", "label": True}),
    "a system text beside": train({**PAIR, "system": "be short"}),
    "a row twice": data(train=texts(2), valid=texts(1) + texts(1, 9)),
    "a split under another name": data(training=texts(2)),
    "a split under two names": data(EVERY, train=texts(2), valid=texts(1, 5), val=texts(1, 7)),
    "no valid split": data(EVERY, train=texts(3)),
    "splits of two formats": data(train=texts(3), valid=line(PAIR)),
    "an empty split": data(train=texts(3), test=b""),
    "no text at all": data(train=b"\x7fELF\x02\x01\x01\0\0\0"),
    "less than a batch": train(texts(3), batch_size=4),
    "more than its batches": train(texts(10), batch_size=4),
    "padding": train(*(texts(1, n, " on and on" * 90 * (n % 4 == 0)) for n in range(16)), batch_size=4),
    "padding of a test": data({"batch_size": 4}, train=texts(4), test="".join(texts(1, 4 + n, " on" * 300 * (n % 4 == 0)) for n in range(16))),
    "padding in one batch": train(texts(3), texts(1, 3, " on and on" * 90), batch_size=4),
    "text, masked": data({"mask_prompt": True}, train=texts(2)),
    "cut": train(said("user: q", "assistant: " + "w " * 30), max_seq_length=20, encode=True),
    "an answer cut off": train(said(LONG, "assistant: b"), max_seq_length=20, encode=True),
    "a mask that hides": train(said("user: thinking", ANSWER), encode=True, **MASK),
    "a batch of nothing": train(*(said(SHORT.format(n), ANSWER) for n in range(4)), *(said(LONG + str(n), "assistant: b") for n in range(2)), encode=True, batch_size=2, **MASK),
    "arguments as text": train({"messages": [TALK[0], {"role": "assistant", "content": "", "tool_calls": [CALL]}, TALK[1]]}, encode=True),
    "a system message": train(said("system: s", "user: q", "assistant: a"), encode="none"),
    "two system messages": train(said("system: s", "user: q", "system: t", "assistant: a"), encode=True),
    "no second answer": train({"prompt": "q"}, {"prompt": "r"}, kind="preferences"),
    "tokens as a text": train({"context_with_chat_template": "a b", "rejected_decoded": " c", "multi_chosen_decoded": " d"}, kind="tokens"),
    "no turns": train(said("user: q", "user: r", "assistant: a"), encode=True),
}  # fmt: skip

PROMPTS = {
    "not an object": asked({"prompt": "q", **RULES}, ["q"]),
    "a text for an object": asked({"prompt": "q", **RULES}, '"q"\n'),
    "a rule as a key": asked({"prompt": "q", "contain": "a"}),
    "a key misspelt": asked({"promt": "q", "category": "c", **RULES}, {"prompt": "q", "category": "c"}),
    "a strange key": asked({"prompt": "q", "colour": "red", **RULES}),
    "rules as a text": asked({"prompt": "q", "rules": "a"}),
    "a rule as a text": asked({"prompt": "q", "rules": ["a"]}),
    "a rule misspelt": asked({"prompt": "q", "rules": [{"contian": "a"}]}),
    "a strange rule": asked({"prompt": "q", "rules": [{"zzz": "a"}]}),
    "two rules in one": asked({"prompt": "q", "rules": [{"contain": "a", "match": "b"}]}),
    "an option of another": asked({"prompt": "q", "rules": [{"match": "b", "ignore_case": True}]}),
    "an option not read": asked({"prompt": "q", "rules": [{"contain": "b", "tolerance": 1}]}),
    "no pattern": asked({"prompt": "q", "rules": [{"match": "["}]}),
    "no pattern to avoid": asked({"prompt": "q", "rules": [{"not_match": "a\\"}]}),
    "one backslash": asked('{"prompt": "q", "rules": [{"match": "\\d"}]}\n'),
    "half a character": asked('{"prompt": "q \\ud83d", "rules": [{"contain": "a"}]}\n'),
    "asks twice": asked({"prompt": "q", "text": "r", **RULES}),
    "has no question": asked(RULES),
    "no message": asked({"messages": ["q"], **RULES}),
    "a role misspelt": asked({"messages": [{"role": "usr", "content": "q"}], **RULES}),
    "a strange role": asked({"messages": [{"role": "critic", "content": "q"}], **RULES}),
    "an answer at the end": asked({"messages": TALK, **RULES}),
    "no name for a metric": asked({"prompt": "q", "category": "Long Answers", **RULES}),
    "a category twice": asked({"category": "c", **RULES}, {"category": "c"}, {"prompt": "q", "category": "c"}),
    "a category of nothing": asked({"prompt": "q", "category": "c", **RULES}, {"category": "d"}),
    "one without a category": asked({"prompt": "q", **RULES}, {"prompt": "r", "category": "c", **RULES}),
    "no rule": asked({"prompt": "q", "category": "c"}),
    "utf-16": Work({"prompts.jsonl": line({"prompt": "q", **RULES}).encode("utf-16")}),
    "a byte order mark": Work({"prompts.jsonl": b"\xef\xbb\xbf" + line({"prompt": "q", **RULES}).encode()}),
}  # fmt: skip


def encode(
    content: str | Sequence[Any],
    *,
    tools: object = None,
    answer_next: bool = False,
    tokenize: bool = True,
) -> list[str]:
    """Return a token for every word, as a template of turns of a user and an assistant writes it.

    A prompt about thinking is answered with something before the answer.
    """
    if isinstance(content, str):
        return content.split()
    words: list[str] = []
    roles = [message["role"] for message in content]
    calls = [call for message in content for call in message.get("tool_calls", ())]
    if any(isinstance(call["function"]["arguments"], str) for call in calls):
        raise ValueError("Can only get item pairs from a mapping")
    if "system" in roles[1:]:
        raise ValueError("System message must be at the beginning.")
    if any(one == other == "user" for one, other in pairwise(roles)):
        raise ValueError("Conversation roles must alternate user/assistant")
    for message in content:
        words += [message["role"], *message["content"].split(), "end"]
    if answer_next:
        words += ["assistant", "think"] if "thinking" in words else ["assistant"]
    return words


def without_system(content: Any, **how: Any) -> list[str]:
    if content[0]["role"] == "system":
        raise ValueError("System role not supported")
    return encode(content, **how)


TOKENIZERS = {True: encode, "none": without_system}


def look(work: Work) -> list[Problem]:
    """Write the files of a data set where the test is, and return what is said of them."""
    for name, content in work.files.items():
        Path(name).parent.mkdir(exist_ok=True)
        Path(name).write_bytes(content)
    for file in Path(work.folder).glob("*") if Path(work.folder).is_dir() else ():
        if str(file) not in work.files:
            file.unlink()
    if "prompts.jsonl" in work.files:
        return list(prompts_file.survey(Path("prompts.jsonl")).problems)
    options = dict(work.options)
    begun = [s for s in SPLITS if any(name.startswith(f"{work.folder}/{s}") for name in work.files)]
    options.setdefault("splits", begun)
    tokenizer = TOKENIZERS.get(options.pop("encode", None))
    longest = options.pop("longest", 0)
    before = pieces.pieces.__defaults__
    try:
        if longest:
            pieces.pieces.__defaults__ = (longest, longest)
        return list(read.check(work.folder, tokenizer=tokenizer, **options).problems)
    finally:
        pieces.pieces.__defaults__ = before


def faults(work: Work) -> Iterator[str]:
    """Yield what does not hold of the hints on a data set when they are followed."""
    found = look(work)
    before = Counter((p.rule, p.message) for p in found)
    for problem in found:
        if any(prose.fullmatch(problem.hint) for prose in PROSE):
            continue
        lead = f"{problem.hint!r} ({problem.message})"
        look(work)
        made = follow(work, problem)
        if not made:
            yield f"no form reads {lead}" if made is None else f"nothing follows {lead}"
        for other in made or ():
            after = look(other)
            key = (problem.rule, problem.message)
            if Counter((p.rule, p.message) for p in after)[key] >= before[key]:
                yield f"stays: {lead}\n{other}"
            if same := [p for p in after if p.rule == problem.rule and p.mark == problem.mark]:
                yield f"stays in other words: {lead} -> {same[0].message}\n{other}"
            listed = problem.hint.startswith(("use one of: ", "there are: "))
            for one in () if listed else after:
                if one.severity == "error" and (one.rule, one.message) not in before:
                    yield f"makes new: {lead} -> {one.message}\n{other}"
