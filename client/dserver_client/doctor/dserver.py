"""Check whether dserver can be reached, accepts the token, and permits anything."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime, timezone

from dserver_client.doctor.clocks import TOLERANCE, ahead
from dserver_client.doctor.findings import Finding, ok, problem, warning
from dserver_client.errors import ClientError, NotLoggedIn, Unavailable
from dserver_client.http import Response
from dserver_client.server import Server
from dserver_client.server_urls import is_this_machine
from dserver_client.settings import Settings

_LOG_IN = "Log in again with `dserver login`."


def check_encryption(server: Server, settings: Settings) -> Iterator[Finding]:
    """Find what lets others read tokens and data on their way."""
    host = server.url.partition("://")[2].partition("/")[0].rpartition(":")[0]
    if server.url.startswith("http://") and not is_this_machine(host):
        yield warning(
            "encryption",
            "Your token is sent without encryption.",
            f"Log in to https://{server.url.partition('://')[2]} if dserver is there.",
        )
    if not settings.verify_ssl:
        yield warning(
            "encryption",
            "DSERVER_VERIFY_SSL is false: any certificate is trusted.",
            "Name a file of certificates in DSERVER_VERIFY_SSL instead.",
        )


def check_connection(server: Server) -> Iterator[Finding]:
    """Find whether dserver is reached, by an answer to somebody without a token."""
    try:
        response = server.http.request("GET", f"{server.url}/me", retries=0)
    except Unavailable as error:
        yield problem("server", str(error), _advice_on_connection(str(error)))
        return
    if not _is_of_dserver(response):
        yield problem(
            "server",
            f"{server.url} is answered by something else than dserver "
            f"(status {response.status}, {response.headers.get('Content-Type', 'no type')}).",
            "Check the address, with its path; ask the operators which proxy answers there.",
        )
        return
    yield ok("server", f"{server.url} answers.")
    yield from _check_clock(response)


def check_token(server: Server) -> Iterator[Finding]:
    """Find whether there is a token that dserver takes, and what it is good for."""
    try:
        user = server.whoami()
    except NotLoggedIn as error:
        yield problem("token", str(error), _LOG_IN)
        return
    except ClientError as error:
        yield problem("token", str(error), "Ask the operators of dserver.")
        return
    yield _end_of_token(user.username, server.tokens.ends_at())
    if not (user.search_base_uris or user.register_base_uris):
        yield problem(
            "permissions",
            f"{user.username} may not read or deposit anywhere.",
            "Ask an administrator of dserver for permissions on a base URI.",
        )
        return
    may_read = ", ".join(user.search_base_uris) or "no base URI"
    may_deposit = ", ".join(user.register_base_uris) or "none"
    yield ok("permissions", f"You may read at {may_read}, and deposit at {may_deposit}.")


def check_signing(server: Server) -> Iterator[Finding]:
    """Find whether this dserver signs URLs at all."""
    try:
        signs = server.capabilities().signs
    except ClientError as error:
        yield warning("signed URLs", str(error), "Ask the operators of dserver.")
        return
    if not signs:
        yield problem(
            "signed URLs",
            "This dserver has no routes for signed URLs.",
            "Ask its operators to install dserver-signed-url-plugin.",
        )


def _end_of_token(username: str, ends: datetime | None) -> Finding:
    if ends is None:
        return ok("token", f"Logged in as {username}.")
    minutes = (ends - datetime.now(timezone.utc)).total_seconds() / 60
    message = f"Logged in as {username}; the token expires at {ends:%Y-%m-%d %H:%M} UTC."
    if minutes < 5:
        return warning("token", message, _LOG_IN)
    return ok("token", message)


def _is_of_dserver(response: Response) -> bool:
    return response.status in (200, 401) and "json" in response.headers.get("Content-Type", "")


def _check_clock(response: Response) -> Iterator[Finding]:
    seconds = ahead(response)
    if seconds is None:
        return
    if abs(seconds) <= TOLERANCE:
        yield ok("clock", "This machine and dserver have the same time.")
        return
    side = "behind" if seconds > 0 else "ahead of"
    yield warning(
        "clock",
        f"The clock of this machine is {abs(seconds):.0f} s {side} that of dserver.",
        "Set the clock, best by NTP: until then it is not known here when a token ends.",
    )


def _advice_on_connection(message: str) -> str:
    if "certificate" in message:
        return (
            "If dserver's certificate is of your institution's own authority, name the file of "
            "that authority in DSERVER_VERIFY_SSL."
        )
    if "proxy" in message:
        return "Check HTTPS_PROXY, HTTP_PROXY and NO_PROXY."
    if "no such host" in message:
        return "Check the address; some hosts are known in the institution's network (VPN) only."
    return "Check the address and the port; is a VPN or a proxy (HTTPS_PROXY) needed?"
