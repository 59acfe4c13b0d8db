"""The table of shares: one row for each link that people without an account were given."""

from __future__ import annotations

from datetime import datetime

from dservercore import sql_db
from sqlalchemy import BigInteger, DateTime, Index, LargeBinary, String, Text
from sqlalchemy.orm import Mapped, mapped_column

from dserver_signed_url_plugin.uris import MAX_URI_LENGTH


class Share(sql_db.Model):
    """A share of a registered dataset, or of some of its items; times are UTC.

    ``owner`` is empty if an operator made it at the shell. ``owner_id`` and ``frozen_at`` are
    dserver's: another account of the same name, or another dataset of the same URI, has others.
    """

    __tablename__ = "signed_url_share"
    __table_args__ = (
        # The newest first, of one owner or of all.
        Index("ix_signed_url_share_owner", "owner", "created_at", "id"),
        Index("ix_signed_url_share_created_at", "created_at", "id"),
    )

    id: Mapped[str] = mapped_column(String(16), primary_key=True)
    token_hash: Mapped[str] = mapped_column(String(64), index=True, unique=True)
    uri: Mapped[str] = mapped_column(String(MAX_URI_LENGTH), index=True)
    base_uri: Mapped[str] = mapped_column(String(MAX_URI_LENGTH))
    owner: Mapped[str] = mapped_column(String(255))
    # No foreign key: dserver would not delete a user to whom a row refers.
    owner_id: Mapped[int | None] = mapped_column(index=True)
    name: Mapped[str] = mapped_column(String(80))
    note: Mapped[str | None] = mapped_column(Text)
    created_at: Mapped[datetime] = mapped_column(DateTime(timezone=True))
    frozen_at: Mapped[datetime] = mapped_column(DateTime(timezone=True))
    ends_at: Mapped[datetime] = mapped_column(DateTime(timezone=True), index=True)
    # When it was ended earlier, and why: "revoked", "dataset-deleted" or "owner-deleted".
    ended_at: Mapped[datetime | None] = mapped_column(DateTime(timezone=True), index=True)
    ended_because: Mapped[str | None] = mapped_column(String(16))
    max_downloads: Mapped[int | None]
    downloads: Mapped[int] = mapped_column(server_default="0")
    number_of_items: Mapped[int]
    # Bytes; None if the size of an item is not known.
    size_in_bytes: Mapped[int | None] = mapped_column(BigInteger)
    # The SHA-1 digests of the items, sorted; None if all items are shared. May be empty once ended.
    identifiers: Mapped[bytes | None] = mapped_column(LargeBinary, deferred=True)
