"""What whoever has the link of a share may do: open it, list its items, download them.

No account is needed: the token of the link is enough, until the share ends.
"""

from __future__ import annotations

import hmac
from bisect import bisect_left
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import datetime, timezone
from string import whitespace
from sys import getsizeof
from time import monotonic
from weakref import ref

from dserver_signed_url_plugin import datasets
from dserver_signed_url_plugin.audit.decisions import Extent
from dserver_signed_url_plugin.config import Settings
from dserver_signed_url_plugin.downloads.grants import ItemList
from dserver_signed_url_plugin.downloads.lists import ListFormat, encoded_url, item_list
from dserver_signed_url_plugin.downloads.paging import Page, PageRequest
from dserver_signed_url_plugin.downloads.service import Downloads
from dserver_signed_url_plugin.errors import (
    DatasetNotFound,
    ItemNotFound,
    ShareEnded,
    ShareNotFound,
    StorageUnavailable,
)
from dserver_signed_url_plugin.filenames import Disposition
from dserver_signed_url_plugin.permissions import ReadPermit
from dserver_signed_url_plugin.quantities import counted
from dserver_signed_url_plugin.shares import repository
from dserver_signed_url_plugin.shares.facts import ShareFacts, State
from dserver_signed_url_plugin.shares.tokens import token_hash
from dserver_signed_url_plugin.storage.dataset_cache import BoundedCache
from dserver_signed_url_plugin.storage.item_table import ItemTable
from dserver_signed_url_plugin.storage.values import IDENTIFIER, Item, SignedItems
from dserver_signed_url_plugin.times import timestamp

DOWNLOAD_SECONDS = 60
MAX_README_CHARACTERS = 64 * 1024
# Of READMEs that are kept, and for how long.
_README_BYTES, _README_SECONDS = 4 * 1024 * 1024, 60.0
# Of the items of shares that have not all of a dataset.
_CHOSEN_BYTES = 16 * 1024 * 1024
# What mail programs and people take for a part of a link.
_NO_PART_OF_A_LINK = ".,;:!?)]}>\"'…\N{NO-BREAK SPACE}\N{ZERO WIDTH SPACE}" + whitespace
_SHA1_BYTES = 20
_NO_HASH = "0" * 64


@dataclass(frozen=True)
class OpenShare:
    """A share that has not ended, opened by its link.

    ``identifiers`` are the SHA-1s of its items, sorted; None if it has all items of the dataset.
    """

    facts: ShareFacts
    permit: ReadPermit
    identifiers: bytes | None = field(repr=False)

    @property
    def uuid(self) -> str:
        """The UUID of the dataset."""
        return self.facts.uri.uuid

    @property
    def seconds_left(self) -> int:
        """The whole seconds until the share ends."""
        return max(0, int((self.facts.ends_at - datetime.now(timezone.utc)).total_seconds()))

    @property
    def downloads_left(self) -> int | None:
        """How often an item can still be downloaded; None if that is not limited."""
        most = self.facts.max_downloads
        return None if most is None else max(0, most - self.facts.downloads)

    @property
    def extent(self) -> Extent:
        """What the audit says of an opening."""
        facts = self.facts
        return Extent(facts.number_of_items, facts.size_in_bytes, facts.ends_at)

    def includes(self, identifier: str) -> bool:
        """Return whether an item belongs to the share, if the dataset has it."""
        if not IDENTIFIER.fullmatch(identifier):
            return False
        known = self.identifiers
        if known is None:
            return True
        wanted = bytes.fromhex(identifier)
        numbers = range(0, len(known), _SHA1_BYTES)
        index = bisect_left(numbers, wanted, key=lambda at: known[at : at + _SHA1_BYTES])
        return known[index * _SHA1_BYTES :][:_SHA1_BYTES] == wanted

    def chosen(self, entries: Mapping[str, Item]) -> Mapping[str, Item]:
        """Return the items of the share among those of the dataset, by identifier."""
        known = self.identifiers
        if known is None:
            return entries
        each = range(0, len(known), _SHA1_BYTES)
        named = (known[at : at + _SHA1_BYTES].hex() for at in each)
        return {name: entries[name] for name in named if name in entries}


@dataclass(frozen=True)
class ShareContents:
    """A share with its items and their links; ``page`` says which they are, if not all."""

    opened: OpenShare
    readme: str | None
    items: SignedItems
    page: Page | None = None


def normalized_token(token: str) -> str:
    """Return a token in lower case, without what was pasted with it, such as a full stop."""
    return token.strip(_NO_PART_OF_A_LINK).lower()


