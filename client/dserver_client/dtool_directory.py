"""A dataset in a local directory, laid out as dtool's storage broker for disks does.

Source of the layout: dtoolcore, ``storagebroker.py``. What makes a directory a dataset is the type
in ``.dtool/dtool``: it is written last.
"""

from __future__ import annotations

import json
import os
from contextlib import suppress
from importlib.metadata import version
from pathlib import Path
from typing import Any

from dserver_client.disk import write_whole
from dserver_client.documents import Documents
from dserver_client.errors import ClientError, FilesExist
from dserver_client.local_names import STATE_DIRECTORY

DATA = "data"
_ADMIN_METADATA = ".dtool/dtool"
# What dtool cannot do without.
_REQUIRED = ("uuid", "name", "creator_username")
_STRUCTURE = {
    "data_directory": ["data"],
    "dataset_readme_relpath": ["README.yml"],
    "dtool_directory": [".dtool"],
    "admin_metadata_relpath": [".dtool", "dtool"],
    "structure_metadata_relpath": [".dtool", "structure.json"],
    "dtool_readme_relpath": [".dtool", "README.txt"],
    "manifest_relpath": [".dtool", "manifest.json"],
    "overlays_directory": [".dtool", "overlays"],
    "annotations_directory": [".dtool", "annotations"],
    "tags_directory": [".dtool", "tags"],
    "metadata_fragments_directory": [".dtool", "tmp_fragments"],
}
_README = """README
======

This is a dtool dataset on a file system, fetched through dserver.

Description: README.yml
Items: data/

Administrative metadata: .dtool/dtool
Structure: .dtool/structure.json
Manifest, with size, hash and time of each item: .dtool/manifest.json
Metadata of items: .dtool/overlays/
Annotations: .dtool/annotations/
Tags: .dtool/tags/
"""


def is_dataset(directory: Path) -> bool:
    """Return whether a directory is a dataset, or will be one."""
    return (directory / _ADMIN_METADATA).is_file()


def begin(directory: Path, documents: Documents, state: Path) -> None:
    """Make the directory a proto-dataset.

    Raise FilesExist if there is something else: only the same dataset is continued.

    :param state: a directory for files that have not got their names yet.
    """
    proto = _typed(documents, "protodataset")
    path = directory / _ADMIN_METADATA
    found = None
    with suppress(FileNotFoundError):
        found = _uuid(path.read_bytes())
    if found not in (None, _uuid(proto)):
        raise _exists(directory, "another dataset")
    if found is None and not _is_empty(directory):
        raise _exists(directory, "something else")
    for name in (".dtool/overlays", ".dtool/annotations", ".dtool/tags", DATA):
        (directory / name).mkdir(parents=True, exist_ok=True)
    if found is None:
        write_whole(path, proto, state)


def complete(directory: Path, documents: Documents, state: Path) -> None:
    """Write all but the items, and make it a dataset; ``state`` is as in ``begin``."""
    for name, content in files(documents).items():
        write_whole(directory / name, content, state)
    write_whole(directory / _ADMIN_METADATA, _typed(documents, "dataset"), state)


def _is_empty(directory: Path) -> bool:
    """Return whether nothing is there but what ``begin`` may have made before an interruption."""
    if set(os.listdir(directory)) - {STATE_DIRECTORY, ".dtool", DATA}:
        return False
    return not any((directory / DATA).glob("*"))


def files(documents: Documents) -> dict[str, bytes]:
    """Return the files of a dataset by path, without its items and its administrative metadata."""
    return {
        "README.yml": documents.readme,
        ".dtool/README.txt": _README.encode(),
        ".dtool/structure.json": _json(
            {**_STRUCTURE, "storage_broker_version": version("dtoolcore")}
        ),
        ".dtool/manifest.json": documents.manifest,
        **{f".dtool/overlays/{name}.json": text for name, text in documents.overlays.items()},
        **{f".dtool/annotations/{name}.json": text for name, text in documents.annotations.items()},
        **{f".dtool/tags/{tag}": b"" for tag in documents.tags},
    }


def _typed(documents: Documents, kind: str) -> bytes:
    """Return the administrative metadata with another type. Raise ClientError if it is none."""
    try:
        metadata = json.loads(documents.admin_metadata)
        is_metadata = all(isinstance(metadata[name], str) for name in _REQUIRED)
    except (ValueError, TypeError, KeyError, RecursionError):
        is_metadata = False
    if not is_metadata:
        raise ClientError(
            "The administrative metadata of the dataset cannot be read: the store answered with "
            "something else."
        )
    return _json({**metadata, "type": kind})


def _exists(directory: Path, what: str) -> FilesExist:
    return FilesExist(
        f"{directory} holds {what}: a dataset needs a directory of its own.", {str(directory): what}
    )


def _uuid(metadata: bytes) -> Any:
    try:
        return json.loads(metadata)["uuid"]
    except (ValueError, TypeError, KeyError, RecursionError):
        return None


def _json(value: object) -> bytes:
    return json.dumps(value, indent=2).encode() + b"\n"
