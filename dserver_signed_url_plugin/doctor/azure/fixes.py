"""The command that lets web pages use an account, with all names filled in.

Source: Azure CLI Command Reference, "az storage cors".
"""

from __future__ import annotations

from collections.abc import Collection, Iterator
from shlex import quote

from dserver_signed_url_plugin.doctor import browsers
from dserver_signed_url_plugin.doctor.context import CheckContext
from dserver_signed_url_plugin.doctor.findings import Fix
from dserver_signed_url_plugin.doctor.probe import AccountProbe


def fixes(context: CheckContext[AccountProbe], failed: Collection[str]) -> Iterator[Fix]:
    """Yield the CORS rule for the origin if one is missing; nothing otherwise."""
    if context.origin is not None and not browsers.FAILURES.isdisjoint(failed):
        yield Fix(
            "CORS (this adds a rule to the account's)",
            f"az storage cors add --account-name {context.name} --services b "
            f"--methods GET HEAD PUT --origins {quote(context.origin)} "
            "--allowed-headers 'Content-MD5,Content-Type,If-None-Match,x-ms-*' "
            "--exposed-headers ETag --max-age 3600",
        )
