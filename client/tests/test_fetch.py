from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import dtoolcore
import pytest
from dserver_client.client import Client
from dserver_client.errors import (
    FilesExist,
    LocalFileError,
    UnusableNames,
    UsageError,
    VerificationFailed,
)
from dserver_client.file_lock import FileLock
from dtoolcore.utils import generate_identifier

from client.tests.support.proxied_lab import ProxiedLab, cut, etag, some_bytes
from tests.support.clients import FILES, Deposit, DtoolDserver
from tests.support.dserver import Dserver
from tests.support.proxy import Fault, Instead, Request

MIDDLE = some_bytes(700_000)


@pytest.fixture(scope="module")
def uri(shared_proxied_lab: ProxiedLab) -> str:
    """A dataset with one item, which is large enough to be continued."""
    return shared_proxied_lab.deposit({"middle": MIDDLE})


def contents(directory: Path) -> dict[str, bytes]:
    return {
        path.relative_to(directory).as_posix(): path.read_bytes()
        for path in directory.rglob("*")
        if path.is_file()
    }


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
    with pytest.raises(UsageError, match="no item 'b', 'c\\*'"):
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
    proxied.proxy.rewritten = lambda content: content.replace(b'"xx/a"', b'"../a"')
    with pytest.raises(UnusableNames) as refused:
        proxied.client.fetch(uri, tmp_path / "dest")
    assert set(refused.value.items) == {"../a", "x" * 300}
    assert not proxied.item_requests()
    assert not (tmp_path / "dest").exists()
    fetched = proxied.client.fetch(uri, tmp_path / "dest", names="safe")
    assert fetched.renamed["../a"] == "%2E%2E/a"
    assert "b" not in fetched.renamed
    assert sorted(contents(tmp_path / "dest").values()) == [b"1", b"2", b"3"]
    assert not (tmp_path / "a").exists()


def test_an_expired_url_is_signed_anew_once_for_all(proxied: ProxiedLab, tmp_path: Path) -> None:
    uri = proxied.deposit({str(number): bytes([number]) for number in range(20)})
    refused: list[str] = []

    def before(request: Request) -> Fault | None:
        path = request.target.partition("?")[0]
        if "/data/" in path and path not in refused:
            refused.append(path)
            return Fault.REFUSED
        return None

    proxied.proxy.before = before
    fetched = proxied.client.fetch(uri, tmp_path)
    assert (len(refused), fetched.items) == (20, 20)
    assert len(contents(tmp_path)) == 20


def test_bytes_that_differ_are_fetched_again(proxied: ProxiedLab, tmp_path: Path) -> None:
    uri = proxied.deposit({"small": b"right", "middle": MIDDLE})
    wrong = iter([b"wrong", MIDDLE[::-1]])
    proxied.proxy.rewritten = lambda content: (
        next(wrong, content) if content in (b"right", MIDDLE) else content
    )
    proxied.client.fetch(uri, tmp_path)
    assert contents(tmp_path) == {"small": b"right", "middle": MIDDLE}


def test_bytes_that_go_on_differing_get_no_name(proxied: ProxiedLab, tmp_path: Path) -> None:
    uri = proxied.deposit({"small": b"right", "middle": MIDDLE, "other": b"other"})
    wrong = {b"right": b"wrong", MIDDLE: MIDDLE[::-1]}
    proxied.proxy.rewritten = lambda content: wrong.get(content, content)
    with pytest.raises(VerificationFailed) as failed:
        proxied.client.fetch(uri, tmp_path)
    assert failed.value.items == {"small": "it has another MD5", "middle": "it has another MD5"}
    proxied.proxy.heal()
    assert proxied.client.fetch(uri, tmp_path).already_there == 1
    assert contents(tmp_path) == {"small": b"right", "middle": MIDDLE, "other": b"other"}


def test_an_item_that_the_store_has_lost_is_named(proxied: ProxiedLab, tmp_path: Path) -> None:
    uri = proxied.deposit({"a": b"1", "b": b"2"})
    identifier = generate_identifier("a")
    proxied.proxy.before = lambda request: Instead(404) if identifier in request.target else None
    with pytest.raises(VerificationFailed) as failed:
        proxied.client.fetch(uri, tmp_path)
    assert failed.value.items == {"a": "it is missing in the store"}


def test_a_body_that_is_cut_off_is_continued(proxied: ProxiedLab, uri: str, tmp_path: Path) -> None:
    proxied.proxy.after = cut_once_after(300_000)
    fetched = proxied.client.fetch(uri, tmp_path)
    _, second = proxied.item_requests()
    assert second.headers["range"] == f"bytes={300_000}-{len(MIDDLE) - 1}"
    assert second.headers["if-match"].startswith('"')
    assert fetched.fetched_in_bytes == len(MIDDLE)
    assert contents(tmp_path) == {"middle": MIDDLE}


