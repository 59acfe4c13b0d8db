"""What is tried again, for how long, and what an answer or the lack of one becomes."""

from __future__ import annotations

import gzip
import io
import logging
import socket
import threading
import traceback
import tracemalloc
from contextlib import closing, contextmanager, suppress
from datetime import datetime, timedelta, timezone
from email.utils import format_datetime

import pytest
from dserver_client.answer_bodies import MAX_ERROR_BYTES
from dserver_client.errors import Unavailable, UsageError
from dserver_client.http import HTTP, READ_ERRORS
from dserver_client.settings import Settings

from tests.support.answering_server import Answer, Answering
from tests.support.tls import certificate, serve_tls, tunnel


@pytest.fixture
def pauses():
    """The seconds that were waited for, which take no time."""
    return []


@pytest.fixture
def request_to(pauses):
    """Send a request to a server that gives these answers."""
    http = HTTP()

    def request_to(server, method="GET", path="/", **options):
        return http.request(method, server.endpoint + path, pause=pauses.append, **options)

    yield request_to
    http.close()


@pytest.mark.parametrize("status", [0, 408, 429, 500, 502, 503, 504])
def test_what_passes_by_itself_is_tried_again(request_to, pauses, status):
    with Answering([Answer(), Answer(status), Answer(status), Answer(content=b"good")]) as server:
        request_to(server)
        assert request_to(server).data == b"good"
    assert len(pauses) == 2
    assert 0.1 <= pauses[0] <= 0.2 <= pauses[1] <= 0.4


@pytest.mark.parametrize("status", [400, 401, 403, 404, 409, 410, 412, 422, 501])
def test_other_refusals_are_returned_at_once(request_to, pauses, status):
    with Answering([Answer(status, b"why")]) as server:
        answer = request_to(server, stream=True)
    assert (answer.status, answer.data, pauses, len(server.asked)) == (status, b"why", [], 1)


def test_the_last_answer_is_returned_when_it_goes_on_failing(request_to, pauses):
    with Answering([Answer(503, b"busy")]) as server:
        answer = request_to(server, retries=3)
    assert (answer.status, answer.data, len(pauses), len(server.asked)) == (503, b"busy", 3, 4)


@pytest.mark.parametrize("status", [409, 429, 503])
def test_retry_after_is_waited_for(request_to, pauses, status):
    then = datetime.now(timezone.utc) + timedelta(seconds=30)
    waits = [{"Retry-After": "7"}, {"Retry-After": format_datetime(then, usegmt=True)}]
    with Answering([*(Answer(status, headers=wait) for wait in waits), Answer()]) as server:
        assert request_to(server).status == 200
    assert pauses[0] == 7
    assert 20 < pauses[1] <= 30


@pytest.mark.parametrize("wait", ["61", "Fri, 26 Nov 2100 03:00:00 GMT"])
def test_nobody_waits_for_hours(request_to, pauses, wait):
    with Answering([Answer(409, headers={"Retry-After": wait})]) as server:
        assert request_to(server).status == 409
    assert pauses == []


def test_a_retry_after_that_cannot_be_read_is_none(request_to, pauses):
    with Answering([Answer(503, headers={"Retry-After": "soon"}), Answer()]) as server:
        request_to(server)
    assert len(pauses) == 1


def test_a_body_that_came_too_slowly_for_s3_is_sent_again(request_to):
    slow = Answer(400, b"<Error><Code>RequestTimeout</Code></Error>")
    with Answering([slow, Answer()]) as server:
        assert request_to(server, "PUT", body=b"x").status == 200


def test_each_attempt_sends_the_whole_body(request_to):
    opened = []

    def body():
        opened.append(io.BytesIO(b"content"))
        return opened[-1]

    with Answering([Answer(500), Answer()]) as server:
        request_to(server, "PUT", body=body, size_in_bytes=7)
    assert [each.body for each in server.requests] == [b"content", b"content"]
    assert {each.headers["Content-Length"] for each in server.requests} == {"7"}
    assert all(each.closed for each in opened)


@pytest.mark.parametrize("method", ["PUT", "POST"])
@pytest.mark.parametrize("body", [b"", io.BytesIO], ids=["bytes", "file"])
def test_an_empty_body_has_a_length_and_no_chunks(request_to, method, body):
    with Answering([Answer()]) as server:
        request_to(server, method, body=body, size_in_bytes=0)
    headers = server.requests[0].headers
    assert (headers["Content-Length"], "Transfer-Encoding" in headers) == ("0", False)


def test_a_large_body_arrives_whole(request_to):
    content = bytes(range(256)) * 4_000
    with Answering([Answer()]) as server:
        request_to(server, "PUT", body=content)
    assert server.requests[0].body == content


@pytest.mark.parametrize(
    ("target", "sent"),
    [
        ("/b/k%c3%a9y?X-Amz-Signature=a%2fb&n=%41", "/b/k%c3%a9y?X-Amz-Signature=a%2fb&n=%41"),
        ("/b/k\u00e9 y?n=\u00fc", "/b/k%C3%A9%20y?n=%C3%BC"),
        ("/b/k?n=1#fragment", "/b/k?n=1"),
        ("", "/"),
    ],
)
def test_what_is_encoded_is_sent_as_it_is_and_what_is_not_is_encoded(request_to, target, sent):
    with Answering([Answer()]) as server:
        request_to(server, path=target)
    assert server.requests[0].target == sent


