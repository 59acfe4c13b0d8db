"""`flask signed_url audit`: shows who was granted or refused what.

Parses options and formats decisions. The report goes to stdout, everything else to stderr.
"""

from __future__ import annotations

import json
import re
from datetime import datetime, timedelta, timezone

import click
from flask.cli import with_appcontext

from dserver_signed_url_plugin.audit.decisions import Decision, Search, parsed
from dserver_signed_url_plugin.cli.durations import SECOND, whole
from dserver_signed_url_plugin.errors import SignedURLError
from dserver_signed_url_plugin.services import services
from dserver_signed_url_plugin.times import in_utc
from dserver_signed_url_plugin.uris import BaseURI, DatasetURI

_DATE = re.compile(r"[0-9]{4}-|[0-9]{8}(T|$)")
_seconds = whole(SECOND)


def _time(text: str) -> datetime:
    """Convert a date, a time (UTC, unless it names an offset), or a duration before now."""
    try:
        if not _DATE.match(text):
            return datetime.now(timezone.utc) - timedelta(seconds=_seconds(text))
        # Python 3.10 does not know the Z that this plugin writes.
        return in_utc(datetime.fromisoformat(text.replace("Z", "+00:00")))
    except (ValueError, OverflowError, click.BadParameter) as error:
        raise click.BadParameter(
            f"{text!r} is neither a time such as 2026-11-20 or 2026-11-20T08:00 nor a duration "
            "such as 600 (seconds), 90m, 24h or 7d."
        ) from error


def _uri(text: str) -> DatasetURI | BaseURI:
    """Convert the URI of a dataset, or a base URI."""
    try:
        return parsed(text)
    except SignedURLError as error:
        raise click.BadParameter(error.message) from error


@click.command("audit")
@click.option("--uri", type=_uri, metavar="URI", help="Only this dataset or base URI.")
@click.option("--user", metavar="NAME", help="Only requests of this user.")
@click.option("--share", metavar="ID", help="Only requests about this share.")
@click.option(
    "--since",
    type=_time,
    metavar="TIME",
    help="Only decisions since a time (2026-11-20, 2026-11-20T08:00; UTC), or of the last 600 "
    "(seconds), 90m, 24h or 7d.",
)
@click.option(
    "--limit",
    type=click.IntRange(min=1),
    default=100,
    show_default=True,
    help="Show at most this many.",
)
@click.option(
    "--json", "as_json", is_flag=True, help="Print one JSON object per line, as in the log."
)
@with_appcontext
def audit(
    uri: DatasetURI | BaseURI | None,
    user: str | None,
    share: str | None,
    since: datetime | None,
    limit: int,
    *,
    as_json: bool,
) -> None:
    """Show which requests were granted or refused, newest first.

    \b
    Example:
      flask signed_url audit --uri s3://my-bucket --since 7d
    """  # noqa: D301 (click looks for the character itself, not for its name)
    below = isinstance(uri, BaseURI)
    place = None if uri is None else str(uri)
    search = Search(place, below, username=user, share=share, since=since)
    try:
        page = services().audit.found(search, limit)
    except SignedURLError as error:
        raise click.ClickException(error.message) from error
    for decision in page.decisions:
        click.echo(json.dumps(decision.as_json()) if as_json else _line(decision))
    if page.next is not None:
        click.echo(f"There are more than these {limit}: use --limit or --since.", err=True)


def _line(decision: Decision) -> str:
    facts = decision.as_json()
    who = decision.username or (
        f"{decision.operator}@{decision.host}" if decision.operator else "-"
    )
    words = [f"{decision.time:%Y-%m-%dT%H:%M:%SZ}", who, decision.action]
    words += [decision.outcome.value if decision.reason is None else f"refused:{decision.reason}"]
    words += [decision.uri or "-"]
    names = {"items": "items", "size_in_bytes": "bytes", "expires_at": "until"}
    names |= {"verified": "verified", "share": "share", "address": "from", "request_id": "request"}
    words += [f"{word}={facts[name]}" for name, word in names.items() if facts[name] is not None]
    words += [f"requests={decision.requests}"] if decision.requests > 1 else []
    return " ".join(words)
