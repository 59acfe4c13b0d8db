"""An upload as announced, and the checks that need neither the database nor the store."""

from __future__ import annotations

import json
import ntpath
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timezone
from hashlib import sha256
from json.encoder import encode_basestring_ascii as _quoted
from operator import attrgetter
from typing import Any

import dtoolcore.utils

from dserver_signed_url_plugin.errors import InvalidField
from dserver_signed_url_plugin.storage.parts import PartLimits
from dserver_signed_url_plugin.storage.values import MAX_BYTES, Item, Limits, total_size

# Each is one request to the store while the client waits.
MAX_DESCRIPTIONS = 1000
# dserver keeps annotations in one document beside the manifest.
MAX_ANNOTATION_BYTES = 1024 * 1024
# dserver's plugins parse annotations again; MongoDB, which the public ones use, is limited to 100
# levels and 64 bits.
MAX_LEVELS = 50
MAX_USERNAME_CHARACTERS = 255
# The range of datetime in UTC seconds, less a second at either end because floats round.
EARLIEST = datetime(1, 1, 1, 0, 0, 1, tzinfo=timezone.utc).timestamp()
LATEST = datetime(9999, 12, 31, 23, 59, 58, tzinfo=timezone.utc).timestamp()

_CONTROLS = r"\x00-\x1f\x7f-\x9f\ud800-\udfff"
_UNPRINTABLE = re.compile(f"[{_CONTROLS}]")
# Windows treats a backslash as a slash, and ignores blanks at the end of a segment. A drive after
# a slash matters where a path is joined segment by segment.
_LEAVES_ON_WINDOWS = re.compile(r"^\\|(?:^|[/\\])(?:\.\. *|[A-Za-z]:)(?:[/\\]|$)")
# What nearly all relpaths match; _wrong_with() looks into the others.
_SEGMENT = rf"(?!\.\.? *(?:/|\Z))[^/\\:{_CONTROLS}]+"
_is_plain = re.compile(f"{_SEGMENT}(?:/{_SEGMENT})*").fullmatch
# Items of which the fingerprint is computed at once.
_BATCH = 1000


