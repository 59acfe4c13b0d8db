"""PendingUpload: one row for each upload between its announcement and its registration.

States what must be true of a row; decides nothing, and knows no request.
"""

from __future__ import annotations

from datetime import datetime, timezone

from dservercore import sql_db
from sqlalchemy import (
    BigInteger,
    Boolean,
    CheckConstraint,
    DateTime,
    Double,
    String,
    Text,
    UniqueConstraint,
)
from sqlalchemy.orm import Mapped, mapped_column

from dserver_signed_url_plugin.storage.values import Claim
from dserver_signed_url_plugin.times import in_utc
from dserver_signed_url_plugin.uris import MAX_URI_LENGTH

OPENING, OPEN, FROZEN, REMOVED = "opening", "open", "frozen", "removed"


class PendingUpload(sql_db.Model):
    """An upload that is not registered yet.

    A removed one is kept until its last URL has ended, so that its UUID is not given to other
    contents while somebody can still write.

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
    uri: Mapped[str] = mapped_column(String(MAX_URI_LENGTH))
    base_uri: Mapped[str] = mapped_column(String(MAX_URI_LENGTH))
    name: Mapped[str] = mapped_column(String(80))
    creator_username: Mapped[str] = mapped_column(String(255))
    created_at: Mapped[datetime] = mapped_column(DateTime(timezone=True))
    # When it was last announced, signed for, or tried to complete; None counts as created_at.
    last_active_at: Mapped[datetime | None] = mapped_column(DateTime(timezone=True))
    frozen_at: Mapped[float | None] = mapped_column(Double)
    # As announced; and as frozen, which holds what the store said instead of what nobody announced.
    manifest_json: Mapped[str] = mapped_column(Text, deferred=True)
    frozen_manifest_json: Mapped[str | None] = mapped_column(Text, deferred=True)

    number_of_items: Mapped[int]
    # Bytes as announced; None where not every item said its size.
    size_in_bytes: Mapped[int | None] = mapped_column(BigInteger)
    # Tags and annotations as announced: dserver registers them, and storage keeps one object each.
    descriptions_json: Mapped[str] = mapped_column(Text, deferred=True)
    # SHA-256 of all that was announced: the same call again resumes, another one is refused.
    fingerprint: Mapped[str] = mapped_column(String(64))
    # The identity that began the upload, whoever is named as creator.
    uploader: Mapped[str] = mapped_column(String(255), index=True)
    # Where staged objects are; unguessable, so that URLs of an earlier upload cannot reach them.
    staging: Mapped[str] = mapped_column(String(32))
    # True while every URL handed out was pinned to announced bytes.
    pinned: Mapped[bool] = mapped_column(Boolean, default=True)
    urls_expire_at: Mapped[datetime | None] = mapped_column(DateTime(timezone=True))
    state: Mapped[str] = mapped_column(String(8), default=OPENING)
    # Who is opening or completing the upload now, and until when without a further sign of life.
    lease: Mapped[str | None] = mapped_column(String(32))
    lease_ends: Mapped[float | None] = mapped_column(Double)

    @property
    def storage_claim(self) -> Claim:
        """What storage keeps beside the proto-dataset, so that nobody takes it for another's."""
        facts = {"uploader": self.uploader, "fingerprint": self.fingerprint}
        return Claim(facts, was_left=self.state != OPENING)

    @property
    def created_at_utc(self) -> datetime:
        """When the upload was announced, aware; SQLite forgets the zone."""
        return in_utc(self.created_at)

    @property
    def last_active_at_utc(self) -> datetime:
        """When somebody last worked on the upload, aware."""
        return in_utc(self.last_active_at or self.created_at)

    @property
    def urls_expire_at_utc(self) -> datetime | None:
        """When the last URL handed out ends, aware; None if there was none."""
        return None if self.urls_expire_at is None else in_utc(self.urls_expire_at)

    @property
    def urls_live(self) -> bool:
        """Whether somebody can still write through a URL that was handed out."""
        ends = self.urls_expire_at_utc
        return ends is not None and ends > datetime.now(timezone.utc)