def test_redirects_are_not_followed(request_to):
    with Answering([Answer(302, headers={"Location": "http://127.0.0.1:1/"})]) as server:
        assert request_to(server).status == 302


def test_an_outage_is_logged_once(request_to, caplog):
    with Answering([Answer(503)] * 8 + [Answer()]) as server, caplog.at_level("WARNING"):
        assert request_to(server, path="/secret?X-Amz-Signature=secret").status == 200
    [record] = caplog.records
    assert record.getMessage() == (
        f"{server.endpoint} answers 503. Trying again for up to a minute ..."
    )


def test_an_address_where_nobody_listens_is_tried_once_more(pauses):
    with closing(socket.create_server(("127.0.0.1", 0))) as unused:
        port = unused.getsockname()[1]
    url = f"http://127.0.0.1:{port}/secret?X-Amz-Signature=secret"
    with pytest.raises(Unavailable) as raised:
        HTTP().request("GET", url, pause=pauses.append)
    assert str(raised.value).startswith(f"http://127.0.0.1:{port} cannot be reached: ")
    assert "secret" not in "".join(traceback.format_exception(raised.value))
    assert len(pauses) == 1


def test_a_host_that_does_not_exist_is_named(pauses):
    with pytest.raises(Unavailable, match="dserver.invalid cannot be reached: there is no such"):
        HTTP().request("GET", "http://dserver.invalid/", pause=pauses.append)


def test_a_server_that_says_nothing_is_left(pauses):
    with closing(socket.create_server(("127.0.0.1", 0))) as silent:
        url = f"http://127.0.0.1:{silent.getsockname()[1]}/"
        with pytest.raises(Unavailable, match="no answer in time"):
            HTTP().request("GET", url, read_timeout=0.05, retries=2, pause=pauses.append)
    assert len(pauses) == 2


def test_closing_ends_the_waiting():
    http = HTTP()
    http.close()
    with Answering([Answer(500)]) as server, pytest.raises(Unavailable, match="closed"):
        http.request("GET", server.endpoint)


def test_what_breaks_off_while_it_is_read_is_an_error(request_to):
    headers = {"Content-Length": "8", "Connection": "close"}
    with Answering([Answer(content=b"half", headers=headers)]) as server:
        answer = request_to(server, stream=True)
        with pytest.raises(READ_ERRORS):
            answer.read()


def test_no_signature_is_logged(request_to, caplog):
    caplog.set_level(logging.DEBUG)
    with Answering([Answer(500), Answer()]) as server:
        request_to(server, path="/bucket/key?X-Amz-Signature=secret")
    assert "/bucket/key" in caplog.text
    assert "secret" not in caplog.text


@pytest.fixture
def encrypted(tmp_path):
    """A server with a certificate that nobody knows, and the certificate."""
    public, private = certificate(tmp_path)
    with Answering([Answer(content=b"good")]) as server:
        serve_tls(server, public, private)
        yield server, public


def test_a_certificate_that_is_not_trusted_is_named_and_not_tried_again(
    encrypted, request_to, pauses
):
    with pytest.raises(Unavailable, match="its certificate is not trusted"):
        request_to(encrypted[0])
    assert pauses == []


def test_certificates_of_the_settings_are_trusted(encrypted):
    server, public = encrypted
    assert HTTP(Settings(ca_bundle=public)).request("GET", server.endpoint).data == b"good"


def test_verification_can_be_turned_off(encrypted):
    settings = Settings(verify_ssl=False)
    assert HTTP(settings).request("GET", encrypted[0].endpoint).data == b"good"


def test_a_file_without_certificates_is_named(encrypted, tmp_path):
    bundle = tmp_path / "bundle.pem"
    bundle.write_text("nothing")
    with pytest.raises(UsageError, match="bundle.pem cannot be used"):
        HTTP(Settings(ca_bundle=bundle)).request("GET", encrypted[0].endpoint)


def test_a_proxy_that_wants_a_password_is_used(encrypted, monkeypatch):
    server, public = encrypted
    with tunnel() as (address, proxy):
        monkeypatch.setenv("HTTPS_PROXY", address)
        http = HTTP(Settings(ca_bundle=public))
        assert http.request("GET", server.endpoint).data == b"good"
        assert proxy.connections == 1
        monkeypatch.setenv("NO_PROXY", "127.0.0.1")
        HTTP(Settings(ca_bundle=public)).request("GET", server.endpoint)
        assert proxy.connections == 1


def test_a_proxy_without_tls_is_given_the_whole_url(monkeypatch, pauses):
    with Answering([Answer(content=b"good")]) as proxy:
        monkeypatch.setenv("HTTP_PROXY", proxy.endpoint.removeprefix("http://"))
        url = "http://dserver.invalid/path?query"
        assert HTTP().request("GET", url).data == b"good"
    assert proxy.asked == [f"GET {url}"]


