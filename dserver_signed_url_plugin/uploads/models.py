"""The tables of uploads: one row for each upload between its announcement and its registration.

Beside it what is known of items in parts, and afterwards of the datasets made of them.
"""

from __future__ import annotations

import enum
import time
from collections.abc import Mapping
from datetime import datetime, timezone
from typing import Any

import dtoolcore
from dservercore import sql_db
from sqlalchemy import (
    BigInteger,
    Boolean,
    CheckConstraint,
    DateTime,
    Double,
    Enum,
    String,
    Text,
    UniqueConstraint,
)
from sqlalchemy.orm import Mapped, mapped_column

from dserver_signed_url_plugin.storage.values import Claim
from dserver_signed_url_plugin.times import in_utc
from dserver_signed_url_plugin.uris import MAX_URI_LENGTH, DatasetURI

# Seconds after which nobody is expected to go on with a completion that has not ended.
_COMPLETION_PAUSE = 300.0


class UploadState(enum.Enum):
    """How far an upload is: its proto-dataset is being created, exists, is frozen, or is deleted.

    The row of a removed upload is kept until its last URL has ended, so that its UUID is not given
    to other contents while somebody can still write.
    """

    OPENING = "opening"
    OPEN = "open"
    FROZEN = "frozen"
    REMOVED = "removed"


# A VARCHAR in the table, as in its migrations.
_STATE = Enum(
    UploadState,
    native_enum=False,
    length=8,
    values_callable=lambda states: [state.value for state in states],
)


class PendingUpload(sql_db.Model):
    """An upload that is not registered yet.

    ``frozen_at`` and ``lease_ends`` are seconds since 1970 UTC; the datetimes are UTC.
    """

    __tablename__ = "pending_upload"
    __table_args__ = (
        UniqueConstraint("uuid", name="uq_pending_upload_uuid"),
        CheckConstraint(
            "state IN ('opening', 'open', 'frozen', 'removed')", name="ck_pending_upload_state"
        ),
        {"sqlite_autoincrement": True},
    )

    id: Mapped[int] = mapped_column(primary_key=True)
    uuid: Mapped[str] = mapped_column(String(36))
    uri_text: Mapped[str] = mapped_column("uri", String(MAX_URI_LENGTH))
    base_uri: Mapped[str] = mapped_column(String(MAX_URI_LENGTH))
    name: Mapped[str] = mapped_column(String(80))
    creator_username: Mapped[str] = mapped_column(String(255))
    created_at: Mapped[datetime] = mapped_column(DateTime(timezone=True))
    # When it was last announced, signed for, or tried to complete; None counts as created_at.
    last_active_at: Mapped[datetime | None] = mapped_column(DateTime(timezone=True))
    frozen_at: Mapped[float | None] = mapped_column(Double)
    # As announced, in rows from before there was an AnnouncedManifest; empty in others.
    manifest_json: Mapped[str] = mapped_column(Text, deferred=True)
    # As frozen, with the store's values for what was not announced.
    frozen_manifest_json: Mapped[str | None] = mapped_column(Text, deferred=True)
    number_of_items: Mapped[int]
    # Bytes as announced; None if the size of an item was not announced.
    size_in_bytes: Mapped[int | None] = mapped_column(BigInteger)
    # Tags and annotations as announced: dserver registers them, and storage keeps one object each.
    descriptions_json: Mapped[str] = mapped_column(Text, deferred=True)
    # SHA-256 of all that was announced: the same call again resumes, another one is refused.
    fingerprint: Mapped[str] = mapped_column(String(64))
    # The user who began the upload; the creator may be another.
    uploader: Mapped[str] = mapped_column(String(255), index=True)
    # The folder of staged objects; random, so that URLs of an earlier upload cannot reach them.
    staging: Mapped[str] = mapped_column(String(32))
    # True while every URL handed out was pinned to announced bytes.
    pinned: Mapped[bool] = mapped_column(Boolean, default=True)
    # Bytes of a part; None until a client says that it sends parts. Stays as it is, although the
    # setting may change.
    part_bytes: Mapped[int | None] = mapped_column(BigInteger)
    # When the last pinned URL ends that was handed out before: it could replace an item that was
    # assembled at the same key. Afterwards, items that may come in parts have no pinned URL.
    pinned_until: Mapped[datetime | None] = mapped_column(DateTime(timezone=True))
    urls_expire_at: Mapped[datetime | None] = mapped_column(DateTime(timezone=True))
    state: Mapped[UploadState] = mapped_column(_STATE, default=UploadState.OPENING)
    # The token of the request that works on the upload now, and when its lease ends.
    lease: Mapped[str | None] = mapped_column(String(32))
    lease_ends: Mapped[float | None] = mapped_column(Double)
    # How many items a completion has in place that is under way, or that nobody has gone on with.
    items_done: Mapped[int | None]

    @property
    def uri(self) -> DatasetURI:
        """The URI that the dataset will have."""
        return DatasetURI.parse(self.uri_text)

    @property
    def storage_claim(self) -> Claim:
        """The claim that storage holds beside the proto-dataset."""
        facts = {"uploader": self.uploader, "fingerprint": self.fingerprint}
        return Claim(facts, was_written=self.state is not UploadState.OPENING)

    def admin_metadata(self, dataset_type: str, **more: Any) -> Mapping[str, Any]:
        """Return dtool's admin metadata."""
        return {
            "uuid": self.uuid,
            "dtoolcore_version": dtoolcore.__version__,
            "name": self.name,
            "creator_username": self.creator_username,
            "created_at": self.created_at_utc.timestamp(),
            "type": dataset_type,
            **more,
        }

    @property
    def created_at_utc(self) -> datetime:
        """When the upload was announced, with its time zone, which SQLite does not keep."""
        return in_utc(self.created_at)

    @property
    def last_active_at_utc(self) -> datetime:
        """When a user last worked on the upload, with its time zone."""
        return in_utc(self.last_active_at or self.created_at)

    @property
    def is_completing(self) -> bool:
        """Whether a completion works on the upload, or has lately and may be gone on with."""
        if self.items_done is None:
            return False
        worked_at = max(self.last_active_at_utc.timestamp(), self.lease_ends or 0)
        return time.time() - worked_at < _COMPLETION_PAUSE

    @property
    def urls_expire_at_utc(self) -> datetime | None:
        """When the last URL that was handed out ends, with its time zone; None if none was."""
        return None if self.urls_expire_at is None else in_utc(self.urls_expire_at)

    @property
    def pinned_until_utc(self) -> datetime | None:
        """``pinned_until`` with its time zone."""
        return None if self.pinned_until is None else in_utc(self.pinned_until)

    @property
    def urls_live(self) -> bool:
        """Whether a URL that was handed out can still write."""
        ends = self.urls_expire_at_utc
        return ends is not None and ends > datetime.now(timezone.utc)


