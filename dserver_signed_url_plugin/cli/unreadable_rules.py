"""The remark that a store's lifecycle rules cannot be read."""

from __future__ import annotations

import click

from dserver_signed_url_plugin.services import services
from dserver_signed_url_plugin.uris import BaseURI

UNREADABLE_RULES = (
    "The store's lifecycle rules cannot be read, and may delete the files earlier: the "
    "server needs s3:GetLifecycleConfiguration."
)


def warn_of_unreadable_rules(base_uri: BaseURI) -> None:
    """Read the lifecycle rules of a store anew, and say so if they cannot be read."""
    if not services().lifecycles.can_be_read(base_uri):
        click.echo(UNREADABLE_RULES, err=True)
