"""The bodies of requests: the types of their fields, and the reason why a value does not fit.

``json_decoder`` decodes them; ``uploads.plan`` checks whether dtool can keep the values. Some
languages cannot tell an empty list from an empty object, and write whole numbers as 1e+05.
"""

from __future__ import annotations

from math import ceil
from typing import Annotated, Any, TypeVar

import dtoolcore.utils
import msgspec
from msgspec import Meta, Raw

from dserver_signed_url_plugin.errors import InvalidField
from dserver_signed_url_plugin.storage.manifest import HASH_FUNCTION
from dserver_signed_url_plugin.storage.values import Item
from dserver_signed_url_plugin.uploads.parts_plan import PartsPlan
from dserver_signed_url_plugin.uploads.plan import EARLIEST, LATEST, UploadPlan
from dserver_signed_url_plugin.uris import MAX_URI_LENGTH, is_canonical_uuid
from dserver_signed_url_plugin.web.json_decoder import (
    check_is_object,
    check_text,
    decoded,
    max_memory,
)

# The most memory that tags, annotations or overlays may take: bytes, or a multiple of the bytes of
# their JSON, whichever is more.
MAX_MEMORY_BYTES = 32 * 1024 * 1024
MAX_MEMORY_RATIO = 6
# The most parts of one request.
MAX_NUMBERS = 1000

MAX_WAIT = 60  # seconds

_SECONDS = "Not a number of seconds since 1970 within the years 1 to 9999."
_REASONS = {
    "uuid": "Not a UUID as 36 characters in lower case with dashes.",
    "name": "A string is required.",
    "relpath": "A string is required.",
    "size_in_bytes": "Not a whole number of bytes, 0 or more.",
    "hash": "Not an MD5 as 32 hexadecimal digits.",
    "utc_timestamp": _SECONDS,
    "frozen_at": _SECONDS,
    "items": "Not a list of items, each an object with a relpath.",
    "tags": "Not a list of strings.",
    "annotations": "Not an object.",
    "overlays": "Not an object of objects.",
    "expiry_seconds": "Not a whole number of seconds, 1 or more.",
    "upload_headers": "Not true or false.",
    "multipart": "Not true or false.",
    "numbers": "Not a list of at most 1,000 part numbers, 1 or more.",
    "hashes": "Not an object with MD5s (32 hexadecimal digits) by part number.",
    "wait_seconds": f"Not a number of seconds from 1 to {MAX_WAIT}.",
    "uri": f"Not a string of 1 to {MAX_URI_LENGTH} characters.",
}
_NULL = Raw(b"null")
_EMPTY = (b"null", b"[]", b"{}")
_MAX_EMPTY_BYTES = 100  # with white space

Moment = Annotated[float, Meta(ge=EARLIEST, le=LATEST)]
Body = TypeVar("Body")
_Wait = Annotated[int, Meta(ge=1, le=MAX_WAIT)] | Annotated[float, Meta(ge=1, le=MAX_WAIT)]
MD5 = Annotated[str, Meta(pattern=r"^[0-9a-fA-F]{32}\Z")]


class EmptyObject(msgspec.Struct, forbid_unknown_fields=True):
    """An empty object."""


class AnnouncedItem(msgspec.Struct, forbid_unknown_fields=True, gc=False):
    """One item; ``gc=False`` because its values cannot form reference cycles."""

    relpath: str
    size_in_bytes: Annotated[int, Meta(ge=0)] | Annotated[float, Meta(ge=0)] | None = None
    hash: MD5 | None = None
    utc_timestamp: Moment | None = None

    def item(self, number: int) -> Item:
        """Return the item of a plan.

        :param number: its index in the announcement.
        :raises InvalidField: if its size is not a whole number.
        """
        size = self.size_in_bytes
        if isinstance(size, float):
            size = _whole(size, "size_in_bytes", f"items.{number}.")
        return Item(
            dtoolcore.utils.generate_identifier(self.relpath),
            self.relpath,
            size,
            self.hash and self.hash.lower(),
            self.utc_timestamp,
        )


