import json
import re
import tracemalloc
from fractions import Fraction
from functools import partial
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from runner.base.errors import ToolError
from runner.data import dice as draw
from runner.data import replace_folder
from runner.data.index import Index
from runner.data.mix import count, main, mix, order, parser
from runner.data.reader import Reader

EXACTLY = Fraction(0)


def text_rows(number: int, word: str = "row") -> bytes:
    return b"".join(b'{"text": "%s %d"}\n' % (word.encode(), i) for i in range(number))


def folder(path: Path, train: bytes, **others: bytes) -> Path:
    path.mkdir()
    for name, content in {"train": train, **others}.items():
        (path / f"{name}.jsonl").write_bytes(content)
    return path


@pytest.fixture
def make(tmp_path):
    """Mix two train files given as bytes; return what was written and what was recorded."""

    def make(primary: bytes, replay: bytes, **options) -> tuple[bytes, dict]:
        sources = (
            folder(tmp_path / "primary", primary),
            folder(tmp_path / "replay", replay),
        )
        record = mix(*sources, tmp_path / "out", **{"ratio": 0.5, **options})
        return (tmp_path / "out/train.jsonl").read_bytes(), record

    return make


def refused(make, primary: bytes, replay: bytes = b"", **options) -> str:
    with pytest.raises(ToolError) as caught:
        make(primary, replay, **options)
    return str(caught.value)


# --- how many rows


@pytest.mark.parametrize(
    "primary, share, rows",
    [
        (17, "0.15", 3),
        (170, "0.15", 30),
        (850_000_000, "0.15", 150_000_000),
        (1, "0.5", 1),
        (1, "0", 0),
        (1, "0.99", 99),
        (667, "0.333", 333),
    ],
)
def test_the_count_that_gives_the_share_is_exact(primary, share, rows):
    assert count(primary, rows, Fraction(share), EXACTLY) == rows


@pytest.mark.parametrize(
    "primary, rows",
    [(16, 3), (18, 3), (160, 28), (1, 0), (3, 1)],  # 2.82  3.18  28.24  0.18  0.53
)
def test_within_a_tolerance_the_nearest_count_is_taken(primary, rows):
    assert count(primary, 1000, Fraction("0.15"), Fraction("0.5")) == rows


def test_halfway_the_larger_count_is_taken_because_its_share_is_nearer():
    # 1 row at 1/3: 0.5 rows. 0 of 1 is 1/3 away, 1 of 2 only 1/6.
    assert count(1, 10, Fraction(1, 3), Fraction(1, 2)) == 1


FAR = (
    "160 primary rows cannot have a replay share of exactly 0.15: 28 replay rows give 0.148936, "
    "29 give 0.153439\n    hint: set tolerance to 0.0011 for 28 replay rows, or use 153 or 170 primary rows"
)
FARTHER = (
    "1 primary row cannot have a replay share of exactly 0.15: 0 replay rows give 0.000000, "
    "1 gives 0.500000\n    hint: set ratio to 0.5 for 1 replay row, or use 17 primary rows"
)


@pytest.mark.parametrize(
    "primary, share, tolerance, message",
    [
        (160, "0.15", "0", FAR),
        (160, "0.15", "0.001", FAR.replace("of exactly", "within 0.001 of")),
        (1, "0.15", "0", FARTHER),
    ],
)
def test_a_share_that_cannot_be_is_refused_with_the_arithmetic(primary, share, tolerance, message):
    with pytest.raises(ToolError) as caught:
        count(primary, 1000, Fraction(share), Fraction(tolerance))
    assert str(caught.value) == message


@given(
    primary=st.integers(1, 10**7),
    share=st.decimals("0.001", "0.999", places=3).map(Fraction),
)
def test_what_a_refusal_proposes_is_accepted(primary, share):
    try:
        rows = count(primary, 10**12, share, EXACTLY)
    except ToolError as refusal:
        said = str(refusal)
        proposals = re.search(r"or use ([0-9 or]+) primary rows", said)[1]
        for proposal in proposals.split(" or "):
            assert count(int(proposal), 10**12, share, EXACTLY) > 0
        assert follow(said, primary, 10**12, share) > 0
    else:
        assert Fraction(rows, primary + rows) == share


