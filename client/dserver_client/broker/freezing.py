"""Deposit a proto-dataset when dtool freezes it."""

from __future__ import annotations

import sys
from typing import Any

from dtoolcore.utils import generate_identifier

from dserver_client.announcement import Description
from dserver_client.broker.errors import BrokerError
from dserver_client.broker.proto_dataset import Contents, ProtoDataset
from dserver_client.deposit import deposit
from dserver_client.display.progress_bar import ProgressBar
from dserver_client.errors import (
    ClientError,
    DepositChanged,
    DepositDiffers,
    FileChanged,
    LocalFileError,
)
from dserver_client.local_files import LocalFile, Source
from dserver_client.progress import NoProgress, Progress
from dserver_client.server import Server


def freeze(
    proto: ProtoDataset, admin_metadata: dict[str, Any], server: Server, base_uri: str
) -> None:
    """Deposit a proto-dataset, and delete it here when it is registered as it is here.

    It cannot be changed meanwhile. After an error or an interruption it is kept, and another freeze
    resumes.

    :param admin_metadata: as dtool has completed it.
    :param base_uri: where it goes in the store.
    """
    with proto.freezing():
        contents = proto.contents()
        resume = f"The proto-dataset is kept; to resume: dtool freeze {proto.uri}"
        try:
            source = Source([proto.uri], _files(proto, contents))
            description = _description(contents, admin_metadata)
            deposit(server, source, base_uri, description, progress=_progress())
        except (DepositChanged, DepositDiffers) as error:
            raise BrokerError(f"{error} The proto-dataset is kept.", error) from error
        except ClientError as error:
            raise BrokerError(f"{error} {resume}", error) from error
        except KeyboardInterrupt:
            interrupted = BrokerError(f"Interrupted. {resume}")
            interrupted.exit_code = 130
            raise interrupted from None
        # Some network file systems have no locks.
        if proto.contents() != contents:
            raise _changed(proto)
        proto.remove()


def _description(contents: Contents, admin_metadata: dict[str, Any]) -> Description:
    return Description(
        name=admin_metadata["name"],
        uuid=admin_metadata["uuid"],
        creator_username=admin_metadata["creator_username"],
        frozen_at=admin_metadata["frozen_at"],
        readme=contents.readme,
        tags=list(contents.tags),
        annotations=contents.annotations,
        overlays=contents.overlays,
    )


def _changed(proto: ProtoDataset) -> BrokerError:
    message = (
        f"{proto.uri} was changed while it was frozen, and is registered as it was before. What "
        f"was changed is only in {proto.directory}, which is kept: delete it when it is not needed."
    )
    return BrokerError(message, FileChanged(message))


def _progress() -> Progress:
    """Return a bar for a terminal: dtool's own has ended before the deposit begins."""
    if sys.stderr is not None and sys.stderr.isatty():
        return ProgressBar()
    return NoProgress()


def _files(proto: ProtoDataset, contents: Contents) -> list[LocalFile]:
    for path in proto.unlisted():
        raise LocalFileError(
            f"An item was not added to its end: add it again, or delete its file {path}."
        )
    files = []
    for relpath, copied in contents.items.items():
        path = proto.item_path(generate_identifier(relpath))
        file = LocalFile.of(str(path), relpath)
        if (file.size_in_bytes, file.mtime_ns) != (copied.size_in_bytes, copied.mtime_ns):
            raise FileChanged(f"The item {relpath!r} has changed since it was added: add it again.")
        file.md5 = copied.hash
        files.append(file)
    return files
