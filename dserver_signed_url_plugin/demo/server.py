"""Run the demo: start the store, then dserver in gunicorn, and describe both for clients."""

from __future__ import annotations

import http.client
import socket
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from urllib.parse import quote

import requests
from dservercore import sql_db

from dserver_signed_url_plugin.demo import front_page, sample
from dserver_signed_url_plugin.demo.app import SETTINGS_VARIABLE, create_app, prepare, tokens
from dserver_signed_url_plugin.demo.backends import (
    DEFAULT_BASE_URI,
    Account,
    Backend,
    Bucket,
    open_store,
)
from dserver_signed_url_plugin.demo.depositing import REQUEST_TIMEOUT, deposit, session
from dserver_signed_url_plugin.demo.info import DemoInfo
from dserver_signed_url_plugin.demo.processes import POLL_SECONDS, Child, StoreProcess, never
from dserver_signed_url_plugin.demo.sample_share import SampleShare
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
        # gunicorn inherits a bound socket, so no other process can take the port in the meantime.
        with _bind(options.host, options.port) as listener:
            address = _address(options.host, listener)
            user_tokens = _prepare(directory, base_uri, _url(address))
            gunicorn = _gunicorn(options, directory, backend.environment(), listener)
            running.enter_context(gunicorn)
        gunicorn.wait_until(lambda: _is_ready(address), SECONDS_TO_START, stop_requested)
        info = _info(address, base_uri, backend, user_tokens)
        if backend.process is not None:
            _deposit_sample(info, SampleShare(directory.sample))
        children = [child for child in (backend.process, gunicorn) if child is not None]
        yield Demo(backend.store, info, directory.info, tuple(children))


def _prepare(directory: DataDirectory, base_uri: str, public_url: str) -> dict[str, str]:
    """Prepare the database; return a token for each user."""
    settings = directory.write_settings(
        **{
            "SIGNED_URL_PUBLIC_URL": public_url,
            front_page.BASE_URI_SETTING: base_uri,
            front_page.SAMPLE_SETTING: str(directory.sample),
            # Whoever looks at the documentation loads nothing from another host.
            "OPENAPI_SWAGGER_UI_URL": front_page.SWAGGER_UI,
            "OPENAPI_REDOC_PATH": None,
        }
    )
    app = create_app(settings)
    prepare(app, base_uri)
    with app.app_context():
        sql_db.engine.dispose()
    return tokens(app, TOKEN_LIFETIME)


def _deposit_sample(info: DemoInfo, share: SampleShare) -> None:
    """Deposit a dataset, unless that of an earlier start is there; nothing else depends on it."""
    with suppress(requests.RequestException, KeyError, TypeError):
        if share.uri is None or not _is_readable(info, share.uri):
            share.keep(deposit(info, sample.dataset()))


def _is_readable(info: DemoInfo, uri: str) -> bool:
    headers = {"Authorization": f"Bearer {info['tokens']['alice']}"}
    url = f"{info['base_url']}/signed-urls/dataset/{quote(uri, safe='')}"
    with session() as http:
        return http.get(url, headers=headers, timeout=REQUEST_TIMEOUT).status_code == 200


def _gunicorn(
    options: DemoOptions,
    directory: DataDirectory,
    environment: dict[str, str],
    listener: socket.socket,
) -> Child:
    """Return gunicorn, which is to listen on a bound socket."""
    environment[SETTINGS_VARIABLE] = str(directory.settings)
    environment.pop("GUNICORN_CMD_ARGS", None)
    if "AWS_REGION" not in environment:
        environment.setdefault("AWS_DEFAULT_REGION", REGION)
    command = [sys.executable, "-m", "gunicorn", "--config", GUNICORN_SETTINGS]
    command += ["--bind", f"fd://{listener.fileno()}"]
    command += ["--workers", str(options.workers), "--threads", str(options.threads), FACTORY]
    return Child(
        "dserver", command, environment, directory.log("dserver"), pass_fds=[listener.fileno()]
    )


def _address(host: str, listener: socket.socket) -> tuple[str, int]:
    """Return host and port at which this machine reaches dserver."""
    here = {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(host, host)
    return here, listener.getsockname()[1]


def _url(address: tuple[str, int]) -> str:
    host, port = address
    return f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"


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
    return DemoInfo(
        base_url=_url(address),
        base_uri=base_uri,
        tokens=user_tokens,
        **backend.store.info(),
    )
