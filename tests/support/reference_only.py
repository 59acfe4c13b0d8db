"""A dserver whose plugin has the reference's four routes only, and knows no more than the spec.

A WSGI application around a real one. There is no status, no parts, no slug, no sentence, no token
of an upload, no query; unknown fields of a body are refused, and nothing is completed twice.
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from http import HTTPStatus
from io import BytesIO
from typing import Any

from werkzeug.test import run_wsgi_app

PREFIX = "/signed-urls/"
OPENAPI = "/doc/openapi.json"
ROUTES = {"dataset": "GET", "item": "GET", "upload": "POST", "upload-complete": "POST"}

ANNOUNCED = {
    *("uuid", "name", "items", "creator_username", "frozen_at"),
    *("hash_function", "tags", "annotations", "overlays"),
}
ANSWERED = {
    "dataset": {
        *("uri", "expiry_seconds", "expiry_timestamp", "tags", "item_urls", "overlay_urls"),
        *("admin_metadata_url", "manifest_url", "readme_url", "annotation_urls"),
    },
    "item": {"uri", "identifier", "expiry_seconds", "expiry_timestamp", "url"},
    "upload": {"uuid", "uri", "base_uri", "expiry_seconds", "expiry_timestamp", "upload_urls"},
    "upload-complete": {"uri", "status", "name", "uuid"},
}
_OWN_HEADERS = {"retry-after", "x-request-id", "content-length"}


class ReferenceOnly:
    """Passes requests on to ``app`` as far as the reference would understand them."""

    def __init__(self, app: Any) -> None:
        self._app = app
        self._completed: set[str] = set()

    def __call__(self, environ: dict[str, Any], start_response: Any) -> Iterable[bytes]:
        path = environ["PATH_INFO"]
        if path == OPENAPI:
            return self._answer(environ, start_response, _described)
        if not path.startswith(PREFIX):
            return self._app(environ, start_response)  # type: ignore[no-any-return]
        route = path.removeprefix(PREFIX).partition("/")[0]
        if route not in ROUTES:
            return _refuse(start_response, HTTPStatus.NOT_FOUND)
        if environ["REQUEST_METHOD"] not in (ROUTES[route], "OPTIONS"):
            return _refuse(start_response, HTTPStatus.METHOD_NOT_ALLOWED)
        environ = {**environ, "QUERY_STRING": "", "HTTP_ACCEPT_ENCODING": "", "HTTP_ACCEPT": "*/*"}
        environ.pop("HTTP_UPLOAD_TOKEN", None)
        body = _body(environ) if ROUTES[route] == "POST" else {}
        if not isinstance(body, dict) or body.keys() - _known(route):
            return _refuse(start_response, HTTPStatus.UNPROCESSABLE_ENTITY)
        if route == "upload":
            # Every item gets a URL, whatever is stored already.
            body["upload_headers"] = body.pop("hash_function", None) is not None
            _pass_on(environ, body)
        if route == "upload-complete" and body.get("uri") in self._completed:
            return _refuse(start_response, HTTPStatus.BAD_REQUEST)
        return self._answer(environ, start_response, lambda answer: self._shortened(route, answer))

    def _answer(self, environ: dict[str, Any], start_response: Any, made: Any) -> Iterable[bytes]:
        chunks, status, headers = run_wsgi_app(self._app, environ, buffered=True)
        code = HTTPStatus(int(status.split()[0]))
        if environ["REQUEST_METHOD"] == "OPTIONS":
            start_response(f"{code:d} {code.phrase}", headers.to_wsgi_list())
            return chunks
        if code >= HTTPStatus.BAD_REQUEST:
            return _refuse(start_response, code)
        kept = [(name, value) for name, value in headers if name.lower() not in _OWN_HEADERS]
        content = json.dumps(made(json.loads(b"".join(chunks)))).encode()
        start_response(f"{code:d} {code.phrase}", [*kept, ("Content-Length", str(len(content)))])
        return [content]

    def _shortened(self, route: str, answer: dict[str, Any]) -> dict[str, Any]:
        if route == "upload-complete":
            self._completed.add(answer["uri"])
        return {name: value for name, value in answer.items() if name in ANSWERED[route]}


def _known(route: str) -> set[str]:
    return ANNOUNCED if route == "upload" else {"uri"}


def _body(environ: dict[str, Any]) -> Any:
    content = environ["wsgi.input"].read(int(environ.get("CONTENT_LENGTH") or 0))
    environ["wsgi.input"] = BytesIO(content)
    try:
        return json.loads(content)
    except ValueError:
        return None


def _pass_on(environ: dict[str, Any], body: dict[str, Any]) -> None:
    content = json.dumps(body).encode()
    environ |= {"wsgi.input": BytesIO(content), "CONTENT_LENGTH": str(len(content))}


def _refuse(start_response: Any, status: HTTPStatus) -> list[bytes]:
    content = json.dumps({"code": status, "status": status.phrase}).encode()
    headers = [("Content-Type", "application/json"), ("Content-Length", str(len(content)))]
    start_response(f"{status:d} {status.phrase}", headers)
    return [content]


def _described(document: dict[str, Any]) -> dict[str, Any]:
    """Leave of an OpenAPI document what the reference would say in it."""
    for path in [path for path in document["paths"] if path.startswith(PREFIX)]:
        route = path.removeprefix(PREFIX).partition("/")[0]
        described, method = document["paths"].pop(path), ROUTES.get(route, "").lower()
        if method in described:
            operation = described[method]
            operation["parameters"] = [
                each for each in operation.get("parameters", []) if each.get("in") == "path"
            ]
            operation.pop("security", None)
            document["paths"][path] = {**described, method: operation}
            for other in {"get", "post", "delete"} - {method}:
                document["paths"][path].pop(other, None)
    document["components"].get("securitySchemes", {}).pop("uploadToken", None)
    schemas = document["components"]["schemas"]
    for name, known in (("UploadPlan", ANNOUNCED), ("UploadGrant", ANSWERED["upload"])):
        properties = schemas.get(name, {}).get("properties", {})
        for unknown in properties.keys() - known:
            del properties[unknown]
    for name in ("CompletionPlan", "CompletionPlanBody"):
        schemas.get(name, {}).get("properties", {}).pop("wait_seconds", None)
    return document
