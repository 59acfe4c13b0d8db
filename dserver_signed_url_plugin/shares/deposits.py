"""An operator's files become a registered dataset; what was interrupted is gone on with.

An upload like any other, by somebody who has no name among dserver's people. Never sees a request
or an SDK.
"""

from __future__ import annotations

import getpass
import os
import time
from collections.abc import Callable, Iterable, Sequence, Set
from contextlib import AbstractContextManager, suppress
from dataclasses import dataclass, replace
from typing import TypeVar
from uuid import uuid4

from dserver_signed_url_plugin import datasets
from dserver_signed_url_plugin.errors import AlreadyRegistered, InvalidField, UploadBusy
from dserver_signed_url_plugin.permissions import UploadPermit, permit_operator
from dserver_signed_url_plugin.shares.local_files import LocalFile, Told, UnusableFile
from dserver_signed_url_plugin.shares.transfer import ChangedFile, Transfer, TransferFailed, send
from dserver_signed_url_plugin.storage.protocols import Storage
from dserver_signed_url_plugin.storage.registry import Storages
from dserver_signed_url_plugin.uploads import repository
from dserver_signed_url_plugin.uploads.begin import UploadGrant, Uploads
from dserver_signed_url_plugin.uploads.cancel import Cancellations
from dserver_signed_url_plugin.uploads.complete import Completions
from dserver_signed_url_plugin.uploads.plan import UploadPlan, check_creator
from dserver_signed_url_plugin.uploads.status import UploadStatuses
from dserver_signed_url_plugin.uris import BaseURI, DatasetURI

Done = TypeVar("Done")

# Seconds for which another run is waited for, and between looking.
_PATIENCE, _PAUSE = 60, 0.5

# Opens something that shows progress, under a label, of a number of bytes.
Shown = Callable[[str, int], AbstractContextManager[Told]]


@dataclass(frozen=True)
class PreparedDeposit:
    """Files that were read, and the upload as which they are to be announced."""

    permit: UploadPermit
    plan: UploadPlan
    files: Sequence[LocalFile]


