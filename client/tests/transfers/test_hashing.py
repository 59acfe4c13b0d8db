"""MD5s of files and of their parts, computed in one reading."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from pathlib import Path

import pytest
from dserver_client.errors import FileChanged, LocalFileError
from dserver_client.local_files import LocalFile, find_files
from dserver_client.progress import NoProgress
from dserver_client.transfers.hashing import hash_files, hash_parts, md5_of_range
from dserver_client.transfers.scheduler import Limit

MIB = 1024**2
SIZES = [0, 1, MIB, MIB + 1, 3 * MIB, 7 * MIB + 5]


def md5(content: bytes) -> str:
    return hashlib.md5(content).hexdigest()


def content(size: int) -> bytes:
    return (b"0123456789abcde" * (size // 15 + 1))[:size]


@pytest.fixture
def files(tmp_path: Path) -> Sequence[LocalFile]:
    for size in SIZES:
        (tmp_path / f"{size:09}").write_bytes(content(size))
    return find_files([tmp_path]).files


def test_every_file_is_hashed_and_large_ones_in_parts(files: Sequence[LocalFile]) -> None:
    part_size = 3 * MIB // 2

    hash_files(files, part_size, lambda _: None, NoProgress())

    for file, size in zip(files, SIZES, strict=True):
        whole = content(size)
        assert file.md5 == md5(whole)
        parts = [whole[start : start + part_size] for start in range(0, size, part_size)]
        in_parts = size > part_size
        assert list(file.part_md5s) == ([md5(part) for part in parts] if in_parts else [])
        assert file.part_size == (part_size if in_parts else 0)


def test_each_file_is_told_once_when_it_is_hashed(files: Sequence[LocalFile]) -> None:
    told: list[tuple[str, str | None]] = []

    def hashed(some: Sequence[LocalFile]) -> None:
        told.extend((file.relpath, file.md5) for file in some)

    hash_files(files, 0, hashed, NoProgress())

    assert sorted(told) == [(file.relpath, file.md5) for file in files]
    assert all(not file.part_md5s for file in files)


def test_a_file_that_grows_while_it_is_read_is_refused(files: Sequence[LocalFile]) -> None:
    class Grows(NoProgress):
        def advance(self, size_in_bytes: int, items: int = 0) -> None:
            with open(files[-1].path, "ab") as opened:
                opened.write(b"more")

    with pytest.raises(FileChanged, match=files[-1].relpath):
        hash_files(files[-1:], 0, lambda _: None, Grows())


def test_a_file_that_shrinks_while_it_is_read_is_refused(files: Sequence[LocalFile]) -> None:
    class Shrinks(NoProgress):
        def advance(self, size_in_bytes: int, items: int = 0) -> None:
            with open(files[-1].path, "r+b") as opened:
                opened.truncate(2 * MIB)

    with pytest.raises(FileChanged, match=files[-1].relpath):
        hash_files(files[-1:], MIB, lambda _: None, Shrinks())


def test_a_file_that_was_deleted_is_named(files: Sequence[LocalFile]) -> None:
    Path(files[2].path).unlink()

    with pytest.raises(LocalFileError, match=f"{files[2].relpath}: no such file"):
        hash_files(files, 0, lambda _: None, NoProgress())


def test_some_bytes_of_a_file_are_hashed(files: Sequence[LocalFile]) -> None:
    whole = content(SIZES[-1])

    assert md5_of_range(files[-1], 5, 2 * MIB + 1, Limit()) == md5(whole[5 : 2 * MIB + 6])


def test_parts_of_another_size_are_hashed_with_the_whole(files: Sequence[LocalFile]) -> None:
    file, whole = files[-1], content(SIZES[-1])
    hash_files([file], MIB, lambda _: None, NoProgress())

    hash_parts(file, 4 * MIB, Limit())

    assert (file.md5, file.part_size) == (md5(whole), 4 * MIB)
    assert list(file.part_md5s) == [md5(whole[: 4 * MIB]), md5(whole[4 * MIB :])]


def test_parts_of_a_file_with_another_md5_are_refused(files: Sequence[LocalFile]) -> None:
    file = files[-1]
    file.md5 = md5(b"what it was")

    with pytest.raises(FileChanged, match=file.relpath):
        hash_parts(file, 4 * MIB, Limit())

    assert (file.md5, file.part_size, file.part_md5s) == (None, 0, ())
