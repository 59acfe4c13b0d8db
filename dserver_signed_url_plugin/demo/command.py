"""The command ``dserver-signed-url-demo``: run a dserver on this machine, and walk through its use.

Imports the modules that need an extra only after it has checked that the extra is installed.
"""

from __future__ import annotations

import shlex
import signal
import sys
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from importlib.util import find_spec
from pathlib import Path
from types import FrameType
from typing import TYPE_CHECKING, Any

import click

from dserver_signed_url_plugin.cli.streams import Group
from dserver_signed_url_plugin.errors import InvalidField
from dserver_signed_url_plugin.uris import BaseURI

if TYPE_CHECKING:
    from dserver_signed_url_plugin.demo.server import Demo
    from dserver_signed_url_plugin.demo.walkthrough import Walkthrough

# The index and the extra demo.
NEEDED = ("dserver_sql_index", "flask_swagger_ui", "gunicorn", "ministack", "requests")
PRINT_TOKEN = 'import json, sys; print(json.load(open(sys.argv[1]))["tokens"]["bob"])'
PRINT_ALICE = PRINT_TOKEN.replace("bob", "alice")
PRINT_URL = 'import json, sys; print(json.load(sys.stdin)["url"])'


class StopRequest:
    """Returns, when called, whether a signal has asked the command to stop.

    The handler only sets a flag, so that no cleaning up is interrupted.
    """

    def __init__(self) -> None:
        self._received = False
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
            signal.signal(number, self._handle)

    def __call__(self) -> bool:
        return self._received

    def _handle(self, number: int, frame: FrameType | None) -> None:
        self._received = True


# In reverse order of the help, because decorators are applied from the last to the first.
_SERVER_OPTIONS = (
    click.option(
        "--threads",
        type=click.IntRange(1),
        default=4,
        show_default=True,
        help="Number of threads of each worker.",
    ),
    click.option(
        "--workers",
        type=click.IntRange(1),
        default=2,
        show_default=True,
        help="Number of gunicorn's worker processes.",
    ),
)
_STORE_OPTIONS = (
    click.option(
        "--base-uri",
        metavar="URI",
        help="Where to keep datasets: s3://BUCKET, created unless it exists, or azure://ACCOUNT. "
        "A local store is started for it, unless its variables are set: "
        "DTOOL_S3_ENDPOINT_BUCKET, DTOOL_S3_ACCESS_KEY_ID_BUCKET and "
        "DTOOL_S3_SECRET_ACCESS_KEY_BUCKET, or DTOOL_AZURE_ACCOUNT_KEY_ACCOUNT and, if needed, "
        "DTOOL_AZURE_BLOB_ENDPOINT_ACCOUNT.  [default: s3://dtool-demo, in a local store]",
    ),
    click.option("--bucket", metavar="NAME", help="Short for --base-uri s3://NAME."),
    click.option(
        "--data-dir",
        type=click.Path(file_okay=False, path_type=Path),
        help="Where to keep the database, the key pair, logs and the objects of a local "
        "store.  [default: a temporary directory, removed at the end]",
    ),
)
_ADDRESS_OPTIONS = (
    click.option(
        "--port",
        type=click.IntRange(0, 65535),
        default=0,
        help="Port of dserver.  [default: a free one]",
    ),
    click.option(
        "--host",
        default="127.0.0.1",
        show_default=True,
        help="Address of dserver; a local store always listens on 127.0.0.1.",
    ),
)


def _common_options(command: Callable[..., Any]) -> Callable[..., Any]:
    """Add the options that the command and ``serve`` have in common."""
    for option in (*_SERVER_OPTIONS, *_STORE_OPTIONS, *_ADDRESS_OPTIONS):
        command = option(command)
    return command


@click.group(cls=Group, invoke_without_command=True)
@click.option(
    "--once",
    is_flag=True,
    help="Exit after the walkthrough, with code 0 only if every step succeeded.",
)
@_common_options
@click.pass_context
def main(context: click.Context, /, *, once: bool, **options: Any) -> None:
    """Run a dserver with signed URLs on this machine, and walk through its use.

    Deposits a small dataset, finds and downloads it, shows what is refused, and keeps serving
    until Ctrl-C.
    """
    if context.invoked_subcommand is None:
        stop = StopRequest()
        with _running(options, stop, once=once) as demo:
            _walk_through(demo, stop, once=once)


