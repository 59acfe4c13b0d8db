"""Commands about deposits that are not registered yet: how far they are, and cancel them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from datetime import datetime, timezone

import click

from dserver_client.cli.command import command_options
from dserver_client.cli.session import Session
from dserver_client.display.formats import count_text, size_text, table
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
    """Show how far deposits are.

    With URI, how much of it is stored; without, the deposits that were begun on this machine and
    are not registered yet.
    """
    if uri is None:
        deposits = unfinished()
        document = {"unfinished": [{**asdict(each), "uri": each.uri} for each in deposits]}
        session.output.result(document, _list(deposits))
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
    session.client(uri).cancel(uri)
    session.output.result({"uri": uri, "cancelled": True}, f"{uri} is cancelled.")


def _list(deposits: Sequence[Unfinished]) -> str:
    if not deposits:
        return "This machine has no deposit that is not finished."
    return table(
        (
            each.uri,
            f"{datetime.fromtimestamp(each.began, timezone.utc):%Y-%m-%d %H:%M} UTC",
            size_text(each.size_in_bytes),
            each.name,
            ", ".join(each.sources),
        )
        for each in deposits
    )


def _text(found: UploadStatus) -> str:
    """Return how far a deposit is."""
    lines = [f"{found.name or found.uuid}: {_SENTENCES.get(found.state, found.state)}"]
    if found.items_expected is not None:
        files = count_text(found.items_expected, "file")
        size = size_text(found.stored_in_bytes or 0), size_text(found.size_in_bytes or 0)
        lines.append(f"{found.items_stored or 0:,} of {files} stored, {size[0]} of {size[1]}")
    if found.items_completed is not None:
        lines.append(f"{count_text(found.items_completed, 'file')} verified")
    lines += [f"missing: {each}" for each in found.missing]
    lines += [f"not as announced: {each}" for each in found.wrong]
    return "\n".join(lines)
