"""Commands that find datasets: list them, and show what is known of one."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import asdict
from datetime import datetime
from itertools import islice
from typing import Any

import click

from dserver_client.cli.command import command_options
from dserver_client.cli.session import Session
from dserver_client.client import Client
from dserver_client.display.formats import size_text, table
from dserver_client.manifest import ManifestItem
from dserver_client.readable import SharedDataset
from dserver_client.server import Server
from dserver_client.server.refusals import not_permitted
from dserver_client.values import DatasetEntry

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
@click.argument("uri", metavar="URI|LINK")
@click.option("--items", "with_items", is_flag=True, help="Also list the files with size and MD5.")
@command_options
def info(session: Session, *, uri: str, with_items: bool) -> None:
    """Show a dataset, or what is behind the link of a share.

    That is what dserver knows of it, with README, tags and annotations. A LINK needs no login.
    """
    client = session.client(uri)
    dataset = client.dataset(uri)
    if isinstance(dataset, SharedDataset):
        document, facts = _shared(dataset)
    else:
        document, facts = _registered(client.server, dataset.uri)
    readme = document["readme"] or ""
    lines = [table(facts), *(["", readme.rstrip()] if readme.strip() else [])]
    if with_items:
        document["items"] = sorted(dataset.items(), key=lambda item: item.relpath)
        lines += _item_lines(document["items"])
    session.output.result(document, "\n".join(lines))


def _registered(server: Server, uri: str) -> tuple[dict[str, Any], list[tuple[str, str]]]:
    """Return what dserver knows of a dataset, as a document and as lines of a table."""
    entry, readme = server.entry(uri), server.readme(uri)
    annotations, tags = server.annotations(uri), server.tags(uri)
    document = {**asdict(entry), "tags": tags, "annotations": annotations, "readme": readme}
    return document, list(_facts(entry, tags, annotations))


def _shared(dataset: SharedDataset) -> tuple[dict[str, Any], list[tuple[str, str]]]:
    """Return what is behind a link, as a document and as lines of a table."""
    contents, items = dataset.contents, dataset.items()
    size = sum(item.size_in_bytes for item in items)
    document = {**asdict(contents), "number_of_items": len(items), "size_in_bytes": size}
    del document["items"]
    facts = [("Name", contents.name), ("Note", contents.note or "")]
    facts += [("Files", f"{len(items):,}"), ("Size", size_text(size))]
    if contents.expires is not None:
        facts.append(("Link works until", f"{contents.expires:%Y-%m-%d %H:%M} UTC"))
    if contents.downloads_left is not None:
        facts.append(("Downloads left", f"{contents.downloads_left:,}"))
    return document, [(name, value) for name, value in facts if value]


def _check_may_read(client: Client, base_uri: str) -> None:
    """Raise Refused where dserver would list nothing, as if there were no datasets."""
    user = client.server.whoami()
    if base_uri not in user.search_base_uris:
        raise not_permitted(user, "read", base_uri)


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


def _item_lines(items: list[ManifestItem]) -> list[str]:
    rows = [(each.hash or "", size_text(each.size_in_bytes), each.relpath) for each in items]
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