def cut_once_after(length: int) -> Callable[[Request], Instead | None]:
    """Let only so many bytes of the first answer about an item pass."""
    seen: list[Request] = []

    def after(request: Request) -> Instead | None:
        if "/data/" not in request.target:
            return None
        seen.append(request)
        if len(seen) > 1:
            return None
        return Instead(200, MIDDLE[:length], {"ETag": etag(MIDDLE)}, length=len(MIDDLE))

    return after


def test_a_fetch_that_failed_is_continued_by_range(
    proxied: ProxiedLab, uri: str, tmp_path: Path
) -> None:
    fail_after_some_bytes(proxied, uri, tmp_path)
    proxied.proxy.heal()
    proxied.proxy.forget()
    fetched = proxied.client.fetch(uri, tmp_path)
    [request] = proxied.item_requests()
    assert request.headers["range"] == f"bytes=300000-{len(MIDDLE) - 1}"
    assert fetched.fetched_in_bytes == len(MIDDLE) - 300_000
    assert contents(tmp_path) == {"middle": MIDDLE}


def fail_after_some_bytes(proxied: ProxiedLab, uri: str, directory: Path) -> None:
    """Fetch the first 300,000 bytes."""
    cut_once = cut_once_after(300_000)
    proxied.proxy.after = lambda request: (
        cut_once(request) or (Instead(400) if "/data/" in request.target else None)
    )
    with pytest.raises(Exception, match="answered 400"):
        proxied.client.fetch(uri, directory)
    assert (directory / ".dserver-fetch").exists()


@pytest.mark.parametrize("answer", ["etag", "precondition", "no range"])
def test_what_cannot_be_continued_is_fetched_from_the_beginning(
    proxied: ProxiedLab, uri: str, tmp_path: Path, answer: str
) -> None:
    fail_after_some_bytes(proxied, uri, tmp_path)
    proxied.proxy.heal()
    whole = Instead(200, MIDDLE, {"ETag": '"other"'})
    answers = {
        "etag": cut(MIDDLE, 300_000, len(MIDDLE), len(MIDDLE) - 300_000, '"other"'),
        "precondition": Instead(412),
        "no range": whole,
    }
    proxied.proxy.before = lambda request: (
        None
        if "/data/" not in request.target
        else answers[answer]
        if "range" in request.headers
        else whole
    )
    proxied.client.fetch(uri, tmp_path)
    assert contents(tmp_path) == {"middle": MIDDLE}


def test_an_answer_with_another_range_is_not_believed(
    proxied: ProxiedLab, uri: str, tmp_path: Path
) -> None:
    fail_after_some_bytes(proxied, uri, tmp_path)
    proxied.proxy.heal()
    others = iter([cut(MIDDLE, 0, len(MIDDLE), len(MIDDLE), etag(MIDDLE))])
    proxied.proxy.before = lambda request: (
        next(others, None) if "range" in request.headers else None
    )
    proxied.client.fetch(uri, tmp_path)
    assert contents(tmp_path) == {"middle": MIDDLE}
    assert next(others, None) is None


def test_content_that_is_stored_compressed_stays_so(proxied: ProxiedLab, tmp_path: Path) -> None:
    uri = proxied.deposit({"a": b"no gzip", "middle": MIDDLE})
    proxied.proxy.headed = lambda _, headers: {**headers, "Content-Encoding": "gzip"}
    proxied.proxy.before = lambda request: None
    documents = [".json", "dtool", "README.yml"]
    proxied.proxy.headed = lambda request, headers: (
        headers
        if any(request.target.partition("?")[0].endswith(end) for end in documents)
        else {**headers, "Content-Encoding": "gzip"}
    )
    proxied.client.fetch(uri, tmp_path)
    assert contents(tmp_path) == {"a": b"no gzip", "middle": MIDDLE}


def test_two_commands_do_not_fetch_into_one_directory(proxied: ProxiedLab, tmp_path: Path) -> None:
    uri = proxied.deposit({"a": b"1"})
    uuid = uri.rpartition("/")[2]
    lock = FileLock(tmp_path / ".dserver-fetch" / uuid / "lock")
    with lock, pytest.raises(FilesExist, match="Another command is fetching"):
        proxied.client.fetch(uri, tmp_path)
    proxied.client.fetch(uri, tmp_path)
    assert contents(tmp_path) == {"a": b"1"}


