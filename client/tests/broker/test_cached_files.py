"""Files of the cache, compared with their MD5s."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from dserver_client.broker.cached_files import CachedFiles
from dserver_client.manifest import ManifestItem

ITEM = ManifestItem("0" * 40, "a.txt", 5, "5d41402abc4b2a76b9719d911017c592")
WITHOUT_MD5 = ManifestItem("0" * 40, "a.txt", 5)


def nothing() -> None:
    pass


def change(path: Path) -> None:
    """Write other bytes, at a time that differs however coarse the clock is."""
    path.write_bytes(b"HELLO")
    os.utime(path, (0, 0))


@pytest.fixture
def path(tmp_path: Path) -> Path:
    path = tmp_path / "a.txt"
    path.write_bytes(b"hello")
    return path


def test_a_file_is_read_once(path: Path) -> None:
    cached, read = CachedFiles(), []
    assert not cached.is_known(path)
    assert cached.is_right(path, ITEM, lambda: read.append(path))
    assert read == [path]
    assert cached.is_known(path)


def test_a_file_that_has_changed_is_not_known(path: Path) -> None:
    cached = CachedFiles()
    cached.note(path)
    assert cached.is_known(path)
    change(path)
    assert not cached.is_known(path)
    assert not cached.is_right(path, ITEM, nothing)
    assert not cached.is_known(path)


@pytest.mark.parametrize(
    ("item", "content", "is_right"),
    [
        (ITEM, b"hello", True),
        (ITEM, b"\0\0\0\0\0", False),
        (ITEM, b"hell", False),
        (WITHOUT_MD5, b"HELLO", True),
        (WITHOUT_MD5, b"hell", False),
    ],
)
def test_size_and_md5_count(path: Path, item: ManifestItem, content: bytes, is_right: bool) -> None:
    path.write_bytes(content)
    assert CachedFiles().is_right(path, item, nothing) is is_right


def test_a_file_that_changes_while_it_is_read_is_not_right(path: Path) -> None:
    assert not CachedFiles().is_right(path, ITEM, lambda: change(path))


def test_a_file_that_is_not_there_is_not_right(tmp_path: Path) -> None:
    assert not CachedFiles().is_right(tmp_path / "missing", ITEM, nothing)