def test_too_few_replay_rows_are_refused_with_the_arithmetic():
    with pytest.raises(ToolError) as caught:
        count(170, 20, Fraction("0.15"), EXACTLY)
    assert str(caught.value) == (
        "170 primary rows at a replay share of 0.15 need 30 replay rows, and the replay set has 20\n"
        "    hint: set ratio to 0.1053 with tolerance 0.000037 for all 20 rows of the replay set, "
        "or use at most 102 primary rows"
    )


def test_a_replay_set_too_small_for_any_mix_is_said_to_be():
    with pytest.raises(
        ToolError, match=r"need 3 replay rows, .* has 0\n    hint: add replay rows$"
    ):
        count(17, 0, Fraction("0.15"), EXACTLY)


@given(
    primary=st.integers(1, 10**6),
    available=st.integers(1, 10**5),
    share=st.decimals("0.01", "0.9", places=2).map(Fraction),
)
def test_whoever_has_too_few_replay_rows_is_told_how_to_use_them_all(primary, available, share):
    try:
        rows = count(primary, available, share, EXACTLY)
    except ToolError as refusal:
        rows = follow(str(refusal), primary, available, share)
    assert 0 < rows <= available


def follow(said: str, primary: int, available: int, share: Fraction) -> int:
    """Do what a refusal says: return the rows of the ratio and the tolerance in it."""
    ratio = re.search(r"[Ss]et ratio to ([0-9.e-]+)", said)
    tolerance = re.search(r"tolerance (?:to )?([0-9.]+) for", said)
    share = Fraction(ratio[1].rstrip(".")) if ratio else share
    return count(primary, available, share, Fraction(tolerance[1]) if tolerance else EXACTLY)


# --- which rows


def test_every_primary_row_and_distinct_replay_rows_are_in_the_mix(make):
    train, _ = make(text_rows(170, "new"), text_rows(64, "old"), ratio=0.15)
    rows = train.splitlines(keepends=True)
    assert len(rows) == len(set(rows)) == 200
    assert {row for row in rows if b"new" in row} == set(text_rows(170, "new").splitlines(True))
    assert {row for row in rows if b"old" in row} <= set(text_rows(64, "old").splitlines(True))


def test_the_order_of_a_seed_is_the_same_on_every_python():
    dice = draw.Dice(0)
    assert list(order(6, dice.sample(range(10), 3), dice)) == [0, 14, 3, 5, 1, 13, 11, 4, 2]


def test_a_seed_decides_and_nothing_else_does(tmp_path):
    primary = folder(tmp_path / "primary", text_rows(85, "new"))
    replay = folder(tmp_path / "replay", text_rows(40, "old"))
    for name, seed in (("a", 1), ("again", 1), ("b", 2)):
        mix(primary, replay, tmp_path / name, ratio=0.15, seed=seed)
    first, again, other = (
        (tmp_path / name / "train.jsonl").read_bytes() for name in ("a", "again", "b")
    )
    assert first == again
    assert first != other
    assert set(first.splitlines()) != set(other.splitlines())


def test_replay_rows_are_spread_over_the_mix():
    rows = list(order(850, range(150), draw.Dice(0)))
    assert all(any(n >= 850 for n in rows[i : i + 100]) for i in range(0, 1000, 100))


@given(
    primary=st.integers(0, 50), available=st.integers(0, 50), data=st.data(), seed=st.integers(0)
)
def test_the_order_is_a_permutation(primary, available, data, seed):
    picked, dice = data.draw(st.integers(0, available)), draw.Dice(seed)
    rows = list(order(primary, dice.sample(range(available), picked), dice))
    assert sorted(n for n in rows if n < primary) == list(range(primary))
    drawn = {n for n in rows if n >= primary}
    assert len(drawn) == len(rows) - primary == picked
    assert all(n < primary + available for n in drawn)


def test_a_ratio_of_zero_takes_no_replay_row_and_needs_none(make):
    train, record = make(text_rows(3), b"", ratio=0.0)
    assert sorted(train.splitlines(keepends=True)) == text_rows(3).splitlines(keepends=True)
    assert record["replay_rows"] == 0
    assert record["realised_share"] == 0.0


# --- what is written


def test_the_record_stands_beside_the_rows(make, tmp_path):
    _, record = make(text_rows(160), text_rows(64), ratio=0.15, tolerance=0.0011, seed=7)
    assert record == {
        "tool": "data.mix",
        "seed": 7,
        "ratio": 0.15,
        "primary_rows": 160,
        "replay_rows": 28,
        "replay_available": 64,
        "realised_share": 28 / 188,
        "rows": 188,
        "weight_by": None,
        "stratify_by": None,
        "replay_classes": None,
    }
    assert json.loads((tmp_path / "out/mix.json").read_text()) == record


