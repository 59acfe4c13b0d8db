"""Shares: links to a dataset, or to some of its items, for people without an account.

Creates, lists and revokes them; ``visits`` is what a link leads to.
"""

from __future__ import annotations

import re
import secrets
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta, timezone

from dserver_signed_url_plugin.audit.decisions import Decision, Extent
from dserver_signed_url_plugin.audit.service import Audit
from dserver_signed_url_plugin.config import Settings, chosen_life
from dserver_signed_url_plugin.datasets import RegisteredDataset
from dserver_signed_url_plugin.downloads.service import Downloads
from dserver_signed_url_plugin.errors import (
    DatasetExpiring,
    InvalidField,
    ShareNotFound,
    TooManyShares,
)
from dserver_signed_url_plugin.lifecycle.rules import Lifecycles
from dserver_signed_url_plugin.permissions import ReadPermit
from dserver_signed_url_plugin.shares import repository
from dserver_signed_url_plugin.shares.choice import chosen_items
from dserver_signed_url_plugin.shares.facts import ShareFacts, SharePage, State
from dserver_signed_url_plugin.shares.tokens import new_token, token_hash, token_of
from dserver_signed_url_plugin.storage.values import Item, total_size

__all__ = [
    "CreatedShare",
    "NewShare",
    "ShareFacts",
    "SharePage",
    "Shares",
    "State",
    "link",
]

_OPERATOR = ""
_ID = re.compile(r"[0-9a-f]{16}")
DAY = 86_400  # seconds
_DEFAULT_LIFE = 7 * DAY
MAX_NOTE_CHARACTERS = 1000
# Allowed in a note: new lines, and what joins or parts letters in Persian, and signs in emoji.
_NOT_PRINTED = dict.fromkeys(map(ord, "\n\N{ZERO WIDTH NON-JOINER}\N{ZERO WIDTH JOINER}"))
MAX_DOWNLOADS = 2**31 - 1  # what an INTEGER of PostgreSQL holds


@dataclass(frozen=True)
class NewShare:
    """What is to be shared, and for how long.

    :param relpaths: which items; None for all, unless there are patterns.
    :param patterns: relpaths, or patterns in fnmatch's syntax, of further items.
    :param expires_in: seconds; None for seven days, or the server's maximum if that is less.
    :param max_downloads: of all items together; None for any number.
    :param note: what whoever opens the link is shown; it may have several lines.
    """

    relpaths: Sequence[str] | None = None
    patterns: Sequence[str] = ()
    expires_in: int | None = None
    max_downloads: int | None = None
    note: str | None = None

    def check(self) -> None:
        """Check what does not depend on the dataset.

        :raises InvalidField: with the field.
        """
        if self.expires_in is not None and self.expires_in < 1:
            raise InvalidField("expires_in", "must be at least 1 second.", status=422)
        if self.max_downloads is not None and not 1 <= self.max_downloads <= MAX_DOWNLOADS:
            reason = f"must be at least 1 and at most {MAX_DOWNLOADS}."
            raise InvalidField("max_downloads", reason, status=422)
        note = self.note or ""
        if len(note) > MAX_NOTE_CHARACTERS or not note.translate(_NOT_PRINTED).isprintable():
            reason = f"must be at most {MAX_NOTE_CHARACTERS} printable characters."
            raise InvalidField("note", reason, status=422)


@dataclass(frozen=True)
class CreatedShare:
    """A share, and its token, which cannot be found out later.

    ``items`` are the relpaths, sorted, or None if all are shared; ``limited_by`` says why the share
    ends earlier than requested, such as ``lifecycle``.
    """

    share: ShareFacts
    token: str = field(repr=False)
    items: Sequence[str] | None
    limited_by: str | None

    @property
    def extent(self) -> Extent:
        """What the audit records of it."""
        share = self.share
        return Extent(share.number_of_items, share.size_in_bytes, share.ends_at)


