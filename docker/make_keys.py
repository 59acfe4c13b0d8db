"""Generates the key pair that signs and checks dserver's tokens, unless it exists.

The files are those of JWT_PRIVATE_KEY_FILE and JWT_PUBLIC_KEY_FILE. A key is never printed, and
never replaced: that would invalidate all tokens.
"""

from __future__ import annotations

import os
import sys
from pathlib import Path

from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    PublicFormat,
    load_pem_private_key,
)


def main() -> None:
    """Write the files that do not exist."""
    private = Path(os.environ["JWT_PRIVATE_KEY_FILE"])
    public = Path(os.environ["JWT_PUBLIC_KEY_FILE"])
    if private.exists():
        sys.stdout.write(f"{private} is kept.\n")
    else:
        fresh = rsa.generate_private_key(public_exponent=65537, key_size=3072)
        pem = fresh.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
        _write(private, pem, 0o600)
        sys.stdout.write(f"{private} is new.\n")
    key = load_pem_private_key(private.read_bytes(), password=None).public_key()
    _write(public, key.public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo), 0o644)


def _write(path: Path, content: bytes, mode: int) -> None:
    """Write a file atomically."""
    unfinished = path.with_suffix(".unfinished")
    unfinished.unlink(missing_ok=True)
    with os.fdopen(os.open(unfinished, os.O_WRONLY | os.O_CREAT | os.O_EXCL, mode), "wb") as file:
        file.write(content)
    unfinished.replace(path)


if __name__ == "__main__":
    main()