def test_the_other_splits_of_the_primary_are_copied_byte_for_byte(tmp_path):
    primary = folder(tmp_path / "primary", text_rows(1), valid=b"\xff\r\n\n", test=b"no newline")
    replay = folder(tmp_path / "replay", text_rows(1, "old"), valid=b"other")
    mix(primary, replay, tmp_path / "out", ratio=0.5)
    assert (tmp_path / "out/valid.jsonl").read_bytes() == b"\xff\r\n\n"
    assert (tmp_path / "out/test.jsonl").read_bytes() == b"no newline"


def test_a_split_the_primary_lacks_is_not_taken_from_the_replay(tmp_path):
    primary = folder(tmp_path / "primary", text_rows(1))
    replay = folder(tmp_path / "replay", text_rows(1, "old"), valid=b"other")
    mix(primary, replay, tmp_path / "deep/er/out", ratio=0.5)
    names = {file.name for file in (tmp_path / "deep/er/out").iterdir()}
    assert names == {"train.jsonl", "mix.json"}


@pytest.mark.parametrize(
    "row",
    [
        '{"text": "line\u2028separator\u2029\x85\x7f"}',
        '{"text": "Größe 日本語 🎉", "other":   [1,\t2]}',
        '  {"text": "\\ud800 \\u0000 \\r\\n"}  ',
        '{"text": "carriage return at the end"}\r',
        '{"text": "' + "long " * 100_000 + '"}',
    ],
)
def test_rows_are_copied_byte_for_byte(make, row):
    train, _ = make((row + "\n").encode(), text_rows(1))
    assert train in {
        (row + "\n").encode() + text_rows(1),
        text_rows(1) + (row + "\n").encode(),
    }


def test_a_last_row_without_a_newline_gets_one(make):
    train, _ = make(b'{"text": "a"}', b'{"text": "b"}')
    assert sorted(train.splitlines(keepends=True)) == [b'{"text": "a"}\n', b'{"text": "b"}\n']


@pytest.mark.slow
def test_rows_stay_on_disk_while_they_are_mixed(tmp_path):
    rows = text_rows(100, "long " * 40_000)  # 20 MB a side
    sources = (folder(tmp_path / "primary", rows), folder(tmp_path / "replay", rows))
    tracemalloc.start()
    try:
        mix(*sources, tmp_path / "out", ratio=0.5)
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert peak < 12_000_000


# --- formats

CHAT = b'{"messages": [{"role": "user", "content": "hi"}]}\n'
COMPLETIONS = b'{"prompt": "a", "completion": "b"}\n'
TEXT = b'{"text": "a"}\n'


@pytest.mark.parametrize("row", [CHAT, COMPLETIONS, TEXT])
def test_each_format_of_mlx_lm_mixes_with_itself(make, row):
    train, _ = make(row, row)
    assert train == row * 2


@pytest.mark.parametrize(
    "row, name",
    [
        (b'{"prompt": 1, "completion": 2, "messages": [], "text": ""}', "completions"),
        (b'{"prompt": 1, "messages": [], "text": ""}', "chat"),
        (b'{"completion": 1, "text": ""}', "text"),
    ],
)
def test_a_row_that_fits_several_formats_has_the_one_mlx_lm_takes(tmp_path, row, name):
    file = folder(tmp_path / "data", row) / "train.jsonl"
    assert Reader().learn(file, partial(Index, file=file)).kind == name


def test_a_file_of_two_formats_is_refused_and_a_line_of_each_named(make, tmp_path):
    assert refused(make, TEXT * 2 + CHAT + COMPLETIONS) == (
        f"{tmp_path}/primary/train.jsonl:1 is text and {tmp_path}/primary/train.jsonl:3 is chat; "
        "mlx-lm reads all rows in the format of the first, so they must match"
    )


def test_two_sides_of_two_formats_are_refused_and_a_line_of_each_named(make, tmp_path):
    message = refused(make, TEXT, CHAT)
    assert f"{tmp_path}/primary/train.jsonl:1 is text" in message
    assert f"{tmp_path}/replay/train.jsonl:1 is chat" in message


