from __future__ import annotations

import errno
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from dserver_client.errors import (
    FilesExist,
    LocalFileError,
    Unavailable,
    VerificationFailed,
)
from dserver_client.progress import NoProgress
from dtoolcore.utils import generate_identifier

from client.tests.support.proxied_lab import MIDDLE, ProxiedLab, contents, cut, etag
from tests.support.proxy import Fault, Instead, Request

PAGE = Instead(200, b"<html>Maintenance</html>", {"Content-Type": "text/html"})


@pytest.fixture(scope="module")
def uri(shared_proxied_lab: ProxiedLab) -> str:
    """A dataset with one item, which is large enough to be continued."""
    return shared_proxied_lab.deposit({"middle": MIDDLE})


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
    wrong = {b"right": b"wrong", MIDDLE: MIDDLE[::-1]}
    proxied.proxy.rewritten = lambda content: wrong.pop(content, content)
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


def test_a_page_of_a_proxy_is_no_item(proxied: ProxiedLab, tmp_path: Path) -> None:
    uri = proxied.deposit({"a": b"1234567"})
    proxied.proxy.before = lambda request: PAGE if "/data/" in request.target else None
    with pytest.raises(Unavailable, match="answered 200 for 'a' in the store's place"):
        proxied.client.fetch(uri, tmp_path)
    with (
        pytest.raises(Unavailable, match="in the store's place"),
        proxied.client.open(uri, "a") as opened,
    ):
        opened.read()
    assert not (tmp_path / "a").exists()


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


class FullDisk(NoProgress):
    """Has no space left when bytes have arrived."""

    def advance(self, size_in_bytes: int, items: int = 0) -> None:
        if size_in_bytes:
            raise OSError(errno.ENOSPC, "No space left on device")


@pytest.mark.parametrize("content", [b"1", MIDDLE], ids=["small", "middle"])
def test_a_full_disk_is_a_sentence(proxied: ProxiedLab, tmp_path: Path, content: bytes) -> None:
    uri = proxied.deposit({"a": content})
    with pytest.raises(LocalFileError, match="no space left .* the same fetch goes on"):
        proxied.client.fetch(uri, tmp_path, progress=FullDisk())
    proxied.client.fetch(uri, tmp_path)
    assert contents(tmp_path) == {"a": content}


LIMITED_FETCH = """
import resource, sys
from dserver_client.client import Client
url, token, uri, directory = sys.argv[1:]
resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, resource.RLIM_INFINITY))
Client(url, token).fetch(uri, directory)
"""


@pytest.mark.skipif(sys.platform == "win32", reason="Windows limits no sizes of files")
@pytest.mark.parametrize("size", [150_000, 300_000])
def test_a_file_that_is_not_written_to_its_end_gets_no_name(
    proxied: ProxiedLab, tmp_path: Path, size: int
) -> None:
    uri = proxied.deposit({"a": MIDDLE[:size]})
    arguments = [proxied.client.server.url, proxied.token, uri, str(tmp_path)]
    ended = subprocess.run(
        [sys.executable, "-c", LIMITED_FETCH, *arguments],
        check=False,
        capture_output=True,
        text=True,
    )
    assert ended.stderr.endswith("file too large.\n")
    assert not (tmp_path / "a").exists()
    proxied.client.fetch(uri, tmp_path)
    assert contents(tmp_path) == {"a": MIDDLE[:size]}


class Losing(NoProgress):
    """Loses a file when all have been fetched, before they are on the disk."""

    def __init__(self, lost: Path) -> None:
        self._lost = lost

    def finish(self) -> None:
        self._lost.unlink(missing_ok=True)


def test_a_fetch_is_unfinished_until_its_files_are_on_the_disk(
    proxied: ProxiedLab, tmp_path: Path
) -> None:
    uri = proxied.deposit({"a": b"1", "b": b"2"})
    unfinished = tmp_path / ".dserver-fetch" / uri.rpartition("/")[2] / "unfinished"
    with pytest.raises(LocalFileError):
        proxied.client.fetch(uri, tmp_path, progress=Losing(tmp_path / "a"))
    assert unfinished.exists()
    # The file that is there already has not reached the disk either.
    with pytest.raises(LocalFileError):
        proxied.client.fetch(uri, tmp_path, progress=Losing(tmp_path / "b"))
    assert unfinished.exists()
    proxied.client.fetch(uri, tmp_path)
    assert contents(tmp_path) == {"a": b"1", "b": b"2"}


@pytest.mark.skipif(os.name == "nt" or os.geteuid() == 0, reason="permissions do not bind root")
def test_a_directory_without_permission_is_a_sentence(proxied: ProxiedLab, tmp_path: Path) -> None:
    uri = proxied.deposit({"a": b"1"})
    tmp_path.chmod(0o500)
    with pytest.raises(LocalFileError, match="permission denied"):
        proxied.client.fetch(uri, tmp_path / "dest")
