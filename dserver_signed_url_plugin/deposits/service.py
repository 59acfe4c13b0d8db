"""Deposits an operator's local files as a registered dataset, and resumes what was interrupted.

An upload like any other, by somebody who is no user of dserver. Imports no web framework and no
SDK.
"""

from __future__ import annotations

import getpass
import os
from collections.abc import Iterable, Sequence, Set
from contextlib import suppress
from dataclasses import dataclass, replace
from uuid import uuid4

from msgspec import structs

from dserver_signed_url_plugin import datasets
from dserver_signed_url_plugin.audit.decisions import Decision, Extent
from dserver_signed_url_plugin.audit.service import Audit
from dserver_signed_url_plugin.deposits import repository
from dserver_signed_url_plugin.deposits.local_files import (
    ChangedFile,
    FileRange,
    LocalFile,
    UnusableFile,
)
from dserver_signed_url_plugin.deposits.part_transfer import PartTransfers, SignParts
from dserver_signed_url_plugin.deposits.patience import patiently
from dserver_signed_url_plugin.deposits.transfer import Transfer, TransferFailed, send
from dserver_signed_url_plugin.errors import AlreadyRegistered, InvalidField
from dserver_signed_url_plugin.permissions import UploadPermit, permit_operator
from dserver_signed_url_plugin.progress import ProgressBar
from dserver_signed_url_plugin.quantities import counted
from dserver_signed_url_plugin.storage.protocols import Storage
from dserver_signed_url_plugin.storage.registry import Storages
from dserver_signed_url_plugin.storage.values import Limits
from dserver_signed_url_plugin.uploads import repository as upload_repository
from dserver_signed_url_plugin.uploads.begin import Uploads
from dserver_signed_url_plugin.uploads.cancel import Cancellations
from dserver_signed_url_plugin.uploads.complete import Completions
from dserver_signed_url_plugin.uploads.grant import UploadGrant
from dserver_signed_url_plugin.uploads.parts import PartSigner
from dserver_signed_url_plugin.uploads.plan import UploadPlan, check_creator
from dserver_signed_url_plugin.uploads.status import UploadStatuses
from dserver_signed_url_plugin.uris import BaseURI, DatasetURI


@dataclass(frozen=True)
class PreparedDeposit:
    """Files that were read, and the upload as which they are to be announced."""

    permit: UploadPermit
    plan: UploadPlan
    files: Sequence[LocalFile]