@pytest.mark.parametrize(
    "line, message",
    [
        (b"\n", " is blank; mlx-lm cannot read past a blank line: remove it"),
        (b" \t \n", " is blank; mlx-lm cannot read past a blank line: remove it"),
        (b"\r\n", " is blank; mlx-lm cannot read past a blank line: remove it"),
        (b"{'text': 1}\n", " is not JSON: Expecting property name enclosed in double quotes"),
        (b'{"text": "a"} {"text": "b"}\n', " is not JSON: Extra data at column 15"),
        (b'{"text": "cut', " is not JSON: Unterminated string starting at at column 10"),
        (b'\xef\xbb\xbf{"text": "a"}\n', " is not JSON: Unexpected UTF-8 BOM"),
        (b'{"text": "\xff"}\n', " cannot be read: 'utf-8' codec can't decode byte 0xff"),
        (b"[" * 100_000 + b"\n", " cannot be read: "),
        (b'{"text":\r"a"}\n', " contains a carriage return; mlx-lm would end the row there"),
        (b'{"text": "a"}\r\r\n', " contains a carriage return; mlx-lm would end the row there"),
        (b'["text"]\n', " is not a JSON object"),
        (b'"text"\n', " is not a JSON object"),
        (b"null\n", " is not a JSON object"),
        (b'{"prompt": "a"}\n', " has no format mlx-lm knows: a row needs prompt and completion"),
        (b"{}\n", " has no format mlx-lm knows: a row needs prompt and completion"),
    ],
)
@pytest.mark.parametrize("side", ["primary", "replay"])
def test_a_bad_row_is_named_with_its_line(make, tmp_path, side, line, message):
    files = {"primary": TEXT * 3, "replay": TEXT * 3} | {side: TEXT * 2 + line}
    said = refused(make, files["primary"], files["replay"])
    place, _, words = said.partition(": the row")
    assert re.fullmatch(rf"{re.escape(str(tmp_path))}/{side}/train\.jsonl:3:[0-9]+", place)
    assert words.startswith(message)
    assert f"run-recipe data check {tmp_path}/{side}" in said


def test_a_blank_last_line_is_blank_too(make):
    assert "train.jsonl:2:1: the row is blank" in refused(make, TEXT + b"\n", TEXT)


# --- refusals


def test_an_empty_primary_is_refused(make):
    assert refused(make, b"", TEXT) == (
        "the primary train.jsonl has no rows; there is nothing to mix into"
    )


def test_an_empty_replay_is_refused_when_rows_are_asked_of_it(make):
    assert "need 1 replay row, and the replay set has 0" in refused(make, TEXT, b"")


@pytest.mark.parametrize("side", ["primary", "replay"])
def test_a_missing_train_file_is_refused(tmp_path, side):
    sources = {"primary": tmp_path / "primary", "replay": tmp_path / "replay"}
    for name, path in sources.items():
        folder(path, TEXT)
        if name == side:
            (path / "train.jsonl").unlink()
    with pytest.raises(ToolError, match=rf"^.*{side}/train\.jsonl does not exist$"):
        mix(**sources, out=tmp_path / "out", ratio=0.5)


@pytest.mark.parametrize("ratio", [-0.1, 1, 1.5, float("nan"), float("inf")])
def test_a_ratio_that_is_no_share_is_refused(make, ratio):
    assert refused(make, TEXT, TEXT, ratio=ratio).startswith(f"ratio is {ratio}; ")


@pytest.mark.parametrize("tolerance", [-0.1, 1, float("nan")])
def test_a_tolerance_that_is_none_is_refused(make, tolerance):
    assert refused(make, TEXT, TEXT, tolerance=tolerance).startswith(f"tolerance is {tolerance}; ")


def test_a_seed_below_zero_is_refused(make):
    # random.Random(-1) and random.Random(1) are the same dice.
    assert refused(make, TEXT, TEXT, seed=-1) == "seed is -1; it must be at least 0"


# --- the folder


def test_a_mix_replaces_an_earlier_mix_whole(make, tmp_path):
    make(TEXT, TEXT)
    (tmp_path / "out/valid.jsonl").write_bytes(b"of the earlier mix")
    mix(tmp_path / "primary", tmp_path / "replay", tmp_path / "out", ratio=0.0)
    names = {file.name for file in (tmp_path / "out").iterdir()}
    assert names == {"train.jsonl", "mix.json"}
    assert (tmp_path / "out/train.jsonl").read_bytes() == TEXT


