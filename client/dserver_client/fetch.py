"""Fetch a dataset, or some of its items, into a local directory."""

from __future__ import annotations

import os
import re
import shutil
from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path

from dserver_client import dtool_directory
from dserver_client.disk import make_own_directory, no_links, sync
from dserver_client.documents import Documents
from dserver_client.errors import FilesExist, LocalFileError, UsageError
from dserver_client.existing_files import ItemFile, compare, links_on_the_way, was_fetched
from dserver_client.file_lock import FileLock, Locked
from dserver_client.local_names import STATE_DIRECTORY, Names, local_paths, safe_paths
from dserver_client.manifest import ManifestItem, parse_manifest, select
from dserver_client.name_probe import NameProbe
from dserver_client.progress import NoProgress, Progress
from dserver_client.readable import ReadableDataset
from dserver_client.transfers.fetching import Fetching
from dserver_client.transfers.scheduler import Limit
from dserver_client.values import Fetched

_LISTED = 20
# In the directory of what is not complete, from when fetching begins until all is there.
_UNFINISHED = "unfinished"
_PLAIN_NAME = re.compile("[A-Za-z0-9-]{1,80}")
# Source: dtoolcore, ``name_is_valid``; not one that begins like an option or a hidden file.
_DATASET_NAME = re.compile("[A-Za-z0-9_][A-Za-z0-9_.-]{0,79}")


def fetch(
    dataset: ReadableDataset,
    dest: str | os.PathLike[str] | None = None,
    *,
    items: Collection[str] | None = None,
    as_dataset: bool = False,
    names: Names = "strict",
    overwrite: bool = False,
    progress: Progress | None = None,
    limit: Limit | None = None,
) -> Fetched:
    """Fetch a dataset into a directory, which is made if necessary.

    Files that are there already, with the right size and MD5, are not fetched. If anything
    interrupts it, the same call continues: what is not complete waits in ``.dserver-fetch``.

    :param dest: by default a directory with the name of the dataset, in the current directory.
    :param items: relpaths, or patterns of relpaths as of ``fnmatch``; by default all items.
    :param as_dataset: make the directory itself a dataset that dtool reads, instead of keeping the
        items under their relpaths. It is a dataset when all is there.
    :param names: what to do with names that the directory cannot hold, see ``local_names``.
    :param overwrite: replace files with another content, which otherwise are an error.
    :raises Refused: if there is no such dataset, or it may not be read.
    :raises UnusableNames, FilesExist: with all files concerned, before any is fetched.
    :raises VerificationFailed: with the items that differ from the manifest, when all others are
        there.
    :raises LocalFileError: if a file cannot be read or written.
    :raises Unavailable, StoreRefused: if dserver or the store does not hand out the bytes.
    """
    if as_dataset and (items is not None or names == "safe"):
        raise UsageError("A dataset is fetched with all of its items, under their own names.")
    shown, used = progress or NoProgress(), limit or Limit()
    documents = dataset.documents() if as_dataset else None
    known = parse_manifest(documents.manifest) if documents else dataset.items()
    wanted = known if items is None else select(known, items)
    directory = Path(os.path.abspath(_named_after(dataset) if dest is None else dest))
    with _state_of(directory, dataset.uuid()) as state:
        files = _places(known, wanted, documents, directory, state, names)
        replaced = files if overwrite else _left_by_fetch(files, state)
        missing = _missing(files, replaced, directory, shown)
        urls = dataset.urls([item.identifier for item, _ in missing], used)
        fetching = Fetching(dataset.http, urls, state, shown, used, dataset.part_size)
        _fetch(fetching, missing, files, state, shown)
        if documents:
            dtool_directory.complete(directory, documents, state)
        _clear(state)
    size = sum(item.size_in_bytes for item, _ in files)
    there = len(files) - len(missing)
    renamed = _renamed(files, directory) if names == "safe" else {}
    fetched = fetching.fetched_in_bytes
    return Fetched(dataset.uri, str(directory), len(files), size, fetched, there, renamed)


def _named_after(dataset: ReadableDataset) -> str:
    """Return the name of a dataset, as every file system can hold it, in this directory."""
    name = dataset.name()
    return safe_paths([name])[name] if _DATASET_NAME.fullmatch(name) else "dataset"


@contextmanager
def _state_of(directory: Path, uuid: str) -> Iterator[Path]:
    """Make the directory for what is not complete, which one fetch at a time has.

    It is this person's own: in a directory of several people, others could leave links in it.
    """
    state = directory / STATE_DIRECTORY / (uuid if _PLAIN_NAME.fullmatch(uuid) else "dataset")
    is_new = not directory.exists()
    _make_state(directory, state)
    try:
        with FileLock(state / "lock"):
            yield state
    except Locked:
        raise FilesExist(
            f"Another command is fetching this dataset into {directory}.", {}
        ) from None
    except OSError as error:
        raise LocalFileError.of(error, error.filename or directory) from error
    finally:
        # Each only if it is empty.
        with suppress(OSError):
            state.rmdir()
            state.parent.rmdir()
            if is_new:
                directory.rmdir()


def _make_state(directory: Path, state: Path) -> None:
    try:
        while True:
            directory.mkdir(parents=True, exist_ok=True)
            # A fetch of another dataset may end at this moment, and delete what is empty.
            with suppress(FileNotFoundError):
                make_own_directory(state.parent)
                make_own_directory(state)
                return
    except OSError as error:
        raise LocalFileError.of(error, error.filename or directory) from error