@dataclass(frozen=True)
class UploadPlan:
    """An upload as announced; ``creator_username`` and ``frozen_at`` if the client sets them.

    ``pinned`` is True if the client returns the headers that come with a URL, ``multipart`` if it
    sends large items in parts, ``skips_stored`` if it sends only the items for which it is given
    URLs. None of these makes it another upload.
    """

    uuid: str
    name: str
    items: Sequence[Item] = ()
    creator_username: str | None = None
    frozen_at: float | None = None
    tags: Sequence[str] = ()
    annotations: Mapping[str, Any] = field(default_factory=dict)
    overlays: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    pinned: bool = False
    multipart: bool = False
    skips_stored: bool = False
    expiry_seconds: int | None = None

    @property
    def size_in_bytes(self) -> int | None:
        """The bytes of all items, or None if the size of one was not announced."""
        return total_size([item.size_in_bytes for item in self.items])

    def fingerprint(self) -> str:
        """Return the SHA-256 of what makes two announcements the same upload.

        Times are left out: a client may read them again, and the first ones count.
        """
        # JSON of a list, as json.dumps() writes it; in batches, because it may be megabytes.
        named = json.dumps([self.name, self.creator_username])[:-1]
        described = [sorted(self.tags), self.annotations, self.overlays]
        digest, separator = sha256(f"{named}, [".encode()), ""
        items = sorted(self.items, key=attrgetter("relpath"))
        for start in range(0, len(items), _BATCH):
            batch = ", ".join([_fingerprinted(item) for item in items[start : start + _BATCH]])
            digest.update(f"{separator}{batch}".encode())
            separator = ", "
        digest.update(f"], {json.dumps(described, sort_keys=True)[1:]}".encode())
        return digest.hexdigest()

    def check(self) -> None:
        """Check what dtool can name and read back.

        :raises InvalidField: with the field and the reason.
        """
        check_name("name", self.name)
        check_creator(self.creator_username)
        check_relpaths(self.items)
        for tag in self.tags:
            check_name("tags", tag)
        for kind, names in (("annotations", self.annotations), ("overlays", self.overlays)):
            for name in names:
                check_name(kind, name)
                if "." in name:
                    raise InvalidField(
                        kind, f"{name!r} has a dot, on which dtool's listings break."
                    )
        if len(self.tags) + len(self.annotations) + len(self.overlays) > MAX_DESCRIPTIONS:
            raise InvalidField("tags", f"and annotations and overlays: {MAX_DESCRIPTIONS} at most.")
        _check_annotations(self.annotations)
        _check_overlays(self.overlays, {item.identifier for item in self.items})

    def check_limits(self, limits: Limits, most_items: int, creator: str) -> None:
        """Check what depends on the store and on this server.

        :param most_items: as many as this server takes.
        :param creator: who is to be dtool's creator.
        :raises InvalidField: with the field and the reason.
        """
        if len(self.items) > most_items:
            raise InvalidField("items", f"are more than this server's {most_items}.")
        if not limits.allow_creator(creator):
            raise InvalidField(
                "creator_username", "must be ASCII here; send another creator_username."
            )
        for tag in self.tags:
            if tag.endswith(".") and not limits.tags_may_end_in_dot:
                raise InvalidField("tags", f"{tag!r} ends in a dot, which no name in Azure may.")
        for number, item in enumerate(self.items):
            if len(item.relpath.encode()) > limits.max_relpath_bytes:
                raise InvalidField(
                    f"items.{number}.relpath",
                    f"is longer than the {limits.max_relpath_bytes} bytes of UTF-8 that object "
                    "metadata can carry.",
                )

    def check_sizes(self, limits: Limits, parts: PartLimits | None, part_bytes: int) -> None:
        """Check that every item can be sent, in one PUT or in parts.

        :param parts: None if the store does not assemble parts.
        :param part_bytes: of the largest item that is not sent in parts, if one PUT can carry it.
        :raises InvalidField: with the field, and what to send.
        """
        in_parts = parts if self.multipart else None
        most = limits.max_item_bytes if in_parts is None else in_parts.max_item_bytes
        most_whole = min(part_bytes, limits.max_item_bytes)
        for number, item in enumerate(self.items):
            size = item.size_in_bytes or 0
            if size > most:
                raise _too_large(number, limits, parts, in_parts)
            if in_parts is not None and size > most_whole and item.hash is None:
                raise InvalidField(
                    f"items.{number}.hash", "is required of an item that is sent in parts."
                )
        if sum(item.size_in_bytes or 0 for item in self.items) > MAX_BYTES:
            raise InvalidField("items", "are more bytes in all than dserver can count.")


def is_time(value: object) -> bool:
    """Return whether a value is a number of UTC seconds that dserver can store."""
    # NaN is neither above nor below anything.
    return (
        isinstance(value, (int, float))
        and not isinstance(value, bool)
        and EARLIEST <= value <= LATEST
    )


def check_name(field_name: str, name: str) -> None:
    """Check that dtool accepts a name, and that it can be the name of a file.

    :raises InvalidField: with the field and the reason.
    """
    if not dtoolcore.utils.name_is_valid(name) or name.endswith("\n") or not name.strip("."):
        raise InvalidField(
            field_name,
            f"{name[:100]!r} is not a name for dtool: 1 to {dtoolcore.utils.MAX_NAME_LENGTH} of "
            "the characters a-z, A-Z, 0-9, '-', '_' and '.'.",
        )


def check_creator(username: str | None) -> None:
    """Check that dserver can keep a creator.

    :raises InvalidField: with the reason.
    """
    if username is None:
        return
    if not username or username != username.strip() or _UNPRINTABLE.search(username):
        raise InvalidField(
            "creator_username", "is empty, or has outer space or a control character."
        )
    if len(username) > MAX_USERNAME_CHARACTERS:
        raise InvalidField(
            "creator_username", f"has more than {MAX_USERNAME_CHARACTERS} characters."
        )