@main.command()
@click.option(
    "--info",
    "info_file",
    required=True,
    type=click.Path(dir_okay=False, path_type=Path),
    help="JSON file to write as soon as dserver accepts requests: addresses, keys and tokens. "
    "Readable by its owner only.",
)
@_common_options
def serve(info_file: Path, **options: Any) -> None:
    """Serve until SIGTERM or Ctrl-C, without the walkthrough."""
    from dserver_signed_url_plugin.demo.info import write_info

    stop = StopRequest()
    # Scripts wait for the file: it must not be that of an earlier run.
    info_file.unlink(missing_ok=True)
    with _running(options, stop) as demo:
        write_info(info_file, demo.info)
        click.echo(f"Serving {demo.info['base_url']} on {demo.info['base_uri']}.")
        demo.wait(stop)


@contextmanager
def _running(options: dict[str, Any], stop: StopRequest, *, once: bool = False) -> Iterator[Demo]:
    """Run the demo as long as the ``with`` block; report errors as click does."""
    base_uri = _base_uri(options.pop("base_uri"), options.pop("bucket"))
    _require_packages()
    from dserver_signed_url_plugin.demo.backends import VariableMissing
    from dserver_signed_url_plugin.demo.processes import ChildFailed, Interrupted
    from dserver_signed_url_plugin.demo.server import DemoOptions, serving
    from dserver_signed_url_plugin.demo.store import StoreUnavailable
    from dserver_signed_url_plugin.errors import ConfigurationError

    try:
        with (
            _directory(options.pop("data_dir")) as data_dir,
            serving(DemoOptions(data_dir, base_uri=base_uri, **options), stop) as demo,
        ):
            yield demo
    except Interrupted:
        sys.exit(1 if once else 0)
    except (ChildFailed, ConfigurationError, OSError, StoreUnavailable, VariableMissing) as reason:
        raise click.ClickException(str(reason)) from reason


def _base_uri(text: str | None, bucket: str | None) -> BaseURI | None:
    if text and bucket:
        raise click.UsageError("Give --base-uri or --bucket, not both.")
    if not (text or bucket):
        return None
    try:
        return BaseURI.parse(text or f"s3://{bucket}", "--base-uri" if text else "--bucket")
    except InvalidField as reason:
        raise click.UsageError(str(reason)) from reason


@contextmanager
def _directory(chosen: Path | None) -> Iterator[Path]:
    if chosen is not None:
        yield chosen
        return
    with tempfile.TemporaryDirectory(prefix="dserver-demo-") as path:
        yield Path(path)


def _walk_through(demo: Demo, stop: StopRequest, *, once: bool) -> None:
    from dserver_signed_url_plugin.demo.info import write_info
    from dserver_signed_url_plugin.demo.walkthrough import Walkthrough

    info = demo.info
    write_info(demo.info_file, info)
    click.echo(f"dserver:  {info['base_url']}")
    click.echo(f"{demo.store}\n")
    walkthrough = Walkthrough(info)
    succeeded = walkthrough.run(click.echo, stop)
    failed = not succeeded and (once or not stop())
    if not once and not stop():
        click.echo(_next_steps(walkthrough, demo.info_file) if succeeded else "")
        click.echo(f"Serving until Ctrl-C. In a browser: {info['base_url']}/")
        demo.wait(stop)
    sys.exit(1 if failed else 0)


def _next_steps(walkthrough: Walkthrough, info_file: Path) -> str:
    dataset, item = walkthrough.example_urls()
    return f"""
To try it yourself, as bob, type in another terminal:

  TOKEN=$(python3 -c {shlex.quote(PRINT_TOKEN)} {shlex.quote(str(info_file))})
  curl -s -H "Authorization: Bearer $TOKEN" {walkthrough.info["base_url"]}/uris
  curl -s -H "Authorization: Bearer $TOKEN" {dataset}
  URL=$(curl -s -H "Authorization: Bearer $TOKEN" {item} | python3 -c {shlex.quote(PRINT_URL)})
  curl -s "$URL"

Or with the client (pip install ./client), as alice, who may also deposit; see docs/client.rst:

  TOKEN=$(python3 -c {shlex.quote(PRINT_ALICE)} {shlex.quote(str(info_file))})
  echo "$TOKEN" | dserver login {walkthrough.info["base_url"]} --token-stdin
  dserver get {walkthrough.uri} fetched
  dserver put fetched
"""


def _require_packages() -> None:
    missing = [name for name in NEEDED if find_spec(name) is None]
    if missing:
        raise click.ClickException(
            f"The demo needs {', '.join(missing)}. In a checkout of the project, run "
            "pip install ./index '.[demo]'"
        )
