"""Fetching, verifying and reading what is behind the link of a share, without an account."""

from __future__ import annotations

import io
import json
import logging
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from dserver_client.client import Client
from dserver_client.errors import (
    ClientError,
    Refused,
    StoreRefused,
    Unavailable,
    UsageError,
    VerificationFailed,
)
from dserver_client.settings import Settings
from dtoolcore.utils import generate_identifier

from client.tests.support.proxied_lab import MIDDLE, ProxiedLab, contents, etag
from tests.support.answering_server import Answer, Answering
from tests.support.clients import FILES
from tests.support.links import Visitor, shared
from tests.support.proxy import Fault, Instead, Request

TOKEN = "a" * 32
# More than one part of a fetch.
LARGE = MIDDLE * 13


@pytest.fixture(scope="module")
def uri(shared_proxied_lab: ProxiedLab) -> str:
    return shared_proxied_lab.deposit({**FILES, "middle": MIDDLE})


@pytest.fixture
def anybody() -> Iterator[Client]:
    """Somebody without any settings."""
    with Client(settings=Settings()) as client:
        yield client


@pytest.fixture
def link(proxied: ProxiedLab, uri: str) -> str:
    return link_of(proxied, shared(proxied.dserver, uri))


def link_of(proxied: ProxiedLab, visitor: Visitor) -> str:
    return f"{proxied.client.server.url}{visitor.path}"


def test_a_link_is_fetched_without_an_account(anybody: Client, link: str, tmp_path: Path) -> None:
    fetched = anybody.fetch(f"<{link}>.", tmp_path)
    assert contents(tmp_path) == {**FILES, "middle": MIDDLE}
    assert (fetched.items, fetched.already_there) == (4, 0)
    assert fetched.uri.endswith("/signed-urls/s/…")
    assert anybody.fetch(link, tmp_path).already_there == 4
    assert anybody.verify(link, tmp_path, full=True).is_right


def test_only_what_is_shared_and_chosen_is_fetched(
    anybody: Client, proxied: ProxiedLab, uri: str, tmp_path: Path
) -> None:
    chosen = sorted(FILES)[:2]
    visitor = shared(proxied.dserver, uri, [*chosen, "middle"])
    anybody.fetch(link_of(proxied, visitor), tmp_path / "all")
    assert set(contents(tmp_path / "all")) == {*chosen, "middle"}
    anybody.fetch(link_of(proxied, visitor), tmp_path / "some", items=["mid*"])
    assert set(contents(tmp_path / "some")) == {"middle"}
    with pytest.raises(Refused, match="no item"):
        anybody.fetch(link_of(proxied, visitor), tmp_path / "none", items=[sorted(FILES)[2]])
    assert not (tmp_path / "none").exists()


def test_the_link_of_a_file_fetches_that_file(
    anybody: Client, proxied: ProxiedLab, link: str, tmp_path: Path
) -> None:
    anybody.fetch(f"{link}/{generate_identifier('middle')}", tmp_path)
    assert contents(tmp_path) == {"middle": MIDDLE}
    with pytest.raises(Refused, match="no such item"):
        anybody.fetch(f"{link}/{generate_identifier('other')}", tmp_path)