@dataclass(frozen=True)
class Deposits:
    """Deposits files for an operator at dserver's own shell."""

    storages: Storages
    uploads: Uploads
    parts: PartSigner
    statuses: UploadStatuses
    completions: Completions
    cancellations: Cancellations
    audit: Audit

    def prepare(
        self, base_uri: BaseURI, name: str, files: Sequence[LocalFile], progress: ProgressBar
    ) -> PreparedDeposit:
        """Read the files that are to become a dataset; begin nothing.

        :raises InvalidField: if the base URI is unknown, or cannot keep these files.
        :raises UnusableFile: if a file cannot be read, or is too large.
        """
        # Reading may take hours, so what can be refused is refused before.
        datasets.check_known(base_uri)
        storage = self.storages.of(base_uri)
        _refuse_large(files, storage)
        creator = operators_name(storage.uploads.limits)
        permit, plan = permit_operator(base_uri), _plan(name, files, creator)
        self.uploads.check(permit, _unread(plan))
        with progress(f"Reading {counted(len(files), 'file')}", plan.size_in_bytes or 0) as advance:
            files = [file.read(advance) for file in files]
        return PreparedDeposit(permit, replace(plan, items=[file.item for file in files]), files)

    def carry_out(self, prepared: PreparedDeposit, progress: ProgressBar) -> DatasetURI:
        """Make a registered dataset of what was read.

        Resumes an upload of the same files and name that an earlier call began and did not
        complete: what is stored already is not sent again.

        :raises ChangedFile: if a file is written to meanwhile.
        :raises TransferFailed: if the store does not take a file; the same call resumes.
        :raises UploadBusy: if the same upload is being completed for longer than a minute.
        """
        prepared = _resumed(prepared)
        permit, uuid = prepared.permit, prepared.plan.uuid
        # An earlier call may have been interrupted between the registration and its last step.
        with suppress(AlreadyRegistered):
            self._begin_and_send(prepared, progress)
        uri = permit.base_uri.dataset(uuid)
        repository.note(uri)
        completion = patiently(lambda: self.completions.complete(permit, uuid))
        self.audit.record(deposited(permit, uri, completion.extent))
        return uri

    def _begin_and_send(self, prepared: PreparedDeposit, progress: ProgressBar) -> None:
        permit, plan = prepared.permit, prepared.plan
        grant = patiently(lambda: self.uploads.begin(permit, plan))
        try:
            self._send(prepared, grant, progress)
        except ChangedFile:
            # Nobody could resume it: what was announced no longer exists anywhere.
            patiently(lambda: self.cancellations.cancel(permit, plan.uuid))
            raise

    def _send(self, prepared: PreparedDeposit, grant: UploadGrant, progress: ProgressBar) -> None:
        """Send what is not stored yet, through new URLs once the store refuses the old ones."""
        while missing := self._missing(prepared):
            try:
                self._send_once(prepared, missing, grant, progress)
                return
            except TransferFailed as failure:
                left = self._missing(prepared)
                # A store that writes nothing twice refuses what an attempt whose answer was lost
                # has stored.
                if failure.relpath not in left:
                    continue
                if not failure.refused or missing <= left:
                    raise
                grant = patiently(lambda: self.uploads.begin(prepared.permit, prepared.plan))

    def _send_once(
        self,
        prepared: PreparedDeposit,
        missing: Set[str],
        grant: UploadGrant,
        progress: ProgressBar,
    ) -> None:
        files = [file for file in prepared.files if file.item.relpath in missing]
        large = [file for file in files if file.item.identifier in grant.divisions]
        transfers = [
            Transfer(FileRange.whole(file), grant.urls.items[file.item.identifier])
            for file in files
            if file.item.identifier not in grant.divisions
        ]
        total = sum(file.item.size_in_bytes or 0 for file in files)
        stored = len(prepared.files) - len(files)
        label = f"Sending {counted(len(files), 'file')}"
        with progress(f"{label}, {stored} stored already" if stored else label, total) as advance:
            send(transfers, advance)
            for file in large:
                division = grant.divisions[file.item.identifier]
                PartTransfers(self._sign_parts(prepared), advance).send(file, division)

    def _sign_parts(self, prepared: PreparedDeposit) -> SignParts:
        permit, uuid = prepared.permit, prepared.plan.uuid
        return lambda identifier, plan: patiently(
            lambda: self.parts.sign(permit, uuid, identifier, plan)
        )

    def _missing(self, prepared: PreparedDeposit) -> set[str]:
        """Return the relpaths of what the store does not hold yet."""
        uuid = prepared.plan.uuid
        status = self.statuses.of(prepared.permit, uuid)
        return set() if status.comparison is None else status.comparison.to_send


def _resumed(prepared: PreparedDeposit) -> PreparedDeposit:
    """Return it with the UUID of the first identical upload that was not completed, if any."""
    permit, plan = prepared.permit, prepared.plan
    begun = upload_repository.find_identical(
        permit.username, str(permit.base_uri), plan.fingerprint()
    )
    return prepared if begun is None else replace(prepared, plan=replace(plan, uuid=begun.uuid))


def _refuse_large(files: Iterable[LocalFile], storage: Storage) -> None:
    limits = storage.uploads.limits if storage.parts is None else storage.parts.limits
    for file in files:
        if (file.item.size_in_bytes or 0) > limits.max_item_bytes:
            raise UnusableFile(
                f"{str(file.path)!r} is larger than {limits.max_item_bytes} bytes, which is the "
                "most that an item here can have; split it."
            )


def _plan(name: str, files: Iterable[LocalFile], creator: str) -> UploadPlan:
    items = [file.item for file in files]
    return UploadPlan(
        str(uuid4()), name, items, creator_username=creator, pinned=True, multipart=True
    )


def _unread(plan: UploadPlan) -> UploadPlan:
    """Return what can be checked of a plan before its files are read: no size without a hash."""
    return replace(plan, items=[structs.replace(item, size_in_bytes=None) for item in plan.items])


def deposited(permit: UploadPermit, uri: DatasetURI, extent: Extent) -> Decision:
    """Return what the audit records of a deposit, as of every completed upload."""
    return Decision(
        action="upload-complete", username=permit.username, uri=str(uri), **vars(extent)
    )


def operators_name(limits: Limits) -> str:
    """Return the name of whoever runs this, or the number where such a name cannot be kept."""
    # In a container a user may have no name.
    with suppress(KeyError, OSError, InvalidField):
        name = getpass.getuser()
        check_creator(name)
        if limits.allow_creator(name):
            return name
    return str(os.getuid())