def _too_large(
    number: int, limits: Limits, parts: PartLimits | None, in_parts: PartLimits | None
) -> InvalidField:
    if in_parts is not None:
        reason = (
            f"is above {in_parts.max_item_bytes} bytes, which is the most that can be assembled."
        )
    else:
        advice = "announce it with multipart: true, and send it in parts."
        reason = (
            f"is above {limits.max_item_bytes} bytes, which is what one PUT can carry: "
            f"{advice if parts is not None else 'this storage cannot assemble parts; split it.'}"
        )
    return InvalidField(f"items.{number}.size_in_bytes", reason)


def check_relpaths(items: Sequence[Item]) -> None:
    """Check that relpaths are different, and stay within a directory on every system.

    :raises InvalidField: with the reason.
    """
    seen = set()
    for number, item in enumerate(items):
        relpath = item.relpath
        reason = None if _is_plain(relpath) else _wrong_with(relpath)
        if relpath in seen:
            reason = "is announced twice."
        if reason is not None:
            raise InvalidField(f"items.{number}.relpath", f"{relpath[:200]!r} {reason}")
        seen.add(relpath)


def _fingerprinted(item: Item) -> str:
    """Return an item as JSON for the fingerprint."""
    size = "null" if item.size_in_bytes is None else item.size_in_bytes
    md5 = "null" if item.hash is None else _quoted(item.hash)
    return f"[{_quoted(item.relpath)}, {size}, {md5}]"


def _wrong_with(relpath: str) -> str | None:
    if not relpath:
        return "is empty."
    if relpath.startswith("/"):
        return "is absolute; it must be relative to the dataset."
    if _UNPRINTABLE.search(relpath):
        return "has a control character, or half of a surrogate pair."
    if not {"", ".", ".."}.isdisjoint(relpath.split("/")):
        return "has an empty, '.' or '..' segment."
    if _LEAVES_ON_WINDOWS.search(relpath) or ntpath.splitdrive(relpath)[0]:
        return "leads out of the dataset on Windows: by a drive, a first '\\', or '..' beside one."
    return None


def _check_annotations(annotations: Mapping[str, Any]) -> None:
    if _json_bytes("annotations", annotations) > MAX_ANNOTATION_BYTES:
        raise InvalidField("annotations", f"are more than {MAX_ANNOTATION_BYTES} bytes of JSON.")


def _check_overlays(overlays: Mapping[str, Mapping[str, Any]], identifiers: Iterable[str]) -> None:
    expected = set(identifiers)
    for name, overlay in overlays.items():
        _json_bytes(f"overlays.{name}", overlay)
        if set(overlay) != expected:
            raise InvalidField(
                f"overlays.{name}",
                "must have exactly the items' identifiers (SHA-1 of the relpath) as keys: "
                f"{len(set(overlay) - expected)} are no items, {len(expected - set(overlay))} "
                "are missing.",
            )


def _json_bytes(field_name: str, value: object) -> int:
    if _is_deeper(value, MAX_LEVELS):
        raise InvalidField(field_name, f"is nested more than {MAX_LEVELS} levels deep.")
    if _has_wide_number(value):
        raise InvalidField(field_name, "holds a whole number of more than 64 bits.")
    try:
        return len(json.dumps(value, allow_nan=False).encode())
    except ValueError as error:
        raise InvalidField(
            field_name, "holds NaN or infinity, which JSON does not have."
        ) from error


def _parts(value: object) -> Iterable[object]:
    if isinstance(value, Mapping):
        return value.values()
    return value if isinstance(value, list) else ()


def _is_deeper(value: object, levels: int) -> bool:
    return isinstance(value, (list, Mapping)) and (
        levels == 0 or any(_is_deeper(part, levels - 1) for part in _parts(value))
    )


def _has_wide_number(value: object) -> bool:
    if isinstance(value, int):
        return not -(2**63) <= value < 2**63
    return any(_has_wide_number(part) for part in _parts(value))
