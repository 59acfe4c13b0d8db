"""dserver's own routes: the user, the datasets, and what describes them."""

from __future__ import annotations

import json
from collections.abc import Iterator
from itertools import count
from typing import Any

from dserver_client.errors import Refused
from dserver_client.http import Response
from dserver_client.server import answers
from dserver_client.server.routes import Routes
from dserver_client.uris import quoted
from dserver_client.values import BaseURI, DatasetEntry, User

_PAGE_SIZE = 100  # dserver's maximum


class Index(Routes):
    """What dserver knows of datasets, without a look into the store."""

    def whoami(self) -> User:
        """Return who is logged in, and at which base URIs this user has permissions."""
        return self.read("GET", "/me", answers.user)

    def versions(self) -> dict[str, str]:
        """Return the versions of dserver and its plugins."""
        return self.read("GET", "/config/versions", lambda answer: dict(answer["versions"]))

    def base_uris(self) -> list[BaseURI]:
        """Return the base URIs where this user may read or deposit datasets, sorted."""
        return answers.base_uris(self.whoami())

    def datasets(
        self, *, search: str | None = None, base_uri: str | None = None
    ) -> Iterator[DatasetEntry]:
        """Yield the datasets that this user may read, the newest first.

        :param search: words that are looked for in names, READMEs and so on.
        :param base_uri: only datasets there.
        """
        query: dict[str, Any] = {}
        if search:
            query["free_text"] = search
        if base_uri:
            query["base_uris"] = [base_uri]
        # By URI, too: times may be equal, and pages must not overlap.
        return self._pages("POST", "/uris", order="-frozen_at,uri", body=query)

    def entry(self, uri: str) -> DatasetEntry:
        """Return a registered dataset.

        :raises Refused: with status 404 if it is not registered, or 403.
        """
        try:
            return self.read("GET", f"/uris/{quoted(uri)}", answers.entry)
        except Refused as refused:
            raise _about_dataset(uri, refused) from None

    def lookup(self, uuid: str) -> list[DatasetEntry]:
        """Return the datasets with a UUID, of which there may be copies at several base URIs."""
        return list(self._pages("GET", f"/uuids/{quoted(uuid)}"))

    def readme(self, uri: str) -> str:
        """Return the README that dserver has indexed."""
        return self.read("GET", f"/readmes/{quoted(uri)}", lambda answer: str(answer["readme"]))

    def manifest(self, uri: str) -> dict[str, Any]:
        """Return the manifest that dserver has indexed."""
        return self.read("GET", f"/manifests/{quoted(uri)}", dict)

    def tags(self, uri: str) -> list[str]:
        """Return the tags that dserver has indexed."""
        return self.read("GET", f"/tags/{quoted(uri)}", _tags)

    def annotations(self, uri: str) -> dict[str, Any]:
        """Return the annotations that dserver has indexed."""
        return self.read(
            "GET", f"/annotations/{quoted(uri)}", lambda answer: dict(answer["annotations"])
        )

    def write_readme(self, uri: str, text: str) -> None:
        """Replace the README of a frozen dataset, in the store and in the index.

        :raises NotSupported: if this dserver has no route for it.
        """
        self.require(there=self.capabilities().write_readme, what="change a README")
        self.respond("PUT", f"/readmes/{quoted(uri)}", body={"readme": text})

    def add_tag(self, uri: str, tag: str) -> None:
        """Add a tag to a frozen dataset.

        :raises NotSupported: if this dserver has no route for it.
        """
        self._write_tags(uri, sorted({*self._writable_tags(uri), tag}))

    def delete_tag(self, uri: str, tag: str) -> None:
        """Take a tag off a frozen dataset.

        :raises NotSupported: if this dserver has no route for it.
        """
        self._write_tags(uri, [each for each in self._writable_tags(uri) if each != tag])

    def write_annotation(self, uri: str, name: str, value: object) -> None:
        """Add an annotation to a frozen dataset, or replace it.

        :raises NotSupported: if this dserver has no route for it.
        """
        self.require(there=self.capabilities().write_annotations, what="change annotations")
        self.respond("PUT", f"/annotations/{quoted(uri)}/{quoted(name)}", body={"value": value})

    def _writable_tags(self, uri: str) -> list[str]:
        self.require(there=self.capabilities().write_tags, what="change tags")
        return self.tags(uri)

    def _write_tags(self, uri: str, tags: list[str]) -> None:
        self.respond("PUT", f"/tags/{quoted(uri)}", body={"tags": tags})

    def _pages(
        self, method: str, path: str, *, order: str | None = None, **options: Any
    ) -> Iterator[DatasetEntry]:
        """Yield the datasets of all pages."""
        sort = f"&sort={order}" if order else ""
        before: list[DatasetEntry] = []
        for page in count(1):
            where = f"{path}?page={page}&page_size={_PAGE_SIZE}{sort}"
            try:
                response = self.respond(method, where, **options)
            except Refused as refused:
                if refused.status == 404 and page > 1:
                    # The page before was the last one, and full.
                    return
                raise
            found = self._entries(response, path)
            if found == before:
                # A search plugin that knows no pages answers with all, always.
                return
            yield from found
            if len(found) != _PAGE_SIZE or _is_last(response, page):
                return
            before = found

    def _entries(self, response: Response, path: str) -> list[DatasetEntry]:
        try:
            return [answers.entry(each) for each in self.decoded(response, path)]
        except answers.MALFORMED:
            raise self.unexpected(path) from None


def _about_dataset(uri: str, refused: Refused) -> Refused:
    """Return a refusal by dserver's own routes, which do not say what they are about."""
    sentences = {
        "http-403": f"You may not read datasets at {uri.rpartition('/')[0]}: ask an administrator "
        "of dserver for permission.",
        "http-404": f"dserver has no dataset {uri}. If its deposit is not complete, "
        f"`dserver status {uri}` shows its progress.",
    }
    if refused.slug not in sentences:
        return refused
    named = Refused(sentences[refused.slug], refused.status, refused.slug, refused.facts)
    named.request_id = refused.request_id
    return named


def _is_last(response: Response, page: int) -> bool:
    try:
        return page >= int(json.loads(response.headers["X-Pagination"])["last_page"])
    except answers.MALFORMED:
        return False


def _tags(answer: Any) -> list[str]:
    return [str(tag) for tag in answer["tags"]]
