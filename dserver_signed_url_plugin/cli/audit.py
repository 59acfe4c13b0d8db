"""`flask signed_url audit`: shows or exports who was granted or refused what.

Parses options and formats decisions. The report goes to stdout, everything else to stderr.
"""

from __future__ import annotations

import json
from datetime import datetime

import click
from flask.cli import with_appcontext

from dserver_signed_url_plugin.audit.decisions import Decision, Search
from dserver_signed_url_plugin.audit.export import Cursor
from dserver_signed_url_plugin.audit.texts import parsed
from dserver_signed_url_plugin.cli.durations import SINCE, UNTIL, moment
from dserver_signed_url_plugin.errors import InvalidField
from dserver_signed_url_plugin.services import services
from dserver_signed_url_plugin.uris import BaseURI, DatasetURI

_SHOWN, _MAX_LIMIT = 100, 10**9  # decisions
# Facts that only some decisions have, and the words for them.
_FACTS = {
    "items": "items",
    "size_in_bytes": "bytes",
    "expires_at": "until",
    "verified": "verified",
    "share": "share",
    "address": "from",
    "request_id": "request",
}


def _uri(text: str) -> DatasetURI | BaseURI:
    """Convert the URI of a dataset, or a base URI."""
    try:
        return parsed(text)
    except InvalidField as error:
        raise click.BadParameter(error.reason) from error


@click.command("audit")
@click.option("--uri", type=_uri, metavar="URI", help="Only this dataset or base URI.")
@click.option("--user", metavar="NAME", help="Only requests of this user.")
@click.option("--share", metavar="ID", help="Only requests about this share.")
@click.option(
    "--since",
    type=moment,
    metavar="TIME",
    help=f"Only decisions {SINCE}.",
)
@click.option("--until", type=moment, metavar="TIME", help=f"Only decisions {UNTIL}.")
@click.option(
    "--limit",
    type=click.IntRange(1, _MAX_LIMIT),
    help="Show at most this many; by default 100, with --export all.",
)
@click.option(
    "--json", "as_json", is_flag=True, help="Print one JSON object per line, as in the log."
)
@click.option(
    "--export",
    "is_export",
    is_flag=True,
    help="Print all, oldest first, one JSON object per line, each with its cursor.",
)
@click.option(
    "--after",
    metavar="CURSOR",
    help="With --export: go on after the last line that was kept; '' for the first time.",
)
@with_appcontext
def audit(
    uri: DatasetURI | BaseURI | None,
    user: str | None,
    share: str | None,
    since: datetime | None,
    until: datetime | None,
    limit: int | None,
    after: str | None,
    *,
    as_json: bool,
    is_export: bool,
) -> None:
    """Show which requests and commands were granted or refused.

    The newest come first. --export is for other systems: whatever interrupts it, the next export
    after the cursor of the last whole line leaves nothing out. Refusals that are counted together
    are exported with their number so far; those that follow are counted anew.

    \b
    Example:
      flask signed_url audit --uri s3://my-bucket --since 7d
      flask signed_url audit --export --after 4711-20261120T081231792928Z
    """  # noqa: D301 (click looks for the character itself, not for its name)
    below = isinstance(uri, BaseURI)
    place = None if uri is None else str(uri)
    search = Search(place, below, username=user, share=share, since=since, until=until)
    if is_export:
        _export(search, after, limit)
    elif after is not None:
        raise click.UsageError("--after needs --export.")
    else:
        _show(search, limit or _SHOWN, as_json=as_json)


def _show(search: Search, limit: int, *, as_json: bool) -> None:
    page = services().audit.found(search, limit)
    for decision in page.decisions:
        click.echo(json.dumps(decision.as_json()) if as_json else _line(decision))
    if page.next is not None:
        click.echo(f"There are more than these {limit}: use --limit, --since or --until.", err=True)


def _export(search: Search, after: str | None, limit: int | None) -> None:
    try:
        cursor = Cursor.parse(after) if after else None
        for page in services().audit_export.pages(search, cursor, limit):
            click.echo("\n".join(json.dumps(each.as_json()) for each in page))
    except InvalidField as error:
        raise click.BadParameter(error.reason, param_hint="--after") from error


def _line(decision: Decision) -> str:
    facts = decision.as_json()
    operator = f"{decision.operator}@{decision.host}" if decision.operator else "-"
    words = [
        f"{decision.time:%Y-%m-%dT%H:%M:%SZ}",
        decision.username or operator,
        decision.action,
        decision.outcome.value if decision.reason is None else f"refused:{decision.reason}",
        decision.uri or "-",
    ]
    words += [f"{word}={facts[name]}" for name, word in _FACTS.items() if facts[name] is not None]
    if decision.requests > 1:
        words.append(f"requests={decision.requests}")
    return " ".join(words)
