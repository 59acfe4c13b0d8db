"""The link to what `flask temp_share create` has deposited, and the URLs of its files."""

from __future__ import annotations

import json

import click

from dserver_signed_url_plugin.cli import file_urls, share_output
from dserver_signed_url_plugin.cli.unreadable_rules import warn_of_unreadable_rules
from dserver_signed_url_plugin.cli.usage_errors import HOW_TO_SET
from dserver_signed_url_plugin.deposits.file_urls import SharedFiles
from dserver_signed_url_plugin.permissions import permit_operator_read
from dserver_signed_url_plugin.services import services
from dserver_signed_url_plugin.shares.service import NewShare, link
from dserver_signed_url_plugin.uris import DatasetURI

_DEFAULT_LIFE = 600  # seconds


def seconds(expires: int | None) -> int:
    """Return for how many seconds the link works, or the URLs if there is no link."""
    if services().settings.public_url is None:
        return services().file_urls.seconds(expires)
    return services().shares.seconds(_DEFAULT_LIFE if expires is None else expires)


def remedy(uri: DatasetURI) -> str:
    """Return what to run if the files are stored, but nothing has been printed."""
    if services().settings.public_url is None:
        return f"`flask temp_share url {uri}` makes their URLs"
    return f"`flask share create {uri}` makes a link to them"


def make(uri: DatasetURI, life: int, *, with_urls: bool, as_json: bool) -> None:
    """Print a link to what was deposited, and URLs if they are wanted or there is no link.

    :param life: of the link, in seconds.
    """
    address, facts = services().settings.public_url, share_output.NO_LINK
    if address is not None:
        new = NewShare(expires_in=life)
        created = services().shares.create(permit_operator_read(uri.base), uri.uuid, new)
        shown = share_output.created(created, link(address, created.token))
        facts = {name: shown[name] for name in facts}
        if not as_json:
            click.echo(facts["link"])
        click.echo("\n".join(share_output.remarks(created)), err=True)
        if not with_urls and not as_json:
            warn_of_unreadable_rules(uri.base)
            return
    files = _files(uri, life, has_link=address is not None)
    file_urls.warn(files)
    if as_json:
        click.echo(json.dumps({**facts, **file_urls.facts(files)}, indent=2))
    else:
        file_urls.show(files)


def _files(uri: DatasetURI, life: int, *, has_link: bool) -> SharedFiles:
    if not has_link:
        files = services().file_urls.first_urls(uri, life)
        click.echo(f"For one link instead of URLs, {HOW_TO_SET}.", err=True)
        return files
    most = services().settings.max_read_expiry
    if life > most:
        click.echo(
            f"The URLs live {most} seconds, not {life} as the link does: that is "
            "SIGNED_URL_MAX_READ_EXPIRY_SECONDS.",
            err=True,
        )
    return services().file_urls.urls(uri, (), min(life, most))