class Shares:
    """Creates, lists and revokes shares.

    An operator at the shell has no username: the audit records what is done under an empty one
    here, and what users do where their requests are recorded.
    """

    def __init__(
        self, settings: Settings, downloads: Downloads, lifecycles: Lifecycles, audit: Audit
    ) -> None:
        self._settings, self._downloads = settings, downloads
        self._lifecycles, self._audit = lifecycles, audit

    def create(self, permit: ReadPermit, uuid: str, new: NewShare) -> CreatedShare:
        """Share a registered dataset, or some of its items.

        :raises InvalidField: if a value does not fit, or an item does not exist.
        :raises LifetimeTooLong: if it exceeds ``SIGNED_URL_MAX_SHARE_DAYS``.
        :raises DatasetNotFound: if dserver does not know it, or storage no longer holds it.
        :raises DatasetExpiring: if a lifecycle rule of its store is about to delete it.
        :raises TooManyShares: if the owner has ``SIGNED_URL_MAX_SHARES`` that still work.
        """
        new.check()
        seconds = self.seconds(new.expires_in)
        grant = self._downloads.items(permit, uuid, None)
        registered, entries = grant.registered, grant.items.entries
        chosen = chosen_items(entries, new.relpaths, new.patterns)
        now = datetime.now(timezone.utc)
        ends, limited_by = self._ends(registered, now + timedelta(seconds=seconds))
        token = new_token()
        values = {
            **_of_dataset(registered, permit),
            **_of_items(entries if chosen is None else chosen, is_all=chosen is None),
            "id": secrets.token_hex(8),
            "token_hash": token_hash(token),
            "created_at": now,
            "ends_at": ends,
            "max_downloads": new.max_downloads,
            "downloads": 0,
            "note": new.note or None,
        }
        share = repository.insert_share(values, self._most(permit))
        if share is None:
            raise TooManyShares(self._settings.max_shares)
        created = CreatedShare(share, token, _relpaths(chosen), limited_by)
        self._record("share-create", permit.username, share, created.extent)
        return created

    def seconds(self, requested: int | None) -> int:
        """Return for how many seconds a share works that is made now.

        :raises LifetimeTooLong: if more than the server's maximum is requested.
        """
        most = self._settings.max_share_days * DAY
        return chosen_life(requested, min(_DEFAULT_LIFE, most), most, field="expires_in")

    def page(self, owner: str | None, uri: str | None, before: str | None, limit: int) -> SharePage:
        """Return the shares of everybody, or of all users of a name, newest first.

        :param uri: only those of this dataset.
        :param before: ``next`` of the previous page.
        """
        conditions = [] if owner is None else [repository.of_owner(owner)]
        return _page(conditions, uri, before, limit)

    def own(self, username: str, uri: str | None, before: str | None, limit: int) -> SharePage:
        """Return the shares of one user, not of a deleted one of the same name."""
        return _page([repository.of_user(username)], uri, before, limit)

    def active(self, uris: Sequence[str]) -> Mapping[str, Sequence[ShareFacts]]:
        """Return the shares of datasets that work, newest first, by the URI of their dataset."""
        found: dict[str, list[ShareFacts]] = {}
        for share in repository.active(uris):
            if share.state == "active":
                found.setdefault(str(share.uri), []).append(share)
        return found

    def find(self, share_id: str) -> ShareFacts:
        """Return a share.

        :raises ShareNotFound: if there is none.
        """
        return _existing(share_id)

    def id_of(self, id_or_link: str) -> str:
        """Return the ID of the share that has this ID or this link.

        :raises ShareNotFound: if no share has the link; not if it is an unknown ID.
        """
        token = token_of(id_or_link)
        if token is None:
            return id_or_link
        found = repository.by_token_hash(token_hash(token))
        if found is None:
            raise ShareNotFound
        return found[0].id

    def revoke(self, share_id: str, username: str, *, is_admin: bool = False) -> ShareFacts:
        """End a share, unless it was ended before; return it as it is then. Idempotent.

        :param username: who does so; empty for an operator.
        :raises ShareNotFound: if there is none, or it is another user's.
        """
        is_any = is_admin or username == _OPERATOR
        _existing(share_id, *([] if is_any else [repository.of_user(username)]))
        repository.revoke(share_id)
        share = self.find(share_id)
        self._record("share-revoke", username, share, Extent())
        return share

    def _most(self, permit: ReadPermit) -> int | None:
        return None if permit.username == _OPERATOR else self._settings.max_shares

    def _ends(self, registered: RegisteredDataset, wanted: datetime) -> tuple[datetime, str | None]:
        """Return when a share ends (UTC), and what limits it, if anything does."""
        ends = self._lifecycles.ends(registered.uri)
        if ends is None or ends >= wanted:
            return wanted, None
        if ends <= datetime.now(timezone.utc):
            raise DatasetExpiring(registered.uri)
        return ends, "lifecycle"

    def _record(self, action: str, username: str, share: ShareFacts, extent: Extent) -> None:
        """Record what an operator did."""
        if username == _OPERATOR:
            self._audit.record(
                Decision(
                    action=action,
                    username=username,
                    uri=str(share.uri),
                    share=share.id,
                    **vars(extent),
                )
            )


def link(base_url: str, token: str) -> str:
    """Return the link of a share.

    :param base_url: the address of dserver as people use it, without a trailing slash.
    """
    return f"{base_url}/signed-urls/s/{token}"


def _existing(share_id: str, *conditions: repository.Condition) -> ShareFacts:
    # A database may refuse other texts: PostgreSQL has no NUL.
    share = repository.find(share_id, *conditions) if _ID.fullmatch(share_id) else None
    if share is None:
        raise ShareNotFound
    return share


def _page(
    conditions: list[repository.Condition], uri: str | None, before: str | None, limit: int
) -> SharePage:
    if uri is not None:
        conditions = [*conditions, repository.of_dataset(uri)]
    found = repository.page(conditions, before, limit + 1)
    more = repository.cursor(found[limit - 1]) if len(found) > limit else None
    return SharePage(found[:limit], more)


def _of_dataset(registered: RegisteredDataset, permit: ReadPermit) -> dict[str, object]:
    return {
        "uri": str(registered.uri),
        "base_uri": str(permit.base_uri),
        "owner": permit.username,
        "name": registered.name,
        "frozen_at": registered.frozen_at,
    }


def _of_items(items: Mapping[str, Item], *, is_all: bool) -> dict[str, object]:
    digests = None if is_all else b"".join(map(bytes.fromhex, sorted(items)))
    sizes = [item.size_in_bytes for item in items.values()]
    return {
        "number_of_items": len(items),
        "size_in_bytes": total_size(sizes),
        "identifiers": digests,
    }


def _relpaths(chosen: Mapping[str, Item] | None) -> list[str] | None:
    return None if chosen is None else sorted(item.relpath for item in chosen.values())
