"""Copies within an account that take long, as those of large blobs do on Azure."""

from __future__ import annotations

from collections.abc import Callable
from itertools import count

# How long one call may wait for the store: it looks at a copy for the last time after two seconds,
# and has one for the answer.
HASTE = {"SIGNED_URL_STORAGE_SECONDS": 3}


def copying(looks: int) -> Callable[[bytes], bytes]:
    """Return a change of answers by which a copy is pending the first so many times it is seen."""
    seen = count(1)

    def rewritten(body: bytes) -> bytes:
        done = b"<CopyStatus>success"
        if done in body and next(seen) <= looks:
            return body.replace(done, b"<CopyStatus>pending")
        return body

    return rewritten