def test_what_a_power_cut_has_taken_is_fetched_again(proxied: ProxiedLab, tmp_path: Path) -> None:
    uri = proxied.deposit({"a": b"1", "b": b"2"})
    proxied.client.fetch(uri, tmp_path)
    (tmp_path / "a").write_bytes(b"")
    os.utime(tmp_path / "a", (1_700_000_000.5, 1_700_000_000.5))
    with pytest.raises(FilesExist):
        proxied.client.fetch(uri, tmp_path)
    state = tmp_path / ".dserver-fetch" / uri.rpartition("/")[2]
    state.mkdir(parents=True)
    (state / "unfinished").touch()
    (tmp_path / "b").write_bytes(b"mine")
    with pytest.raises(FilesExist) as refused:
        proxied.client.fetch(uri, tmp_path)
    assert set(refused.value.items) == {"b"}
    proxied.client.fetch(uri, tmp_path, items=["a"])
    assert contents(tmp_path) == {"a": b"1", "b": b"mine"}


@pytest.mark.skipif(not os.path.exists("/dev/full"), reason="only Linux has /dev/full")
@pytest.mark.parametrize("content", [b"1", MIDDLE], ids=["small", "middle"])
def test_a_full_disk_is_a_sentence(proxied: ProxiedLab, tmp_path: Path, content: bytes) -> None:
    uri = proxied.deposit({"a": content})
    state = tmp_path / ".dserver-fetch" / uri.rpartition("/")[2]
    state.mkdir(parents=True)
    (state / f"{generate_identifier('a')}.part").symlink_to("/dev/full")
    with pytest.raises(LocalFileError, match="no space left .* the same fetch goes on"):
        proxied.client.fetch(uri, tmp_path)
    (state / f"{generate_identifier('a')}.part").unlink()
    proxied.client.fetch(uri, tmp_path)
    assert contents(tmp_path) == {"a": content}


@pytest.mark.skipif(os.name == "nt" or os.geteuid() == 0, reason="permissions do not bind root")
def test_a_directory_without_permission_is_a_sentence(proxied: ProxiedLab, tmp_path: Path) -> None:
    uri = proxied.deposit({"a": b"1"})
    tmp_path.chmod(0o500)
    with pytest.raises(LocalFileError, match="permission denied"):
        proxied.client.fetch(uri, tmp_path / "dest")


def test_a_dserver_with_the_references_routes_is_enough(
    lab: Dserver, reference_url: str, tmp_path: Path
) -> None:
    answer = DtoolDserver().upload(lab.alice, lab.base_uri, Deposit())
    with Client(reference_url, lab.tokens["alice"]) as client:
        client.fetch(answer.json["uri"], tmp_path)
    assert contents(tmp_path) == FILES


# As a dataset of dtool's ---------------------------------------------------------------------


def test_a_dataset_on_disk_is_one_that_dtool_verifies(proxied: ProxiedLab, tmp_path: Path) -> None:
    uri = proxied.deposit(
        {**FILES, "middle": MIDDLE},
        tags=["a-tag"],
        annotations={"project": "cress"},
    )
    proxied.client.fetch(uri, tmp_path / "dataset", as_dataset=True)
    dataset = dtoolcore.DataSet.from_uri(str(tmp_path / "dataset"))
    assert dataset.name == "my-dataset"
    assert dataset.list_tags() == ["a-tag"]
    assert dataset.get_annotation("project") == "cress"
    assert "Größe" in dataset.get_readme_content()
    assert not (tmp_path / "dataset" / ".dserver-fetch").exists()
    # What `dtool verify -f` compares.
    assert dataset.generate_manifest()["items"] == dataset._manifest["items"]


def test_a_dataset_that_is_not_complete_is_a_proto_dataset(
    proxied: ProxiedLab, tmp_path: Path
) -> None:
    uri = proxied.deposit({"a": b"1", "b": b"2"})
    proxied.proxy.rewritten = lambda content: b"x" if content == b"1" else content
    with pytest.raises(VerificationFailed):
        proxied.client.fetch(uri, tmp_path / "new", as_dataset=True)
    dtoolcore.ProtoDataSet.from_uri(str(tmp_path / "new"))
    proxied.proxy.heal()
    assert proxied.client.fetch(uri, tmp_path / "new", as_dataset=True).already_there == 1
    dtoolcore.DataSet.from_uri(str(tmp_path / "new"))


def test_a_dataset_needs_a_directory_of_its_own(proxied: ProxiedLab, tmp_path: Path) -> None:
    one, other = proxied.deposit({"a": b"1"}), proxied.deposit({"b": b"1"})
    proxied.client.fetch(one, tmp_path / "one", as_dataset=True)
    with pytest.raises(FilesExist, match="another dataset"):
        proxied.client.fetch(other, tmp_path / "one", as_dataset=True)
    (tmp_path / "used").mkdir()
    (tmp_path / "used" / "file").write_bytes(b"")
    with pytest.raises(FilesExist, match="something else"):
        proxied.client.fetch(other, tmp_path / "used", as_dataset=True)
    with pytest.raises(UsageError):
        proxied.client.fetch(one, tmp_path / "one", as_dataset=True, items=["a"])
