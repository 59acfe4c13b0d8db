"""Generates the key pair that signs and checks dserver's tokens, unless it exists.

The files are those of JWT_PRIVATE_KEY_FILE and JWT_PUBLIC_KEY_FILE. A key is never printed, and
never replaced: that would invalidate all tokens.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from tempfile import TemporaryDirectory

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
    sys.stdout.write(f"{private} is {'new' if _is_new(private) else 'kept'}.\n")
    key = load_pem_private_key(private.read_bytes(), password=None).public_key()
    pem = key.public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
    _write(public, pem, 0o644, os.replace)


def _is_new(private: Path) -> bool:
    """Write a private key unless there is one; return whether it was written."""
    if not private.exists():
        fresh = rsa.generate_private_key(public_exponent=65537, key_size=3072)
        pem = fresh.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
        # Another process may have been quicker; a link replaces nothing.
        with suppress(FileExistsError):
            _write(private, pem, 0o600, os.link)
            return True
    return False


def _write(path: Path, content: bytes, mode: int, publish: Callable[[Path, Path], None]) -> None:
    """Write a file beside its path, and publish it there when it is complete."""
    with TemporaryDirectory(dir=path.parent) as scratch:
        unfinished = Path(scratch, path.name)
        with os.fdopen(os.open(unfinished, os.O_WRONLY | os.O_CREAT, mode), "wb") as file:
            file.write(content)
        publish(unfinished, path)


if __name__ == "__main__":
    main()
