"""Shares, and people who have nothing but the link of one."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from werkzeug.test import TestResponse

from dserver_signed_url_plugin.permissions import permit_read
from dserver_signed_url_plugin.shares.facts import ShareFacts
from dserver_signed_url_plugin.shares.service import CreatedShare, NewShare
from dserver_signed_url_plugin.uris import DatasetURI
from tests.support.dserver import Dserver

JSON = {"Accept": "application/json"}
HTML = {"Accept": "text/html,application/xhtml+xml,*/*;q=0.8"}
UNKNOWN = "a" * 32


@dataclass
class Visitor:
    """Somebody who has the link of a share; answers are those of Flask's test client."""

    dserver: Dserver
    token: str = field(repr=False)
    share: ShareFacts | None = None

    @property
    def path(self) -> str:
        return f"/signed-urls/s/{self.token}"

    def open(self, below: str = "", **options: Any) -> TestResponse:
        options.setdefault("headers", JSON)
        client = self.dserver.app.test_client()
        return client.open(f"{self.path}{below}", **{"method": "GET", **options})

    def download(self, identifier: str, **options: Any) -> TestResponse:
        return self.open(f"/{identifier}", **options)

    def facts(self) -> ShareFacts:
        """What the database says of the share now."""
        with self.dserver.app.app_context():
            return self.dserver.services.shares.find(self.share.id)

    def revoke(self) -> None:
        with self.dserver.app.app_context():
            self.dserver.services.shares.revoke(self.share.id, "")


def shared(
    dserver: Dserver, uri: str, relpaths: Sequence[str] | None = None, **more: Any
) -> Visitor:
    """Share a dataset, or some of its items, as bob, who may only read it."""
    dataset = DatasetURI.parse(uri)
    with dserver.app.app_context():
        permit = permit_read("bob", dataset.base)
        created: CreatedShare = dserver.services.shares.create(
            permit, dataset.uuid, NewShare(relpaths=relpaths, **more)
        )
    return Visitor(dserver, created.token, created.share)
