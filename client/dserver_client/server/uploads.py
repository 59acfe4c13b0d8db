"""Routes for depositing: announce, sign parts, get the status, complete, cancel."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from typing import Any

from dserver_client.errors import Refused
from dserver_client.http import retry_after
from dserver_client.progress import NoProgress, Progress
from dserver_client.server import answers, granted_items
from dserver_client.server.index import Index
from dserver_client.uris import quoted
from dserver_client.values import PartURLs, Registered, UploadGrant, UploadStatus

_WAIT = 20  # seconds that dserver may take for one answer to a completion
_COMPLETION_TIMEOUT = 900.0  # seconds, where dserver answers only at the end
_ANNOUNCEMENT_TIMEOUT = 300.0  # seconds


class Uploads(Index):
    """Deposits. The upload token of an announcement is used for that upload from then on."""

    def announce(self, base_uri: str, announcement: Mapping[str, Any]) -> UploadGrant:
        """Announce a deposit, or go on with it: the same again gives fresh URLs.

        Fields that this dserver does not take are left out.

        :param announcement: the body of ``POST /signed-urls/upload``.
        :raises Refused: with status 403, or 409 if it is registered or pending elsewhere.
        """
        known = self.capabilities().announcement_fields
        body = {name: value for name, value in announcement.items() if name in known}
        asked_at, path = answers.now(), f"/signed-urls/upload/{quoted(base_uri)}"
        grant = self.read(
            "POST",
            path,
            lambda answer: answers.upload_grant(answer, asked_at),
            loads=granted_items.loads,
            body=body,
            read_timeout=_ANNOUNCEMENT_TIMEOUT,
        )
        if grant.upload_token is not None:
            self._upload_tokens[grant.uri] = grant.upload_token
        return grant

    def unsent(self, uri: str) -> UploadGrant:
        """Return fresh URLs for what is missing or wrong of an upload.

        :raises NotSupported: if this dserver cannot tell: announce it again.
        :raises Refused: with slug ``upload-frozen`` if nothing is left to be sent.
        """
        self.require(there=self.capabilities().status, what="tell what is missing of an upload")
        asked_at = answers.now()
        return self.read(
            "GET",
            f"/signed-urls/upload/{quoted(uri)}",
            lambda answer: answers.upload_grant(answer["upload"], asked_at),
            loads=granted_items.loads,
            query={"urls": "true"},
            upload=uri,
        )

    def status(self, uri: str) -> UploadStatus:
        """Return how far an upload is.

        :raises NotSupported: if this dserver cannot tell.
        :raises Refused: with status 404 if there is neither an upload nor a dataset.
        """
        self.require(there=self.capabilities().status, what="tell how far an upload is")
        path = f"/signed-urls/upload/{quoted(uri)}"
        return self.read("GET", path, answers.upload_status, upload=uri)

    def part_urls(
        self, uri: str, identifier: str, numbers: Sequence[int], hashes: Mapping[int, str]
    ) -> PartURLs:
        """Return where parts of an item go, and which are stored.

        :param numbers: the parts to sign, from 1 on; at most 1,000.
        :param hashes: the MD5 of some of them in hexadecimal digits: the URL takes no other bytes.
        """
        body = {"numbers": list(numbers), "hashes": {str(n): md5 for n, md5 in hashes.items()}}
        asked_at = answers.now()
        return self.read(
            "POST",
            f"/signed-urls/parts/{quoted(uri)}/{quoted(identifier)}",
            lambda answer: answers.part_urls(answer, asked_at),
            body=body,
            upload=uri,
        )

    def complete(self, uri: str, progress: Progress | None = None) -> Registered:
        """Let dserver verify an upload, freeze it and register the dataset; wait until it has.

        :param progress: ``advance`` is called with the items that are verified.
        :raises Refused: with slug ``upload-incomplete`` and ``missing`` and ``mismatched`` among
            its facts if bytes are missing or differ.
        """
        progress = progress or NoProgress()
        done = 0
        body: dict[str, Any] = {"uri": uri}
        timeout = _COMPLETION_TIMEOUT
        if self.capabilities().wait:
            body["wait_seconds"], timeout = _WAIT, 3.0 * _WAIT
        path = "/signed-urls/upload-complete"
        while True:
            try:
                response = self.respond("POST", path, body=body, upload=uri, read_timeout=timeout)
            except Refused as refused:
                return self._found_registered(uri, refused)
            answer = self.decoded(response, path)
            try:
                if response.status != 202:
                    self._upload_tokens.pop(uri, None)
                    return answers.registered(answer)
                now_done = int(answer["items_done"])
            except answers.MALFORMED:
                raise self.unexpected(path) from None
            progress.advance(0, now_done - done)
            done = now_done
            seconds = retry_after(response)
            time.sleep(1.0 if seconds is None else min(seconds, _WAIT))

    def cancel(self, uri: str) -> None:
        """Cancel an upload, and delete what it has stored.

        :raises NotSupported: if this dserver cannot.
        """
        self.require(there=self.capabilities().cancel, what="cancel an upload")
        self.call("DELETE", f"/signed-urls/upload/{quoted(uri)}", upload=uri)
        self._upload_tokens.pop(uri, None)

    def _found_registered(self, uri: str, refused: Refused) -> Registered:
        """Return what an upload has become whose earlier answer was lost.

        The reference implementation answers 400 to the second completion.
        """
        if refused.slug not in ("http-400", "http-404", "http-409"):
            raise refused
        try:
            found = self.entry(uri)
        except Refused:
            raise refused from None
        return Registered(found.uri, found.uuid, found.name)
