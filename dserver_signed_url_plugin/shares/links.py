"""Sharing what is deposited for a while: a URL for each file of a dataset.

A download like any other, by an operator, who has no name among dserver's people. Never sees a
request or an SDK.
"""

from __future__ import annotations

import unicodedata
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from dserver_signed_url_plugin.audit.decisions import Audit, Decision
from dserver_signed_url_plugin.config import Settings, chosen_life
from dserver_signed_url_plugin.downloads import Downloads
from dserver_signed_url_plugin.errors import ItemNotFound
from dserver_signed_url_plugin.lifecycle.rules import Lifecycles
from dserver_signed_url_plugin.permissions import permit_operator_read
from dserver_signed_url_plugin.storage.values import Life, ReadURLs
from dserver_signed_url_plugin.uris import DatasetURI

_DEFAULT_LIFE = 600  # seconds, as in the recipe


@dataclass(frozen=True)
class SharedFile:
    """One item, and the URL under which anybody can fetch it; bytes where they are known."""

    relpath: str
    url: str
    size_in_bytes: int | None


@dataclass(frozen=True)
class Share:
    """Files of one dataset, fetchable as long as ``life`` says; ``asked`` were so many seconds.

    ``may_go`` is True where nobody knows whether the store deletes them before.
    """

    uri: DatasetURI
    asked: int
    life: Life
    files: Sequence[SharedFile]
    may_go: bool


@dataclass(frozen=True)
class ShareLinks:
    """Makes shares for whoever has dserver's own shell."""

    settings: Settings
    downloads: Downloads
    lifecycles: Lifecycles
    audit: Audit

    def seconds(self, asked: int | None) -> int:
        """Return how long the URLs of a share are to live.

        :param asked: None for ten minutes, or the server's maximum if that is less.
        :raises LifetimeTooLong: naming the maximum.
        """
        most = self.settings.max_read_expiry
        return chosen_life(asked, min(_DEFAULT_LIFE, most), most)

    def first_urls(self, uri: DatasetURI, seconds: int) -> Share:
        """Sign a URL for each file that was deposited; as urls() does, and told apart in the audit.

        :param seconds: how long the URLs should live.
        """
        return self._signed("share-create", uri, (), seconds)

    def urls(self, uri: DatasetURI, relpaths: Sequence[str], seconds: int) -> Share:
        """Sign URLs for what a registered dataset holds.

        :param relpaths: which items; none means all.
        :param seconds: how long the URLs should live.
        :raises DatasetNotFound: if dserver does not know it, or storage no longer holds it.
        :raises ItemNotFound: if the dataset has no item of a relpath, nor one that looks the same
            (NFC or NFD), or several of these.
        :raises DatasetExpiring: if a lifecycle rule of its store is about to delete it.
        """
        return self._signed("share-url", uri, relpaths, seconds)

    def _signed(self, action: str, uri: DatasetURI, relpaths: Sequence[str], seconds: int) -> Share:
        permit = permit_operator_read(uri.base)
        # Asked first: from here on the rules are known as they are now.
        may_go = not self.lifecycles.can_be_read(uri.base)
        grant = self.downloads.dataset(permit, uri.uuid, seconds)
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
        return Share(uri, seconds, grant.life, named, may_go)


def _files(urls: ReadURLs) -> dict[str, SharedFile]:
    """Return the items by relpath, or by identifier where the manifest has none."""
    files = {}
    for identifier, url in urls.items.items():
        relpath = urls.relpaths.get(identifier, identifier)
        files[relpath] = SharedFile(relpath, url, urls.sizes.get(identifier))
    return files


def _one(files: Mapping[str, SharedFile], relpath: str, uri: DatasetURI) -> SharedFile:
    """Return the file of that name, or else the only one whose name looks the same.

    A terminal may send another Unicode form of a name (UAX #15) than the one that was deposited.
    """
    if relpath in files:
        return files[relpath]
    find_identical = sorted(name for name in files if _composed(name) == _composed(relpath))
    if len(find_identical) == 1:
        return files[find_identical[0]]
    if find_identical:
        named = " and ".join(map(ascii, find_identical))
        raise ItemNotFound(ascii(relpath), f"several look the same: {named}.")
    raise ItemNotFound(repr(relpath), "without --item all are listed.")


def _composed(name: str) -> str:
    return unicodedata.normalize("NFC", name)
