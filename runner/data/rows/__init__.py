"""Rows of data: the lines of a .jsonl file -> everything mlx-lm would fail on, and statistics.

The modules in import order; each may import only those above it:

row            a row that was read, its purpose, and its flaws
parsing        a line of bytes -> a value; for a file without rows, what it is instead
shapes         the keys of a row -> what it is meant to be, if mlx-lm reads it differently
preferences    a row of two answers, a prompt or tokens -> its strings, and its flaws
formats        a row -> its format, its strings, and its flaws
tokens         a row -> its tokens, and which of them are truncated or masked
template       why a chat template rejects a row -> a flaw, and a hint
survey_counts  numbers -> their distribution; problems -> the first few of each kind
survey         the rows of one file -> its problems and its statistics
folder         the surveys of a folder -> its report, and what a batch size drops or pads
"""

from runner.data.rows.folder import (
    MOST_PADDING,
    OTHER_NAMES,
    FolderReport,
    remainder_lines,
    report,
    silent_batches,
    wrong_names,
)
from runner.data.rows.formats import (
    CHECKS,
    chat_flaws,
    completion_flaws,
    first_format,
    formats_of,
    look,
    require_format,
    text_flaws,
)
from runner.data.rows.parsing import (
    HEAD,
    Parse,
    column_of,
    decode,
    foreign,
    parse,
    problem_of,
    quick_parse,
)
from runner.data.rows.row import (
    ROLES,
    SPLITS,
    Features,
    Flaw,
    Row,
    RowError,
    RowUse,
    identity,
    strings,
)
from runner.data.rows.survey import BUCKETS, TEMPLATE, Stats, Survey, Tokens
from runner.data.rows.survey_counts import Histogram, Spread, Tally
from runner.data.rows.tokens import Encode, targets, token_flaws, tokens

__all__ = [
    "BUCKETS",
    "CHECKS",
    "HEAD",
    "MOST_PADDING",
    "OTHER_NAMES",
    "ROLES",
    "SLUGS",
    "SPLITS",
    "TEMPLATE",
    "Encode",
    "Features",
    "Flaw",
    "FolderReport",
    "Histogram",
    "Parse",
    "Row",
    "RowError",
    "RowUse",
    "Spread",
    "Stats",
    "Survey",
    "Tally",
    "Tokens",
    "chat_flaws",
    "column_of",
    "completion_flaws",
    "decode",
    "first_format",
    "foreign",
    "formats_of",
    "identity",
    "look",
    "parse",
    "problem_of",
    "quick_parse",
    "remainder_lines",
    "report",
    "require_format",
    "silent_batches",
    "strings",
    "targets",
    "text_flaws",
    "token_flaws",
    "tokens",
    "wrong_names",
]

SLUGS = (
    "row-not-json",
    "row-not-utf8",
    "row-byte-order-mark",
    "row-blank",
    "row-carriage-return",
    "row-constant",
    "row-key-twice",
    "row-too-long",
    "row-too-many",
    "row-not-object",
    "row-without-format",
    "row-of-preferences",
    "row-key-unread",
    "row-two-formats",
    "row-other-format",
    "row-field-type",
    "row-empty-text",
    "row-empty-field",
    "row-empty-answer",
    "row-same-answers",
    "row-content-parts",
    "row-no-messages",
    "row-message-without-role",
    "row-message-without-content",
    "row-unknown-role",
    "row-single-message",
    "row-last-not-assistant",
    "row-answers-masked",
    "row-lone-surrogate",
    "row-template-error",
    "row-template-endless",
    "row-cut",
    "row-answer-lost",
    "row-mask-hides-answer",
    "row-repeated",
    "row-in-two-splits",
    "rows-never-reached",
    "batches-mostly-padding",
    "batch-learns-nothing",
    "loss-counts-padding",
    "mask-prompt-with-text",
    "split-empty",
    "split-not-jsonl",
    "split-smaller-than-batch",
    "split-missing",
    "split-misnamed",
    "splits-of-two-formats",
)
"""Every kind of problem that is found here; each name also is next to its words."""
