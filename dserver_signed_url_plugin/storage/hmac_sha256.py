"""HMAC-SHA256 of many messages with one key and one beginning.

``hmac.digest`` hashes the padded key twice for each message. Here both hashes are kept and copied,
which takes two thirds of the time for messages as short as those of signatures.

Source: RFC 2104, section 2 and "implementation note" in section 4.
"""

from __future__ import annotations

from hashlib import sha256

_BLOCK_BYTES = 64
_INNER = bytes(byte ^ 0x36 for byte in range(256))
_OUTER = bytes(byte ^ 0x5C for byte in range(256))


class HMACSHA256:
    """Authenticates messages that begin alike.

    :param beginning: what every message begins with.
    """

    def __init__(self, key: bytes, beginning: bytes = b"") -> None:
        if len(key) > _BLOCK_BYTES:
            key = sha256(key).digest()
        block = key.ljust(_BLOCK_BYTES, b"\0")
        self._inner = sha256(block.translate(_INNER) + beginning)
        self._outer = sha256(block.translate(_OUTER))

    def digest(self, rest: bytes) -> bytes:
        """Return the code of the message with this rest."""
        inner, outer = self._inner.copy(), self._outer.copy()
        inner.update(rest)
        outer.update(inner.digest())
        return outer.digest()
