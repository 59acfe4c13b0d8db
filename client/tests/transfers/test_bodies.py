"""What is sent of a file has its MD5, also where the store does not compare it."""

from __future__ import annotations

import hashlib
from contextlib import closing, nullcontext
from pathlib import Path

import pytest
from dserver_client.errors import FileChanged
from dserver_client.local_files import LocalFile
from dserver_client.transfers.bodies import FileRange, read_whole

CONTENT = b"0123456789" * 1000
MD5 = hashlib.md5(CONTENT).hexdigest()


@pytest.fixture
def file(tmp_path: Path) -> LocalFile:
    path = tmp_path / "data.csv"
    path.write_bytes(CONTENT)
    return LocalFile.of(str(path), "data.csv")


def sent_of(file: LocalFile, md5: str) -> bytes:
    """Return what leaves by blocks, up to an error."""
    sent = b""
    body = FileRange(file, 0, len(CONTENT), lambda _: None, md5).open()
    with closing(body), pytest.raises(FileChanged) if md5 != MD5 else nullcontext():
        while block := body.read(4096):
            sent += block
    return sent


def test_a_small_file_is_compared_with_its_md5(file: LocalFile) -> None:
    assert read_whole(file, MD5) == read_whole(file) == CONTENT
    with pytest.raises(FileChanged, match="data.csv"):
        read_whole(file, "0" * 32)


def test_the_last_block_of_a_file_with_another_md5_is_not_sent(file: LocalFile) -> None:
    assert sent_of(file, "0" * 32) == CONTENT[: 2 * 4096]
    assert sent_of(file, MD5) == CONTENT
