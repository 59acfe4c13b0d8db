"""The service store of docker/store.yml, started on this machine from a wheel: SeaweedFS.

SeaweedFS listens on ports that are 10,000 apart, for HTTP and for gRPC.
"""

from __future__ import annotations

import os
import shutil
import signal
import socket
import sys
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path

from dserver_signed_url_plugin.demo.store import free_port
from tests.support.compose_container import PATIENCE, Container
from tests.support.compose_files import DOCKER

WEED = shutil.which("weed", path=str(Path(sys.executable).parent))
PORTS = ("STORE_PORT", "MASTER_PORT", "VOLUME_PORT", "FILER_PORT")
_HIGHEST = 32_767  # of free_port()
_SOCKETS = Path("/tmp")  # noqa: S108 (where SeaweedFS has its sockets)


class SeaweedFS:
    """The store, from ``with`` to the end of the block; may be entered again.

    ``variables`` are those of the service in docker/store.yml.
    """

    def __init__(self, directory: Path, variables: Mapping[str, str]) -> None:
        self.directory = directory
        ports = {name: _free_pair() for name in PORTS}
        self.endpoint = f"http://127.0.0.1:{ports['STORE_PORT']}"
        self.variables = {
            **variables,
            "STORE_DIRECTORY": str(directory),
            "STORE_ADDRESS": "127.0.0.1",
            "TMPDIR": str(directory),
            **{name: str(port) for name, port in ports.items()},
        }
        self._ports = ports.values()

    def __enter__(self) -> SeaweedFS:
        self.container = self.run("serve")
        self.container.__enter__()
        self.container.wait_until(self._is_healthy)
        return self

    def __exit__(self, *_: object) -> None:
        # It would take a quarter of a minute to stop. With it ends what runs beside it.
        os.killpg(self.container.process.pid, signal.SIGKILL)
        self.container.process.wait(PATIENCE)
        for port in self._ports:
            for left in _SOCKETS.glob(f"seaweedfs-*-*{port % 10_000:04}.sock"):
                left.unlink(missing_ok=True)

    def _is_healthy(self) -> bool:
        """Ask what the health check of the service asks."""
        volumes = f"http://127.0.0.1:{self.variables['VOLUME_PORT']}"
        return all(self.container.answers(f"{url}/healthz") for url in (volumes, self.endpoint))

    def run(self, command: str, **variables: str) -> Container:
        """Return a container that runs docker/store.sh beside the store."""
        return Container(
            [DOCKER / "store.sh", command], {**self.variables, **variables}, self.directory
        )


def _free_pair() -> int:
    """Return a port on which nobody listens, nor on the one that is 10,000 higher."""
    while True:
        port = free_port()
        if port + 10_000 > _HIGHEST:
            port -= 10_000
        with suppress(OSError), socket.socket() as http, socket.socket() as grpc:
            http.bind(("127.0.0.1", port))
            grpc.bind(("127.0.0.1", port + 10_000))
            return port
