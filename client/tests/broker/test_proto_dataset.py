"""Proto-datasets that wait on this machine."""

from __future__ import annotations

import os
import stat
import sys
import threading
from collections.abc import Callable
from pathlib import Path

import pytest
from dserver_client.broker.errors import BrokerError, NoSuchEntry
from dserver_client.broker.locks import FreezeRunning
from dserver_client.broker.proto_dataset import ProtoDataset, ProtoDatasets
from dserver_client.errors import LocalFileError, NotSupported, UsageError
from dtoolcore.utils import generate_identifier

UUID = "af6727bf-29c7-43dd-b42f-a5d7ede28337"
URI = f"dserver://localhost:5000/s3/bucket/{UUID}"
ADMIN = {"uuid": UUID, "name": "one", "type": "protodataset", "creator_username": "alice"}


@pytest.fixture
def proto(tmp_path: Path) -> ProtoDataset:
    proto = ProtoDatasets(tmp_path / "waiting").at(URI)
    proto.create(ADMIN)
    return proto


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "file.txt"
    path.write_bytes(b"hello")
    return path


def again(proto: ProtoDataset) -> ProtoDataset:
    """The same proto-dataset in another command."""
    return ProtoDataset(proto.uri, proto.directory)


def test_a_proto_dataset_waits_under_its_uri(proto: ProtoDataset) -> None:
    waiting = ProtoDatasets(proto.directory.parent)
    assert [each.uri for each in waiting] == [URI]
    assert waiting.at(URI).exists()
    assert waiting.at(URI).admin_metadata() == ADMIN


def test_one_dataset_may_wait_for_two_base_uris(proto: ProtoDataset) -> None:
    assert not ProtoDatasets(proto.directory.parent).at(URI.replace("bucket", "other")).exists()


def test_a_proto_dataset_is_private(proto: ProtoDataset, file: Path) -> None:
    proto.put_item(file, "a", file.parent / "cache")
    proto.put_readme("secret")
    proto.put("annotations", "secret", 1)
    proto.add_item_metadata("a", "secret", 1)
    for directory, _, names in os.walk(proto.directory):
        for path in [Path(directory), *(Path(directory) / name for name in names)]:
            assert stat.S_IMODE(path.stat().st_mode) & 0o077 == 0, path


def test_an_added_file_may_be_deleted(proto: ProtoDataset, file: Path) -> None:
    proto.put_item(file, "dir/file.txt", file.parent / "cache")
    file.unlink()
    assert again(proto).items()["dir/file.txt"].hash == "5d41402abc4b2a76b9719d911017c592"
    assert proto.item_path(generate_identifier("dir/file.txt")).read_bytes() == b"hello"


def test_an_item_is_replaced_by_the_next_one_of_its_path(proto: ProtoDataset, file: Path) -> None:
    proto.put_item(file, "a", file.parent / "cache")
    file.write_bytes(b"hello again")
    proto.put_item(file, "a", file.parent / "cache")
    assert {name: item.size_in_bytes for name, item in proto.items().items()} == {"a": 11}


def test_what_another_command_adds_is_seen(proto: ProtoDataset, file: Path) -> None:
    proto.put_item(file, "a", file.parent / "cache")
    assert list(proto.items()) == ["a"]
    again(proto).put_item(file, "b", file.parent / "cache")
    assert list(proto.items()) == ["a", "b"]


