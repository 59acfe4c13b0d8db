"""Commands about deposits that are not registered yet: how far they are, and cancel them."""

from __future__ import annotations

import click

from dserver_client.cli.command import command_options
from dserver_client.cli.formats import count_text, size_text
from dserver_client.cli.session import Session
from dserver_client.values import UploadStatus

_SENTENCES = {
    "opening": "being opened",
    "open": "not complete",
    "frozen": "complete, but not registered",
    "registered": "registered",
}


@click.command()
@click.argument("uri")
@command_options
def status(session: Session, *, uri: str) -> None:
    """Show how far a deposit is."""
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