class Announcement(msgspec.Struct, forbid_unknown_fields=True):
    """An announcement of an upload; ``plan`` decodes the raw fields."""

    uuid: str
    name: str
    items: list[AnnouncedItem] | EmptyObject = []
    creator_username: str | None = None
    frozen_at: Moment | None = None
    hash_function: str | None = None
    tags: Raw = _NULL
    annotations: Raw = _NULL
    overlays: Raw = _NULL
    upload_headers: bool | None = None
    multipart: bool | None = None
    expiry_seconds: Annotated[int, Meta(ge=1)] | Annotated[float, Meta(ge=1)] | None = None

    @classmethod
    def decode(cls, raw: bytes) -> Announcement:
        """Decode a body.

        :raises InvalidField: for a value that does not fit.
        :raises UnreadableBody: for anything but JSON.
        """
        return _read(raw, cls)

    def plan(self, max_items: int) -> UploadPlan:
        """Return the plan of the upload, and free what it was made of, which may be megabytes.

        :param max_items: the most items that this server accepts.
        :raises InvalidField: for a value that does not fit.
        """
        if not is_canonical_uuid(self.uuid):
            raise InvalidField("uuid", _REASONS["uuid"], status=422)
        if self.hash_function not in (None, HASH_FUNCTION):
            raise InvalidField("hash_function", f"must be {HASH_FUNCTION}.")
        is_pinned = self.upload_headers
        return UploadPlan(
            uuid=self.uuid,
            name=self.name,
            items=self._items(max_items),
            creator_username=self.creator_username,
            frozen_at=self.frozen_at,
            tags=list(dict.fromkeys(_decode_any(self.tags, list[str], "tags"))),
            annotations=_decode_any(self.annotations, dict[str, Any], "annotations"),
            overlays=self._overlays(),
            pinned=self.hash_function is not None if is_pinned is None else is_pinned,
            multipart=bool(self.multipart),
            # dtool-dserver, which sends it, skips items without an entry in the answer.
            skips_stored=self.hash_function is not None,
            expiry_seconds=_whole(self.expiry_seconds, "expiry_seconds"),
        )

    def _items(self, max_items: int) -> list[Item]:
        announced = [] if isinstance(self.items, EmptyObject) else self.items
        if len(announced) > max_items:
            raise InvalidField("items", f"are more than this server's {max_items}.")
        self.items = []
        return [entry.item(number) for number, entry in enumerate(announced)]

    def _overlays(self) -> dict[str, dict[str, Any]]:
        overlays: dict[str, Any] = _decode_any(self.overlays, dict[str, Any], "overlays")
        for name, overlay in overlays.items():
            if overlay == []:
                overlays[name] = {}
            elif not isinstance(overlay, dict):
                raise InvalidField(f"overlays.{name[:100]}", "Not an object.", status=422)
        return overlays


class PartsRequest(msgspec.Struct, forbid_unknown_fields=True):
    """A request for URLs of parts of an item."""

    numbers: Annotated[list[Annotated[int, Meta(ge=1)]], Meta(max_length=MAX_NUMBERS)]
    hashes: dict[str, MD5] | None = None
    expiry_seconds: Annotated[int, Meta(ge=1)] | Annotated[float, Meta(ge=1)] | None = None

    @classmethod
    def decode(cls, raw: bytes) -> PartsRequest:
        """Decode a body.

        :raises InvalidField: for a value that does not fit.
        :raises UnreadableBody: for anything but JSON.
        """
        return _read(raw, cls)

    def plan(self) -> PartsPlan:
        """Return the parts, and how long their URLs should work.

        :raises InvalidField: for a number that comes twice, and for the hash of another part.
        """
        hashes = self.hashes or {}
        wanted = {number: hashes.get(str(number)) for number in self.numbers}
        if len(wanted) < len(self.numbers):
            raise InvalidField("numbers", "has a number twice.", status=422)
        others = hashes.keys() - {str(number) for number in wanted}
        if others:
            name = min(others)[:100]
            raise InvalidField(f"hashes.{name}", "is of no part in numbers.", status=422)
        lower = {number: md5 and md5.lower() for number, md5 in wanted.items()}
        return PartsPlan(lower, _whole(self.expiry_seconds, "expiry_seconds"))


class CompletionRequest(msgspec.Struct, forbid_unknown_fields=True):
    """A request to complete an upload."""

    uri: Annotated[str, Meta(min_length=1, max_length=MAX_URI_LENGTH)]
    wait_seconds: _Wait | None = None

    @property
    def seconds_to_wait(self) -> int | None:
        """For how long the client waits; None for as long as it takes."""
        return None if self.wait_seconds is None else ceil(self.wait_seconds)

    @classmethod
    def decode(cls, raw: bytes) -> CompletionRequest:
        """Decode a body.

        :raises InvalidField: for a value that does not fit.
        :raises UnreadableBody: for anything but JSON.
        """
        return _read(raw, cls)


def _read(raw: bytes, kind: type[Body]) -> Body:
    check_is_object(raw)
    check_text(raw)
    return decoded(raw, kind, _REASONS)


def _decode_any(raw: Raw, kind: Any, field: str) -> Any:
    """Decode a value of any JSON type; null, [] and {} are all the empty value of ``kind``."""
    if max_memory(raw) > max(MAX_MEMORY_BYTES, MAX_MEMORY_RATIO * len(raw)):
        raise InvalidField(
            field, "holds too many small values for one body; send fewer.", status=422
        )
    if len(raw) <= _MAX_EMPTY_BYTES and bytes(raw).translate(None, b" \t\r\n") in _EMPTY:
        return kind()
    check_text(bytes(raw), field)
    return decoded(raw, kind, _REASONS, field)


def _whole(value: float | None, field: str, place: str = "") -> int | None:
    if isinstance(value, float) and not value.is_integer():
        raise InvalidField(place + field, _REASONS[field], status=422)
    return None if value is None else int(value)