def _clear(state: Path) -> None:
    """Delete what interrupted fetches have left of small items, which are never continued."""
    (state / _UNFINISHED).unlink(missing_ok=True)
    for path in state.glob("*.part"):
        if not path.with_suffix(".arrived").exists():
            path.unlink(missing_ok=True)


def _places(
    known: Sequence[ManifestItem],
    wanted: Sequence[ManifestItem],
    documents: Documents | None,
    directory: Path,
    state: Path,
    names: Names,
) -> list[ItemFile]:
    """Return where the items go. Raise UnusableNames for what the directory cannot hold."""
    if documents is not None:
        files = _dataset_files(wanted, documents, directory, state)
        dtool_directory.begin(directory, documents, state)
        return files
    # What ``safe`` makes of a name depends on all of the dataset's.
    checked = wanted if names == "strict" else known
    with NameProbe(state) as probe:
        paths = local_paths([item.relpath for item in checked], directory, probe, names)
    files = [(item, os.path.join(directory, paths[item.relpath])) for item in wanted]
    _check_links(directory, [path for _, path in files])
    return files


def _check_links(directory: Path, paths: Sequence[str]) -> None:
    """Raise FilesExist if files were written through links to places outside, or mixed up."""
    if links := links_on_the_way(directory, paths):
        raise FilesExist(
            f"Nothing is fetched through these directories in {directory}: {_listed(links)}.", links
        )


def _renamed(files: Sequence[ItemFile], directory: Path) -> dict[str, str]:
    paths = {item.relpath: Path(path).relative_to(directory).as_posix() for item, path in files}
    return {relpath: path for relpath, path in paths.items() if relpath != path}


def _dataset_files(
    items: Sequence[ManifestItem], documents: Documents, directory: Path, state: Path
) -> list[ItemFile]:
    """Return where the items go in a dtool dataset, if all of its files can have their names."""
    data = [f"{dtool_directory.DATA}/{item.relpath}" for item in items]
    with NameProbe(state) as probe:
        local_paths([*data, *dtool_directory.files(documents)], directory, probe)
    others = [os.path.join(directory, path) for path in dtool_directory.files(documents)]
    paths = [os.path.join(directory, path) for path in data]
    _check_links(directory, [*paths, *others])
    return list(zip(items, paths, strict=True))


def _left_by_fetch(files: Sequence[ItemFile], state: Path) -> list[ItemFile]:
    """Return the files that an unfinished fetch has named; a power cut may have emptied them."""
    if not (state / _UNFINISHED).exists():
        return []
    return [(item, path) for item, path in files if was_fetched(item, path)]


def _missing(
    files: Sequence[ItemFile],
    replaced: Sequence[ItemFile],
    directory: Path,
    progress: Progress,
) -> list[ItemFile]:
    """Return the files to fetch. Raise FilesExist for those that must not be replaced."""
    found = compare(files, progress)
    if found.blocked:
        advice = " Move them away, or fetch into another directory."
        message = _message(found.blocked, directory) + advice
        raise FilesExist(message, found.blocked)
    differing = {**found.wrong_size, **found.wrong_hash}
    for item, _ in replaced:
        differing.pop(item.relpath, None)
    if differing:
        raise FilesExist(_message(differing, directory), differing, replaceable=True)
    equal = {item.identifier for item, _ in found.equal}
    return [(item, path) for item, path in files if item.identifier not in equal]


def _check_space(size: int, state: Path) -> None:
    """Raise LocalFileError if the disk cannot hold what has not arrived."""
    size -= sum(path.stat().st_size for path in state.glob("*.part"))
    disk = shutil.disk_usage(state)
    if disk.total and size > disk.free:
        raise LocalFileError(
            f"There is not enough space for {state.parent.parent}: {size} bytes are needed, and "
            f"{disk.free} are free."
        )


def _fetch(
    fetching: Fetching,
    missing: Sequence[ItemFile],
    files: Sequence[ItemFile],
    state: Path,
    progress: Progress,
) -> None:
    """Fetch what is missing, and return when it is on the disk.

    So is then what an earlier fetch left that did not come so far.
    """
    marker = state / _UNFINISHED
    unsafe = files if marker.exists() else missing
    size = sum(item.size_in_bytes for item, _ in missing)
    _check_space(size, state)
    os.close(no_links(marker, os.O_WRONLY | os.O_CREAT))
    sync([str(marker)])
    progress.start("fetch", size, len(missing))
    try:
        fetching.fetch(missing)
    finally:
        progress.finish()
    sync([path for _, path in unsafe])


def _message(items: Mapping[str, str], directory: Path) -> str:
    count = "1 file" if len(items) == 1 else f"{len(items)} files"
    verb = "differs" if len(items) == 1 else "differ"
    return f"{count} in {directory} {verb} from the dataset: {_listed(items)}."


def _listed(items: Mapping[str, str]) -> str:
    listed = [f"{relpath!a} {reason}" for relpath, reason in sorted(items.items())[:_LISTED]]
    if len(items) > len(listed):
        listed.append(f"and {len(items) - len(listed)} more")
    return "; ".join(listed)
