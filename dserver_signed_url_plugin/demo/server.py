"""Serving the demo: the store, dserver in gunicorn, and what a client needs to know of them.

Knows which process needs which other one, and which environment it gets.
Never touches signals or the terminal.
"""

from __future__ import annotations

import http.client
import os
import socket
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path

from dservercore import sql_db

from dserver_signed_url_plugin.demo.app import SETTINGS_VARIABLE, create_app, prepare, tokens
from dserver_signed_url_plugin.demo.children import POLL_SECONDS, Child, never
from dserver_signed_url_plugin.demo.info import Info
from dserver_signed_url_plugin.demo.settings import DataDirectory
from dserver_signed_url_plugin.demo.store import REGION, LocalStore, ensure_bucket

DEFAULT_BUCKET = "dtool-demo"
TOKEN_LIFETIME = timedelta(days=7)
SECONDS_TO_START = 60
FACTORY = "dserver_signed_url_plugin.demo.app:create_app_from_environment()"
GUNICORN_SETTINGS = "python:dserver_signed_url_plugin.demo.gunicorn_settings"


class VariableMissing(RuntimeError):
    """A store of one's own needs all of its variables."""


@dataclass(frozen=True)
class Options:
    """What may be chosen about a demo."""

    data_dir: Path
    host: str = "127.0.0.1"
    port: int = 0
    bucket: str | None = None
    workers: int = 2
    threads: int = 4


@dataclass(frozen=True)
class Store:
    """Where the bucket is, and what opens it."""

    endpoint: str
    access_key: str
    secret_key: str


@dataclass(frozen=True)
class Demo:
    """A dserver that answers."""

    info: Info
    info_file: Path
    children: tuple[Child | LocalStore, ...]

    def wait(self, stop_requested: Callable[[], bool]) -> None:
        """Return when somebody asks to stop; raise ChildFailed when a process died before."""
        while not stop_requested():
            for child in self.children:
                child.check()
            time.sleep(POLL_SECONDS)


@contextmanager
def serving(options: Options, stop_requested: Callable[[], bool] = never) -> Iterator[Demo]:
    """Run the demo inside the block; it answers from the block's first line on."""
    directory = DataDirectory.create(options.data_dir)
    bucket = options.bucket or DEFAULT_BUCKET
    with ExitStack() as running:
        children: tuple[Child | LocalStore, ...] = ()
        environment = dict(os.environ)
        store = external_store(options.bucket, environment)
        if store is None:
            local = running.enter_context(_local_store(directory, stop_requested))
            local.create_bucket(bucket)
            children = (local,)
            store = Store(local.endpoint, local.access_key, local.secret_key)
            environment = _environment_for(bucket, store)
        else:
            ensure_bucket(store.endpoint, store.access_key, store.secret_key, bucket)
        people = _prepare(directory, bucket)
        address, gunicorn = _gunicorn(options, directory, environment, running)
        gunicorn.wait_until(lambda: _answers(address), SECONDS_TO_START, stop_requested)
        info = _info(address, bucket, store, people)
        yield Demo(info, directory.info, (*children, gunicorn))


def external_store(bucket: str | None, environ: Mapping[str, str]) -> Store | None:
    """Return the store that the environment names for the bucket, None if it names none.

    :raises VariableMissing: where only a part is named.
    """
    if bucket is None:
        return None
    names = _variables(bucket)
    missing = [name for name in names if not environ.get(name)]
    if len(missing) == len(names):
        return None
    if missing:
        raise VariableMissing(
            f"To use your own store for bucket {bucket}, set {' and '.join(missing)} too."
        )
    return Store(*(environ[name] for name in names))


def _variables(bucket: str) -> tuple[str, str, str]:
    return (
        f"DTOOL_S3_ENDPOINT_{bucket}",
        f"DTOOL_S3_ACCESS_KEY_ID_{bucket}",
        f"DTOOL_S3_SECRET_ACCESS_KEY_{bucket}",
    )


def _local_store(directory: DataDirectory, stop_requested: Callable[[], bool]) -> LocalStore:
    return LocalStore(
        log_path=directory.log("store"), data_dir=directory.objects, stop_requested=stop_requested
    )


def _environment_for(bucket: str, store: Store) -> dict[str, str]:
    """Return the environment of a dserver with the embedded store."""
    # A profile or a token of the caller's would meet keys that they do not belong to.
    environment = {k: v for k, v in os.environ.items() if not k.startswith("AWS_")}
    endpoint, access_key, secret_key = _variables(bucket)
    # No proxy leads to a store on this machine.
    for name in ("NO_PROXY", "no_proxy"):
        environment[name] = ",".join(filter(None, [environment.get(name), "127.0.0.1"]))
    return environment | {
        endpoint: store.endpoint,
        access_key: store.access_key,
        secret_key: store.secret_key,
    }


def _prepare(directory: DataDirectory, bucket: str) -> dict[str, str]:
    """Prepare the database; return a token for each person."""
    app = create_app(directory.write_settings())
    prepare(app, f"s3://{bucket}")
    with app.app_context():
        sql_db.engine.dispose()
    return tokens(app, TOKEN_LIFETIME)


def _gunicorn(
    options: Options, directory: DataDirectory, environment: dict[str, str], running: ExitStack
) -> tuple[tuple[str, int], Child]:
    """Start gunicorn; return where it can be reached, and its process."""
    environment[SETTINGS_VARIABLE] = str(directory.settings)
    environment.pop("GUNICORN_CMD_ARGS", None)
    if "AWS_REGION" not in environment:
        environment.setdefault("AWS_DEFAULT_REGION", REGION)
    # Bound here, so that a free port is still free when gunicorn listens.
    with _bound(options.host, options.port) as listener:
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


def _bound(host: str, port: int) -> socket.socket:
    family, kind, *_, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
    listener = socket.socket(family, kind)
    try:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind(address)
    except OSError as refusal:
        listener.close()
        raise OSError(f"Cannot listen on {host}:{port}: {refusal.strerror}.") from refusal
    return listener


def _answers(address: tuple[str, int]) -> bool:
    connection = http.client.HTTPConnection(*address, timeout=5)
    try:
        connection.request("GET", "/config/versions")
        return connection.getresponse().status == 200
    except (OSError, http.client.HTTPException):
        return False
    finally:
        connection.close()


def _info(address: tuple[str, int], bucket: str, store: Store, people: dict[str, str]) -> Info:
    host, port = address
    return Info(
        base_url=f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}",
        base_uri=f"s3://{bucket}",
        bucket=bucket,
        s3_endpoint=store.endpoint,
        access_key=store.access_key,
        secret_key=store.secret_key,
        tokens=people,
    )
