"""Turns errors about arguments, and a setting that is missing, into click's usage errors."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import click

from dserver_signed_url_plugin.deposits.local_files import UnusableFile
from dserver_signed_url_plugin.errors import InvalidField, LifetimeTooLong
from dserver_signed_url_plugin.services import services

HOW_TO_SET = (
    "set SIGNED_URL_PUBLIC_URL to the address at which people reach dserver, such as "
    "https://dserver.example.org"
)

# By field of a new share or deposit.
_OPTIONS = {
    "base_uri": "BASE_URI",
    "uri": "URI",
    "name": "--name",
    "items": "--item",
    "match": "--item",
    "max_downloads": "--downloads",
    "note": "--note",
}


def public_url() -> str:
    """Return the address with which links begin.

    :raises click.UsageError: if it is not set, with what to set.
    """
    address = services().settings.public_url
    if address is None:
        raise click.UsageError(
            f"A link begins with the address of dserver, which a command cannot know: {HOW_TO_SET}."
        )
    return address


@contextmanager
def usage() -> Iterator[None]:
    """Turn errors about arguments into usage errors."""
    try:
        yield
    except LifetimeTooLong as error:
        raise click.BadParameter(_maximum(error), param_hint="--expires") from error
    except InvalidField as error:
        raise usage_error(error) from error
    except UnusableFile as error:
        raise click.UsageError(error.message) from error


def usage_error(error: InvalidField) -> click.UsageError:
    """Return the usage error that names the argument, whose name in JSON nobody has typed."""
    if error.field not in _OPTIONS:
        return click.UsageError(error.message)
    return click.BadParameter(error.reason, param_hint=_OPTIONS[error.field])


def _maximum(error: LifetimeTooLong) -> str:
    settings = services().settings
    if error.field == "expires_in":
        days = settings.max_share_days
        return f"must be at most {days}d, which is SIGNED_URL_MAX_SHARE_DAYS."
    most = settings.max_read_expiry
    return f"must be at most {most}, which is SIGNED_URL_MAX_READ_EXPIRY_SECONDS."
