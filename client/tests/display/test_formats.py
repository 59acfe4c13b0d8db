"""Sizes, durations, counts and names as people read them."""

from __future__ import annotations

import pytest
from dserver_client.display.formats import count_text, duration_text, one_line, printable, size_text
from dserver_client.display.formats import table as table_of


@pytest.mark.parametrize(
    ("size", "text"),
    [
        (0, "0 B"),
        (999, "999 B"),
        (1_000, "1.0 kB"),
        (999_960, "1.0 MB"),
        (3 * 10**9, "3.0 GB"),
        (5 * 10**18, "5000.0 PB"),
    ],
)
def test_sizes_are_in_decimal_units(size, text):
    assert size_text(size) == text


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (0, "0 s"),
        (59.4, "59 s"),
        (60, "1 min"),
        (61, "1 min 1 s"),
        (7_500, "2 h 5 min"),
        (86_400, "1 d"),
        (90_000, "1 d 1 h"),
    ],
)
def test_durations_are_in_their_two_largest_units(seconds, text):
    assert duration_text(seconds) == text


def test_one_file_is_not_files():
    assert [count_text(number, "file") for number in (0, 1, 2_000)] == [
        "0 files",
        "1 file",
        "2,000 files",
    ]


def test_a_terminal_is_shown_no_character_that_it_obeys():
    assert printable("a\x1b[2J\u202eb\nGröße 漢") == "a\\x1b[2J\\u202eb\nGröße 漢"
    assert one_line("a\nb") == "a\\nb"


def test_columns_are_as_wide_as_their_widest_cell():
    assert table_of([("a", "bb", "c"), ("aaa", "b", "")]) == "a    bb  c\naaa  b"
    assert table_of([]) == ""
