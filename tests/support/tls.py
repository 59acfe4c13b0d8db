"""A certificate that nobody knows, a store that has it, and a proxy that asks for a password."""

from __future__ import annotations

import base64
import select
import socket
import ssl
import threading
from collections.abc import Iterator
from contextlib import closing, contextmanager
from datetime import datetime, timedelta, timezone
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from ipaddress import ip_address
from pathlib import Path
from typing import Any

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
)

from tests.support.answering_server import Answering
from tests.support.proxy import StoreProxy

USER, PASSWORD = "lab", "p@ss:word"
PAIR = "lab:p%40ss%3Aword"


def certificate(directory: Path, *names: str) -> tuple[Path, Path]:
    """Make a certificate for 127.0.0.1 and names that signs itself; return it, and its key."""
    key, now = ec.generate_private_key(ec.SECP256R1()), datetime.now(timezone.utc)
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "store")])
    addresses = x509.SubjectAlternativeName(
        [x509.IPAddress(ip_address("127.0.0.1")), *(x509.DNSName(name) for name in names)]
    )
    made = (
        x509.CertificateBuilder(name, name, key.public_key(), x509.random_serial_number())
        .not_valid_before(now - timedelta(hours=1))
        .not_valid_after(now + timedelta(hours=1))
        .add_extension(addresses, critical=False)
        .sign(key, hashes.SHA256())
    )
    public, private = directory / "store.pem", directory / "store.key"
    public.write_bytes(made.public_bytes(Encoding.PEM))
    private.write_bytes(key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()))
    return public, private


def serve_tls(running: StoreProxy | Answering, public: Path, private: Path) -> None:
    """Let a server that is running speak TLS from now on, with this certificate."""
    server, context = running._server, ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(public, private)
    server.socket = context.wrap_socket(
        server.socket, server_side=True, do_handshake_on_connect=False
    )
    # Who does not trust the certificate hangs up.
    server.handle_error = lambda *_: None
    running.endpoint = running.endpoint.replace("http://", "https://")


class EncryptedProxy(StoreProxy):
    """The same in front of the store, by https; ``connections`` counts those that were opened."""

    connections = 0

    def encrypt(self, public: Path, private: Path) -> None:
        """Speak TLS from now on, with this certificate."""
        serve_tls(self, public, private)
        self._server.verify_request = self._count

    def _count(self, *_: object) -> bool:
        self.connections += 1
        return True


class Tunnel(BaseHTTPRequestHandler):
    """Connects to anywhere on this machine whoever has the password."""

    connections = 0

    def do_CONNECT(self) -> None:
        expected = base64.b64encode(f"{USER}:{PASSWORD}".encode()).decode()
        if self.headers["Proxy-Authorization"] != f"Basic {expected}":
            self.send_error(407)
            return
        type(self).connections += 1
        host, _, port = self.path.partition(":")
        with closing(socket.create_connection((host, int(port)))) as there:
            self.send_response(200)
            self.end_headers()
            _relay(self.connection, there)
        self.close_connection = True

    def log_message(self, *_: Any) -> None:
        """Say nothing."""


@contextmanager
def tunnel() -> Iterator[tuple[str, type[Tunnel]]]:
    """Run a proxy; yield its address, with user and password, and what counts its connections."""

    class Counting(Tunnel):
        connections = 0

    server = ThreadingHTTPServer(("127.0.0.1", 0), Counting)
    server.daemon_threads = True
    threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True).start()
    yield f"http://{PAIR}@127.0.0.1:{server.server_port}", Counting
    server.shutdown()
    server.server_close()


def _relay(one: socket.socket, other: socket.socket) -> None:
    """Pass on what either says, until one has ended."""
    while True:
        for ready in select.select([one, other], [], [])[0]:
            said = ready.recv(65_536)
            if not said:
                return
            (other if ready is one else one).sendall(said)
