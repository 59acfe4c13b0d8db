"""The doctor's requests: it asks as a browser would, and finds what a browser finds."""

from __future__ import annotations

import socket
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from dserver_signed_url_plugin.doctor.http import Client
from tests.support.doctor_reports import listening


class Echo(BaseHTTPRequestHandler):
    """Answers with the host and the target that it was asked for."""

    def do_GET(self):
        said = f"{self.headers['Host']} {self.path}".encode()
        self.send_response(200)
        self.send_header("Content-Length", str(len(said)))
        self.end_headers()
        self.wfile.write(said)

    def log_message(self, *_):
        """Say nothing."""


@pytest.mark.parametrize(
    ("host", "sent"),
    [
        ("LOCALHOST", "localhost"),
        ("LocalHost", "localhost"),
        ("127.1", "127.0.0.1"),
        ("0x7f.1", "127.0.0.1"),
        ("127.0.0.1", "127.0.0.1"),
    ],
)
def test_a_host_is_spelled_as_browsers_spell_it(host, sent):
    with listening(Echo) as page:
        port = page.rpartition(":")[2]
        answer = Client().send("GET", f"http://{host}:0{port}/lab/key?X-Amz-Signature=a%2Fb")
    assert answer.body.decode() == f"{sent}:{port} /lab/key?X-Amz-Signature=a%2Fb"


def test_a_path_is_walked_as_browsers_walk_it():
    with listening(Echo) as page:
        answer = Client().send("GET", f"{page}/lab/./data/../key%2E")
    assert answer.body.decode().endswith(" /lab/key%2E")


class OverIPv6(ThreadingHTTPServer):
    """The same on ::1."""

    address_family = socket.AF_INET6


def test_a_long_address_of_ipv6_is_shortened():
    try:
        server = OverIPv6(("::1", 0), Echo)
    except OSError:
        pytest.skip("This machine has no IPv6.")
    with server:
        threading.Thread(target=server.handle_request).start()
        port = server.server_port
        answer = Client().send("GET", f"http://[0:0:0:0:0:0:0:1]:{port}/key")
    assert answer.body.decode() == f"[::1]:{port} /key"
