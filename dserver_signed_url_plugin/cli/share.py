"""`flask share …`: shares datasets, by links, with people who have no account.

Parses options and sets exit codes. Links and reports go to stdout; remarks go to stderr.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator, Sequence
from datetime import timedelta

import click

from dserver_signed_url_plugin.cli import share_output
from dserver_signed_url_plugin.cli.commands import Commands, json_option
from dserver_signed_url_plugin.cli.durations import DAY, seconds_with_unit, whole
from dserver_signed_url_plugin.cli.unreadable_rules import warn_of_unreadable_rules
from dserver_signed_url_plugin.cli.usage_errors import public_url, usage
from dserver_signed_url_plugin.errors import InvalidField, ShareNotFound
from dserver_signed_url_plugin.log_filter import without_tokens
from dserver_signed_url_plugin.permissions import permit_operator_read
from dserver_signed_url_plugin.quantities import counted
from dserver_signed_url_plugin.services import services
from dserver_signed_url_plugin.shares.service import NewShare, ShareFacts, link
from dserver_signed_url_plugin.uris import DatasetURI

share = Commands(
    "share",
    help="Share datasets, by links, with people who have no account.",
    reading={"list", "show"},
)

_PAGE = 500


def _uri_of(text: str) -> DatasetURI:
    try:
        return DatasetURI.parse(text)
    except InvalidField as error:
        raise click.BadParameter(error.reason) from error


@share.command("create")
@click.argument("uri", metavar="URI", type=_uri_of)
@click.option(
    "--item",
    "patterns",
    metavar="GLOB",
    multiple=True,
    help="Only items whose relpath matches, such as `images/*.tif`; may be repeated.",
)
@click.option(
    "--expires",
    "-e",
    type=seconds_with_unit,
    metavar="DURATION",
    help="How long the link works: 90m, 24h or 30d; by default 7d, or the server's "
    "maximum if that is less.",
)
@click.option(
    "--downloads",
    "max_downloads",
    type=click.IntRange(min=1),
    metavar="N",
    help="How many downloads the link allows, of all items together.",
)
@click.option("--note", help="What to show to whoever opens the link.")
@json_option
def create(
    uri: DatasetURI,
    patterns: Sequence[str],
    expires: int | None,
    max_downloads: int | None,
    note: str | None,
    *,
    as_json: bool,
) -> None:
    """Share a registered dataset, and print the link.

    Anybody who has the link can see and download what is shared until the share ends, without an
    account. The link is printed only this once; it begins with SIGNED_URL_PUBLIC_URL, which must be
    set.

    Exit code: 0; 1 if something failed; 2 if an argument cannot be used.

    \b
    Example:
      flask share create s3://lab/550e8400-e29b-41d4-a716-446655440000 --expires 30d
    """  # noqa: D301 (click looks for the character itself, not for its name)
    address = public_url()
    new = NewShare(None, patterns, expires, max_downloads, note)
    with usage():
        created = services().shares.create(permit_operator_read(uri.base), uri.uuid, new)
    warn_of_unreadable_rules(uri.base)
    made = link(address, created.token)
    if as_json:
        click.echo(json.dumps(share_output.created(created, made), indent=2))
    else:
        click.echo(made)
    click.echo("\n".join(share_output.remarks(created)), err=True)


@share.command("list")
@click.option("--uri", type=_uri_of, metavar="URI", help="Only shares of this dataset.")
@click.option("--owner", metavar="NAME", help="Only shares of this user; '' for an operator's.")
@click.option("--all", "with_ended", is_flag=True, help="Also shares that have ended.")
@json_option
def list_shares(
    uri: DatasetURI | None, owner: str | None, *, with_ended: bool, as_json: bool
) -> None:
    """List shares whose links work, newest first.

    Each with its ID, end, downloads, owner and dataset. The links themselves are not kept: whoever
    has lost one needs a new one.

    \b
    Example:
      flask share list --owner alice
    """  # noqa: D301 (click looks for the character itself, not for its name)
    shares = _found(uri, owner, with_ended=with_ended)
    lines = share_output.json_lines(shares) if as_json else share_output.lines(shares)
    for line in lines:
        click.echo(line)


@share.command("show")
@click.argument("id_or_link", metavar="ID_OR_LINK")
@json_option
def show(id_or_link: str, *, as_json: bool) -> None:
    """Show a share, and how often it was opened and downloaded.

    What is shown of its use is as old as the audit at most.

    \b
    Example:
      flask share show 3f2a9c0d1e4b5a67
    """  # noqa: D301 (click looks for the character itself, not for its name)
    try:
        found = services().shares.find(services().shares.id_of(id_or_link))
    except ShareNotFound as error:
        raise click.ClickException(_unknown(id_or_link)) from error
    uses = services().audit.uses(found.id)
    if as_json:
        click.echo(json.dumps(share_output.facts_with_uses(found, uses), indent=2))
    else:
        click.echo("\n".join(share_output.description(found, uses)))


@share.command("revoke")
@click.argument("ids_or_links", metavar="ID_OR_LINK...", nargs=-1, required=True)
@json_option
def revoke(ids_or_links: Sequence[str], *, as_json: bool) -> None:
    """Revoke shares, whoever created them.

    The next click on a link is refused. What was signed for a click before that ends within a
    minute.

    Exit code: 0; 1 if one is unknown; the other shares are revoked all the same.

    \b
    Example:
      flask share revoke 3f2a9c0d1e4b5a67
    """  # noqa: D301 (click looks for the character itself, not for its name)
    results: dict[str, ShareFacts | None] = {}
    for id_or_link in dict.fromkeys(ids_or_links):
        try:
            share_id = services().shares.id_of(id_or_link)
            results[share_id] = services().shares.revoke(share_id, "")
        except ShareNotFound:
            results[without_tokens(id_or_link)] = None
    unknown = [name for name, revoked in results.items() if revoked is None]
    if as_json:
        click.echo(json.dumps(share_output.revoked(results), indent=2))
    else:
        for revoked in filter(None, results.values()):
            click.echo(share_output.line(revoked))
    for name in unknown:
        click.echo(_unknown(name), err=True)
    if unknown:
        sys.exit(1)


@share.command("cleanup")
@click.option(
    "--older-than",
    type=whole(DAY, least=1),
    metavar="DURATION",
    default="30",
    show_default=True,
    help="Delete shares that ended this long ago: 30 (days), 24h or 7d.",
)
@click.option("--dry-run", is_flag=True, help="Show what would happen; change nothing.")
@json_option
def cleanup(older_than: int, *, dry_run: bool, as_json: bool) -> None:
    """Delete shares that ended long ago.

    dserver ends the shares of a dataset or user that it deletes. This also ends those whose dataset
    or owner was deleted by other means. What the audit knows of a share is kept for
    SIGNED_URL_AUDIT_DAYS.

    \b
    Example, for cron:
      flask share cleanup --older-than 30d
    """  # noqa: D301 (click looks for the character itself, not for its name)
    age = timedelta(days=older_than)
    done = services().share_cleanup.run(age, dry_run=dry_run)
    if not dry_run:
        services().temporary_deposits.forget_unregistered(age)
    if as_json:
        click.echo(json.dumps({"dry_run": dry_run, **vars(done)}, indent=2))
        return
    click.echo(
        f"{'Dry run: ' if dry_run else ''}{counted(done.ended, 'share')} without dataset or owner "
        f"ended, "
        f"{done.deleted:,} deleted."
    )


def _found(uri: DatasetURI | None, owner: str | None, *, with_ended: bool) -> Iterator[ShareFacts]:
    """Yield shares, newest first, page by page."""
    before: str | None = None
    while True:
        page = services().shares.page(owner, None if uri is None else str(uri), before, _PAGE)
        yield from (one for one in page.shares if with_ended or one.state == "active")
        if page.next is None:
            return
        before = page.next


def _unknown(id_or_link: str) -> str:
    return (
        f"There is no share with the ID or link {without_tokens(id_or_link)!r}; "
        "`flask share list --all` lists all."
    )
