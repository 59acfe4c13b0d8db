"""Routes for reading: signed URLs of a dataset and of its items."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from typing import Any

from dserver_client.errors import Unavailable
from dserver_client.http import READ_ERRORS, Response
from dserver_client.server import answers
from dserver_client.server.routes import Routes
from dserver_client.store_answers import whole_document
from dserver_client.uris import quoted
from dserver_client.values import DatasetURLs, SignedItem

_NDJSON = "application/x-ndjson"
_BLOCK = 1 << 16  # bytes
_MAX_LINE = 1 << 20  # bytes
_MAX_ITEMS_PER_REQUEST = 10_000  # items of one request, the server's limit


class Downloads(Routes):
    """Signed URLs for readers."""

    def dataset_urls(self, uri: str) -> DatasetURLs:
        """Return the URLs of all of a dataset but its items.

        :raises Refused: with status 403 or 404, or 501 where the storage cannot sign.
        """
        asked_at, query = answers.now(), {}
        if self.capabilities().pages:
            # The shortest answer.
            query = {"page": 1, "page_size": 1}
        path = f"/signed-urls/dataset/{quoted(uri)}"
        return self.read(
            "GET", path, lambda answer: answers.dataset_urls(answer, asked_at), query=query
        )

    def signed_items(self, uri: str) -> Iterator[SignedItem]:
        """Yield all items of a dataset with their URLs, signed while they are yielded.

        Memory does not grow with the number of items, where dserver streams them.

        :raises Unavailable: if the answer breaks off; the items that came are good.
        """
        path = f"/signed-urls/dataset/{quoted(uri)}"
        accept = f"{_NDJSON}, application/json;q=0.9"
        response = self.respond("GET", path, accept=accept, stream=True)
        try:
            if response.headers.get("Content-Type", "").startswith(_NDJSON):
                yield from self._streamed(response, path)
            else:
                answer = self.decoded(self._loaded(response), path)
                yield from self._with_manifest(answer, path)
        finally:
            response.close()

    def sign_item(self, uri: str, identifier: str) -> str:
        """Return a URL that reads one item.

        :raises Refused: with status 404 if the dataset has no such item.
        """
        path = f"/signed-urls/item/{quoted(uri)}/{quoted(identifier)}"
        return self.read("GET", path, lambda answer: answers.url(answer["url"]))

    def sign_items(self, uri: str, identifiers: Sequence[str]) -> dict[str, SignedItem]:
        """Return some items with their URLs, by identifier; items that it has not are left out.

        A dserver that signs only one item or all of them is asked for all.
        """
        if not self.capabilities().items:
            wanted = set(identifiers)
            found = self.signed_items(uri)
            return {each.item.identifier: each for each in found if each.item.identifier in wanted}
        signed: dict[str, SignedItem] = {}
        path = f"/signed-urls/items/{quoted(uri)}"
        for start in range(0, len(identifiers), _MAX_ITEMS_PER_REQUEST):
            body = {"identifiers": list(identifiers[start : start + _MAX_ITEMS_PER_REQUEST])}
            signed |= self.read("POST", path, answers.signed_items, body=body)
        return signed

    def _streamed(self, response: Response, path: str) -> Iterator[SignedItem]:
        lines = self._lines(response)
        try:
            next(lines)  # all but the items
            for line in lines:
                answer = json.loads(line)
                yield answers.signed_item(answer["identifier"], answer)
        except StopIteration:
            raise self.unexpected(path) from None
        except answers.MALFORMED:
            raise self.unexpected(path) from None

    def _lines(self, response: Response) -> Iterator[bytes]:
        rest = b""
        while block := self._block(response):
            *lines, rest = (rest + block).split(b"\n")
            yield from (line for line in lines if line)
            if len(rest) > _MAX_LINE:
                raise ValueError
        if rest:
            # A line that is not ended: the answer was cut off.
            raise Unavailable(f"The answer of {self.url} broke off.")

    def _block(self, response: Response) -> bytes:
        try:
            return response.read(_BLOCK)
        except READ_ERRORS as error:
            raise self.http.no_answer(self.url, error) from None

    def _loaded(self, response: Response) -> Response:
        try:
            return self.http.loaded(self.url, response)
        except READ_ERRORS as error:
            raise self.http.no_answer(self.url, error) from None

    def _with_manifest(self, answer: Any, path: str) -> Iterator[SignedItem]:
        """Yield the items of an answer that has URLs alone: the manifest has the rest."""
        try:
            urls, manifest_url = dict(answer["item_urls"]), answers.url(answer["manifest_url"])
            details = answer.get("items") or self._fetched_manifest(manifest_url)["items"]
            for identifier, url in urls.items():
                yield answers.signed_item(identifier, {**details[identifier], "url": url})
        except answers.MALFORMED:
            raise self.unexpected(path) from None

    def _fetched_manifest(self, url: str) -> Any:
        response = self.http.request("GET", url)
        return json.loads(whole_document(response, "the dataset's manifest"))