@dataclass(frozen=True)
class Visits:
    """Opens shares for people without an account, and signs what they download."""

    settings: Settings
    downloads: Downloads
    _readmes: BoundedCache = field(default_factory=lambda: BoundedCache(_README_BYTES), repr=False)
    _chosen: BoundedCache = field(default_factory=lambda: BoundedCache(_CHOSEN_BYTES), repr=False)

    def find(self, token: str) -> ShareFacts:
        """Return the share of a link, which may have ended.

        The same statement is executed for any token.

        :raises ShareNotFound: if there is no such share.
        """
        wanted = token_hash(normalized_token(token))
        facts, known = repository.by_token_hash(wanted) or (None, _NO_HASH)
        if not hmac.compare_digest(known, wanted) or facts is None:
            raise ShareNotFound
        return facts

    def open(self, facts: ShareFacts) -> OpenShare:
        """Return a share with its permit and the identifiers of its items.

        :raises ShareEnded: if it has ended.
        """
        if facts.state != "active":
            raise ShareEnded(facts.state)
        permit = ReadPermit(facts.owner, facts.uri.base)
        return OpenShare(facts, permit, repository.identifiers(facts.id))

    def items(self, opened: OpenShare) -> Mapping[str, Item]:
        """Return the items of a share by identifier, in the order of the manifest.

        :raises ShareEnded: if storage no longer holds the dataset.
        :raises DatasetExpiring: if a lifecycle rule of its store is about to delete it.
        """
        try:
            grant = self.downloads.items(opened.permit, opened.uuid, self._seconds)
        except DatasetNotFound as error:
            raise ShareEnded("unavailable") from error
        return self._chosen_of(opened, grant.items.entries)

    def readme(self, opened: OpenShare) -> str | None:
        """Return the dataset's README, cut after 65,536 characters; None if dserver has none.

        It is at most a minute old: for one README, plugins may read the whole manifest.
        """
        share, now = opened.facts.id, monotonic()
        known, read_at = self._readmes.get(share) or (None, 0.0)
        if read_at and now - read_at < _README_SECONDS:
            return str(known) if known is not None else None
        found = datasets.readme(opened.facts.uri, MAX_README_CHARACTERS)
        self._readmes.put(share, (found, now), getsizeof(found))
        return found

    def contents(
        self, opened: OpenShare, link: str, wanted: PageRequest | None = None
    ) -> ShareContents:
        """Return the README and the items of a share, with their links.

        :param link: the link of the share.
        :param wanted: which page of them; None for all.
        :raises PageNotFound: if there is no such page.
        """
        items = self._with_links(opened, link)
        readme = self.readme(opened)
        if wanted is None:
            return ShareContents(opened, readme, items)
        return ShareContents(opened, readme, *Page.of(items, wanted))

    def item_list(self, opened: OpenShare, link: str, list_format: ListFormat) -> ItemList:
        """Return a list of the links of all items for another program.

        :param link: the link of the share.
        """
        items, facts = self._with_links(opened, link), opened.facts
        number, ends = counted(len(items), "item"), timestamp(facts.ends_at)
        title = f"{facts.name}: {number}; the links end at {ends}"
        return ItemList(item_list(list_format, items, title, are_links=True), opened.extent)

    def beginning(self, opened: OpenShare, identifier: str, limit: int) -> bytes | None:
        """Return the first limit + 1 bytes of an item; None if its storage cannot read them.

        :raises ItemNotFound: if the share has no such item, or storage does not hold it.
        :raises ItemArchived: if it is in an archive.
        """
        with _granting(opened, identifier):
            return self.downloads.beginning(opened.permit, opened.uuid, identifier, limit)

    def download(
        self, opened: OpenShare, identifier: str, disposition: Disposition = "attachment"
    ) -> str:
        """Return a URL that was signed at this moment, and count the download.

        Nothing is counted unless a URL is returned. What browsers only display, such as the image
        of a preview, is counted if the number of downloads is limited.

        :raises ItemNotFound: if the share has no such item, whether or not the dataset has it.
        :raises ShareEnded: if the share ended in the meantime, or its last download was used.
        """
        url = self.signed(opened, identifier, disposition)
        if disposition == "inline" and opened.facts.max_downloads is None:
            return url
        if not repository.count_download(opened.facts.id):
            raise ShareEnded(self._state(opened))
        return url

    def signed(self, opened: OpenShare, identifier: str, disposition: Disposition) -> str:
        """Sign one item of a share, for a minute, or for the server's maximum if that is less."""
        with _granting(opened, identifier):
            grant = self.downloads.item(
                opened.permit, opened.uuid, identifier, self._seconds, disposition
            )
        return _http_url(grant.url, str(opened.facts.uri.base))

    def _chosen_of(self, opened: OpenShare, entries: Mapping[str, Item]) -> Mapping[str, Item]:
        """Return the items of a share, which are kept for as long as those of the dataset are."""
        if opened.identifiers is None or not isinstance(entries, ItemTable):
            return opened.chosen(entries)
        share = opened.facts.id
        known: tuple[ref[ItemTable], ItemTable] | None = self._chosen.get(share)
        if known is None or known[0]() is not entries:
            known = ref(entries), entries.among(opened.identifiers)
            self._chosen.put(share, known, known[1].size_in_memory)
        return known[1]

    def _with_links(self, opened: OpenShare, link: str) -> SignedItems:
        return SignedItems(self.items(opened), lambda item: f"{link}/{item.identifier}")

    @property
    def _seconds(self) -> int:
        return min(DOWNLOAD_SECONDS, self.settings.max_read_expiry)

    @staticmethod
    def _state(opened: OpenShare) -> State:
        """Return why a share that was open a moment ago takes no more downloads."""
        facts = repository.find(opened.facts.id)
        return "unavailable" if facts is None or facts.state == "active" else facts.state


@contextmanager
def _granting(opened: OpenShare, identifier: str) -> Iterator[None]:
    """Grant one item of a share.

    :raises ItemNotFound: if the share has no such item, whether or not the dataset has it.
    :raises ShareEnded: if storage no longer holds the dataset.
    """
    if not opened.includes(identifier):
        raise ItemNotFound(identifier[:40], "its page lists those that it has.", "This link")
    try:
        yield
    except DatasetNotFound as error:
        raise ShareEnded("unavailable") from error


def _http_url(url: str, storage: str) -> str:
    """Return a URL to which a browser may be redirected: a storage broker may return any text."""
    if not url.startswith(("https://", "http://")):
        raise StorageUnavailable(storage, "returned no URL of the web for an item")
    return encoded_url(url)
