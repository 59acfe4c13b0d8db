"""Routes behind the link of a share, which need no account: they are sent no token of a user."""

from __future__ import annotations

import json
from collections.abc import Callable

from urllib3.util.request import ACCEPT_ENCODING

from dserver_client.errors import ClientError, Refused, Unavailable
from dserver_client.http import HTTP, Response
from dserver_client.links import ShareLink
from dserver_client.server import answers
from dserver_client.server.refusals import is_json, refusal
from dserver_client.values import SharedContents

# For an answer that is not the plugin's own, such as a proxy's.
_SENTENCES = {
    404: "There is nothing behind this link: is it complete?",
    410: "This link has ended: ask the person who sent it for a new one.",
}


class Link:
    """What is behind a link. Threads may share one."""

    def __init__(self, http: HTTP, link: ShareLink) -> None:
        self.http, self.link = http, link

    def contents(self) -> SharedContents:
        """Return what the link gives access to.

        :raises Refused: with status 404 if there is no such link, or 410 if it has ended.
        :raises Unavailable: if dserver does not answer, or not as dserver does.
        """
        response = self._get(self.link.url)
        if response.status != 200:
            raise self._refusal(response)
        try:
            if is_json(response):
                return answers.shared_contents(json.loads(response.data))
        except answers.MALFORMED:
            pass
        raise self._unexpected()

    def sign(self, identifier: str, pause: Callable[[float], None] | None = None) -> str:
        """Return a URL that reads one item, for a minute. It counts as a download.

        :param pause: waits for some seconds before another attempt.
        :raises: as ``contents``; the item may be gone, too.
        """
        response = self._get(f"{self.link.url}/{identifier}", pause)
        if not 300 <= response.status < 400:
            raise self._refusal(response)
        try:
            url = answers.url(response.headers.get("Location"))
        except ValueError:
            raise self._unexpected() from None
        if self.link.url.startswith("https:") and not url.startswith("https:"):
            raise Unavailable(
                f"{self.link} redirects to an address without encryption: nothing is fetched "
                "from there."
            )
        return url

    def _get(self, url: str, pause: Callable[[float], None] | None = None) -> Response:
        headers = {"Accept": "application/json", "Accept-Encoding": ACCEPT_ENCODING}
        return self.http.request("GET", url, headers=headers, pause=pause)

    def _refusal(self, response: Response) -> ClientError:
        # The message shows no redirect: its address may have the token. Nobody logs in here.
        if response.status < 400 or response.status in (401, 403):
            return self._unexpected()
        error = refusal(response, self.link.server_url)
        if isinstance(error, Refused) and error.slug == f"http-{error.status}":
            error.args = (_SENTENCES.get(error.status, str(error)),)
        return error

    def _unexpected(self) -> Unavailable:
        return Unavailable(
            f"{self.link} answers with something that no dserver says: is the link complete, or "
            "does a proxy answer in its place?"
        )
