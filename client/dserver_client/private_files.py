"""Files that only their owner can read, and that are replaced atomically."""

from __future__ import annotations

import logging
import os
import sys
import tempfile
from contextlib import suppress
from pathlib import Path

import platformdirs

from dserver_client.errors import LocalFileError, reason_of

_log = logging.getLogger(__name__)

_APPLICATION = "dserver-client"


def config_directory() -> Path:
    """Return where tokens are kept."""
    return Path(platformdirs.user_config_dir(_APPLICATION, appauthor=False))


def state_directory() -> Path:
    """Return where the state of deposits is kept."""
    return Path(platformdirs.user_state_dir(_APPLICATION, appauthor=False))


def make_private_directory(path: Path) -> None:
    """Make a directory, and what is missing above it, that only its owner may enter.

    On Windows the permissions of a user's own directories are the protection.

    :raises LocalFileError: if it cannot be made.
    """
    if path.is_dir():
        return
    make_private_directory(path.parent)
    try:
        path.mkdir(mode=0o700, exist_ok=True)
    except OSError as error:
        raise LocalFileError(f"{path} cannot be made: {reason_of(error)}.") from error


def write_private(path: Path, content: bytes) -> None:
    """Write a file of mode 0600; whoever reads it sees the old content or the new one.

    :raises LocalFileError: if it cannot be written.
    """
    make_private_directory(path.parent)
    try:
        # mkstemp creates files of mode 0600.
        descriptor, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}-")
        try:
            with open(descriptor, "wb") as file:
                file.write(content)
                file.flush()
                os.fsync(file.fileno())
            os.replace(name, path)
        except BaseException:
            with suppress(OSError):
                os.unlink(name)
            raise
    except OSError as error:
        raise LocalFileError(f"{path} cannot be written: {reason_of(error)}.") from error


def read_private(path: Path) -> bytes | None:
    """Return the content of a file, or None if there is none.

    A file that others can read is made private, with a warning.

    :raises LocalFileError: if it cannot be read.
    """
    try:
        with path.open("rb") as file:
            _make_private(path, file.fileno())
            return file.read()
    except FileNotFoundError:
        return None
    except OSError as error:
        raise LocalFileError(f"{path} cannot be read: {reason_of(error)}.") from error


def _make_private(path: Path, descriptor: int) -> None:
    if sys.platform != "win32" and os.fstat(descriptor).st_mode & 0o077:
        with suppress(OSError):
            os.fchmod(descriptor, 0o600)
        _log.warning("%s could be read by others: its permissions are now 0600.", path)
