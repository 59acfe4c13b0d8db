"""Which files are listed under which relpaths, and what is refused before anything is sent."""

from __future__ import annotations

import os
import socket
import sys
from pathlib import Path

import pytest
from dserver_client.errors import FileChanged, LocalFileError, UsageError
from dserver_client.local_files import LocalFile, find_files, identifier_of
from dtoolcore.utils import generate_identifier

needs_links = pytest.mark.skipif(sys.platform == "win32", reason="links need a privilege there")


def make(folder: Path, *names: str) -> Path:
    for name in names:
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(name)
    return folder


def relpaths(*paths: Path, ignore: tuple[str, ...] = ()) -> list[str]:
    return [file.relpath for file in find_files(paths, ignore).files]


def test_relpaths_begin_below_a_directory(tmp_path: Path) -> None:
    folder = make(tmp_path / "a", "x.txt", "b/y.txt", ".hidden", "b/c/z.txt")

    assert relpaths(folder) == [".hidden", "b/c/z.txt", "b/y.txt", "x.txt"]


def test_a_single_file_keeps_its_name(tmp_path: Path) -> None:
    assert relpaths(make(tmp_path, "x.txt") / "x.txt") == ["x.txt"]


def test_several_directories_keep_their_names(tmp_path: Path) -> None:
    make(tmp_path, "one/out.csv", "two/out.csv", "notes.txt")

    found = relpaths(tmp_path / "one", tmp_path / "two", tmp_path / "notes.txt")

    assert found == ["notes.txt", "one/out.csv", "two/out.csv"]


def test_files_that_would_have_the_same_relpath_are_named(tmp_path: Path) -> None:
    make(tmp_path, "one/out.csv", "two/out.csv")

    with pytest.raises(UsageError) as refusal:
        relpaths(tmp_path / "one" / "out.csv", tmp_path / "two" / "out.csv")

    assert str(tmp_path / "one" / "out.csv") in str(refusal.value)
    assert str(tmp_path / "two" / "out.csv") in str(refusal.value)


def test_names_are_kept_as_they_are(tmp_path: Path) -> None:
    # "ü" as one character, and as two.
    names = ["u\u0308.txt", "\u00fc.txt", "a b?.txt", "c%20d.txt"]

    assert sorted(relpaths(make(tmp_path, *names))) == sorted(names)


def test_patterns_are_those_of_gitignore(tmp_path: Path) -> None:
    names = ("a.tmp", "b/a.tmp", "b/keep.tmp", "cache/x", "b/cache/y", "x.txt", "b/x.txt")
    folder = make(tmp_path, *names)

    patterns = ("*.tmp", "!keep.tmp", "cache/", "/x.txt")

    assert relpaths(folder, ignore=patterns) == ["b/keep.tmp", "b/x.txt"]


@needs_links
def test_links_to_files_and_directories_are_followed_but_never_in_a_circle(tmp_path: Path) -> None:
    folder = make(tmp_path / "a", "x.txt", "b/y.txt")
    make(tmp_path / "elsewhere", "z.txt")
    (folder / "link.txt").symlink_to(folder / "x.txt")
    (folder / "other").symlink_to(tmp_path / "elsewhere")
    (folder / "b" / "up").symlink_to(folder)
    (tmp_path / "elsewhere" / "itself").symlink_to(tmp_path / "elsewhere")

    assert relpaths(folder) == ["b/y.txt", "link.txt", "other/z.txt", "x.txt"]


@needs_links
def test_everything_that_cannot_be_sent_is_in_one_error(tmp_path: Path) -> None:
    folder = make(tmp_path / "a", "x.txt", "line\nfeed.txt")
    (folder / "broken").symlink_to(folder / "nowhere")
    os.mkfifo(folder / "pipe")
    with socket.socket(socket.AF_UNIX) as listening:
        listening.bind(os.fspath(folder / "socket"))
        with pytest.raises(LocalFileError) as refusal:
            find_files([folder])

    lines = str(refusal.value).splitlines()
    for name in ("broken: no such file", "pipe: neither", "socket: neither", "feed.txt': its name"):
        assert any(name in line for line in lines)


@needs_links
def test_what_is_ignored_is_not_looked_at(tmp_path: Path) -> None:
    folder = make(tmp_path / "a", "x.txt")
    (folder / "broken").symlink_to(folder / "nowhere")
    os.mkfifo(folder / "pipe")

    assert relpaths(folder, ignore=("broken", "pipe")) == ["x.txt"]


@pytest.mark.skipif(sys.platform != "linux", reason="file names are bytes there")
def test_a_name_that_is_no_unicode_is_refused(tmp_path: Path) -> None:
    (tmp_path / os.fsdecode(b"caf\xe9.txt")).write_text("x")

    with pytest.raises(LocalFileError, match=r"caf\\udce9.txt': its name"):
        find_files([tmp_path])


@pytest.mark.skipif(
    not hasattr(os, "geteuid") or os.geteuid() == 0, reason="root may read everything"
)
def test_a_file_without_permission_is_refused(tmp_path: Path) -> None:
    folder = make(tmp_path / "a", "x.txt")
    (folder / "x.txt").chmod(0)

    with pytest.raises(LocalFileError, match="you may not read it"):
        find_files([folder])


def test_a_directory_that_is_not_there_is_refused(tmp_path: Path) -> None:
    with pytest.raises(LocalFileError, match="nowhere: no such file"):
        find_files([tmp_path / "nowhere"])


def test_many_problems_are_counted(tmp_path: Path) -> None:
    with pytest.raises(LocalFileError, match="and 15 more"):
        find_files([tmp_path / str(number) for number in range(25)])


def test_identifiers_are_those_of_dtool() -> None:
    for relpath in ("a/b.txt", "größe 1.txt"):
        assert identifier_of(relpath) == generate_identifier(relpath)


def test_a_file_that_has_another_size_or_time_has_changed(tmp_path: Path) -> None:
    path = make(tmp_path, "x.txt") / "x.txt"
    file = LocalFile.of(str(path), "x.txt")
    file.check(path.stat())

    path.write_text("longer than before")
    with pytest.raises(FileChanged, match="x.txt"):
        file.check(path.stat())


def test_what_was_read_counts_no_more_when_a_file_has_been_replaced(tmp_path: Path) -> None:
    path = make(tmp_path, "x.txt", "y.txt") / "x.txt"
    file = LocalFile.of(str(path), "x.txt")
    file.md5 = "0" * 32
    file.look_again(path.stat())
    assert file.md5 is not None

    found = path.stat()
    os.utime(tmp_path / "y.txt", ns=(found.st_atime_ns, found.st_mtime_ns))
    os.replace(tmp_path / "y.txt", path)
    file.look_again(path.stat())
    assert file.md5 is None
