"""Parse the JSON that dserver returns into values."""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import datetime, timedelta, timezone
from itertools import islice
from typing import Any

from dserver_client.values import (
    MAX_SIZE,
    BaseURI,
    DatasetEntry,
    DatasetURLs,
    Item,
    ItemToSend,
    PartURLs,
    Registered,
    Share,
    SharedContents,
    SignedItem,
    SignedPart,
    StoredPart,
    StoredParts,
    UploadGrant,
    UploadStatus,
    User,
)

Answer = Mapping[str, Any]

# What a function below raises for an answer that is not as it should be.
MALFORMED: tuple[type[Exception], ...] = (
    KeyError,
    TypeError,
    ValueError,
    AttributeError,
    OverflowError,
    RecursionError,
)

_URL = re.compile(
    r"https?://(?:[\w.~%-]+|\[[0-9A-Fa-f:.]+\])(?::[0-9]{1,5})?(?:[/?][^\x00-\x20\x7f]*)?"
)
_HEADER = re.compile(r"[!#$%&'*+.^`|~0-9A-Za-z-]+:[\t\x20-\x7e\x80-\xff]*")  # RFC 9110, section 5
_EPOCH = datetime(1970, 1, 1, tzinfo=timezone.utc)
_MD5 = re.compile(r"[0-9a-f]{32}")


def now() -> datetime:
    """Return the time, UTC."""
    return datetime.now(timezone.utc)


def user(answer: Answer) -> User:
    """Return who is logged in."""
    return User(
        username=str(answer["username"]),
        is_admin=bool(answer.get("is_admin")),
        search_base_uris=sorted(map(str, answer["search_permissions_on_base_uris"])),
        register_base_uris=sorted(map(str, answer["register_permissions_on_base_uris"])),
    )


def base_uris(who: User) -> list[BaseURI]:
    """Return the base URIs where a user may do anything."""
    search, register = set(who.search_base_uris), set(who.register_base_uris)
    return [BaseURI(uri, uri in search, uri in register) for uri in sorted(search | register)]


def entry(answer: Answer) -> DatasetEntry:
    """Return a registered dataset."""
    return DatasetEntry(
        uri=str(answer["uri"]),
        uuid=str(answer["uuid"]),
        name=str(answer["name"]),
        base_uri=str(answer["base_uri"]),
        creator_username=str(answer["creator_username"]),
        frozen_at=_time(answer.get("frozen_at")),
        created_at=_time(answer.get("created_at")),
        number_of_items=_number(answer.get("number_of_items")),
        size_in_bytes=_number(answer.get("size_in_bytes")),
        tags=[str(tag) for tag in answer.get("tags") or ()],
    )


def dataset_urls(answer: Answer, asked_at: datetime) -> DatasetURLs:
    """Return the URLs of a dataset."""
    return DatasetURLs(
        uri=str(answer["uri"]),
        expires=_expiry(answer, asked_at),
        admin_metadata_url=url(answer["admin_metadata_url"]),
        manifest_url=url(answer["manifest_url"]),
        readme_url=url(answer["readme_url"]),
        overlay_urls=_urls(answer.get("overlay_urls")),
        annotation_urls=_urls(answer.get("annotation_urls")),
        tags=[str(tag) for tag in answer.get("tags") or ()],
    )


def signed_item(identifier: str, answer: Answer) -> SignedItem:
    """Return an item of a dataset, and its URL."""
    return SignedItem(item(identifier, answer), url(answer["url"]))


def item(identifier: str, answer: Answer) -> Item:
    """Return an item, by what the manifest says of it."""
    md5 = answer.get("hash")
    known = isinstance(md5, str) and _MD5.fullmatch(md5)
    size = answer.get("size_in_bytes")
    size = None if size is None else checked_size(size)
    return Item(_text(identifier), _text(answer["relpath"]), size, md5 if known else None)


def upload_grant(answer: Answer, asked_at: datetime) -> UploadGrant:
    """Return where the items of an upload go, which are values already."""
    urls, token = answer["upload_urls"], answer.get("upload_token")
    if not all(isinstance(each, ItemToSend) for each in islice(urls["items"].values(), 1)):
        raise TypeError
    return UploadGrant(
        uri=str(answer["uri"]),
        uuid=str(answer["uuid"]),
        expires=_expiry(answer, asked_at),
        readme_url=url(urls["readme"]),
        items=urls["items"],
        upload_token=None if token is None else _headers({"Upload-Token": token})["Upload-Token"],
    )


def part_urls(answer: Answer, asked_at: datetime) -> PartURLs:
    """Return where the parts of an item go."""
    return PartURLs(
        expires=_expiry(answer, asked_at),
        part_size=checked_size(answer["part_size"], 1),
        count=checked_size(answer["count"], 1),
        parts={
            int(number): SignedPart(url(part["url"]), _headers(part["headers"]))
            for number, part in answer["parts"].items()
        },
        stored={
            int(number): StoredPart(checked_size(part["size_in_bytes"]), part.get("hash"))
            for number, part in answer["stored"].items()
        },
    )


