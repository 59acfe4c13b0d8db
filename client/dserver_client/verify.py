"""Check the store, or a directory, against the manifest of a dataset."""

from __future__ import annotations

import os
import re
import threading
from base64 import b64decode
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from functools import partial
from pathlib import Path

from dserver_client.dtool_directory import DATA, is_dataset
from dserver_client.existing_files import compare
from dserver_client.local_names import Names, safe_paths
from dserver_client.manifest import ManifestItem
from dserver_client.progress import NoProgress, Progress
from dserver_client.readable import ReadableDataset
from dserver_client.transfers.item_reader import ItemReader, ObjectDiffers, ObjectMissing, WrongSize
from dserver_client.transfers.scheduler import Limit, run
from dserver_client.values import Verified

_MD5 = re.compile('"([0-9a-f]{32})"')


def verify(
    dataset: ReadableDataset,
    *,
    full: bool = False,
    progress: Progress | None = None,
    limit: Limit | None = None,
) -> Verified:
    """Compare all items in the store with the manifest.

    Sizes are compared, and MD5s as far as the store knows them: of items that were sent in one
    piece. ``full`` reads all bytes. One request is made for each item.

    :raises Refused: if dserver has no such dataset, or does not let this user read it.
    :raises Unavailable, StoreRefused: if the store does not answer for an item.
    """
    items = dataset.items()
    size = sum(item.size_in_bytes for item in items)
    shown, used = progress or NoProgress(), limit or Limit()
    check = _Check(dataset, items, shown, used)
    shown.start("check", size if full else None, len(items))
    try:
        run((partial(check.read if full else check.look, item) for item in items), used)
    finally:
        shown.finish()
    return Verified(
        uri=dataset.uri,
        items=len(items),
        size_in_bytes=size,
        missing=sorted(check.missing),
        wrong_size=sorted(check.wrong_size),
        wrong_hash=sorted(check.wrong_hash),
        hashes_compared=check.hashes_compared,
    )


def verify_directory(
    dataset: ReadableDataset,
    directory: str | os.PathLike[str],
    *,
    full: bool = False,
    names: Names = "strict",
    progress: Progress | None = None,
) -> Verified:
    """Compare a directory, into which a dataset was fetched, with the manifest.

    Sizes are compared, and with ``full`` MD5s. The directory may be a dataset of dtool's.

    :param names: as when it was fetched.
    :raises Refused: if dserver has no such dataset, or does not let this user read it.
    :raises LocalFileError: if a file cannot be read.
    """
    items = dataset.items()
    root = Path(os.path.abspath(directory))
    if is_dataset(root):
        root /= DATA
    relpaths = [item.relpath for item in items]
    paths = safe_paths(relpaths) if names == "safe" else dict(zip(relpaths, relpaths, strict=True))
    files = [(item, os.path.join(root, paths[item.relpath])) for item in items]
    found = compare(files, progress or NoProgress(), hashes=full)
    return Verified(
        uri=dataset.uri,
        items=len(items),
        size_in_bytes=sum(item.size_in_bytes for item in items),
        missing=sorted([*found.blocked, *(item.relpath for item, _ in found.missing)]),
        wrong_size=sorted(found.wrong_size),
        wrong_hash=sorted(found.wrong_hash),
        hashes_compared=sum(1 for item, _ in found.equal if item.hash) if full else 0,
    )


class _Check:
    """Compares items with the store, each in a task of its own."""

    def __init__(
        self,
        dataset: ReadableDataset,
        items: Sequence[ManifestItem],
        progress: Progress,
        limit: Limit,
    ) -> None:
        self._http = dataset.http
        self._urls = dataset.urls([item.identifier for item in items], limit)
        self._progress = progress
        self._limit = limit
        self._lock = threading.Lock()
        self.missing: list[str] = []
        self.wrong_size: list[str] = []
        self.wrong_hash: list[str] = []
        self.hashes_compared = 0

    def look(self, item: ManifestItem) -> None:
        """Compare what a request for one byte tells."""
        reader = ItemReader(self._http, self._urls, item, self._limit)
        with self._noting(item):
            known = _known_md5(reader.headers())
            # An ETag that looks like an MD5 is none on some stores: reading decides.
            if known is not None and known != item.hash and item.hash is not None:
                known = reader.md5(self._progress.advance)
            self._note_hash(item, known)
        self._progress.advance(0, 1)
        self._urls.done(item.identifier)

    def read(self, item: ManifestItem) -> None:
        """Compare all bytes."""
        reader = ItemReader(self._http, self._urls, item, self._limit)
        with self._noting(item):
            self._note_hash(item, reader.md5(self._progress.advance))
        self._progress.advance(0, 1)
        self._urls.done(item.identifier)

    @contextmanager
    def _noting(self, item: ManifestItem) -> Iterator[None]:
        try:
            yield
        except ObjectMissing:
            self.missing.append(item.relpath)
        except WrongSize:
            self.wrong_size.append(item.relpath)
        except ObjectDiffers:
            self.wrong_hash.append(item.relpath)

    def _note_hash(self, item: ManifestItem, md5: str | None) -> None:
        if md5 is None or item.hash is None:
            return
        with self._lock:
            self.hashes_compared += 1
        if md5 != item.hash:
            self.wrong_hash.append(item.relpath)


def _known_md5(headers: Mapping[str, str]) -> str | None:
    """Return the MD5 that the store keeps of an object, or its ETag, which is usually the same.

    It is not for what came in parts, and what S3 encrypts with keys of KMS or of the customer.
    Azure keeps an MD5 beside it. Sources: AWS, "Object", ETag; Azure, "Get Blob".
    """
    kept = headers.get("x-ms-blob-content-md5") or headers.get("Content-MD5")
    if kept:
        with suppress(ValueError):
            return b64decode(kept).hex()
    found = _MD5.fullmatch(headers.get("ETag", ""))
    return found[1] if found else None
