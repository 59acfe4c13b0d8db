"""Routes for shares: links to datasets for people without an account."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

from dserver_client.server import answers
from dserver_client.server.routes import Routes
from dserver_client.uris import quoted
from dserver_client.values import Share

_PATH = "/signed-urls/shares"


class Shares(Routes):
    """Links that end by themselves, or earlier if their owner wants it."""

    def share(
        self,
        uri: str,
        *,
        items: Sequence[str] | None = None,
        expires_in: int | None = None,
        max_downloads: int | None = None,
        note: str | None = None,
    ) -> Share:
        """Create a link to a dataset. Only this answer has the link.

        :param items: relpaths; None for all of the dataset.
        :param expires_in: seconds; None for the server's default.
        :raises NotSupported: if this dserver has no shares.
        """
        self.require(there=self.capabilities().shares, what="create links")
        given = {
            "items": None if items is None else list(items),
            "expires_in": expires_in,
            "max_downloads": max_downloads,
            "note": note,
        }
        body: dict[str, Any] = {name: value for name, value in given.items() if value is not None}
        # Not tried again where an answer is lost: there would be two links.
        return self.read("POST", f"{_PATH}/{quoted(uri)}", answers.share, body=body, retries=0)

    def shares(self, uri: str | None = None) -> Iterator[Share]:
        """Yield the links of this user, the newest first; all links for an admin.

        :param uri: only links to this dataset.
        :raises NotSupported: if this dserver has no shares.
        """
        self.require(there=self.capabilities().shares, what="list links")
        query = {} if uri is None else {"uri": uri}
        while True:
            found, following = self.read("GET", _PATH, answers.share_page, query=query)
            yield from found
            if following in (None, query.get("before")):
                return
            query["before"] = following

    def end_share(self, share_id: str) -> None:
        """End a link, which may have ended already.

        :raises NotSupported: if this dserver has no shares.
        :raises Refused: with status 404 if this user has no such link.
        """
        self.require(there=self.capabilities().shares, what="end links")
        self.call("DELETE", f"{_PATH}/{quoted(share_id)}")
