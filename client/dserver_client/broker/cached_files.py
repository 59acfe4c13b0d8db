"""Files of dtool's cache directory, each compared with its item's MD5 once by a process."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

from dserver_client.manifest import ManifestItem

_BLOCK = 1024 * 1024
# What tells a file from another one, or from what it was before.
_State = tuple[int, int, int, int]


class CachedFiles:
    """Tells whether files are what the manifest says. Threads may share it.

    Others write to dtool's cache directory, too, and a power cut may leave files of zeros.
    """

    def __init__(self) -> None:
        self._compared: dict[Path, _State] = {}

    def is_known(self, path: Path) -> bool:
        """Return whether a file was found right before, and has not changed since."""
        with suppress(OSError):
            return self._compared.get(path) == _state(os.stat(path))
        return False

    def note(self, path: Path) -> None:
        """Note that a file has just been compared by whoever wrote it."""
        with suppress(OSError):
            self._compared[path] = _state(os.stat(path))

    def is_right(self, path: Path, item: ManifestItem, check: Callable[[], None]) -> bool:
        """Compare a file's size and MD5 with its item's; call ``check`` often.

        An item whose hash is not an MD5 has a size only.
        """
        try:
            with path.open("rb", buffering=0) as file:
                found = os.fstat(file.fileno())
                if found.st_size != item.size_in_bytes:
                    return False
                digest = hashlib.md5(usedforsecurity=False)
                while item.hash is not None and (block := file.read(_BLOCK)):
                    check()
                    digest.update(block)
        except OSError:
            return False
        if item.hash not in (None, digest.hexdigest()):
            return False
        self._compared[path] = _state(found)
        # It may have changed while it was read.
        return self.is_known(path)


def _state(found: os.stat_result) -> _State:
    return found.st_size, found.st_mtime_ns, found.st_ctime_ns, found.st_ino
