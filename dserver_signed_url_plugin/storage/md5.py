"""MD5 as stores have it: of an item in hexadecimal, of a header in Base64 (RFC 1864)."""

from __future__ import annotations

import base64
import hashlib


def md5_of(content: bytes) -> str:
    """Return the MD5 (32 hex digits), which is also S3's ETag of an object without encryption."""
    return hashlib.md5(content, usedforsecurity=False).hexdigest()


def base64_md5(md5: str) -> str:
    """Return an MD5 (32 hex digits) as headers have it."""
    return base64.b64encode(bytes.fromhex(md5)).decode()


def content_md5(md5: str) -> dict[str, str]:
    """Return the header with which a store takes no other bytes than those with this MD5."""
    return {"Content-MD5": base64_md5(md5)}
