"""A dataset that is shared, and the pages behind its links."""

from __future__ import annotations

import struct
import zlib
from collections.abc import Sequence
from datetime import datetime, timedelta, timezone

from dservercore import sql_db
from dtoolcore.utils import generate_identifier
from playwright.sync_api import Page, expect

from dserver_signed_url_plugin.shares.models import Share
from tests.support.links import Visitor

PICTURE, TEXT, BINARY = "images/leaf 1.png", "notes/Größe über Zeit.txt", f"{'x' * 180}.dat"
WIDTH, HEIGHT = 40, 30
README = """# Heights of cress

Measured *daily*, see [the protocol](https://example.org/protocol).

| day | height |
|-----|--------|
| 1   | 2 mm   |
"""
NOTE = "For Carol.\nThe last series is the good one."


def picture() -> bytes:
    """Return a picture of one colour (PNG specification, section 11)."""

    def chunk(kind: bytes, data: bytes) -> bytes:
        checksum = zlib.crc32(kind + data)
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", checksum)

    header = struct.pack(">IIBBBBB", WIDTH, HEIGHT, 8, 2, 0, 0, 0)
    rows = (b"\0" + b"\x20\x80\x60" * WIDTH) * HEIGHT
    parts = (chunk(b"IHDR", header), chunk(b"IDAT", zlib.compress(rows)), chunk(b"IEND", b""))
    return b"\x89PNG\r\n\x1a\n" + b"".join(parts)


# More than there are on one page.
FILES = {
    PICTURE: picture(),
    TEXT: "Größe: 3\n".encode(),
    BINARY: b"\0\1",
    **{f"series/{number:03}.csv": b"%d\n" % number for number in range(200)},
}
RELPATHS = sorted(FILES)


def preview(link: str, relpath: str) -> str:
    """Return the address of the preview of an item."""
    return f"{link}/{generate_identifier(relpath)}/preview"


def check_listed(page: Page, relpaths: Sequence[str]) -> None:
    """Fail unless the page lists these items, perhaps after a moment."""
    expect(page.locator(".files .name")).to_have_text(relpaths)


def revoke(visitor: Visitor) -> None:
    """Take a link back."""
    visitor.revoke()


def expire(visitor: Visitor) -> None:
    """Let a link end a second ago."""
    with visitor.dserver.app.app_context():
        ends_at = datetime.now(timezone.utc) - timedelta(seconds=1)
        sql_db.session.query(Share).filter_by(id=visitor.share.id).update({"ends_at": ends_at})
        sql_db.session.commit()