def upload_status(answer: Answer) -> UploadStatus:
    """Return how far an upload is."""
    items, completing = answer.get("items") or {}, answer.get("completing") or {}
    return UploadStatus(
        uri=str(answer["uri"]),
        uuid=str(answer["uuid"]),
        state=str(answer["state"]),
        name=answer.get("name"),
        uploader=answer.get("uploader"),
        created_at=_time(answer.get("created_at")),
        urls_expire_at=_time(answer.get("urls_expire_at")),
        items_expected=_number(items.get("expected")),
        items_stored=_number(items.get("stored")),
        size_in_bytes=_number(answer.get("expected_bytes")),
        stored_in_bytes=_number(answer.get("stored_bytes")),
        missing=[str(each) for each in answer.get("missing") or ()],
        wrong=[str(each["relpath"]) for each in answer.get("mismatched") or ()],
        items_completed=_number(completing.get("items_done")),
        parts={
            str(each["relpath"]): StoredParts(each["stored"], each["count"], each["size"])
            for each in (answer.get("parts") or {}).values()
        },
    )


def registered(answer: Answer) -> Registered:
    """Return what an upload has become."""
    return Registered(
        str(answer["uri"]), str(answer["uuid"]), str(answer["name"]), answer.get("verified")
    )


def share(answer: Answer) -> Share:
    """Return a share."""
    return Share(
        id=str(answer["id"]),
        uri=str(answer["uri"]),
        name=_text_or_none(answer.get("name")),
        state=_text_or_none(answer.get("state")),
        created=_time(answer.get("created_timestamp")),
        expires=_time(answer.get("expires_timestamp")),
        number_of_items=_number(answer.get("number_of_items")),
        downloads=_number(answer.get("downloads")),
        max_downloads=_number(answer.get("max_downloads")),
        note=_text_or_none(answer.get("note")),
        owner=_text_or_none(answer.get("owner")),
        limited_by=_text_or_none(answer.get("expiry_limited_by")),
        link=_text_or_none(answer.get("link")),
    )


def share_page(answer: Answer) -> tuple[list[Share], str | None]:
    """Return some shares, and what to ask for those after them; None for the last ones."""
    return [share(each) for each in answer["shares"]], _text_or_none(answer.get("next"))


def shared_contents(answer: Answer) -> SharedContents:
    """Return what a link gives access to; its items are not parsed, but counted."""
    items = dict(answer["items"])
    if answer.get("number_of_items", len(items)) != len(items):
        raise ValueError("It has not as many items as it says.")
    return SharedContents(
        name=str(answer["name"]),
        uuid=str(answer["uuid"]),
        note=_text_or_none(answer.get("note")),
        readme=_text_or_none(answer.get("readme")),
        expires=_time(answer.get("expires_timestamp")),
        downloads_left=_number(answer.get("downloads_left")),
        items=items,
    )


def signed_items(answer: Answer) -> dict[str, SignedItem]:
    """Return some items and their URLs, by identifier."""
    return {str(name): signed_item(str(name), each) for name, each in answer["items"].items()}


def item_to_send(identifier: str, answer: Answer) -> ItemToSend:
    """Return where an item goes."""
    parts = answer.get("parts")
    return ItemToSend(
        _text(identifier),
        _text(answer["relpath"]),
        None if answer["url"] is None else url(answer["url"]),
        _headers(answer.get("headers") or {}),
        checked_size(parts["size"], 1) if parts else 0,
        checked_size(parts["count"], 1) if parts else 0,
    )


def _expiry(answer: Answer, asked_at: datetime) -> datetime:
    """Return when URLs expire by the clock of this machine, which may differ from the server's."""
    return asked_at + timedelta(seconds=int(answer["expiry_seconds"]))


def url(value: Any) -> str:
    """Return a URL, if it is one."""
    if not isinstance(value, str) or not _URL.fullmatch(value):
        raise ValueError
    return value


def checked_size(value: Any, least: int = 0) -> int:
    """Return a number of bytes, if it is one that an object in a store can have."""
    if not isinstance(value, int) or not least <= value <= MAX_SIZE:
        raise ValueError
    return value


def _text(value: Any) -> str:
    """Return a text, if it is one that can be encoded: JSON can hold half a character."""
    if not isinstance(value, str):
        raise TypeError
    value.encode()
    return value


def _text_or_none(value: Any) -> str | None:
    return None if value is None else _text(value)


def _urls(value: Any) -> dict[str, str]:
    return {str(name): url(each) for name, each in (value or {}).items()}


def _headers(value: Answer) -> dict[str, str]:
    headers = {str(name): str(text) for name, text in value.items()}
    if not all(_HEADER.fullmatch(f"{name}:{text}") for name, text in headers.items()):
        raise ValueError
    return headers


def _number(value: Any) -> int | None:
    return None if value is None else int(value)


def _time(value: Any) -> datetime | None:
    """Return a time that is given in seconds since 1970, or as 2024-01-15T14:30:00.000000Z."""
    if value is None or value == "":
        return None
    text = str(value)
    if isinstance(value, (int, float)) or text.replace(".", "", 1).isdecimal():
        # By addition: fromtimestamp raises OSError on some systems.
        return _EPOCH + timedelta(seconds=float(value))
    found = datetime.fromisoformat(text.replace("Z", "+00:00"))
    return found if found.tzinfo else found.replace(tzinfo=timezone.utc)
