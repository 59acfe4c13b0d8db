"""In Compose, people who send nothing do not keep gunicorn's threads from those who do."""

from __future__ import annotations

import json
import socket
import time
from collections.abc import Iterator
from contextlib import ExitStack
from datetime import timedelta
from urllib.parse import urlsplit

import pytest
import requests

from dserver_signed_url_plugin.demo.app import SETTINGS_VARIABLE, tokens
from dserver_signed_url_plugin.demo.store import free_port
from tests.support.audit_records import rows
from tests.support.compose_container import Caller, Container
from tests.support.compose_files import DOCKER, compose_file, environment, made_env
from tests.support.dserver import Dserver, encoded, in_capitals
from tests.support.front import Front
from tests.support.refusals import reason_of

pytestmark = pytest.mark.database("postgresql", reason="docker-compose.yml has PostgreSQL")

IDLE = 40
FACTORY = "dserver_signed_url_plugin.demo.app:create_app_from_environment()"
UUID = "550e8400-e29b-41d4-a716-446655440000"


@pytest.fixture(scope="module")
def dserver(lab: Dserver) -> Dserver:
    return lab


@pytest.fixture(scope="module")
def listen() -> str:
    """The address of gunicorn."""
    return f"127.0.0.1:{free_port()}"


@pytest.fixture(scope="module")
def gunicorn(
    dserver: Dserver, listen: str, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Container]:
    """The service dserver, with fewer threads than there are idle people."""
    directory = tmp_path_factory.mktemp("gunicorn")
    service = compose_file(made_env(directory / ".env"))["services"]["dserver"]
    names = ("SQLALCHEMY_DATABASE_URI", "SECRET_KEY", "JWT_ALGORITHM", "JWT_PUBLIC_KEY")
    config = {name: dserver.app.config[name] for name in names}
    settings = directory / "settings.json"
    settings.write_text(json.dumps({**config, **in_capitals(dserver.bucket.settings())}))
    variables = {
        "SIGNED_URL_PROXIES": environment(service)["SIGNED_URL_PROXIES"],
        "DSERVER_LISTEN": listen,
        "DSERVER_LOG_FORMAT": "json",
        "DSERVER_WORKERS": "1",
        "DSERVER_THREADS": "4",
        "FLASK_APP": FACTORY,
        SETTINGS_VARIABLE: str(settings),
    }
    with Container([DOCKER / "entrypoint.sh", "serve"], variables, directory) as running:
        running.wait_until(lambda: running.answers(f"http://{listen}/config/versions"))
        yield running


@pytest.fixture(scope="module")
def public(
    gunicorn: Container, listen: str, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Front]:
    """gunicorn behind the service front."""
    with Front(tmp_path_factory.mktemp("front"), listen) as running:
        yield running


def send_a_header_alone(address: str, opened: ExitStack) -> None:
    """Announce a body that never comes."""
    where = urlsplit(address)
    connection = socket.create_connection((str(where.hostname), int(where.port or 0)), 10)
    opened.enter_context(connection)
    connection.sendall(
        b"POST /signed-urls/upload-complete HTTP/1.1\r\nHost: dserver\r\n"
        b"Content-Type: application/json\r\nContent-Length: 1000\r\n\r\n"
    )


def test_forty_idle_connections_keep_nobody_waiting(dserver, public):
    bob = Caller(public.endpoint, tokens(dserver.app, timedelta(hours=1))["bob"])
    with ExitStack() as opened:
        for _ in range(IDLE):
            send_a_header_alone(public.endpoint, opened)
        for _ in range(5):
            started = time.monotonic()
            answer = bob.ask("GET", f"dataset/{encoded(f'{dserver.base_uri}/{UUID}')}")
            assert (answer.status_code, time.monotonic() - started < 10) == (404, True)


def test_dserver_sees_the_address_of_people_and_not_what_they_say(dserver, public):
    requests.get(
        f"{public.endpoint}/signed-urls/dataset/{encoded(f'{dserver.base_uri}/{UUID}')}",
        headers={"X-Forwarded-For": "192.0.2.66"},
        timeout=30,
    )
    assert {row["address"] for row in rows(dserver)} == {"127.0.0.1"}


def test_a_refusal_reaches_whoever_sends_a_large_body(dserver, public):
    bob = Caller(public.endpoint, tokens(dserver.app, timedelta(hours=1))["bob"])
    large = {"uri": "x" * 20_000_000}
    assert bob.ask("POST", "upload-complete", json=large).status_code == 413
    path = f"upload/{encoded(dserver.base_uri)}"
    assert bob.ask("POST", path, json=large).status_code == 403


