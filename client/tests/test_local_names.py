from __future__ import annotations

import os
from pathlib import Path
from urllib.parse import unquote

import pytest
from dserver_client.errors import UnusableNames
from dserver_client.local_names import local_paths, safe_paths
from dserver_client.name_probe import NameProbe
from hypothesis import given, settings
from hypothesis import strategies as st


class Windows(NameProbe):
    """A file system that holds what Windows does, and ignores case."""

    def _holds(self, name: str) -> bool:
        stem = name.partition(".")[0].upper()
        is_plain = not set(name) & set('<>:"|?*\\') and name.isprintable()
        return is_plain and stem not in ("CON", "NUL") and name[-1] not in ". "

    def are_same(self, name: str, other: str) -> bool:
        return name.upper() == other.upper()


@pytest.fixture
def probe(tmp_path: Path) -> NameProbe:
    return NameProbe(tmp_path)


def refused(relpaths: list[str], directory: Path, probe: NameProbe) -> dict[str, str]:
    with pytest.raises(UnusableNames) as error:
        local_paths(relpaths, directory, probe)
    return error.value.items


def test_relpaths_are_kept_where_they_can_be(tmp_path: Path, probe: NameProbe) -> None:
    names = [
        "a b/c",
        "Größe/über Zeit.txt",
        "日本",
        "a:b",
        "trailing.",
        "CON",
        ".hidden",
        "x" * 255,
    ]
    before = os.listdir(tmp_path)
    with probe:
        assert local_paths(names, tmp_path, probe) == {name: name for name in names}
    assert os.listdir(tmp_path) == before


@pytest.mark.parametrize(
    ("name", "reason"),
    [
        ("../a", "leads out of the directory"),
        ("a/../../b", "leads out of the directory"),
        ("/etc/passwd", "absolute"),
        ("a//b", "empty segment"),
        ("a/./b", "empty segment"),
        ("a/", "empty segment"),
        ("a\0b", "no file name can have"),
        ("\ud800", "no file name can have"),
        ("x" * 256, "cannot hold"),
        ("é" * 128, "cannot hold"),
        ("/".join(["x" * 200] * 30), "too long"),
        ("a/" * 2_000 + "b", "more than 256 directories"),
        (".dserver-fetch/a", "this program"),
    ],
)
def test_names_that_cannot_be_used_are_told(
    tmp_path: Path, probe: NameProbe, name: str, reason: str
) -> None:
    items = refused([name, "fine"], tmp_path, probe)
    assert list(items) == [name]
    assert reason in items[name]


def test_all_names_are_told_in_one_error(tmp_path: Path, probe: NameProbe) -> None:
    assert set(refused(["../a", "b", "b/c", "x" * 300], tmp_path, probe)) == {
        "../a",
        "b",
        "x" * 300,
    }


def test_a_file_and_a_directory_of_one_name_are_told(tmp_path: Path, probe: NameProbe) -> None:
    assert refused(["a", "a/b"], tmp_path, probe) == {"a": "is the name of a directory, too"}


def test_names_of_other_cases_are_kept_where_case_counts(tmp_path: Path, probe: NameProbe) -> None:
    names = ["a", "A", "e\u0301", "\u00e9", "d/x", "D/x"]
    assert list(local_paths(names, tmp_path, probe)) == names


def test_names_are_tried_on_the_file_system(tmp_path: Path) -> None:
    names = ["a:b", "c?/d", "CON.txt", "end.", "A", "a", "dir/x", "DIR/y", "fine"]
    assert refused(names, tmp_path, Windows(tmp_path)) == {
        "a:b": "has characters that this file system cannot hold: ':'",
        "c?/d": "has characters that this file system cannot hold: '?'",
        "CON.txt": "is a name that this file system cannot hold",
        "end.": "is a name that this file system cannot hold",
        "a": "is the same as 'A' on this file system",
        "dir/x": "is in a directory that is the same as 'DIR'",
    }


def test_safe_names_are_held_by_every_file_system(tmp_path: Path) -> None:
    names = ["a:b", "CON.txt", "end. ", "A", "a", "dir/x", "DIR/y", "../up", "/abs", "a//b", "A/f"]
    paths = local_paths(names, tmp_path, Windows(tmp_path), "safe")
    assert paths["a:b"] == "a%3Ab"
    assert paths["CON.txt"] == "%43ON.txt"
    assert paths["end. "] == "end%2E%20"
    assert paths["../up"] == "%2E%2E/up"
    assert len({path.lower() for path in paths.values()}) == len(names)


def test_a_long_name_keeps_its_beginning_and_extension() -> None:
    path = safe_paths(["é" * 200 + ".csv"]).popitem()[1]
    assert len(path.encode()) < 200
    assert path.startswith("éé")
    assert path.endswith(".csv")


def test_names_that_are_safe_are_not_changed() -> None:
    names = ["a b/c", "Größe/über Zeit.txt", ".hidden", "100%", "a,b+c=d@e#f (1).txt"]
    assert safe_paths(names) == {name: name for name in names}


@settings(max_examples=40)
@given(st.text(st.characters(codec="utf-8"), min_size=1, max_size=40))
def test_a_safe_name_tells_the_relpath(name: str) -> None:
    relpath = "/".join(segment or "x" for segment in name.split("/"))
    assert unquote(safe_paths([relpath])[relpath]) == relpath


@settings(max_examples=40)
@given(st.lists(st.text("aAbé\u0301/.%~ :4", min_size=1, max_size=8), unique=True, max_size=12))
def test_safe_names_are_never_the_same(names: list[str]) -> None:
    paths = safe_paths(names)
    folded = [path.casefold() for path in paths.values()]
    assert len(set(folded)) == len(names)
    files = set(paths.values())
    for path in files:
        segments = path.split("/")
        assert not any(segment in ("", ".", "..") for segment in segments)
        assert not files & {"/".join(segments[:depth]) for depth in range(1, len(segments))}
