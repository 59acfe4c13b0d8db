"""Who may not send a body is refused before it is read; and what may be sent has a limit."""

from __future__ import annotations

import json
import socket
import threading
from collections.abc import Iterator
from contextlib import suppress
from urllib.parse import urlsplit

import pytest
from flask_jwt_extended import create_access_token

from dserver_signed_url_plugin.web.body_parser import CHUNK_TIMEOUT, TOTAL_TIMEOUT
from tests.support.dserver import Dserver, Person, encoded
from tests.support.http_server import serving
from tests.support.refusals import assert_refused, nothing_is_written

LARGE = 63_000_000


@pytest.fixture(scope="module")
def address(lab: Dserver) -> Iterator[str]:
    with serving(lab.app) as url:
        yield url


def announced_only(address: str, path: str, token: str | None, length: int = LARGE) -> str:
    """Send the header of a request whose body never comes; return what is answered."""
    where = urlsplit(address)
    head = [f"POST {path} HTTP/1.1", f"Host: {where.netloc}", f"Content-Length: {length}"]
    head += ["Content-Type: application/json"]
    head += [] if token is None else [f"Authorization: Bearer {token}"]
    with socket.create_connection((str(where.hostname), int(where.port or 0)), 20) as connection:
        connection.sendall("\r\n".join([*head, "", ""]).encode())
        connection.settimeout(20)
        answer = b""
        while b"}" not in answer:
            answer += connection.recv(65536)
        return answer.decode()


@pytest.mark.parametrize(("name", "status"), [("nobody", 401), ("dave", 403), ("bob", 403)])
def test_nobody_waits_for_a_body_that_may_not_be_sent(lab, address, name, status):
    path = f"/signed-urls/upload/{encoded(lab.base_uri)}"
    answer = announced_only(address, path, lab.tokens.get(name))
    assert answer.startswith(f"HTTP/1.1 {status} ")
    # What follows would be taken for the next request.
    assert "\r\nConnection: close\r\n" in answer


def test_nobody_is_read_to_the_end_who_sends_a_byte_now_and_then(address):
    where = urlsplit(address)
    ended = threading.Event()
    with socket.create_connection((str(where.hostname), int(where.port or 0)), 20) as connection:
        connection.sendall(
            b"POST /signed-urls/upload-complete HTTP/1.1\r\nHost: dserver\r\n"
            b"Content-Type: application/json\r\nContent-Length: 1000000\r\n\r\n"
        )

        def drip() -> None:
            with suppress(OSError):
                while not ended.wait(CHUNK_TIMEOUT / 4):
                    connection.sendall(b" ")

        threading.Thread(target=drip, daemon=True).start()
        # Many times longer than the server reads, and much less than such a body takes.
        connection.settimeout(6 * TOTAL_TIMEOUT)
        answer = connection.recv(65536).decode()
        ended.set()
    assert answer.startswith("HTTP/1.1 401 ")


def test_a_body_that_is_too_large_is_refused_before_it_comes(lab, address):
    path = f"/signed-urls/upload/{encoded(lab.base_uri)}"
    answer = announced_only(address, path, lab.tokens["alice"], 65 * 1024 * 1024)
    assert answer.startswith("HTTP/1.1 413 ")
    assert "Connection: close" in answer


def test_completing_takes_as_much_as_a_uri_needs(lab, address):
    path = "/signed-urls/upload-complete"
    assert announced_only(address, path, lab.tokens["alice"], 9000).startswith("HTTP/1.1 413 ")
    uri = f"{lab.base_uri}/{'a' * 1024}"
    escaped = "".join(f"\\u{ord(character):04x}" for character in uri[:1024])
    headers = {"Content-Type": "application/json"}
    answer = lab.alice.post(path, data=f'{{"uri": "{escaped}"}}', headers=headers)
    assert_refused(answer, 400, "uri: ")


@pytest.mark.parametrize("body", ["{", json.dumps({"uuid": 7}), "[" * 10_000, ""])
def test_permission_is_asked_before_what_is_wrong_with_a_body(lab, body):
    headers = {"Content-Type": "application/json"}
    path = f"/signed-urls/upload/{encoded(lab.base_uri)}"
    with nothing_is_written(lab):
        assert_refused(lab.dave.post(path, data=body, headers=headers), 403, "dave")
        assert_refused(lab.nobody.post(path, data=body, headers=headers), 401, "token")


def test_a_body_that_was_read_leaves_the_connection_open(lab):
    answer = lab.alice.begin(lab.base_uri, {"uuid": 7})
    assert_refused(answer, 422, "uuid")
    assert "Connection" not in answer.headers


@pytest.mark.parametrize("name", ["al\ud800ice", "alice\x00", "\ud83d"])
def test_a_token_that_names_what_no_database_holds_names_nobody(lab, name):
    with lab.app.app_context():
        person = Person(lab.app, create_access_token(name))
    uri = f"{lab.base_uri}/550e8400-e29b-41d4-a716-446655440000"
    upload = f"/signed-urls/upload/{encoded(uri)}"
    for answer in (
        person.read(uri),
        person.read_item(uri, "0" * 40),
        person.begin(lab.base_uri, {}),
        person.complete(uri),
        person.get(upload),
        person.delete(upload),
        person.get(f"/signed-urls/audit/{encoded(uri)}"),
    ):
        assert_refused(answer, 401, "token")
