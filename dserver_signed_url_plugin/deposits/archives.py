"""One archive of a directory, made while it is read; no copy of it is kept.

The same files give the same archive: they come in the order of their names, with their times and
the right of their owner to execute them, and without owners.

Sources: POSIX.1-2001 (pax), which tarfile writes; RFC 8878 (Zstandard); PKWARE's APPNOTE.TXT.
"""

from __future__ import annotations

import stat
import tarfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import datetime, timezone
from typing import Any
from zipfile import ZIP_DEFLATED, ZipFile, ZipInfo

from dserver_signed_url_plugin.deposits.local_files import LocalFile
from dserver_signed_url_plugin.uploads.plan import check_relpaths
from dserver_signed_url_plugin.zstandard import zstd

# The years that a ZIP file can hold.
_FIRST_YEAR, _LAST_YEAR = 1980, 2107
_END_OF_TAR = bytes(2 * tarfile.BLOCKSIZE)


def _tar_zst(files: Sequence[LocalFile]) -> Iterator[bytes]:
    """Yield a tar archive of the files, compressed with Zstandard.

    :raises UnusableFile: if a file cannot be read, or has changed since it was found.
    """
    checksum = {zstd.CompressionParameter.checksum_flag: 1}
    compressor: Any = zstd.ZstdCompressor(options=checksum)
    for block in _tar(files):
        if compressed := compressor.compress(block):
            yield compressed
    yield compressor.flush()


def _zip(files: Sequence[LocalFile]) -> Iterator[bytes]:
    """Yield a ZIP archive of the files (ZIP64 where it needs to be).

    :raises UnusableFile: if a file cannot be read, or has changed since it was found.
    """
    written = _Written()
    # Without a position in its output, zipfile writes the size and the CRC behind each file.
    with ZipFile(written, "w", ZIP_DEFLATED) as archive:
        for file in files:
            with archive.open(_zip_info(file), "w") as member:
                for block in _blocks(file):
                    member.write(block)
                    yield written.taken()
    yield written.taken()


# By the end of the archive's name.
FORMATS: Mapping[str, Callable[[Sequence[LocalFile]], Iterator[bytes]]] = {
    "tar.zst": _tar_zst,
    "zip": _zip,
}


DEFAULT = "tar.zst"


def archived(files: Sequence[LocalFile], kind: str) -> Iterator[bytes]:
    """Return an archive of the files, which are read when it is.

    :param kind: one of FORMATS.
    :raises InvalidField: if a name could leave the directory where somebody unpacks it.
    """
    check_relpaths([file.item for file in files])
    return FORMATS[kind](files)


class _Written:
    """What was written and not yet taken."""

    def __init__(self) -> None:
        self._blocks: list[bytes] = []

    def write(self, block: bytes) -> int:
        self._blocks.append(bytes(block))
        return len(block)

    def flush(self) -> None:
        """Do nothing, like close(): ZipFile needs both."""

    def close(self) -> None:
        pass

    def taken(self) -> bytes:
        blocks, self._blocks = self._blocks, []
        return b"".join(blocks)


def _tar(files: Sequence[LocalFile]) -> Iterator[bytes]:
    for file in files:
        info = tarfile.TarInfo(file.item.relpath)
        info.size, info.mtime = file.item.size_in_bytes or 0, int(file.item.utc_timestamp or 0)
        info.mode = _mode(file)
        yield info.tobuf(tarfile.PAX_FORMAT)
        yield from _blocks(file)
        yield bytes(-info.size % tarfile.BLOCKSIZE)
    yield _END_OF_TAR


def _zip_info(file: LocalFile) -> ZipInfo:
    moment = datetime.fromtimestamp(file.item.utc_timestamp or 0, timezone.utc)
    if not _FIRST_YEAR <= moment.year <= _LAST_YEAR:
        moment = datetime(_FIRST_YEAR, 1, 1, tzinfo=timezone.utc)
    info = ZipInfo(file.item.relpath, moment.timetuple()[:6])
    info.compress_type = ZIP_DEFLATED
    # By it, zipfile decides whether the file needs ZIP64.
    info.file_size = file.item.size_in_bytes or 0
    # Unix, whose modes are in the upper half.
    info.create_system, info.external_attr = 3, (stat.S_IFREG | _mode(file)) << 16
    return info


def _mode(file: LocalFile) -> int:
    return 0o755 if file.is_executable else 0o644


def _blocks(file: LocalFile) -> Iterator[bytes]:
    """Yield the bytes of a file, which must be as many as when it was found."""
    left = file.item.size_in_bytes or 0
    for block in file.unchanged_blocks():
        left -= len(block)
        if left < 0:
            raise file.changed()
        yield block
    if left:
        raise file.changed()
