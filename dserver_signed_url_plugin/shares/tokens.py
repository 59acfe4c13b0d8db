"""Tokens of shares: the secret part of a link, of which the database keeps a hash only."""

from __future__ import annotations

import base64
import hashlib
import re
import secrets

_RANDOM_BYTES = 20
# Lower case and no punctuation: mail programs leave a dash at the end out of a link.
_TOKEN = re.compile(r"[a-z2-7]{32}")
_LINK = re.compile(r"(?:^|/signed-urls/s/)([a-z2-7]{32})(?![\w-])", re.IGNORECASE)


def new_token() -> str:
    """Return 160 random bits in base32 (RFC 4648), in lower case."""
    return base64.b32encode(secrets.token_bytes(_RANDOM_BYTES)).decode().lower()


def is_token(text: str) -> bool:
    """Return whether a text has the form of a token."""
    return _TOKEN.fullmatch(text) is not None


def token_of(link: str) -> str | None:
    """Return the token of a link, also of one to an item, or of a token alone; None if neither."""
    found = _LINK.search(link)
    return None if found is None else found[1].lower()


def token_hash(token: str) -> str:
    """Return what the database keeps of a token: its SHA-256, as 64 hexadecimal digits.

    No salt and no slow hash, because nobody can guess 160 random bits.
    """
    return hashlib.sha256(token.encode()).hexdigest()
