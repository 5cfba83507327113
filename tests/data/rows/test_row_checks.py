"""Every check of rows finds its own case, alone: without the check nothing would be said."""

import json

import pytest

from runner.data import pieces, read, rows
from runner.data.rows import SLUGS, folder, survey
from runner.data.rows import folder as folders
from runner.system.cells import StoppedError


def line(value):
    return json.dumps(value, ensure_ascii=False) + "\n"


def chat(question, answer, *more, **others):
    """A row of a question, an answer, and more of them in turn."""
    roles = ("user", "assistant") * 8
    said = [question, answer, *more]
    messages = [{"role": r, "content": c} for r, c in zip(roles, said, strict=False)]
    return line({"messages": messages, **others})


def good(count, start=0):
    return "".join(
        chat(f"question {n}", "a long and good answer") for n in range(start, start + count)
    )


def pair(prompt, chosen, rejected):
    return line({"prompt": prompt, "chosen": chosen, "rejected": rejected})


GOOD = good(4)
PAIRS = pair("one", "two", "three") + pair("four", "five", "six")
LONG = "w " * 40
MASK = {"mask_prompt": True, "max_seq_length": 20}
BATCH = {"batch_size": 2}
TEXT = line({"text": "c"}) + line({"text": "d"})

# What stands in train.jsonl (and in others by name), and how it is read.
CASES = {
    "split-not-jsonl": ('[{"text": "a"},\n{"text": "b"}]\n', {}),
    "row-not-json": (GOOD + "{'a': 1}\n", {}),
    "row-not-utf8": (GOOD.encode() + b'{"text": "\xff"}\n', {}),
    "row-byte-order-mark": (b"\xef\xbb\xbf" + GOOD.encode(), {}),
    "row-blank": (GOOD + "\n", {}),
    "row-carriage-return": (GOOD + '{"text":\r"a"}\n', {}),
    "row-constant": (GOOD + chat("a", "b", n=float("nan")), {}),
    "row-key-twice": (GOOD + '{"text": "a", "text": "b"}\n', {}),
    "row-too-long": (GOOD + chat("a", "b" * 9000), {"longest": 2000}),
    "row-too-many": (GOOD + "\n" * 10_001, {}),
    "row-not-object": (GOOD + "[1]\n", {}),
    "row-without-format": (GOOD + "{}\n", {}),
    "row-of-preferences": (GOOD + chat("a", "b", rejected="c"), {}),
    "row-key-unread": (GOOD + chat("a", "b", system="c"), {}),
    "row-two-formats": (GOOD + chat("a", "b", text="c"), {}),
    "row-other-format": (GOOD + line({"text": "a"}), {}),
    "row-field-type": (GOOD + line({"messages": None}), {}),
    "row-empty-text": (line({"text": "a"}) + line({"text": ""}), {"valid": TEXT}),
    "row-empty-field": (GOOD + chat("", "b"), {}),
    "row-empty-answer": (GOOD + chat("a", ""), {}),
    "row-same-answers": (PAIRS + pair("a", "b", "b"), {"kind": "preferences", "valid": pair("c", "d", "e")}),
    "row-content-parts": (GOOD + chat("a", [{"type": "text", "text": "b"}]), {}),
    "row-no-messages": (GOOD + line({"messages": []}), {}),
    "row-message-without-role": (GOOD + line({"messages": [{"content": "a"}, *json.loads(chat("b", "c"))["messages"]]}), {}),
    "row-message-without-content": (GOOD + line({"messages": [{"role": "user"}, *json.loads(chat("b", "c"))["messages"]]}), {}),
    "row-unknown-role": (GOOD + line({"messages": [{"role": "human", "content": "a"}, *json.loads(chat("b", "c"))["messages"]]}), {}),
    "row-single-message": (GOOD + line({"messages": [{"role": "assistant", "content": "a"}]}), MASK),
    "row-last-not-assistant": (GOOD + chat("a", "b", "c"), {}),
    "row-answers-masked": (GOOD + chat("a", "b", "c", "an answer that is long"), MASK),
    "row-lone-surrogate": (GOOD + '{"messages": [{"role": "user", "content": "\\ud800"}, {"role": "assistant", "content": "b"}]}\n', {}),
    "row-template-error": (GOOD + chat("refused", "b"), {"tokens": True}),
    "row-template-endless": (GOOD + chat("endless", "b"), {"tokens": True}),
    "row-cut": (GOOD + chat("a", LONG), {"tokens": True, "max_seq_length": 20}),
    "row-answer-lost": (GOOD + chat(LONG, "b"), {"tokens": True, "max_seq_length": 20}),
    "row-mask-hides-answer": (GOOD + chat("thinking", "b c d e f g h"), {"tokens": True, **MASK}),
    "row-repeated": (GOOD + GOOD.splitlines(keepends=True)[0], {}),
    "row-in-two-splits": (GOOD, {"valid": good(1)}),
    "rows-never-reached": (good(5), BATCH),
    "batches-mostly-padding": (good(2) + chat("a", "b" * 900) + chat("c", "d"), {"batch_size": 4}),
    "batch-learns-nothing": (good(6) + chat(LONG, "b") + chat(LONG, "c"), {"tokens": True, **MASK, **BATCH}),
    "loss-counts-padding": ("".join(chat(f"q {n}", "b") for n in range(9)), {"tokens": True, **MASK}),
    "mask-prompt-with-text": (line({"text": "a"}) + line({"text": "b"}), {"valid": TEXT, **MASK}),
    "split-empty": (GOOD, {"test": ""}),
    "split-smaller-than-batch": (good(3), {"batch_size": 4, "valid": good(4, 50)}),
    "split-missing": (None, {}),
    "split-misnamed": (GOOD, {"valid": None, "val": good(2, 50)}),
    "splits-of-two-formats": (GOOD, {"valid": line({"text": "a"}) + line({"text": "b"})}),
}  # fmt: skip
# Those that come with another for the same row, of which they are the reason.
BESIDE = {
    "batch-learns-nothing": {"row-answer-lost"},
    "row-too-many": {"row-blank"},
}