def test_an_empty_folder_is_filled(make, tmp_path):
    (tmp_path / "out").mkdir()
    train, _ = make(TEXT, TEXT)
    assert train == TEXT * 2


@pytest.mark.parametrize(
    "files",
    [
        {"notes.txt": "mine"},
        {"train.jsonl": "mine"},
        {"mix.json": '{"tool": "data.mix"}', "notes.txt": "mine"},
        {"mix.json": '{"tool": "something else"}'},
        {"mix.json": "[]"},
        {"mix.json": "not json"},
    ],
)
def test_a_folder_of_somebody_else_is_left_alone(make, tmp_path, files):
    (tmp_path / "out").mkdir()
    for name, content in files.items():
        (tmp_path / "out" / name).write_text(content)
    assert "contains files that data.mix did not write" in refused(make, TEXT, TEXT)
    assert {file.name: file.read_text() for file in (tmp_path / "out").iterdir()} == files


def test_a_file_in_place_of_the_folder_is_left_alone(make, tmp_path):
    (tmp_path / "out").write_text("mine")
    assert refused(make, TEXT, TEXT).endswith("/out exists and is not a folder")


def test_a_mix_never_replaces_what_it_reads(make, tmp_path):
    make(TEXT, TEXT)
    with pytest.raises(ToolError, match="is an input of this mix"):
        mix(tmp_path / "out", tmp_path / "replay", tmp_path / "out", ratio=0.5)


def test_nothing_is_left_behind_by_a_refusal_or_a_crash(make, tmp_path, monkeypatch):
    make(TEXT, TEXT)
    before = (tmp_path / "out/train.jsonl").read_bytes()

    def crash(*_):
        raise OSError("disk full")

    monkeypatch.setattr(replace_folder, "_sync", crash)
    with pytest.raises(OSError, match="disk full"):
        mix(tmp_path / "primary", tmp_path / "replay", tmp_path / "out", ratio=0.0)
    assert {file.name for file in tmp_path.iterdir()} == {"primary", "replay", "out"}
    assert (tmp_path / "out/train.jsonl").read_bytes() == before


def test_the_earlier_mix_comes_back_when_the_new_one_cannot_take_its_place(tmp_path):
    (tmp_path / "out").mkdir()
    (tmp_path / "out/train.jsonl").write_bytes(TEXT)
    with pytest.raises(FileNotFoundError):
        replace_folder._swap(tmp_path / "gone", tmp_path / "out", tmp_path / "old")
    assert (tmp_path / "out/train.jsonl").read_bytes() == TEXT
    assert not (tmp_path / "old").exists()


# --- the command


def test_the_command_mixes_and_says_so_in_one_line(tmp_path, capsys):
    primary = folder(tmp_path / "primary", text_rows(170))
    replay = folder(tmp_path / "replay", text_rows(64))
    out = tmp_path / "out"
    main(["--primary", str(primary), "--replay", str(replay), "--out", str(out)])
    assert capsys.readouterr() == (
        f"{out}: 200 rows, 170 primary and 30 of 64 replay, a share of 0.15\n",
        "",
    )


def test_the_command_refuses_on_stderr_and_exits_1(tmp_path, capsys):
    with pytest.raises(SystemExit) as caught:
        main(["--primary", "nowhere", "--replay", "nowhere", "--out", str(tmp_path / "out")])
    assert caught.value.code == 1
    output, error = capsys.readouterr()
    assert output == ""
    assert error == (
        "error: nowhere does not exist; name a folder with train.jsonl, or a .jsonl file\n"
    )


def test_the_command_reports_a_failing_disk_without_a_traceback(tmp_path, capsys):
    primary = folder(tmp_path / "primary", TEXT)
    (primary / "valid.jsonl").mkdir()
    arguments = ["--primary", str(primary), "--replay", str(primary), "--ratio", "0"]
    with pytest.raises(SystemExit) as caught:
        main([*arguments, "--out", str(tmp_path / "out")])
    assert caught.value.code == 1
    assert capsys.readouterr().err.startswith("error: [Errno ")


