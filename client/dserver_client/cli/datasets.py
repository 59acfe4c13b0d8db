"""Commands that find datasets: list them, and show what is known of one."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import asdict
from datetime import datetime
from itertools import islice

import click

from dserver_client.cli.command import command_options
from dserver_client.cli.session import Session
from dserver_client.client import Client
from dserver_client.display.formats import size_text, table
from dserver_client.errors import Refused
from dserver_client.server import Server
from dserver_client.values import DatasetEntry, Item

# So many datasets are shown in columns of the same width.
_SCREEN = 100


@click.command()
@click.argument("base_uri", required=False)
@click.option("--search", metavar="TEXT", help="Find words in names, READMEs, tags and so on.")
@command_options
def ls(session: Session, *, base_uri: str | None, search: str | None) -> None:
    """List datasets.

    The datasets at BASE_URI are listed, or at all base URIs where you may read, the newest first;
    dserver://HOST lists those of another dserver.
    """
    client = session.client(base_uri)
    if base_uri is not None and session.names_only_a_server(base_uri):
        base_uri = None
    if base_uri is not None:
        _check_may_read(client, client.base_uri(base_uri))
    found = client.datasets(search=search, base_uri=base_uri)
    if session.output.as_json:
        session.output.result({"datasets": list(found)}, "")
        return
    number = 0
    for screen in _screens(found):
        session.output.line(table(map(_row, screen)))
        number += len(screen)
    if not number:
        session.output.message("No dataset found.")


@click.command()
@click.argument("uri")
@click.option("--items", "with_items", is_flag=True, help="Also list the files with size and MD5.")
@command_options
def info(session: Session, *, uri: str, with_items: bool) -> None:
    """Show a dataset.

    That is what dserver knows of it, with README, tags and annotations.
    """
    client = session.client(uri)
    server, uri = client.server, client.dataset_uri(uri)
    entry, readme = server.entry(uri), server.readme(uri)
    annotations, tags = server.annotations(uri), server.tags(uri)
    items = _items(server, uri) if with_items else None
    document = {**asdict(entry), "tags": tags, "annotations": annotations, "readme": readme}
    if items is not None:
        document["items"] = items
    lines = [table(_facts(entry, tags, annotations))]
    lines += ["", readme.rstrip()] if readme.strip() else []
    lines += _item_lines(items)
    session.output.result(document, "\n".join(lines))


def _check_may_read(client: Client, base_uri: str) -> None:
    """Raise Refused where dserver would list nothing, as if there were no datasets."""
    user = client.server.whoami()
    if base_uri in user.search_base_uris:
        return
    readable = ", ".join(user.search_base_uris)
    places = f" {user.username} may read at {readable}." if readable else ""
    raise Refused(
        f"{user.username} may not read at {base_uri}, or dserver does not know it.{places}",
        403,
        "permission-denied",
        {"base_uri": base_uri},
    )


def _items(server: Server, uri: str) -> list[Item]:
    return sorted((each.item for each in server.signed_items(uri)), key=lambda item: item.relpath)


def _facts(
    entry: DatasetEntry, tags: list[str], annotations: dict[str, object]
) -> Iterator[tuple[str, str]]:
    """Yield what is known of a dataset, as lines of a table."""
    yield "Name", entry.name
    yield "URI", entry.uri
    yield "Creator", entry.creator_username
    yield "Frozen", "" if entry.frozen_at is None else f"{entry.frozen_at:%Y-%m-%d %H:%M} UTC"
    if entry.number_of_items is not None:
        yield "Files", f"{entry.number_of_items:,}"
    if entry.size_in_bytes is not None:
        yield "Size", size_text(entry.size_in_bytes)
    if tags:
        yield "Tags", ", ".join(tags)
    for name, value in annotations.items():
        yield "Annotation", f"{name} = {value}"


def _item_lines(items: list[Item] | None) -> list[str]:
    if items is None:
        return []
    rows = [(each.hash or "", size_text(each.size_in_bytes or 0), each.relpath) for each in items]
    return ["", table(rows)]


def _row(entry: DatasetEntry) -> tuple[str, ...]:
    size = "" if entry.size_in_bytes is None else size_text(entry.size_in_bytes)
    return (entry.uri, _date(entry.frozen_at), size, entry.creator_username, entry.name)


def _date(time: datetime | None) -> str:
    return "" if time is None else f"{time:%Y-%m-%d}"


def _screens(entries: Iterable[DatasetEntry]) -> Iterator[list[DatasetEntry]]:
    remaining = iter(entries)
    while screen := list(islice(remaining, _SCREEN)):
        yield screen
