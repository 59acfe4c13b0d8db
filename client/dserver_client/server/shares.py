"""Routes for shares: links to datasets for people without an account."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from dserver_client.server import answers
from dserver_client.server.routes import Routes
from dserver_client.uris import quoted
from dserver_client.values import Share

_PATH = "/signed-urls/shares"


class Shares(Routes):
    """Links that end by themselves, and can be taken back."""

    def share(
        self,
        uri: str,
        *,
        items: Sequence[str] | None = None,
        expires_in: int | None = None,
        max_downloads: int | None = None,
        note: str | None = None,
    ) -> Share:
        """Make a link to a dataset. Only this answer has the link.

        :param items: relpaths; None for all of the dataset.
        :param expires_in: seconds; None for the server's default.
        :raises NotSupported: if this dserver has no shares.
        """
        self.require(there=self.capabilities().shares, what="make links")
        given = {
            "items": None if items is None else list(items),
            "expires_in": expires_in,
            "max_downloads": max_downloads,
            "note": note,
        }
        body: dict[str, Any] = {name: value for name, value in given.items() if value is not None}
        # Not tried again where an answer is lost: there would be two links.
        return self.read("POST", f"{_PATH}/{quoted(uri)}", answers.share, body=body, retries=0)

    def shares(self) -> list[Share]:
        """Return the links of this user.

        :raises NotSupported: if this dserver has no shares.
        """
        self.require(there=self.capabilities().shares, what="list links")
        return self.read("GET", _PATH, answers.shares)

    def delete_share(self, share_id: str) -> None:
        """Take a link back.

        :raises NotSupported: if this dserver has no shares.
        """
        self.require(there=self.capabilities().shares, what="take links back")
        self.call("DELETE", f"{_PATH}/{quoted(share_id)}")
