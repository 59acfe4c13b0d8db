"""The console command: serve an embedded dserver, and tell its story.

Knows the terminal, signals and exit codes. Imports the servers only when they are installed.
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

from dserver_signed_url_plugin.errors import InvalidField
from dserver_signed_url_plugin.uris import BaseURI

if TYPE_CHECKING:
    from dserver_signed_url_plugin.demo.server import Demo
    from dserver_signed_url_plugin.demo.walkthrough import Walkthrough

EXTRAS = {"demo": ("gunicorn", "ministack", "requests"), "azure": ("dtool_azure",)}
READ_TOKEN = 'import json, sys; print(json.load(open(sys.argv[1]))["tokens"]["bob"])'
READ_URL = 'import json, sys; print(json.load(sys.stdin)["url"])'


class StopRequest:
    """Whether somebody pressed Ctrl-C or ended us; only noted, so that cleaning up is whole."""

    def __init__(self) -> None:
        self._made = False
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
            signal.signal(number, self._note)

    def __call__(self) -> bool:
        return self._made

    def _note(self, number: int, frame: FrameType | None) -> None:
        self._made = True


# Options, from the last in the help to the first, as decorators come.
_SERVER = (
    click.option(
        "--threads",
        type=click.IntRange(1),
        default=4,
        show_default=True,
        help="Threads of each worker.",
    ),
    click.option(
        "--workers",
        type=click.IntRange(1),
        default=2,
        show_default=True,
        help="gunicorn's worker processes.",
    ),
)
_PLACE = (
    click.option(
        "--base-uri",
        metavar="URI",
        help="Where datasets are kept: s3://BUCKET, created if it is missing, or "
        "azure://ACCOUNT. With dtool's variables for it set, DTOOL_S3_ENDPOINT_BUCKET, "
        "DTOOL_S3_ACCESS_KEY_ID_BUCKET and DTOOL_S3_SECRET_ACCESS_KEY_BUCKET, or "
        "DTOOL_AZURE_ACCOUNT_KEY_ACCOUNT (and the plugin's DTOOL_AZURE_BLOB_ENDPOINT_ACCOUNT), "
        "in that store instead of an embedded one.  [default: s3://dtool-demo]",
    ),
    click.option("--bucket", metavar="NAME", help="The same as --base-uri s3://NAME."),
    click.option(
        "--data-dir",
        type=click.Path(file_okay=False, path_type=Path),
        help="Where database, key pair, logs and the embedded store's objects are "
        "kept.  [default: a temporary directory, removed at the end]",
    ),
)
_ADDRESS = (
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
        help="Address of dserver; the embedded store always listens on 127.0.0.1.",
    ),
)


def _choices(command: Callable[..., Any]) -> Callable[..., Any]:
    """Add the options that both ways of starting have."""
    for option in (*_SERVER, *_PLACE, *_ADDRESS):
        command = option(command)
    return command


@click.group(invoke_without_command=True)
@click.option(
    "--once", is_flag=True, help="Stop after the story; exit 0 only if every step of it held."
)
@_choices
@click.pass_context
def main(context: click.Context, /, once: bool, **choices: Any) -> None:
    """Run a dserver with signed URLs on this machine, and show what it can do.

    Deposits a small dataset, finds and downloads it again, shows what is refused, and keeps
    serving until Ctrl-C.
    """
    if hasattr(sys.stdout, "reconfigure"):
        sys.stdout.reconfigure(errors="replace")
    if context.invoked_subcommand is None:
        stop = StopRequest()
        with _running(choices, stop, once) as demo:
            _tell(demo, stop, once)


@main.command()
@click.option(
    "--info",
    "info_file",
    required=True,
    type=click.Path(dir_okay=False, path_type=Path),
    help="JSON file to write when dserver answers: addresses, keys and tokens. "
    "Readable by its owner only.",
)
@_choices
def serve(info_file: Path, **choices: Any) -> None:
    """Serve until SIGTERM or Ctrl-C, without a story."""
    from dserver_signed_url_plugin.demo.info import write_info

    stop = StopRequest()
    # Whoever waits for the file must not meet that of an earlier run.
    info_file.unlink(missing_ok=True)
    with _running(choices, stop) as demo:
        write_info(info_file, demo.info)
        click.echo(f"Serving {demo.info['base_url']} on {demo.info['base_uri']}.")
        demo.wait(stop)


@contextmanager
def _running(choices: dict[str, Any], stop: StopRequest, once: bool = False) -> Iterator[Demo]:
    """Serve inside the block; what goes wrong ends the command with a sentence."""
    base_uri = _base_uri(choices.pop("base_uri"), choices.pop("bucket"))
    _demand_extras(base_uri)
    from dserver_signed_url_plugin.demo.backends import VariableMissing
    from dserver_signed_url_plugin.demo.processes import ChildFailed, Interrupted
    from dserver_signed_url_plugin.demo.server import DemoOptions, serving
    from dserver_signed_url_plugin.demo.store import StoreUnavailable
    from dserver_signed_url_plugin.errors import ConfigurationError

    try:
        with (
            _directory(choices.pop("data_dir")) as data_dir,
            serving(DemoOptions(data_dir, base_uri=base_uri, **choices), stop) as demo,
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


def _tell(demo: Demo, stop: StopRequest, once: bool) -> None:
    from dserver_signed_url_plugin.demo.info import write_info
    from dserver_signed_url_plugin.demo.walkthrough import Walkthrough

    info = demo.info
    write_info(demo.info_file, info)
    click.echo(f"dserver:  {info['base_url']}")
    click.echo(f"{demo.place}\n")
    story = Walkthrough(info)
    held = story.tell(click.echo, stop)
    failed = not held and (once or not stop())
    if not once and not stop():
        click.echo(_how_to_continue(story, demo.info_file) if held else "")
        click.echo("Serving until Ctrl-C.")
        demo.wait(stop)
    sys.exit(1 if failed else 0)


def _how_to_continue(story: Walkthrough, info_file: Path) -> str:
    dataset, item = story.continuation()
    return f"""
To continue as bob, in another terminal:

  TOKEN=$(python3 -c {shlex.quote(READ_TOKEN)} {shlex.quote(str(info_file))})
  curl -s -H "Authorization: Bearer $TOKEN" {story.info["base_url"]}/uris
  curl -s -H "Authorization: Bearer $TOKEN" {dataset}
  URL=$(curl -s -H "Authorization: Bearer $TOKEN" {item} | python3 -c {shlex.quote(READ_URL)})
  curl -s "$URL"
"""


def _demand_extras(base_uri: BaseURI | None) -> None:
    scheme = "s3" if base_uri is None else base_uri.scheme
    for extra in ("demo", scheme):
        missing = [name for name in EXTRAS.get(extra, ()) if find_spec(name) is None]
        if missing:
            install = f"pip install 'dserver-signed-url-plugin[{extra}]'"
            raise click.ClickException(f"The demo needs {', '.join(missing)}: {install}")