def test_the_directory_is_named_after_the_dataset(
    anybody: Client, link: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    fetched = anybody.fetch(link, items=["middle"])
    name = anybody.dataset(link).name()
    assert fetched.directory == str(tmp_path / name)
    assert contents(tmp_path / name) == {"middle": MIDDLE}


def test_each_file_is_one_download(anybody: Client, proxied: ProxiedLab, tmp_path: Path) -> None:
    uri = proxied.deposit({"small": b"1", "large": LARGE})
    visitor = shared(proxied.dserver, uri, max_downloads=2)
    proxied.proxy.forget()
    anybody.fetch(link_of(proxied, visitor), tmp_path)
    assert contents(tmp_path) == {"small": b"1", "large": LARGE}
    assert visitor.facts().downloads == 2
    # In one piece: parts may need more than one URL.
    assert len(proxied.item_requests()) == 2


def test_the_parts_of_a_file_are_one_download(
    anybody: Client, proxied: ProxiedLab, tmp_path: Path
) -> None:
    visitor = shared(proxied.dserver, proxied.deposit({"large": LARGE}))
    anybody.fetch(link_of(proxied, visitor), tmp_path)
    assert visitor.facts().downloads == 1
    assert len(proxied.item_requests()) == 2


def test_too_few_downloads_are_refused_before_the_first(
    anybody: Client, proxied: ProxiedLab, uri: str, tmp_path: Path
) -> None:
    visitor = shared(proxied.dserver, uri, max_downloads=2)
    link = link_of(proxied, visitor)
    with pytest.raises(UsageError, match="2 more downloads, and 3 files"):
        anybody.fetch(link, tmp_path)
    assert visitor.facts().downloads == 0
    # One of them is empty, and is not downloaded.
    anybody.fetch(link, tmp_path, items=[*FILES])
    with pytest.raises(Refused, match="as many downloads as it allows") as refused:
        Client(settings=Settings()).fetch(link, tmp_path)
    assert refused.value.exit_code == 5


def test_a_url_that_has_expired_is_asked_for_once_more(
    anybody: Client, proxied: ProxiedLab, uri: str, tmp_path: Path
) -> None:
    visitor = shared(proxied.dserver, uri)
    refused: list[Request] = []

    def before(request: Request) -> Fault | None:
        if "/data/" in request.target and not refused:
            refused.append(request)
            return Fault.REFUSED
        return None

    proxied.proxy.before = before
    anybody.fetch(link_of(proxied, visitor), tmp_path, items=["middle"])
    assert contents(tmp_path) == {"middle": MIDDLE}
    assert visitor.facts().downloads == 2


def test_a_store_that_refuses_costs_two_downloads(
    anybody: Client, proxied: ProxiedLab, uri: str, tmp_path: Path
) -> None:
    visitor = shared(proxied.dserver, uri)
    proxied.proxy.before = lambda request: Fault.REFUSED if "/data/" in request.target else None
    with pytest.raises(StoreRefused):
        anybody.fetch(link_of(proxied, visitor), tmp_path, items=["middle"])
    assert visitor.facts().downloads == 2


def test_a_connection_that_breaks_is_continued_with_the_same_url(
    anybody: Client, proxied: ProxiedLab, uri: str, tmp_path: Path
) -> None:
    visitor = shared(proxied.dserver, uri)
    proxied.proxy.after = cut_once()
    anybody.fetch(link_of(proxied, visitor), tmp_path, items=["middle"])
    first, second = proxied.item_requests()
    assert first.target == second.target
    assert second.headers["range"] == f"bytes=300000-{len(MIDDLE) - 1}"
    assert visitor.facts().downloads == 1


def cut_once() -> Callable[[Request], Instead | None]:
    """Let only some bytes of the first answer about an item pass."""
    first = [Instead(200, MIDDLE[:300_000], {"ETag": etag(MIDDLE)}, length=len(MIDDLE))]
    return lambda request: first.pop() if first and "/data/" in request.target else None


def test_a_new_link_continues_what_an_ended_one_began(
    anybody: Client, proxied: ProxiedLab, uri: str, tmp_path: Path
) -> None:
    visitor = shared(proxied.dserver, uri)
    cut = cut_once()
    proxied.proxy.after = lambda request: (
        cut(request) or (Instead(403) if "/data/" in request.target else None)
    )
    with pytest.raises(StoreRefused):
        anybody.fetch(link_of(proxied, visitor), tmp_path, items=["middle"])
    visitor.revoke()
    proxied.proxy.heal()
    with pytest.raises(Refused, match="was revoked; ask whoever sent it for a new one"):
        anybody.fetch(link_of(proxied, visitor), tmp_path, items=["middle"])
    proxied.proxy.forget()
    again = shared(proxied.dserver, uri)
    fetched = anybody.fetch(link_of(proxied, again), tmp_path, items=["middle"])
    assert fetched.fetched_in_bytes == len(MIDDLE) - 300_000
    assert contents(tmp_path) == {"middle": MIDDLE}
    assert again.facts().downloads == 1


def test_bytes_that_differ_get_no_name(
    anybody: Client, proxied: ProxiedLab, link: str, tmp_path: Path
) -> None:
    proxied.proxy.rewritten = lambda content: MIDDLE[::-1] if content == MIDDLE else content
    with pytest.raises(VerificationFailed) as failed:
        anybody.fetch(link, tmp_path, items=["middle"])
    assert failed.value.items == {"middle": "it has another MD5"}
    assert not (tmp_path / "middle").exists()


def test_an_item_is_read_in_place(anybody: Client, proxied: ProxiedLab, uri: str) -> None:
    visitor = shared(proxied.dserver, uri)
    with anybody.open(link_of(proxied, visitor), "middle") as file:
        assert file.read(10) == MIDDLE[:10]
        file.seek(-20, io.SEEK_END)
        assert file.read() == MIDDLE[-20:]
    assert visitor.facts().downloads == 1
    with pytest.raises(Refused, match="has no item 'other'"):
        anybody.open(link_of(proxied, visitor), "other")


def test_a_link_gives_access_to_files_only(anybody: Client, link: str, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="with an account"):
        anybody.fetch(link, tmp_path / "dest", as_dataset=True)
    assert not (tmp_path / "dest").exists()
    with pytest.raises(UsageError, match="directory"):
        anybody.verify(link)


def test_an_unknown_link_is_not_found(anybody: Client, proxied: ProxiedLab, tmp_path: Path) -> None:
    with pytest.raises(Refused, match="check that the link") as refused:
        anybody.fetch(f"{proxied.client.server.url}/signed-urls/s/{TOKEN}", tmp_path / "dest")
    assert (refused.value.status, refused.value.exit_code) == (404, 5)
    assert not (tmp_path / "dest").exists()


CONTENT = b"1,2\n"


def described(**more: Any) -> Answer:
    """Answer with what is behind a link."""
    item = {"relpath": "a.csv", "size_in_bytes": len(CONTENT), "hash": None}
    document = {
        "name": "mine",
        "uuid": "dddddddd-dddd-4ddd-8ddd-dddddddddddd",
        "items": {generate_identifier("a.csv"): item},
        **more,
    }
    headers = {"Content-Type": "application/json"}
    return Answer(content=json.dumps(document).encode(), headers=headers)


def to(location: str) -> Answer:
    return Answer(303, headers={"Location": location})


def test_no_token_is_sent(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    item = Answer(200, CONTENT, headers={"ETag": '"1"'})
    with Answering([described()]) as server, Answering([item]) as store:
        server.answers.append(to(f"{store.endpoint}/a?X-Amz-Signature=secret"))
        # The very dserver that the token is for.
        with Client(server.endpoint, "token-of-alice") as client:
            client.fetch(f"{server.endpoint}/signed-urls/s/{TOKEN}", tmp_path)
    assert contents(tmp_path) == {"a.csv": CONTENT}
    requests = [*server.requests, *store.requests]
    assert len(requests) == 3
    assert all("token-of-alice" not in str(request) for request in requests)
    assert all("Authorization" not in request.headers for request in requests)
    assert "/signed-urls/s/…" in caplog.text
    assert TOKEN not in caplog.text
    assert "secret" not in caplog.text


def test_who_asks_too_often_waits_as_long_as_dserver_says(anybody: Client, tmp_path: Path) -> None:
    too_many = Answer(429, headers={"Retry-After": "0"})
    item = Answer(200, CONTENT, headers={"ETag": '"1"'})
    with Answering([too_many, described(), too_many]) as server:
        server.answers += [to(f"{server.endpoint}/a"), item]
        anybody.fetch(f"{server.endpoint}/signed-urls/s/{TOKEN}", tmp_path)
    assert contents(tmp_path) == {"a.csv": CONTENT}


@pytest.mark.parametrize(
    "location", ["file:///etc/passwd", "ftp://lab.org/a", "/a", "//lab.org/a", "https:// a", ""]
)
def test_a_redirect_to_anything_else_is_not_followed(
    anybody: Client, tmp_path: Path, location: str
) -> None:
    with (
        Answering([described(), to(location)]) as server,
        pytest.raises(Unavailable, match="something that no dserver says"),
    ):
        anybody.fetch(f"{server.endpoint}/signed-urls/s/{TOKEN}", tmp_path / "dest")


@pytest.mark.parametrize(
    "answer",
    [
        Answer(200, b"<html>Log in</html>", headers={"Content-Type": "text/html"}),
        Answer(200, b"{}", headers={"Content-Type": "application/json"}),
        Answer(401),
        Answer(302, headers={"Location": f"https://lab.org/signed-urls/s/{TOKEN}"}),
        described(items=[1]),
        described(items={}, number_of_items=1),
        described(uuid=None, items={"a": {"relpath": 1}}),
        described(items={"a": {"relpath": "a", "size_in_bytes": 1}}),
    ],
)
def test_what_is_not_an_answer_of_dserver_is_a_sentence(
    anybody: Client, tmp_path: Path, answer: Answer
) -> None:
    with Answering([answer]) as server, pytest.raises(ClientError) as failed:
        anybody.fetch(f"{server.endpoint}/signed-urls/s/{TOKEN}", tmp_path / "dest")
    assert TOKEN not in str(failed.value)
    assert not (tmp_path / "dest").exists()


@pytest.mark.parametrize(("status", "sentence"), [(404, "is it complete"), (410, "has ended")])
def test_a_refusal_without_a_message_is_a_sentence(
    anybody: Client, tmp_path: Path, status: int, sentence: str
) -> None:
    with Answering([Answer(status)]) as server, pytest.raises(Refused, match=sentence) as refused:
        anybody.fetch(f"{server.endpoint}/signed-urls/s/{TOKEN}", tmp_path)
    assert refused.value.exit_code == 5


def test_nothing_that_dserver_calls_a_dataset_leaves_the_directory(
    anybody: Client, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "here").mkdir()
    monkeypatch.chdir(tmp_path / "here")
    item = Answer(200, CONTENT, headers={"ETag": '"1"'})
    for name in ("../../x", "/etc", "..", ".ssh", "-rf"):
        with Answering([]) as server:
            hostile = described(name=name, uuid="../../..")
            server.answers += [hostile, to(f"{server.endpoint}/a"), item]
            fetched = anybody.fetch(f"{server.endpoint}/signed-urls/s/{TOKEN}")
        assert fetched.directory == str(tmp_path / "here" / "dataset")
        (tmp_path / "here" / "dataset" / "a.csv").unlink()
    assert [path.name for path in tmp_path.iterdir() if path.is_file()] == []
