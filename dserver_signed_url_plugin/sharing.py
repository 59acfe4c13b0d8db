"""Sharing files for a while: deposit them as a dataset, and sign a URL for each.

Knows what an interrupted share goes on with. Everything else is an upload and a download like any
other, by an operator, who has no name among dserver's people. Never sees a request or an SDK.
"""

from __future__ import annotations

import getpass
import os
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import AbstractContextManager, suppress
from dataclasses import dataclass, replace
from uuid import uuid4

from dserver_signed_url_plugin import datasets, pending
from dserver_signed_url_plugin.audit import Audit, Decision
from dserver_signed_url_plugin.completion import Completions
from dserver_signed_url_plugin.config import Settings
from dserver_signed_url_plugin.downloads import Downloads
from dserver_signed_url_plugin.errors import AlreadyRegistered, ItemNotFound
from dserver_signed_url_plugin.files import LocalFile, Told, UnusableFile
from dserver_signed_url_plugin.lifetimes import chosen
from dserver_signed_url_plugin.permissions import (
    UploadPermit,
    permit_operator,
    permit_operator_read,
)
from dserver_signed_url_plugin.plans import UploadPlan
from dserver_signed_url_plugin.progress import Progresses
from dserver_signed_url_plugin.removal import Removals
from dserver_signed_url_plugin.sending import ChangedFile, NotSent, Parcel, send
from dserver_signed_url_plugin.storage import Storages
from dserver_signed_url_plugin.storage.base import Life, ReadURLs
from dserver_signed_url_plugin.uploads import UploadGrant, Uploads
from dserver_signed_url_plugin.uris import BaseURI, DatasetURI

# Opens something that shows progress, under a label, of a number of bytes.
Shown = Callable[[str, int], AbstractContextManager[Told]]


@dataclass(frozen=True)
class SharedFile:
    """One item, and the URL under which anybody can fetch it; bytes where they are known."""

    relpath: str
    url: str
    size_in_bytes: int | None


@dataclass(frozen=True)
class Share:
    """Files of one dataset, fetchable as long as ``life`` says."""

    uri: DatasetURI
    life: Life
    files: Sequence[SharedFile]


