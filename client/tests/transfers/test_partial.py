from __future__ import annotations

import hashlib
from pathlib import Path

import pytest
from dserver_client.manifest import ManifestItem
from dserver_client.transfers.partial import ObjectChanged, Partial

from client.tests.support.proxied_lab import some_bytes

CONTENT = some_bytes(2_500)
ITEM = ManifestItem("0" * 40, "a", len(CONTENT), hashlib.md5(CONTENT).hexdigest())


def partial_in(directory: Path, part_size: int = 1_000) -> Partial:
    return Partial(directory, ITEM, part_size)


def write(partial: Partial, part: int, length: int | None = None) -> None:
    first, end = partial.bounds(part)
    first += partial.arrived[part]
    partial.write(part, CONTENT[first : end if length is None else first + length])


def no_check() -> None:
    pass


def test_parts_may_arrive_in_any_order(tmp_path: Path) -> None:
    partial = partial_in(tmp_path)
    assert partial.missing_parts() == [0, 1, 2]
    partial.open("etag")
    for part in (2, 0, 1):
        assert not partial.is_whole()
        write(partial, part, 100)
        write(partial, part)
        partial.hash_arrived(no_check)
    assert partial.is_whole()
    assert not partial.is_whole()
    assert partial.has_right_hash()
    partial.move(str(tmp_path / "named"))
    assert (tmp_path / "named").read_bytes() == CONTENT
    assert not list(tmp_path.glob("0*"))


def test_what_has_arrived_is_continued(tmp_path: Path) -> None:
    first = partial_in(tmp_path)
    first.open("etag")
    write(first, 1)
    write(first, 0, 300)
    # It was ended here, without being closed; the next one would divide the item otherwise.
    second = partial_in(tmp_path, 2_000)
    assert (second.etag, second.part_size, second.arrived) == ("etag", 1_000, [300, 1_000, 0])
    second.open("etag")
    for part in second.missing_parts():
        write(second, part)
    second.hash_arrived(no_check)
    assert second.is_whole()
    assert second.has_right_hash()
    first.close()
    second.close()


def test_a_line_that_was_not_written_to_its_end_costs_some_bytes_at_most(tmp_path: Path) -> None:
    first = partial_in(tmp_path)
    first.open("etag")
    write(first, 0, 300)
    first.close()
    record = tmp_path / f"{ITEM.identifier}.arrived"
    record.write_bytes(record.read_bytes() + b"0 3")
    second = partial_in(tmp_path)
    assert second.arrived == [300, 0, 0]
    second.open("etag")
    write(second, 2)
    second.close()
    assert partial_in(tmp_path).arrived == [300, 0, 500]


def test_bytes_that_the_disk_has_lost_are_not_counted(tmp_path: Path) -> None:
    first = partial_in(tmp_path)
    first.open("etag")
    write(first, 0)
    write(first, 1, 500)
    first.close()
    with first.path.open("r+b") as file:
        file.truncate(1_200)
    assert partial_in(tmp_path).arrived == [1_000, 200, 0]


def test_bytes_of_another_object_are_not_added(tmp_path: Path) -> None:
    partial = partial_in(tmp_path)
    partial.open("etag")
    write(partial, 0)
    with pytest.raises(ObjectChanged):
        partial.open("other")
    partial.close()
    with pytest.raises(ObjectChanged):
        partial_in(tmp_path).open("other")


@pytest.mark.parametrize("content", [b"", b"nonsense\n", b"{}\n", b'{"etag": 1}\n0 5\n'])
def test_a_record_that_is_none_is_begun_again(tmp_path: Path, content: bytes) -> None:
    (tmp_path / f"{ITEM.identifier}.part").write_bytes(b"something")
    (tmp_path / f"{ITEM.identifier}.arrived").write_bytes(content)
    partial = partial_in(tmp_path)
    assert partial.arrived == [0, 0, 0]
    partial.open("etag")
    for part in range(3):
        write(partial, part)
    partial.hash_arrived(no_check)
    assert partial.is_whole()
    assert partial.has_right_hash()
    partial.close()


def test_another_item_under_the_same_identifier_begins_again(tmp_path: Path) -> None:
    first = partial_in(tmp_path)
    first.open("etag")
    write(first, 0)
    first.close()
    other = ManifestItem(ITEM.identifier, "a", len(CONTENT), "0" * 32)
    assert Partial(tmp_path, other, 1_000).arrived == [0, 0, 0]


def test_an_item_that_another_process_begins_anew_gets_no_name(tmp_path: Path) -> None:
    one, other = partial_in(tmp_path), partial_in(tmp_path)
    one.open("etag")
    for part in one.missing_parts():
        write(one, part)
    # Where no lock keeps it from that.
    other.open("etag")
    write(other, 0, 10)
    with pytest.raises(OSError, match="Another command"):
        one.move(str(tmp_path / "named"))
    assert not (tmp_path / "named").exists()
    other.close()
