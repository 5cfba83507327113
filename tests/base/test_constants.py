"""Paths and the folders above them."""

import pytest

from runner.base.constants import MAX_PATH, upward


@pytest.mark.parametrize(
    ("path", "folders"),
    [
        ("", []),
        ("/", ["/"]),
        ("//x", ["/x", "/"]),
        ("a/./b/../c", ["a/c", "a"]),
        ("/a/b", ["/a/b", "/a", "/"]),
    ],
)
def test_the_folders_above_a_path_end(path, folders):
    assert list(upward(path)) == folders


def test_a_path_that_no_system_takes_lies_in_no_folder():
    short, long = "a/" * (MAX_PATH // 2 - 1) + "b", "a/" * MAX_PATH + "b"
    assert len(list(upward(short))) == MAX_PATH // 2
    assert list(upward(long)) == [long]