def test_the_status_line_says_why_in_one_line_of_latin_1(dserver, public):
    alice = {"Authorization": f"Bearer {tokens(dserver.app, timedelta(hours=1))['alice']}"}
    name = "Größe\N{EURO SIGN}\r\nX-Forged: 1"
    unknown = {"uuid": UUID, "name": "mine", name: 1}
    for headers, path, body in (
        ({}, dserver.base_uri, {}),
        (alice, f"s3://{name}", {}),
        (alice, dserver.base_uri, unknown),
        (alice, f"{dserver.base_uri}/{UUID}/x", {}),
    ):
        address = f"{public.endpoint}/signed-urls/upload/{encoded(path)}"
        answer = requests.post(address, json=body, headers=headers, timeout=30)
        assert answer.status_code >= 400
        assert answer.reason == reason_of(answer.json()["message"])
        assert "X-Forged" not in answer.headers


def test_nobody_fills_the_proxy_with_bodies_that_never_end(dserver, public):
    where = urlsplit(public.endpoint)
    head = (
        b"POST /signed-urls/upload-complete HTTP/1.1\r\nHost: dserver\r\n"
        b"Content-Length: 50000000\r\n\r\n"
    )
    with ExitStack() as opened:
        for _ in range(8):
            connection = socket.create_connection((str(where.hostname), int(where.port or 0)), 10)
            opened.enter_context(connection).sendall(head)
        last = opened.enter_context(socket.create_connection(connection.getpeername(), 10))
        last.sendall(head)
        assert last.recv(65536).startswith(b"HTTP/1.1 429 ")
        bob = Caller(public.endpoint, tokens(dserver.app, timedelta(hours=1))["bob"])
        small = bob.ask("POST", "upload-complete", json={"uri": f"{dserver.base_uri}/{UUID}"})
        assert small.status_code == 403


def test_entries_and_requests_have_the_id_of_their_request(dserver, public, gunicorn):
    headers = {
        "Authorization": f"Bearer {tokens(dserver.app, timedelta(hours=1))['alice']}",
        "X-Request-ID": "of-the-caller",
    }
    address = f"{public.endpoint}/signed-urls/dataset/{encoded(f'{dserver.base_uri}/{UUID}')}"
    assert requests.get(address, headers=headers, timeout=30).status_code == 404

    def said() -> list[str]:
        return [line for line in gunicorn.said.splitlines() if "of-the-caller" in line]

    # gunicorn logs a request when it has been answered.
    gunicorn.wait_until(lambda: len(said()) >= 3)
    entry, audit, access = lines = [json.loads(line) for line in said()]
    assert {line["request_id"] for line in lines} == {"of-the-caller"}
    assert (entry["level"], audit["reason"]) == ("INFO", "dataset-not-found")
    assert (access["status"], access["address"]) == (404, "127.0.0.1")


@pytest.mark.parametrize(
    "pasted",
    [
        "s3://lab/key?X-Amz-Signature=secret",
        "s3://lab/key?\nX-Amz-Signature=secret",
        "https://lab.blob.example.org/key?sv=1&sig=secret",
        "eyJhbGciOiJub25lIn0.eyJzdWIiOiJzZWNyZXQifQ.secret",
    ],
)
def test_no_signature_and_no_token_that_was_pasted_into_a_path_is_logged(public, pasted):
    before = len(public.said)
    requests.get(f"{public.endpoint}/signed-urls/dataset/{encoded(pasted)}", timeout=30)
    public.container.wait_until(lambda: "/signed-urls/dataset/" in public.said[before:])
    assert "secret" not in public.said
    assert "eyJzdWI" not in public.said


def test_no_token_of_a_link_is_logged_by_nginx_or_gunicorn(public, gunicorn):
    before, token = gunicorn.said.count("/signed-urls/"), "secret7" * 4 + "abcd"
    for path in ("s/{0}", "s//{0}", "s%2F{0}/x", "s/{0}/preview?x={0}", "%73/{0}"):
        for prefix in ("/signed-urls/", "//signed-urls//"):
            requests.get(f"{public.endpoint}{prefix}{path.format(token)}", timeout=30)
    public.container.wait_until(lambda: public.said.count("/signed-urls/s/…") >= 10)
    # It logs a request when it has been answered.
    gunicorn.wait_until(lambda: gunicorn.said.count("/signed-urls/") >= before + 10)
    assert "secret" not in public.said
    assert "secret" not in gunicorn.said