class AnnouncedManifest(sql_db.Model):
    """The manifest of an upload as it was announced; deleted with its upload.

    In a table of its own, because SQLite writes all of a row anew, which would be 20 MB for 100,000
    items, whenever a lease is taken, renewed or released.
    """

    __tablename__ = "announced_manifest"

    # No foreign key: numbers of pending uploads are never given twice.
    pending_upload_id: Mapped[int] = mapped_column(primary_key=True, autoincrement=False)
    manifest_json: Mapped[str] = mapped_column(Text)


class ItemInParts(sql_db.Model):
    """An item whose parts the store keeps under ``upload_id``; deleted with its upload.

    ``assembled_md5`` is None until its assembly begins, and then StoredItem.md5 of the item that
    must come out, or empty if the store does not tell. ``created_at`` is UTC.
    """

    __tablename__ = "item_in_parts"

    # The key makes two requests at once agree on one upload ID. No foreign key: numbers of pending
    # uploads are never given twice.
    pending_upload_id: Mapped[int] = mapped_column(primary_key=True, autoincrement=False)
    identifier: Mapped[str] = mapped_column(String(40), primary_key=True)
    upload_id: Mapped[str] = mapped_column(Text)
    created_at: Mapped[datetime] = mapped_column(DateTime(timezone=True))
    assembled_md5: Mapped[str | None] = mapped_column(String(64))


class DatasetInParts(sql_db.Model):
    """A dataset with items of which the store has verified the parts, but not the whole."""

    __tablename__ = "dataset_in_parts"

    id: Mapped[int] = mapped_column(primary_key=True)
    uuid: Mapped[str] = mapped_column(String(36), index=True)
    # No part of a key: it may be longer than PostgreSQL indexes.
    uri: Mapped[str] = mapped_column(String(MAX_URI_LENGTH))
