"""Find out whether an earlier deposit was registered, with which contents, or is unfinished.

Only what is registered says whether a deposit succeeded, never that it was once asked for.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timezone
from typing import Any

from dserver_client.announcement import Description
from dserver_client.display.formats import count_text, size_text
from dserver_client.documents import Documents, read_documents
from dserver_client.errors import DepositChanged, DepositDiffers, Refused
from dserver_client.local_files import LocalFile
from dserver_client.manifest import parse_manifest
from dserver_client.server import Server
from dserver_client.state import Unfinished
from dserver_client.uris import dserver_uri
from dserver_client.values import UploadStatus

_NAMED = 10  # differences in one message
_GONE = frozenset({"already-registered", "upload-not-found", "no-pending-upload"})
_RESTART = "--restart (in Python: restart=True)"


@dataclass(frozen=True)
class Wanted:
    """What is to be deposited: files whose MD5s are known, and their description."""

    description: Description
    files: Sequence[LocalFile]


def check_registered(server: Server, uri: str, wanted: Wanted) -> None:
    """Compare a registered dataset with what is to be deposited.

    :raises DepositDiffers: with what differs.
    :raises Refused: if this user may not read it.
    """
    try:
        documents = read_documents(server.http, server.dataset_urls(uri))
    except Refused as refusal:
        message = f"{uri} is registered, but cannot be compared with what is here: {refusal}"
        raise Refused(message, refusal.status, refusal.slug, refusal.facts) from refusal
    found = [*_items(documents, wanted.files), *_described(documents, wanted.description)]
    readme_differs = documents.readme.decode(errors="replace") != (wanted.description.readme or "")
    if not found and not readme_differs:
        return
    named = [*(["its README differs"] if readme_differs else []), *found]
    more = f", and {len(named) - _NAMED} more" if len(named) > _NAMED else ""
    advice = _for_readme(server, uri) if readme_differs and not found else ""
    raise DepositDiffers(
        f"{uri} is registered already, and is not what is here: {', '.join(named[:_NAMED])}{more}. "
        f"Nothing was changed, here or there. {advice}{_for_another(wanted.description)}"
    )


def refuse_changed(server: Server, earlier: Unfinished, wanted: Wanted) -> bool:
    """Refuse what differs from what a deposit was begun with.

    :returns: True if it is registered as it is here after all, False if dserver does not have it.
    :raises DepositDiffers: if it is registered.
    :raises DepositChanged: if it is not.
    """
    found = _status(server, earlier)
    if found is None:
        return False
    if found.state == "frozen":
        # It is complete, and cannot be cancelled any more.
        server.complete(earlier.uri)
    if found.state in ("frozen", "registered"):
        check_registered(server, earlier.uri, wanted)
        return True
    began = found.created_at or datetime.fromtimestamp(earlier.began, timezone.utc)
    raise DepositChanged(
        f"The files or their description have changed since the deposit {earlier.uri} was begun "
        f"({_time(began)}{_how_far(found)}). The same files and options as then go on with it. "
        f"{_for_changed(server, found, wanted.description)}"
    )


def give_up(server: Server, uri: str) -> None:
    """Cancel an upload; one of which only the registration is missing is registered instead."""
    if not server.capabilities().cancel:
        # dserver removes what was not touched for long.
        return
    try:
        server.cancel(uri)
    except Refused as refusal:
        if refusal.slug == "upload-frozen":
            server.complete(uri)
        elif refusal.slug not in _GONE:
            raise


def is_registered(server: Server, uri: str) -> bool:
    """Return whether dserver has a dataset."""
    try:
        server.entry(uri)
    except Refused:
        return False
    return True


def _status(server: Server, earlier: Unfinished) -> UploadStatus | None:
    """Return how far an upload is, None if dserver does not have it."""
    if not server.capabilities().status:
        state = "registered" if is_registered(server, earlier.uri) else "open"
        return UploadStatus(earlier.uri, earlier.uuid, state)
    try:
        return server.status(earlier.uri)
    except Refused as refusal:
        if refusal.slug != "upload-not-found":
            raise
        return None


def _how_far(found: UploadStatus) -> str:
    if found.items_expected is None:
        return ""
    stored = size_text(found.stored_in_bytes or 0), size_text(found.size_in_bytes or 0)
    files = f"{found.items_stored or 0:,} of {count_text(found.items_expected, 'file')}"
    return f"; {files} ({stored[0]} of {stored[1]}) stored"


def _items(documents: Documents, files: Sequence[LocalFile]) -> Iterator[str]:
    """Yield how the items differ."""
    there = {
        item.relpath: (item.size_in_bytes, item.hash) for item in parse_manifest(documents.manifest)
    }
    here = {file.relpath: (file.size_in_bytes, file.md5) for file in files}
    for relpath in sorted(here.keys() | there.keys()):
        if relpath not in there:
            yield f"{relpath!r} is not in it"
        elif relpath not in here:
            yield f"{relpath!r} is in it, but not here"
        elif here[relpath] != there[relpath]:
            yield f"{relpath!r} has another content in it"


def _described(documents: Documents, description: Description) -> Iterator[str]:
    """Yield how the description differs; others may have added to it since."""
    name = _parsed(documents.admin_metadata)
    if not isinstance(name, dict) or name.get("name") != description.name:
        yield "its name differs"
    if missing := sorted(set(description.tags) - set(documents.tags)):
        yield f"it has no tag {missing[0]!r}"
    for kind, wanted, stored in (
        ("annotation", description.annotations, documents.annotations),
        ("overlay", description.overlays, documents.overlays),
    ):
        for each in _differing(wanted, stored):
            yield f"its {kind} {each!r} differs"


def _differing(wanted: Mapping[str, Any], stored: Mapping[str, bytes]) -> Iterator[str]:
    for name, value in wanted.items():
        if name not in stored or _parsed(stored[name]) != value:
            yield name


def _parsed(content: bytes) -> Any:
    """Return a document, or a value that equals nothing."""
    try:
        return json.loads(content)
    except (ValueError, RecursionError):
        return object()


def _for_changed(server: Server, found: UploadStatus, description: Description) -> str:
    if description.uuid is None:
        return f"{_RESTART} cancels it, deletes what is stored, and deposits what is here."
    # dserver gives the UUID to another upload when no URL can write to it any more.
    ends = f", after {_time(found.urls_expire_at)}" if found.urls_expire_at else ""
    return (
        f"'dserver cancel {dserver_uri(server.url, found.uri)}' deletes what is stored; then what "
        f"is here can be deposited{ends}."
    )


def _time(moment: datetime) -> str:
    return f"{moment:%Y-%m-%d %H:%M} UTC"


def _for_readme(server: Server, uri: str) -> str:
    if not server.capabilities().write_readme:
        return ""
    return f"'dtool readme write {dserver_uri(server.url, uri)} FILE' replaces the README. "


def _for_another(description: Description) -> str:
    if description.uuid is None:
        return f"{_RESTART} deposits what is here as another dataset."
    return "A registered dataset keeps its items: what differs needs a dataset of its own."
