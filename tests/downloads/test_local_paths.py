"""The paths of items in lists: real ones where that is safe, and never the same one twice."""

from __future__ import annotations

import re

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dserver_signed_url_plugin.downloads.local_paths import directories_of, local_path

ODD = st.text(alphabet="./\\^~%-c: 2eEfa\n\r\x00\"'é\u2028\ud800", max_size=12)


@pytest.mark.parametrize(
    "relpath",
    [
        *("a.txt", "dir/file 1.csv", ".zarray", "a'b\"c", "Größe/ü.txt", "100% sure"),
        *(
            "#1",
            "year=2024/x",
            "x" * 243,
            "ab:c",
            "-rf",
            "日本語.txt",
            "👩‍🔬.png",
            "..a",
            "a..",
            "...",
        ),
    ],
)
def test_a_name_that_is_safe_is_kept(relpath):
    assert local_path(relpath) == relpath


@pytest.mark.parametrize(
    ("relpath", "path"),
    [
        ("../x", "^2E./x"),
        ("a/./b", "a/^2E/b"),
        ("/etc/passwd", "^/etc/passwd"),
        ("a//b/", "a/^/b/^"),
        ("", "^"),
        ("C:\\x", "C^3A^5Cx"),
        ("a\nb", "a^0Ab"),
        (" a / b ", "^20a^20/^20b^20"),
        ("%2E%2E/x", "^252E^252E/x"),
        ("^2E", "^5E2E"),
        ("-", "^2D"),
        ("\u202etxt.exe", "^E2^80^AEtxt.exe"),
    ],
)
def test_what_is_unsafe_is_escaped(relpath, path):
    assert local_path(relpath) == path


@pytest.mark.parametrize("extension", [".tif", "." + "y" * 40, ""])
def test_a_name_that_is_too_long_for_file_systems_is_cut_with_its_extension_kept(extension):
    one, other = (local_path(f"dir/{'ü' * 300}{number}{extension}") for number in (1, 2))
    assert one != other
    assert len(one.removeprefix("dir/").encode()) <= 243
    assert len(extension) > 16 or one.endswith(extension)


def test_a_file_does_not_take_the_name_of_a_directory():
    relpaths = ["a", "a/b", "a/b/c", "a^", "x"]
    directories = directories_of(relpaths)
    assert directories == {"a", "a/b"}
    paths = [local_path(relpath, directories) for relpath in relpaths]
    assert paths == ["a^", "a/b^", "a/b/c", "a^5E", "x"]


def test_an_escaped_directory_does_not_hide_another_with_its_name():
    relpaths = ["/x", "^/y", "^"]
    directories = directories_of(relpaths)
    assert directories == {"^", "^5E"}
    paths = [local_path(relpath, directories) for relpath in relpaths]
    assert paths == ["^/x", "^5E/y", "^5E^"]


@settings(max_examples=50)
@given(ODD)
def test_no_path_leaves_its_directory_or_breaks_a_line(relpath):
    path = local_path(relpath)
    for segment in path.split("/"):
        assert segment not in ("", ".", "..")
        assert segment == segment.strip()
        assert segment.isprintable()
        assert "\\" not in segment
    assert not re.match("[A-Za-z]:", path)
    assert path.encode().decode() == path


@settings(max_examples=50)
@given(st.sets(ODD, max_size=8))
def test_no_two_items_get_the_same_path(relpaths):
    directories = directories_of(relpaths)
    paths = [local_path(relpath, directories) for relpath in relpaths]
    assert len(set(paths)) == len(relpaths)
    assert not directories.intersection(paths)
