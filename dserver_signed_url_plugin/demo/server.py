"""Run the demo: start the store, then dserver in gunicorn, and describe both for clients."""

from __future__ import annotations

import http.client
import socket
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path

from dservercore import sql_db

from dserver_signed_url_plugin.demo.app import SETTINGS_VARIABLE, create_app, prepare, tokens
from dserver_signed_url_plugin.demo.backends import (
    DEFAULT_BASE_URI,
    Account,
    Backend,
    Bucket,
    open_store,
)
from dserver_signed_url_plugin.demo.info import DemoInfo
from dserver_signed_url_plugin.demo.processes import POLL_SECONDS, Child, StoreProcess, never
from dserver_signed_url_plugin.demo.settings import DataDirectory
from dserver_signed_url_plugin.demo.store import REGION
from dserver_signed_url_plugin.uris import BaseURI

TOKEN_LIFETIME = timedelta(days=7)
SECONDS_TO_START = 60
FACTORY = "dserver_signed_url_plugin.demo.app:create_app_from_environment()"
GUNICORN_SETTINGS = "python:dserver_signed_url_plugin.demo.gunicorn_settings"


@dataclass(frozen=True)
class DemoOptions:
    """The options of a demo; port 0 stands for a free one."""

    data_dir: Path
    host: str = "127.0.0.1"
    port: int = 0
    base_uri: BaseURI | None = None
    workers: int = 2
    threads: int = 4


@dataclass(frozen=True)
class Demo:
    """A running demo."""

    store: Bucket | Account
    info: DemoInfo
    info_file: Path
    children: tuple[Child | StoreProcess, ...]

    def wait(self, stop_requested: Callable[[], bool]) -> None:
        """Wait until ``stop_requested`` returns True.

        :raises ChildFailed: if a child process ends before.
        """
        while not stop_requested():
            for child in self.children:
                child.check()
            time.sleep(POLL_SECONDS)


@contextmanager
def serving(options: DemoOptions, stop_requested: Callable[[], bool] = never) -> Iterator[Demo]:
    """Run the demo as long as the ``with`` block; when it begins, dserver accepts requests."""
    directory = DataDirectory.create(options.data_dir)
    base_uri = str(options.base_uri or DEFAULT_BASE_URI)
    with ExitStack() as running:
        backend = running.enter_context(open_store(options.base_uri, directory, stop_requested))
        user_tokens = _prepare(directory, base_uri)
        address, gunicorn = _gunicorn(options, directory, backend.environment(), running)
        gunicorn.wait_until(lambda: _is_ready(address), SECONDS_TO_START, stop_requested)
        info = _info(address, base_uri, backend, user_tokens)
        children = [child for child in (backend.process, gunicorn) if child is not None]
        yield Demo(backend.store, info, directory.info, tuple(children))


def _prepare(directory: DataDirectory, base_uri: str) -> dict[str, str]:
    """Prepare the database; return a token for each user."""
    app = create_app(directory.write_settings())
    prepare(app, base_uri)
    with app.app_context():
        sql_db.engine.dispose()
    return tokens(app, TOKEN_LIFETIME)


def _gunicorn(
    options: DemoOptions, directory: DataDirectory, environment: dict[str, str], running: ExitStack
) -> tuple[tuple[str, int], Child]:
    """Start gunicorn; return its address and its process."""
    environment[SETTINGS_VARIABLE] = str(directory.settings)
    environment.pop("GUNICORN_CMD_ARGS", None)
    if "AWS_REGION" not in environment:
        environment.setdefault("AWS_DEFAULT_REGION", REGION)
    # gunicorn inherits a bound socket, so no other process can take the port in the meantime.
    with _bind(options.host, options.port) as listener:
        port: int = listener.getsockname()[1]
        command = [sys.executable, "-m", "gunicorn", "--config", GUNICORN_SETTINGS]
        command += ["--bind", f"fd://{listener.fileno()}"]
        command += ["--workers", str(options.workers), "--threads", str(options.threads), FACTORY]
        child = Child(
            "dserver", command, environment, directory.log("dserver"), pass_fds=[listener.fileno()]
        )
        running.enter_context(child)
    host = {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(options.host, options.host)
    return (host, port), child


def _bind(host: str, port: int) -> socket.socket:
    family, kind, *_, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
    listener = socket.socket(family, kind)
    try:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind(address)
    except OSError as error:
        listener.close()
        raise OSError(f"Cannot listen on {host}:{port}: {error.strerror}.") from error
    return listener


def _is_ready(address: tuple[str, int]) -> bool:
    connection = http.client.HTTPConnection(*address, timeout=5)
    try:
        connection.request("GET", "/config/versions")
        return connection.getresponse().status == 200
    except (OSError, http.client.HTTPException):
        return False
    finally:
        connection.close()


def _info(
    address: tuple[str, int], base_uri: str, backend: Backend, user_tokens: dict[str, str]
) -> DemoInfo:
    host, port = address
    return DemoInfo(
        base_url=f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}",
        base_uri=base_uri,
        tokens=user_tokens,
        **backend.store.info(),
    )