def encode(content, *, tools=None, answer_next=False, tokenize=True):
    """A token for every word; a prompt about thinking is answered with something before it."""
    words = []
    for message in content:
        if message["content"] == "refused":
            raise ValueError("no such message")
        if message["content"] == "endless":
            raise StoppedError(5, "time")
        words += [message["role"], *message["content"].split(), "end"]
    if answer_next:
        words += ["assistant", "think"] if "thinking" in words else ["assistant"]
    return words


@pytest.fixture
def found(tmp_path, monkeypatch):
    """The slugs that are found in a case."""

    def found(slug):
        train, how = CASES[slug]
        said = dict(how)
        files = {"train": train, "valid": good(4, 50)}
        files |= {name: said.pop(name) for name in ("valid", "test", "val") if name in said}
        for name, text in files.items():
            if text is not None:
                content = text if isinstance(text, bytes) else text.encode()
                (tmp_path / f"{name}.jsonl").write_bytes(content)
        longest = said.pop("longest", pieces.LONGEST)
        piece = min(pieces.PIECE, longest)
        monkeypatch.setattr(pieces.pieces, "__defaults__", (piece, longest))
        tokenizer = encode if said.pop("tokens", False) else None
        report = read.check(tmp_path, tokenizer=tokenizer, **said)
        return {problem.rule for problem in report.problems}

    return found


def test_every_check_has_a_case():
    assert sorted(CASES) == sorted(SLUGS)


@pytest.mark.parametrize("slug", SLUGS)
def test_a_check_finds_its_case_and_nothing_else_does(found, slug):
    assert found(slug) == {slug} | BESIDE.get(slug, set())


@pytest.mark.parametrize("slug", SLUGS)
def test_without_the_check_its_case_would_pass(found, slug, monkeypatch):
    """The mutation: whatever says this slug says nothing."""

    def muted(original):
        def mute(*words, **named):
            made = original(*words, **named)
            return (one for one in made if one.rule != slug)

        return mute

    flawed = survey.Survey._add_flaw

    def silent(self, flaw, *rest):
        if flaw.rule != slug:
            flawed(self, flaw, *rest)

    monkeypatch.setattr(survey.Survey, "_add_flaw", silent)
    for module, name in (
        (folders, "split_problems"),
        (folders, "_absent"),
        (folders, "_formats_differ"),
    ):
        monkeypatch.setattr(module, name, muted(getattr(module, name)))
    if slug in {"row-repeated", "row-in-two-splits"}:
        monkeypatch.setattr(folders, "_show_repeat", lambda *_: None)
    if slug == "split-not-jsonl":  # each line of such a file has flaws of its own
        monkeypatch.setattr(read, "foreign", lambda *_: None)
        assert found(slug) == {"row-not-json"}
        return
    assert found(slug) <= BESIDE.get(slug, set())


def test_the_mutation_reaches_what_says_it():
    assert folders.split_problems is folder.split_problems
    assert rows.report is folders.report