@dataclass(frozen=True)
class Sharing:
    """Makes shares for whoever has dserver's own shell."""

    settings: Settings
    storages: Storages
    uploads: Uploads
    progresses: Progresses
    completions: Completions
    removals: Removals
    downloads: Downloads
    audit: Audit

    def create(
        self, base_uri: BaseURI, name: str, files: Sequence[LocalFile], seconds: int, shown: Shown
    ) -> Share:
        """Deposit files as a registered dataset, and sign a URL for each.

        What an earlier call with the same files and name has begun, and not completed, is gone on
        with: nothing that is stored is sent again.

        :param seconds: how long the URLs should live.
        :raises LifetimeTooLong: naming the maximum.
        :raises InvalidField: if the base URI is unknown, or cannot keep these files.
        :raises UnusableFile: if a file cannot be read, or is too large.
        :raises ChangedFile: if a file is written to meanwhile.
        :raises NotSent: if the store does not take a file; the same call goes on from there.
        """
        permit, plan = permit_operator(base_uri), _plan(name, files)
        # Reading may take hours, so what can be refused is refused before.
        chosen(seconds, self.settings.read_expiry, self.settings.max_read_expiry)
        datasets.check_known(base_uri)
        self._refuse_large(base_uri, files)
        self.uploads.check(permit, plan)
        with shown(f"Reading {len(files)} file(s)", plan.size_in_bytes or 0) as told:
            files = [file.read(told) for file in files]
        plan = replace(plan, items=[file.item for file in files])
        uri = self._deposit(permit, plan, files, shown)
        return self._signed("share-create", uri, seconds)

    def urls(self, uri: DatasetURI, relpaths: Sequence[str], seconds: int) -> Share:
        """Sign URLs for what a registered dataset holds.

        :param relpaths: which items; none means all.
        :param seconds: how long the URLs should live.
        :raises DatasetNotFound: if dserver does not know it, or storage no longer holds it.
        :raises ItemNotFound: if the dataset has no item of a relpath.
        """
        return self._signed("share-url", uri, seconds, relpaths)

    def _refuse_large(self, base_uri: BaseURI, files: Iterable[LocalFile]) -> None:
        most = self.storages.of(base_uri).max_item_bytes
        for file in files:
            if (file.item.size_in_bytes or 0) > most:
                raise UnusableFile(
                    f"{str(file.path)!r} is larger than {most} bytes, which is what one PUT can "
                    "carry; split it."
                )

    def _deposit(
        self, permit: UploadPermit, plan: UploadPlan, files: Sequence[LocalFile], shown: Shown
    ) -> DatasetURI:
        uri, grant = self._begun(permit, plan)
        if grant is not None:
            try:
                self._send(permit, grant, files, shown)
            except ChangedFile:
                # What was announced is nowhere any more, so nobody could go on with it.
                self.removals.cancel(permit, uri)
                raise
        self.completions.complete(permit, uri)
        return uri

    def _begun(
        self, permit: UploadPermit, plan: UploadPlan
    ) -> tuple[DatasetURI, UploadGrant | None]:
        """Begin, or go on with the first that was begun alike; no grant if it is complete."""
        first = _first_alike(permit, plan)
        plan = plan if first is None else replace(plan, uuid=first)
        uri = permit.base_uri.dataset(plan.uuid)
        grant = None
        # Another run of the same command may be quicker.
        with suppress(AlreadyRegistered):
            grant = self.uploads.begin(permit, plan)
        first = _first_alike(permit, plan)
        if grant is None or first in {None, plan.uuid}:
            return uri, grant
        self.removals.cancel(permit, uri)
        return self._begun(permit, plan)

    def _send(
        self, permit: UploadPermit, grant: UploadGrant, files: Sequence[LocalFile], shown: Shown
    ) -> None:
        """Send what is not stored yet."""
        while wanted := self._wanted(permit, grant.uri):
            parcels = [
                Parcel(file, grant.urls.items[file.item.identifier])
                for file in files
                if file.item.relpath in wanted
            ]
            total = sum(parcel.file.item.size_in_bytes or 0 for parcel in parcels)
            stored = len(files) - len(parcels)
            label = f"Sending {len(parcels)} file(s)"
            with shown(f"{label}, {stored} stored already" if stored else label, total) as told:
                try:
                    send(parcels, told)
                    return
                except NotSent as refusal:
                    # Where nothing is written twice, the store refuses what another run, or an
                    # attempt whose answer was lost, has stored.
                    if refusal.relpath in self._wanted(permit, grant.uri):
                        raise

    def _wanted(self, permit: UploadPermit, uri: DatasetURI) -> set[str]:
        """Return the relpaths of what is still to be sent; none, if another run has finished it."""
        found = self.progresses.of(permit, uri, urls=False, asked=None).verification
        return set() if found is None else found.to_send

    def _signed(
        self, action: str, uri: DatasetURI, seconds: int, relpaths: Sequence[str] = ()
    ) -> Share:
        permit = permit_operator_read(uri.base)
        grant = self.downloads.dataset(permit, uri, seconds)
        files = _files(grant.urls)
        named = [_one(files, relpath, uri) for relpath in relpaths or sorted(files)]
        sizes = [file.size_in_bytes for file in named if file.size_in_bytes is not None]
        self.audit.record(
            Decision(
                action=action,
                username=permit.username,
                uri=str(uri),
                items=len(named),
                size_in_bytes=sum(sizes) if len(sizes) == len(named) else None,
                expires_at=grant.life.ends,
            )
        )
        return Share(uri, grant.life, named)


def _plan(name: str, files: Iterable[LocalFile]) -> UploadPlan:
    items = [file.item for file in files]
    return UploadPlan(str(uuid4()), name, items, creator_username=_os_user(), pinned=True)


def _os_user() -> str:
    try:
        return getpass.getuser()
    except (KeyError, OSError):
        # In a container a user may have a number and no name.
        return str(os.getuid())


def _first_alike(permit: UploadPermit, plan: UploadPlan) -> str | None:
    first = pending.alike(permit.username, str(permit.base_uri), plan.fingerprint())
    return None if first is None else first.uuid


def _files(urls: ReadURLs) -> dict[str, SharedFile]:
    """Return the items by relpath, or by identifier where the manifest has none."""
    files = {}
    for identifier, url in urls.items.items():
        relpath = urls.relpaths.get(identifier, identifier)
        files[relpath] = SharedFile(relpath, url, urls.sizes.get(identifier))
    return files


def _one(files: Mapping[str, SharedFile], relpath: str, uri: DatasetURI) -> SharedFile:
    if relpath not in files:
        raise ItemNotFound(f"{uri} has no item {relpath!r}; without --item all are listed.")
    return files[relpath]
