"""Signs a URL for each file of a dataset, or for some of them.

A download like any other, by an operator, who is no user of dserver. Imports no web framework and
no SDK.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from dserver_signed_url_plugin.audit.decisions import Decision
from dserver_signed_url_plugin.audit.service import Audit
from dserver_signed_url_plugin.config import Settings, chosen_life
from dserver_signed_url_plugin.downloads.service import Downloads
from dserver_signed_url_plugin.lifecycle.rules import Lifecycles
from dserver_signed_url_plugin.permissions import permit_operator_read
from dserver_signed_url_plugin.shares.relpaths import Relpaths
from dserver_signed_url_plugin.storage.values import Life, SignedItems, total_size
from dserver_signed_url_plugin.uris import DatasetURI

_DEFAULT_LIFE = 600  # seconds


@dataclass(frozen=True)
class SharedFile:
    """One item, its URL, and its size in bytes if that is known."""

    relpath: str
    url: str
    size_in_bytes: int | None


@dataclass(frozen=True)
class SharedFiles:
    """Files of one dataset with URLs that live as long as ``life`` says.

    ``requested`` is the number of seconds that was requested; ``may_go`` tells whether the store
    may delete the files earlier, because its lifecycle rules cannot be read.
    """

    uri: DatasetURI
    requested: int
    life: Life
    files: Sequence[SharedFile]
    may_go: bool


@dataclass(frozen=True)
class FileURLs:
    """Signs URLs of files for an operator at dserver's own shell."""

    settings: Settings
    downloads: Downloads
    lifecycles: Lifecycles
    audit: Audit

    def seconds(self, requested: int | None) -> int:
        """Return the lifetime of the URLs.

        :param requested: None for ten minutes, or the server's maximum if that is less.
        :raises LifetimeTooLong: if it exceeds the server's maximum.
        """
        most = self.settings.max_read_expiry
        return chosen_life(requested, min(_DEFAULT_LIFE, most), most)

    def first_urls(self, uri: DatasetURI, seconds: int) -> SharedFiles:
        """Sign a URL for each file just deposited; the audit records it as ``share-create``.

        :param seconds: the requested lifetime of the URLs.
        """
        return self._signed("share-create", uri, (), seconds)

    def urls(self, uri: DatasetURI, relpaths: Sequence[str], seconds: int) -> SharedFiles:
        """Sign URLs for items of a registered dataset.

        :param relpaths: which items; none means all.
        :param seconds: the requested lifetime of the URLs.
        :raises DatasetNotFound: if dserver does not know it, or storage no longer holds it.
        :raises ItemNotFound: if the dataset has no item of a relpath, and not exactly one whose
            relpath differs only in its Unicode normalisation form.
        :raises DatasetExpiring: if a lifecycle rule of its store is about to delete it.
        """
        return self._signed("share-url", uri, relpaths, seconds)

    def _signed(
        self, action: str, uri: DatasetURI, relpaths: Sequence[str], seconds: int
    ) -> SharedFiles:
        permit = permit_operator_read(uri.base)
        # First, because it reads the rules anew and caches them.
        may_go = not self.lifecycles.can_be_read(uri.base)
        grant = self.downloads.items(permit, uri.uuid, seconds)
        files = _files(grant.items)
        known = Relpaths(files, "without --item all are listed.")
        named = [files[known.find(relpath)] for relpath in relpaths or sorted(files)]
        self.audit.record(
            Decision(
                action=action,
                username=permit.username,
                uri=str(uri),
                items=len(named),
                size_in_bytes=total_size([file.size_in_bytes for file in named]),
                expires_at=grant.life.ends,
            )
        )
        return SharedFiles(uri, seconds, grant.life, named, may_go)


def _files(urls: SignedItems) -> dict[str, SharedFile]:
    """Return the items by relpath, or by identifier if the manifest has no relpath."""
    return {
        item.relpath: SharedFile(item.relpath, urls[identifier], item.size_in_bytes)
        for identifier, item in urls.entries.items()
    }