@dataclass(frozen=True)
class Deposits:
    """Deposits files for whoever has dserver's own shell."""

    storages: Storages
    uploads: Uploads
    progresses: UploadStatuses
    completions: Completions
    removals: Cancellations

    def prepare(
        self, base_uri: BaseURI, name: str, files: Sequence[LocalFile], shown: Shown
    ) -> PreparedDeposit:
        """Read files, which are to become a dataset; begin nothing.

        :raises InvalidField: if the base URI is unknown, or cannot keep these files.
        :raises UnusableFile: if a file cannot be read, or is too large.
        """
        # Reading may take hours, so what can be refused is refused before.
        datasets.check_known(base_uri)
        storage = self.storages.of(base_uri)
        _refuse_large(files, storage.max_item_bytes)
        permit, plan = permit_operator(base_uri), _plan(name, files, _creator(storage))
        self.uploads.check(permit, plan)
        with shown(f"Reading {len(files)} file(s)", plan.size_in_bytes or 0) as told:
            files = [file.read(told) for file in files]
        return PreparedDeposit(permit, replace(plan, items=[file.item for file in files]), files)

    def carry_out(self, prepared: PreparedDeposit, shown: Shown) -> DatasetURI:
        """Make a registered dataset of what was read.

        What an earlier call with the same files and name has begun, and not completed, is gone on
        with: nothing that is stored is sent again.

        :raises ChangedFile: if a file is written to meanwhile.
        :raises TransferFailed: if the store does not take a file; the same call goes on from there.
        """
        prepared, uri, grant = _patiently(lambda: self._begun(prepared))
        if grant is not None:
            try:
                # Another run of the same command may complete it while this one sends.
                with suppress(AlreadyRegistered):
                    self._send(prepared, grant, shown)
            except ChangedFile:
                # What was announced is nowhere any more, so nobody could go on with it.
                _patiently(lambda: self.removals.cancel(prepared.permit, uri.uuid))
                raise
        _patiently(lambda: self.completions.complete(prepared.permit, uri.uuid))
        return uri

    def _begun(
        self, prepared: PreparedDeposit
    ) -> tuple[PreparedDeposit, DatasetURI, UploadGrant | None]:
        """Begin, or go on with the first that was begun alike; no grant if it is complete."""
        permit, plan = prepared.permit, prepared.plan
        first = _first_alike(permit, plan)
        if first is not None:
            plan = replace(plan, uuid=first)
        uri = permit.base_uri.dataset(plan.uuid)
        grant = None
        # Another run of the same command may be quicker.
        with suppress(AlreadyRegistered):
            grant = self.uploads.begin(permit, plan)
        first = _first_alike(permit, plan)
        if grant is None or first in {None, plan.uuid}:
            return replace(prepared, plan=plan), uri, grant
        self.removals.cancel(permit, uri.uuid)
        return self._begun(prepared)

    def _send(self, prepared: PreparedDeposit, grant: UploadGrant, shown: Shown) -> None:
        """Send what is not stored yet, through new URLs once the store refuses those it took."""
        while wanted := self._wanted(prepared.permit, grant.uri.uuid):
            try:
                self._send_once(prepared.files, wanted, grant, shown)
                return
            except TransferFailed as failure:
                left = self._wanted(prepared.permit, grant.uri.uuid)
                # Where nothing is written twice, the store refuses what another run, or an
                # attempt whose answer was lost, has stored.
                if failure.relpath not in left:
                    continue
                if not failure.refused or wanted <= left:
                    raise
                grant = _patiently(lambda: self.uploads.begin(prepared.permit, prepared.plan))

    def _send_once(
        self, files: Sequence[LocalFile], wanted: Set[str], grant: UploadGrant, shown: Shown
    ) -> None:
        parcels = [
            Transfer(file, grant.urls.items[file.item.identifier])
            for file in files
            if file.item.relpath in wanted
        ]
        total = sum(parcel.file.item.size_in_bytes or 0 for parcel in parcels)
        stored = len(files) - len(parcels)
        label = f"Sending {len(parcels)} file(s)"
        with shown(f"{label}, {stored} stored already" if stored else label, total) as told:
            send(parcels, told)

    def _wanted(self, permit: UploadPermit, uuid: str) -> set[str]:
        """Return the relpaths of what is still to be sent; none, if another run has finished it."""
        found = self.progresses.of(permit, uuid, urls=False, asked=None).verification
        return set() if found is None else found.to_send


def _patiently(act: Callable[[], Done]) -> Done:
    """Do what another run of the same command may be doing now, once that is done with it."""
    until = time.monotonic() + _PATIENCE
    while True:
        try:
            return act()
        except UploadBusy:
            if time.monotonic() > until:
                raise
        time.sleep(_PAUSE)


def _refuse_large(files: Iterable[LocalFile], most: int) -> None:
    for file in files:
        if (file.item.size_in_bytes or 0) > most:
            raise UnusableFile(
                f"{str(file.path)!r} is larger than {most} bytes, which is what one PUT can carry; "
                "split it."
            )


def _plan(name: str, files: Iterable[LocalFile], creator: str) -> UploadPlan:
    items = [file.item for file in files]
    return UploadPlan(str(uuid4()), name, items, creator_username=creator, pinned=True)


def _creator(storage: Storage) -> str:
    """Return the name of whoever runs this, or the number where such a name cannot be kept."""
    # In a container a user may have no name.
    with suppress(KeyError, OSError, InvalidField):
        name = getpass.getuser()
        check_creator(name)
        if storage.check_creator(name) is None:
            return name
    return str(os.getuid())


def _first_alike(permit: UploadPermit, plan: UploadPlan) -> str | None:
    first = repository.find_identical(permit.username, str(permit.base_uri), plan.fingerprint())
    return None if first is None else first.uuid
