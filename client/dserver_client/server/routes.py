"""Authenticated JSON requests to one dserver, whose errors become exceptions."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from typing import Any, TypeVar
from urllib.parse import urlencode

from urllib3.util.request import ACCEPT_ENCODING

from dserver_client.errors import NotSupported, Unavailable
from dserver_client.http import HTTP, READ_ERRORS, Response
from dserver_client.process_lock import ProcessLock
from dserver_client.server.answers import MALFORMED
from dserver_client.server.capabilities import Capabilities
from dserver_client.server.refusals import is_json, refusal
from dserver_client.tokens import TokenSource

T = TypeVar("T")

_OPENAPI = "/doc/openapi.json"
# Bytes. It may name each item that is missing.
_MAX_ERROR_BYTES = 16 << 20
_NO_DOCUMENT = frozenset({401, 403, 404, 410})


class Routes:
    """What all routes have in common. Threads may share one.

    :param http: the connections.
    :param url: the address of the dserver.
    :param tokens: the token for it.
    """

    def __init__(self, http: HTTP, url: str, tokens: TokenSource) -> None:
        self.http, self.url, self.tokens = http, url, tokens
        self._capabilities: Capabilities | None = None
        self._upload_tokens: dict[str, str] = {}  # by the URI of an upload
        self._lock = ProcessLock()

    def capabilities(self) -> Capabilities:
        """Return what this dserver can do. It is asked once."""
        with self._lock:
            if self._capabilities is None:
                self._capabilities = self._asked_capabilities()
            return self._capabilities

    def require(self, *, there: bool, what: str) -> None:
        """Raise NotSupported unless this dserver can do something."""
        if not there:
            raise NotSupported(f"The dserver at {self.url} cannot {what}: it has no route for it.")

    def call(
        self,
        method: str,
        path: str,
        *,
        query: Mapping[str, Any] | None = None,
        loads: Callable[[bytes], Any] = json.loads,
        **options: Any,
    ) -> Any:
        """Send a request, and return the JSON of the answer; None for an empty answer.

        :param path: the path below the address of dserver, quoted.
        :param loads: decodes the JSON; raises ValueError if it cannot.
        :param options: those of ``respond``.
        :raises Refused: if dserver refuses it.
        :raises NotLoggedIn: if there is no token that it accepts.
        :raises Unavailable: if it does not answer, or not as dserver does.
        """
        path = f"{path}?{urlencode(query)}" if query else path
        return self.decoded(self.respond(method, path, **options), path, loads)

    def read(self, method: str, path: str, value: Callable[[Any], T], **options: Any) -> T:
        """Send a request, and return what ``value`` makes of the JSON of the answer.

        :raises: as ``call``; Unavailable if ``value`` finds the answer malformed.
        """
        answer = self.call(method, path, **options)
        try:
            return value(answer)
        except MALFORMED:
            raise self.unexpected(path) from None

    def respond(
        self,
        method: str,
        path: str,
        *,
        body: Any = None,
        accept: str = "application/json",
        upload: str | None = None,
        **options: Any,
    ) -> Response:
        """Send a request, and return the answer, which is no error.

        :param body: is sent as JSON, unless it is None.
        :param upload: the URI of an upload, whose own token is sent if there is one.
        :param options: more of those of ``HTTP.request``.
        """
        headers = {"Accept": accept}
        content = b"" if body is None and method in ("POST", "PUT") else None
        if body is not None:
            headers["Content-Type"] = "application/json"
            content = json.dumps(body).encode()
        response = self._authorized(method, path, headers, content, upload, options)
        if response.status >= 300:
            raise refusal(response, self.url)
        return response

    def _authorized(
        self,
        method: str,
        path: str,
        headers: dict[str, str],
        content: bytes | None,
        upload: str | None,
        options: dict[str, Any],
    ) -> Response:
        """Send a request with a token: with another one if dserver refuses the first."""
        own = None if upload is None else self._upload_tokens.get(upload)
        if own is not None:
            answer = self._send(method, path, {**headers, "Upload-Token": own}, content, options)
            if answer.status != 401:
                return answer
        token = self.tokens.token()
        response = self._send(method, path, _bearer(headers, token), content, options)
        if response.status == 401:
            token = self.tokens.renew(token)
            response = self._send(method, path, _bearer(headers, token), content, options)
        return response

    def _send(
        self,
        method: str,
        path: str,
        headers: dict[str, str],
        content: bytes | None,
        options: dict[str, Any],
    ) -> Response:
        return self.http.request(
            method,
            self.url + path,
            headers=_headers(headers),
            body=content,
            max_error_bytes=_MAX_ERROR_BYTES,
            **options,
        )

    def decoded(
        self, response: Response, path: str, loads: Callable[[bytes], Any] = json.loads
    ) -> Any:
        """Return the JSON of an answer that is not an error."""
        try:
            content = response.data
            if not content:
                return None
            if is_json(response):
                return loads(content)
        except READ_ERRORS as error:
            raise self.http.no_answer(self.url, error) from None
        except MALFORMED:
            pass
        raise self.unexpected(path.partition("?")[0])

    def _asked_capabilities(self) -> Capabilities:
        response = self._send("GET", _OPENAPI, {"Accept": "application/json"}, None, {})
        if response.status >= 300 and response.status not in _NO_DOCUMENT:
            raise refusal(response, self.url)
        if response.status < 300 and is_json(response):
            document = self.decoded(response, _OPENAPI)
            try:
                return Capabilities.of(document)
            except MALFORMED:
                raise self.unexpected(_OPENAPI) from None
        # An operator may hide the document. Flask answers OPTIONS of every route that it has.
        options = self._send("OPTIONS", "/signed-urls/parts/a/b", {}, None, {})
        is_plugin = "POST" in options.headers.get("Allow", "")
        return Capabilities.of_plugin() if is_plugin else Capabilities()

    def unexpected(self, path: str) -> Unavailable:
        """Return the error for an answer that is not what was asked for."""
        return Unavailable(
            f"{self.url}{path} answers with something that no dserver says: is that its address "
            "(DSERVER_URL), or does a proxy answer in its place?"
        )


def _bearer(headers: dict[str, str], token: str) -> dict[str, str]:
    return {**headers, "Authorization": f"Bearer {token}"}


def _headers(headers: dict[str, str]) -> dict[str, str]:
    return {"Accept-Encoding": ACCEPT_ENCODING, **headers}
