"""Commands about deposits that are not registered yet: show their progress, and cancel them."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress
from datetime import datetime, timezone

import click

from dserver_client.cli.command import command_options
from dserver_client.cli.session import Session
from dserver_client.client import Client
from dserver_client.display.formats import count_text, one_line, size_text, table
from dserver_client.errors import NotSupported
from dserver_client.state import Unfinished, unfinished
from dserver_client.values import UploadStatus

_SENTENCES = {
    "opening": "being opened",
    "open": "not complete",
    "frozen": "complete, but not registered",
    "registered": "registered",
}


@click.command()
@click.argument("uri", required=False)
@command_options
def status(session: Session, *, uri: str | None) -> None:
    """Show the progress of deposits.

    With URI, how much of that dataset is stored; without, the deposits that were begun on this
    machine and are not registered yet.
    """
    if uri is None:
        deposits = unfinished()
        session.output.result({"unfinished": [*map(_document, deposits)]}, _list(deposits))
        return
    found = session.client(uri).status(uri)
    session.output.result(found, _text(found))


@click.command()
@click.argument("uri")
@command_options
def cancel(session: Session, *, uri: str) -> None:
    """Cancel a deposit.

    What it has stored is deleted. A dataset that is registered cannot be cancelled.
    """
    client = session.client(uri)
    _check_exists(client, client.dataset_uri(uri))
    client.cancel(uri)
    session.output.result({"uri": uri, "cancelled": True}, f"{uri} is cancelled.")


def _check_exists(client: Client, uri: str) -> None:
    """Raise Refused if neither dserver nor this machine has a deposit.

    dserver cancels what it does not have without an error, so that a request can be repeated.
    """
    if (client.server.url, uri) in [(each.server_url, each.uri) for each in unfinished()]:
        return
    with suppress(NotSupported):
        client.status(uri)


def _document(deposit: Unfinished) -> dict[str, object]:
    return {
        "uri": deposit.uri,
        "server": deposit.server_url,
        "name": deposit.name,
        "sources": deposit.sources,
        "began": _began(deposit),
        "items": deposit.items,
        "size_in_bytes": deposit.size_in_bytes,
    }


def _began(deposit: Unfinished) -> datetime:
    return datetime.fromtimestamp(deposit.began, timezone.utc)


def _list(deposits: Sequence[Unfinished]) -> str:
    if not deposits:
        return "No unfinished deposits on this machine."
    return table(
        (
            each.uri,
            f"{_began(each):%Y-%m-%d %H:%M} UTC",
            size_text(each.size_in_bytes),
            each.name,
            ", ".join(each.sources),
        )
        for each in deposits
    )


def _text(found: UploadStatus) -> str:
    """Return the progress of a deposit."""
    lines = [f"{found.name or found.uuid}: {_SENTENCES.get(found.state, found.state)}"]
    if found.items_expected is not None:
        files = count_text(found.items_expected, "file")
        lines.append(f"{found.items_stored or 0:,} of {files} stored, {_bytes(found)}")
    if found.items_completed is not None:
        lines.append(f"{count_text(found.items_completed, 'file')} verified")
    lines += [f"missing: {one_line(each)}{_parts(found, each)}" for each in found.missing]
    lines += [f"not as announced: {one_line(each)}" for each in found.wrong]
    return "\n".join(lines)


def _bytes(found: UploadStatus) -> str:
    """Return how many bytes are stored, with the parts of files that are not complete."""
    total, complete = found.size_in_bytes or 0, found.stored_in_bytes or 0
    in_parts = sum(each.stored * each.part_size for each in found.parts.values())
    # The last part of a file is smaller than the others.
    stored = min(complete + in_parts, total) if total else complete + in_parts
    return f"{size_text(stored)} of {size_text(total)}"


def _parts(found: UploadStatus, relpath: str) -> str:
    parts = found.parts.get(relpath)
    return f" ({parts.stored:,} of {parts.count:,} parts stored)" if parts else ""
