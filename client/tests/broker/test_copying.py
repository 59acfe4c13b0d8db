"""How files enter a proto-dataset."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest
from dserver_client.broker.copying import copy
from dserver_client.errors import LocalFileError

MD5 = "5d41402abc4b2a76b9719d911017c592"


@pytest.fixture
def target(tmp_path: Path) -> Path:
    (tmp_path / "waiting").mkdir()
    return tmp_path / "waiting" / "item"


def file_at(path: Path) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(b"hello")
    os.utime(path, ns=(0, 1_600_000_000_123_456_789))
    return path


def dataset_at(path: Path, kind: str) -> Path:
    """Make a dataset on disk; return the path of its item."""
    (path / ".dtool").mkdir(parents=True)
    (path / ".dtool" / "dtool").write_text(json.dumps({"type": kind}))
    return file_at(path / "data" / "dir" / "file.txt")


def test_a_copy_has_the_time_and_the_md5_of_its_source(tmp_path: Path, target: Path) -> None:
    source = file_at(tmp_path / "file.txt")
    copied = copy(source, target, tmp_path / "cache")
    assert (copied.size_in_bytes, copied.hash) == (5, MD5)
    assert copied.mtime_ns == target.stat().st_mtime_ns == source.stat().st_mtime_ns
    assert not target.samefile(source)


@pytest.mark.parametrize("where", ["frozen", "cache"])
def test_a_file_that_nobody_changes_takes_no_space_twice(
    tmp_path: Path, target: Path, where: str
) -> None:
    if where == "frozen":
        source = dataset_at(tmp_path / "dataset", "dataset")
    else:
        source = file_at(tmp_path / "cache" / "uuid" / "item.txt")
    copied = copy(source, target, tmp_path / "cache")
    assert copied.hash == MD5
    assert target.samefile(source)
    # What is there already is left alone, whatever it is a link to.
    with pytest.raises(LocalFileError, match="cannot be copied"):
        copy(source, target, tmp_path / "cache")
    assert source.read_bytes() == b"hello"


def test_a_file_of_a_proto_dataset_is_copied(tmp_path: Path, target: Path) -> None:
    source = dataset_at(tmp_path / "dataset", "protodataset")
    copy(source, target, tmp_path / "cache")
    assert not target.samefile(source)


def test_a_symbolic_link_in_a_frozen_dataset_is_followed(tmp_path: Path, target: Path) -> None:
    source = dataset_at(tmp_path / "dataset", "dataset")
    source.unlink()
    source.symlink_to(file_at(tmp_path / "elsewhere"))
    copy(source, target, tmp_path / "cache")
    assert target.is_file()
    assert not target.is_symlink()
    assert not target.samefile(source)


def test_what_cannot_be_read_leaves_nothing(tmp_path: Path, target: Path) -> None:
    for source in (tmp_path / "missing", tmp_path):
        with pytest.raises(LocalFileError, match="cannot be copied"):
            copy(source, target, tmp_path / "cache")
    assert os.listdir(target.parent) == []