def test_the_command_line_knows_its_defaults_and_no_abbreviation(capsys):
    required = ["--primary", "a", "--replay", "b", "--out", "c"]
    assert vars(parser().parse_args(required)) == {
        "primary": Path("a"),
        "replay": Path("b"),
        "out": Path("c"),
        "ratio": 0.15,
        "tolerance": 0.0,
        "seed": 0,
        "weight_by": None,
        "stratify_by": None,
        "prompt_feature": "prompt",
        "completion_feature": "completion",
        "chat_feature": "messages",
        "text_feature": "text",
    }
    with pytest.raises(SystemExit):
        parser().parse_args([*required, "--rat", "0.2"])
    assert "unrecognized arguments: --rat" in capsys.readouterr().err


# --- which replay rows


def quality_rows(**counts):
    rows = [{"text": f"{kind} {i}", "kind": kind} for kind, n in counts.items() for i in range(n)]
    return "".join(json.dumps(row) + "\n" for row in rows).encode()


def test_every_class_is_replayed_by_its_share(make):
    replay = quality_rows(common=90, some=9, rare=1)
    train, record = make(text_rows(10), replay, stratify_by="kind")
    assert record["replay_classes"] == {"common": 8, "some": 1, "rare": 1}
    assert train.count(b'"kind": "rare"') == 1


def test_more_classes_than_rows_are_refused_with_the_arithmetic(make):
    assert refused(make, text_rows(2), quality_rows(a=5, b=5, c=5), stratify_by="kind") == (
        "2 replay rows cannot hold all 3 values of 'kind'. Raise ratio, or stratify by a field of "
        "fewer values"
    )


def test_rows_of_weight_0_are_never_drawn(make):
    rows = [{"text": f"row {i}", "weight": i % 2} for i in range(20)]
    replay = "".join(json.dumps(row) + "\n" for row in rows).encode()
    train, record = make(text_rows(10, "new"), replay, weight_by="weight")
    assert record["replay_rows"] == train.count(b'"weight": 1') == 10


def test_only_rows_that_can_be_drawn_are_counted_as_there(make):
    rows = [{"text": "a", "weight": 0}, {"text": "b", "weight": 1}]
    replay = "".join(json.dumps(row) + "\n" for row in rows).encode()
    assert "need 2 replay rows, and the replay set has 1\n" in refused(
        make, text_rows(2), replay, weight_by="weight"
    )


def test_heavier_rows_are_replayed_more_often(tmp_path):
    rows = [{"text": f"row {i}", "weight": 1 + 8 * (i < 500)} for i in range(1000)]
    replay = "".join(json.dumps(row) + "\n" for row in rows).encode()
    sources = folder(tmp_path / "p", text_rows(100)), folder(tmp_path / "r", replay)
    mix(*sources, tmp_path / "out", ratio=0.5, weight_by="weight")
    train = (tmp_path / "out/train.jsonl").read_bytes()
    assert 80 < train.count(b'"weight": 9') < 100


def test_a_class_without_a_row_to_draw_is_refused(make):
    rows = [{"text": "a", "kind": "x", "w": 1}, {"text": "b", "kind": "y", "w": 0}]
    replay = "".join(json.dumps(row) + "\n" for row in rows).encode()
    said = refused(make, TEXT, replay, weight_by="w", stratify_by="kind")
    assert said.startswith("every row whose 'kind' is y has a 'w' of 0")


@pytest.mark.parametrize("value", ["-1", '"high"', "true", "null", "[1]", "NaN"])
def test_a_weight_that_is_none_is_refused_with_its_place(make, tmp_path, value):
    replay = TEXT.replace(b"}", b', "w": 1}') + b'{"text": "b", "w": %s}\n' % value.encode()
    said = refused(make, TEXT, replay, weight_by="w")
    assert said.startswith(f"{tmp_path}/replay/train.jsonl:2:")
    assert "as 'w'" in said


def test_a_row_without_the_field_is_refused_with_its_place(make, tmp_path):
    said = refused(make, TEXT, TEXT, stratify_by="kind")
    assert said.startswith(f"{tmp_path}/replay/train.jsonl:1:1: the row has no 'kind'")


def test_a_key_of_the_rows_can_have_another_name(tmp_path):
    rows = folder(tmp_path / "rows", b'{"turns": [{"role": "user", "content": "hi"}]}\n')
    words = ["--primary", str(rows), "--replay", str(rows), "--ratio", "0.5"]
    main([*words, "--out", str(tmp_path / "out"), "--chat-feature", "turns"])
    assert (tmp_path / "out/train.jsonl").read_bytes().count(b"turns") == 2
