"""`flask signed_url audit`: who was granted or refused what.

Knows options and words. The report goes to stdout, anything else to stderr.
"""

from __future__ import annotations

import json
import re
from datetime import datetime, timedelta, timezone

import click
from flask.cli import with_appcontext

from dserver_signed_url_plugin.audit.decisions import Decision, Search, parsed
from dserver_signed_url_plugin.errors import SignedURLError
from dserver_signed_url_plugin.services import services
from dserver_signed_url_plugin.uris import BaseURI, DatasetURI

_AGO = re.compile(r"(\d{1,6})([hd])")


def _moment(text: str) -> datetime:
    """Read a date, a time (UTC, unless it says otherwise), or so many hours or days ago."""
    ago = _AGO.fullmatch(text)
    try:
        if ago:
            hours = int(ago[1]) * (24 if ago[2] == "d" else 1)
            return datetime.now(timezone.utc) - timedelta(hours=hours)
        # Python 3.10 does not know the Z that this plugin writes.
        moment = datetime.fromisoformat(text.replace("Z", "+00:00"))
        return moment.replace(tzinfo=moment.tzinfo or timezone.utc).astimezone(timezone.utc)
    except (ValueError, OverflowError) as error:
        raise click.BadParameter(
            f"{text!r} is not a moment such as 2026-11-20, 2026-11-20T08:00 or 24h."
        ) from error


def _place(text: str) -> DatasetURI | BaseURI:
    """Read the URI of a dataset, or a base URI."""
    try:
        return parsed(text)
    except SignedURLError as error:
        raise click.BadParameter(error.message) from error


@click.command("audit")
@click.option("--uri", type=_place, metavar="URI", help="Only this dataset, or base URI.")
@click.option("--user", metavar="NAME", help="Only what this person asked for.")
@click.option(
    "--since", type=_moment, metavar="WHEN", help="2026-11-20, 2026-11-20T08:00 (UTC), 24h or 7d."
)
@click.option(
    "--limit", type=click.IntRange(min=1), default=100, show_default=True, help="The most to show."
)
@click.option("--json", "as_json", is_flag=True, help="One JSON object a line, as in the log.")
@with_appcontext
def audit(
    uri: DatasetURI | BaseURI | None,
    user: str | None,
    since: datetime | None,
    limit: int,
    as_json: bool,
) -> None:
    """Show who was granted or refused what, newest first.

    \b
    Example:
      flask signed_url audit --uri s3://my-bucket --since 7d
    """  # noqa: D301 (click looks for the character itself, not for its name)
    below = isinstance(uri, BaseURI)
    search = Search(None if uri is None else str(uri), below, username=user, since=since)
    try:
        page = services().audit.found(search, limit)
    except SignedURLError as error:
        raise click.ClickException(error.message) from error
    for decision in page.decisions:
        click.echo(json.dumps(decision.as_json()) if as_json else _line(decision))
    if page.next is not None:
        click.echo(f"There are more than these {limit}: ask with --limit or --since.", err=True)


def _line(decision: Decision) -> str:
    facts = decision.as_json()
    words = [f"{decision.time:%Y-%m-%dT%H:%M:%SZ}", decision.username or "-", decision.action]
    words += [decision.outcome.value if decision.reason is None else f"refused:{decision.reason}"]
    words += [decision.uri or "-"]
    names = {"items": "items", "size_in_bytes": "bytes", "expires_at": "until"}
    names |= {"address": "from", "request_id": "request"}
    words += [f"{word}={facts[name]}" for name, word in names.items() if facts[name] is not None]
    words += [f"requests={decision.requests}"] if decision.requests > 1 else []
    return " ".join(words)