def test_commands_at_the_same_time_lose_nothing(proto: ProtoDataset, file: Path) -> None:
    def add(number: int) -> None:
        own = again(proto)
        own.put_item(file, f"file {number}", file.parent / "cache")
        own.put("tags", f"tag-{number}", None)

    threads = [threading.Thread(target=add, args=(number,)) for number in range(16)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(proto.items()) == 16
    assert len(proto.names("tags")) == 16


def test_a_line_that_was_not_written_to_its_end_harms_no_other(
    proto: ProtoDataset, file: Path
) -> None:
    proto.put_item(file, "a", file.parent / "cache")
    with (proto.directory / "items.jsonl").open("a") as lines:
        lines.write('{"relpath": "b", "size')
    assert list(again(proto).items()) == ["a"]
    proto.put_item(file, "c", file.parent / "cache")
    assert list(again(proto).items()) == ["a", "c"]
    assert list(proto.items()) == ["a", "c"]


@pytest.mark.parametrize(
    "relpath", ["", "/etc/passwd", "../a", "a//b", "a/./b", "a\nb", "\udcff", r"..\a", "C:/a"]
)
def test_a_path_that_the_server_refuses_is_refused_at_once(
    proto: ProtoDataset, file: Path, relpath: str
) -> None:
    with pytest.raises(UsageError):
        proto.put_item(file, relpath, file.parent / "cache")
    assert not proto.items()


@pytest.mark.parametrize(
    ("kind", "name"),
    [
        ("tags", "with blank"),
        ("tags", ".."),
        ("tags", "newline\n"),
        ("tags", "x" * 81),
        ("annotations", "dotted.name"),
        ("overlays", "dotted.name"),
    ],
)
def test_a_name_that_the_server_refuses_is_refused_at_once(
    proto: ProtoDataset, kind: str, name: str
) -> None:
    with pytest.raises(UsageError):
        proto.put(kind, name, {})
    assert proto.names(kind) == []


def test_names_differ_by_case(proto: ProtoDataset) -> None:
    proto.put("annotations", "Key", 1)
    proto.put("annotations", "key", 2)
    assert proto.entries("annotations") == {"Key": 1, "key": 2}
    assert proto.get("annotations", "Key") == 1


def test_a_tag_that_is_not_there_cannot_be_deleted(proto: ProtoDataset) -> None:
    proto.put("tags", "first", None)
    proto.delete("tags", "first")
    with pytest.raises(NoSuchEntry, match=f"^{URI} has no tag 'first'.$"):
        proto.delete("tags", "first")


def test_an_annotation_that_is_no_json_is_refused(proto: ProtoDataset) -> None:
    for value in (float("nan"), object()):
        with pytest.raises(BrokerError, match="JSON"):
            proto.put("annotations", "key", value)


def test_item_metadata_of_one_item_is_none_for_the_others(proto: ProtoDataset, file: Path) -> None:
    for relpath in ("a", "b"):
        proto.put_item(file, relpath, file.parent / "cache")
    proto.add_item_metadata("a", "colour", "red")
    proto.add_item_metadata("a", "colour", "blue")
    assert again(proto).item_metadata("a") == {"colour": "blue"}
    assert again(proto).item_metadata("b") == {"colour": None}


def test_item_metadata_needs_its_item(proto: ProtoDataset) -> None:
    with pytest.raises(NoSuchEntry, match="add the item first"):
        proto.add_item_metadata("a", "colour", "red")


def test_what_a_crash_leaves_of_a_deleted_one_is_none(proto: ProtoDataset, file: Path) -> None:
    proto.put_item(file, "a", file.parent / "cache")
    (proto.directory / "admin_metadata.json").unlink()
    assert list(ProtoDatasets(proto.directory.parent)) == []
    proto = again(proto)
    proto.create(ADMIN)
    assert proto.relpaths() == []
    proto.remove()
    assert not proto.directory.exists()


CHANGES: list[Callable[[ProtoDataset], None]] = [
    lambda proto: proto.put_item(Path(__file__), "a", proto.directory.parent),
    lambda proto: proto.add_item_metadata("first", "colour", "red"),
    lambda proto: proto.put("tags", "late", None),
    lambda proto: proto.delete("tags", "first"),
    lambda proto: proto.put_readme("late"),
    lambda proto: proto.put_admin_metadata({**ADMIN, "name": "late"}),
]


@pytest.mark.parametrize("change", CHANGES)
def test_a_change_is_refused_while_it_is_frozen_and_after(
    proto: ProtoDataset, file: Path, change: Callable[[ProtoDataset], None]
) -> None:
    proto.put_item(file, "first", file.parent / "cache")
    proto.put("tags", "first", None)
    other = again(proto)
    other.relpaths()
    with proto.freezing():
        before = proto.contents()
        with pytest.raises(FreezeRunning, match="is being frozen by another command"):
            change(other)
        assert proto.contents() == before
        assert len(os.listdir(proto.directory / "data")) == 1
    change(other)
    with proto.freezing():
        proto.remove()
    with pytest.raises(NotSupported, match="is frozen: it cannot be changed"):
        change(other)
    assert os.listdir(proto.directory.parent) == []


def test_only_one_freeze_can_be_under_way(proto: ProtoDataset) -> None:
    with (
        proto.freezing(),
        pytest.raises(FreezeRunning, match="is being frozen"),
        again(proto).freezing(),
    ):
        pass
    with again(proto).freezing():
        pass


def test_a_freeze_waits_until_a_change_has_been_made(proto: ProtoDataset) -> None:
    begun, found = threading.Event(), []

    def freeze() -> None:
        begun.set()
        with again(proto).freezing():
            found.append(proto.readme())

    freezing = threading.Thread(target=freeze)
    with proto._locks.changing():
        freezing.start()
        assert begun.wait(timeout=60)
        (proto.directory / "README.yml").write_text("changed")
    freezing.join(timeout=60)
    assert found == ["changed"]


@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no limits of resources")
def test_a_full_disk_is_an_error_of_what_is_added(proto: ProtoDataset, file: Path) -> None:
    import resource  # noqa: PLC0415 - not on Windows

    add = proto.put_item
    add(file, "a", file.parent / "cache")
    lines = proto.directory / "items.jsonl"
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (lines.stat().st_size + 20, before[1]))
    try:
        with pytest.raises(LocalFileError, match="is the disk full"):
            add(file, "b", file.parent / "cache")
        with pytest.raises(LocalFileError, match="file too large"):
            add(file, "c", file.parent / "cache")
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
    assert list(again(proto).items()) == ["a"]
    # Without its line, a freeze would leave it out.
    assert {path.name for path in proto.unlisted()} == {generate_identifier(name) for name in "bc"}
    add(file, "b", file.parent / "cache")
    add(file, "c", file.parent / "cache")
    assert list(again(proto).items()) == ["a", "b", "c"]
    assert proto.unlisted() == []


def test_the_same_linked_file_may_be_added_again(proto: ProtoDataset, tmp_path: Path) -> None:
    cached = tmp_path / "cache" / "uuid" / "item.txt"
    cached.parent.mkdir(parents=True)
    cached.write_bytes(b"hello")
    for _ in range(2):
        proto.put_item(cached, "a", tmp_path / "cache")
    assert cached.samefile(proto.item_path(generate_identifier("a")))
    assert len(os.listdir(proto.directory / "data")) == 1