def test_a_proxy_that_refuses_is_named_without_its_password(encrypted, monkeypatch):
    with tunnel() as (address, _):
        monkeypatch.setenv("HTTPS_PROXY", address.replace("p%40ss", "secret"))
        with pytest.raises(Unavailable, match="proxy 127.0.0.1.* answers 407") as raised:
            HTTP().request("GET", encrypted[0].endpoint, retries=0)
    assert "secret" not in str(raised.value)


def test_a_proxy_that_is_no_address_is_named_without_its_password(monkeypatch):
    monkeypatch.setenv("HTTPS_PROXY", "http://lab:secret@proxy:port")
    with pytest.raises(UsageError, match="HTTPS_PROXY") as raised:
        HTTP().request("GET", "https://dserver.invalid/")
    assert "secret" not in "".join(traceback.format_exception(raised.value))


@contextmanager
def endless(head, piece=bytes(1 << 16)):
    """Answer each connection with a head and then the same bytes for ever; yield the address."""

    def answer(connection):
        with connection, suppress(OSError):
            connection.recv(1 << 16)
            connection.sendall(head)
            while True:
                connection.sendall(piece)

    def accept():
        with suppress(OSError):
            while True:
                threading.Thread(target=answer, args=listening.accept()[:1], daemon=True).start()

    with socket.create_server(("127.0.0.1", 0)) as listening:
        threading.Thread(target=accept, daemon=True).start()
        yield f"http://127.0.0.1:{listening.getsockname()[1]}/"
        listening.shutdown(socket.SHUT_RDWR)


def head(status, *headers):
    return "\r\n".join([f"HTTP/1.1 {status} X", *headers, "", ""]).encode()


BOMB = gzip.compress(bytes(50_000_000))

ENDLESS = pytest.mark.parametrize(
    ("headers", "piece"),
    [
        ((), bytes(1 << 16)),
        (("Content-Length: 1000000000000000",), bytes(1 << 16)),
        (("Transfer-Encoding: chunked",), b"10000\r\n" + bytes(1 << 16) + b"\r\n"),
        (("Transfer-Encoding: chunked", "Content-Length: 1"), b"1\r\nx\r\n" * 5000),
        (("Content-Encoding: gzip",), BOMB),
    ],
    ids=["no length", "length", "chunks", "two lengths", "gzip"],
)


@ENDLESS
@pytest.mark.parametrize("stream", [True, False])
def test_an_error_without_an_end_is_cut_off(headers, piece, stream):
    with endless(head(403, *headers), piece) as url:
        answer = HTTP().request("GET", url, stream=stream)
    assert (answer.status, len(answer.data)) == (403, MAX_ERROR_BYTES)


def test_the_answer_to_a_put_is_cut_off():
    with endless(head(200, "ETag: x")) as url:
        answer = HTTP().request("PUT", url, body=b"content")
    assert (answer.headers["ETag"], len(answer.data)) == ("x", MAX_ERROR_BYTES)


def test_an_error_that_decodes_to_gigabytes_takes_no_memory():
    tracemalloc.start()
    with endless(head(403, "Content-Encoding: gzip"), BOMB) as url:
        HTTP().request("GET", url)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 4 << 20


def test_an_answer_without_an_end_is_an_error():
    with (
        endless(head(200, "Content-Encoding: gzip"), BOMB) as url,
        pytest.raises(Unavailable) as raised,
    ):
        HTTP().request("GET", url)
    assert str(raised.value) == f"{url[:-1]} answers with more than 256 MiB."


def test_the_connection_is_kept_after_an_error_that_ends(request_to):
    chunks = {"Transfer-Encoding": "chunked"}
    answers = [
        Answer(403, b"2\r\nno\r\n0\r\n\r\n", headers={"Content-Length": "2", **chunks}),
        Answer(403, gzip.compress(b"never"), headers={"Content-Encoding": "gzip"}),
        Answer(404, b""),
    ]
    with Answering(answers) as server:
        found = [request_to(server, stream=True).data for _ in answers]
        assert len(server.connections) == 1
    assert found == [b"no", b"never", b""]


@pytest.mark.parametrize(
    "address",
    ["http://[bad", "http://host:99999999", "http://", "http://a..b", f"http://{'a' * 70}.org"],
)
@pytest.mark.parametrize("path", ["", "/", "/path"])
def test_what_is_no_address_is_an_error_without_its_query(address, path, pauses):
    url = f"{address}{path}?X-Amz-Signature=secret"
    with pytest.raises(Unavailable) as raised:
        HTTP().request("GET", url, pause=pauses.append)
    assert "secret" not in "".join(traceback.format_exception(raised.value))
    assert pauses == []


@pytest.mark.parametrize(
    "text", ["Fri, 26 Nov 99999999999999999999 03:00:00 GMT", "9" * 400, "\xb2"]
)
def test_junk_in_retry_after_does_no_harm(request_to, text):
    with Answering([Answer(403, headers={"Retry-After": text})]) as server:
        assert request_to(server).status == 403
