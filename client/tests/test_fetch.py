from __future__ import annotations

from pathlib import Path

import pytest
from dserver_client.client import Client
from dserver_client.errors import (
    FilesExist,
    Refused,
    UnusableNames,
)
from dserver_client.file_lock import FileLock
from dtoolcore.utils import generate_identifier

from client.tests.support.proxied_lab import MIDDLE, ProxiedLab, contents
from tests.support.clients import FILES, Deposit, DtoolDserver
from tests.support.dserver import Dserver


def test_items_lie_under_their_relpaths(proxied: ProxiedLab, tmp_path: Path) -> None:
    uri = proxied.deposit({**FILES, "middle": MIDDLE})
    fetched = proxied.client.fetch(uri, tmp_path / "new" / "dest")
    assert contents(tmp_path / "new" / "dest") == {**FILES, "middle": MIDDLE}
    assert (fetched.items, fetched.already_there) == (4, 0)
    size = sum(map(len, FILES.values())) + len(MIDDLE)
    assert fetched.size_in_bytes == fetched.fetched_in_bytes == size


def test_files_have_the_time_that_the_manifest_says(proxied: ProxiedLab, tmp_path: Path) -> None:
    uri = proxied.deposit({"small": b"1", "middle": MIDDLE})
    proxied.client.fetch(uri, tmp_path)
    assert {path.stat().st_mtime for path in tmp_path.iterdir() if path.is_file()} == {
        1_700_000_000.5
    }


def test_what_is_there_is_not_fetched(proxied: ProxiedLab, tmp_path: Path) -> None:
    uri = proxied.deposit({"a": b"1", "b/c": b"22", "middle": MIDDLE})
    proxied.client.fetch(uri, tmp_path)
    (tmp_path / "a").unlink()
    proxied.proxy.forget()
    fetched = proxied.client.fetch(uri, tmp_path)
    assert (fetched.already_there, fetched.fetched_in_bytes) == (2, 1)
    assert len(proxied.item_requests()) == 1


def test_some_items_are_chosen_by_relpath_or_pattern(proxied: ProxiedLab, tmp_path: Path) -> None:
    uri = proxied.deposit({"a/1.csv": b"1", "a/2.csv": b"2", "[x].txt": b"3", "b": b"4"})
    proxied.client.fetch(uri, tmp_path, items=["a/*.csv", "[x].txt"])
    assert contents(tmp_path) == {"a/1.csv": b"1", "a/2.csv": b"2", "[x].txt": b"3"}


def test_an_item_that_is_none_is_refused(proxied: ProxiedLab, tmp_path: Path) -> None:
    uri = proxied.deposit({"a": b"1"})
    with pytest.raises(Refused, match="no item 'b', 'c\\*'"):
        proxied.client.fetch(uri, tmp_path / "dest", items=["a", "b", "c*"])
    assert not (tmp_path / "dest").exists()


def test_files_with_another_content_are_listed_before_anything_is_fetched(
    proxied: ProxiedLab, tmp_path: Path
) -> None:
    uri = proxied.deposit({"a": b"11", "b": b"22", "c": b"33", "d": b"44"})
    (tmp_path / "a").write_bytes(b"1")
    (tmp_path / "b").write_bytes(b"xx")
    with pytest.raises(FilesExist) as refused:
        proxied.client.fetch(uri, tmp_path)
    assert refused.value.items == {"a": "has 1 bytes instead of 2", "b": "has another MD5"}
    assert not proxied.item_requests()
    proxied.client.fetch(uri, tmp_path, overwrite=True)
    assert contents(tmp_path) == {"a": b"11", "b": b"22", "c": b"33", "d": b"44"}


def test_what_is_no_file_is_never_overwritten(proxied: ProxiedLab, tmp_path: Path) -> None:
    uri = proxied.deposit({"a": b"1", "b/c": b"2"})
    (tmp_path / "a").mkdir()
    (tmp_path / "b").write_bytes(b"")
    with pytest.raises(FilesExist) as refused:
        proxied.client.fetch(uri, tmp_path, overwrite=True)
    assert set(refused.value.items) == {"a", "b/c"}


def test_names_that_cannot_be_used_are_listed_before_anything_is_fetched(
    proxied: ProxiedLab, tmp_path: Path
) -> None:
    uri = proxied.deposit({"xx/a": b"1", "x" * 300: b"2", "b": b"3"})
    proxied.proxy.rewritten = lambda content: content.replace(b'"xx/a"', b'"../a"').replace(
        generate_identifier("xx/a").encode(), generate_identifier("../a").encode()
    )
    with pytest.raises(UnusableNames) as refused:
        proxied.client.fetch(uri, tmp_path / "dest")
    assert set(refused.value.items) == {"../a", "x" * 300}
    assert not proxied.item_requests()
    assert not (tmp_path / "dest").exists()
    proxied.proxy.heal()
    fetched = proxied.client.fetch(uri, tmp_path / "dest", names="safe")
    assert set(fetched.renamed) == {"x" * 300}
    assert sorted(contents(tmp_path / "dest").values()) == [b"1", b"2", b"3"]


def test_two_commands_do_not_fetch_into_one_directory(proxied: ProxiedLab, tmp_path: Path) -> None:
    uri = proxied.deposit({"a": b"1"})
    uuid = uri.rpartition("/")[2]
    lock = FileLock(tmp_path / ".dserver-fetch" / uuid / "lock")
    with lock, pytest.raises(FilesExist, match="Another command is fetching"):
        proxied.client.fetch(uri, tmp_path)
    proxied.client.fetch(uri, tmp_path)
    assert contents(tmp_path) == {"a": b"1"}


def test_a_dserver_with_the_references_routes_is_enough(
    lab: Dserver, reference_url: str, tmp_path: Path
) -> None:
    answer = DtoolDserver().upload(lab.alice, lab.base_uri, Deposit())
    with Client(reference_url, lab.tokens["alice"]) as client:
        client.fetch(answer.json["uri"], tmp_path)
    assert contents(tmp_path) == FILES
