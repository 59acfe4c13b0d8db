"""What the OpenAPI document says about the routes: path parameters and statuses of refusals.

It also corrects what other parts of dserver put into that document.
"""

from __future__ import annotations

from collections.abc import Mapping, MutableMapping
from typing import Any
from urllib.parse import quote

from dserver_signed_url_plugin.web import examples

REFUSALS = {
    400: "A URI, name, relpath or body cannot be used; `message` says why",
    401: "No token, or one that is not valid",
    403: "No permission on the base URI, or dserver does not know it",
    429: "More requests than this server takes from one user or address; see `Retry-After`",
    501: "The storage of this base URI cannot sign URLs; `message` names it",
    502: "The store does not answer or refuses the server; repeat after `Retry-After`, where given",
    503: "The server cannot serve, mostly because its database is busy; repeat after `Retry-After`",
}
READING = {
    404: "dserver does not have it, or storage no longer holds it",
    409: "The store keeps it in an archive; `message` says what restores it",
    410: "A lifecycle rule of the store may delete it at any moment",
}
READING_DATASET = {
    **READING,
    404: f"{READING[404]}; or its items do not fill so many pages",
}
_BODY = {411: "The body came without its length", 413: "The body is too large"}
READING_ITEMS = {**READING, **_BODY}
ANNOUNCING = {
    **_BODY,
    409: "Registered already; or the UUID is pending elsewhere, by someone else or with other "
    "contents; or storage holds a dataset there; or another request is opening it; or the caller "
    "has as much pending as this server allows; `errors.slug` says which",
}
STATUS = {
    404: "There is no upload and no dataset under this URI",
    409: "There is nothing to sign: announce the upload again, or complete it; or another "
    "request is opening or completing it",
}
PARTS = {
    **_BODY,
    404: "There is no such upload, or it has no such item",
    409: "The upload is registered, frozen or not open yet, or the item is stored already; "
    "`errors.slug` says which",
}
CANCELLING = {
    409: "It is registered or frozen, or another request is opening or completing it",
}
COMPLETING = {
    **_BODY,
    400: "Nothing is pending, or items are missing or differ: `errors` holds `missing` (relpaths) "
    "and `mismatched` (relpath, expected, found), the first 100 of each, and their totals",
    409: "Another request is completing it, or the UUID is pending at another base URI",
}
# Of those that need no account.
LINK_REFUSALS = {status: REFUSALS[status] for status in (429, 501, 502, 503)}
OPENING_LINK = {
    409: "The store keeps the dataset's manifest in an archive; `message` says what restores it",
    404: "There is no such link, or there are not so many pages of items",
    410: "The share has ended: it expired, was revoked, has no downloads left, or its dataset or "
    "owner is gone (`errors.reason`); or a lifecycle rule of the store may delete the dataset at "
    "any moment",
}
DOWNLOADING = {
    **OPENING_LINK,
    409: READING[409],
    404: "There is no such link, or it has no such item",
}
SHARING = {
    **READING_ITEMS,
    409: "The caller has as many shares that work as this server allows; or the store keeps the "
    "dataset in an archive; `errors.slug` says which",
}
REVOKING = {404: "There is no such share, or it is another user's"}
# Of the routes for programs that watch a server, which need no token either.
METRICS = {404: "This server has no metrics: `SIGNED_URL_METRICS` is not set"}
NOT_READY = {
    503: "The database does not answer or needs a migration, or the server can verify no token; "
    "`errors.slug` says which"
}
AUDIT = {404: "This server keeps no table of decisions"}

# What some routes answer with beside JSON, by path below the prefix of this plugin's routes.
_TEXT = {"schema": {"type": "string"}}
_OTHER_FORMATS = {
    ("dataset/{uri}", "get"): {"text/plain": _TEXT, "application/x-ndjson": _TEXT},
    ("s/{token}", "get"): {"text/html": _TEXT, "text/plain": _TEXT},
}

UPLOAD_TOKEN = "uploadToken"  # noqa: S105 (the name of a scheme)
UPLOAD_TOKEN_SCHEME = {
    "type": "apiKey",
    "in": "header",
    "name": "Upload-Token",
    "description": "`upload_token` of the answer to an announcement, in place of a dserver token",
}
# By path below the prefix.
_TAKE_UPLOAD_TOKENS = {
    ("upload/{uri}", "get"),
    ("upload/{uri}", "delete"),
    ("parts/{uri}/{identifier}", "post"),
    ("upload-complete", "post"),
}

# Below the prefix: whoever has the link of a share needs no other token, and a probe none.
_WITHOUT_ACCOUNT = ("s/", "health/", "metrics")

_METHODS = {"get", "put", "post", "delete", "options", "head", "patch", "trace"}

_MALFORMED = {
    "description": "A field of the query or the body is malformed; `errors` names it",
    "content": {"application/json": {"schema": {"$ref": "#/components/schemas/Refusal"}}},
}


def _path_parameter(name: str, text: str, example: str) -> dict[str, Any]:
    schema = {"type": "string"}
    return {"name": name, "in": "path", "description": text, "schema": schema, "example": example}


URI = _path_parameter(
    "uri", f"A dataset URI, URL-encoded once: {quote(examples.URI, safe='')}", examples.URI
)
# OpenAPI has one description for all methods of a path.
UPLOAD_URI = _path_parameter(
    "uri",
    "A dataset URI, URL-encoded once; to announce an upload, the base URI: "
    f"{quote(examples.BASE_URI, safe='')}",
    examples.URI,
)
IDENTIFIER = _path_parameter(
    "identifier",
    "The SHA-1 of the item's relpath, as 40 hexadecimal digits",
    examples.IDENTIFIER,
)

TOKEN = _path_parameter(
    "token", "The last part of the link of a share, 32 characters", examples.LINK_TOKEN
)
# The same, because OpenAPI has one name for what is at one place of a path.
SHARE_URI = _path_parameter(
    "uri",
    "A dataset URI, URL-encoded once; to revoke a share, its `id`",
    examples.URI,
)


def operation_id(view_name: str) -> str:
    """Return the name of a view in camel case, as generators of clients expect it."""
    first, *others = view_name.split("_")
    return first + "".join(map(str.capitalize, others))


def correct(document: Mapping[str, Any], prefix: str) -> None:
    """Correct in place what validators and generators of clients refuse, or would misunderstand.

    :param prefix: of this plugin's routes, whose 422 flask-smorest documents without a slug.
    """
    _move_revoking(document["paths"], prefix)
    for path, operations in document["paths"].items():
        for method, operation in operations.items():
            # Other extensions may document a path without responses, or with parameters beside.
            responses = operation.get("responses", {}) if method in _METHODS else {}
            if path.startswith(prefix) and "422" in responses:
                responses["422"] = _MALFORMED
            if (path.removeprefix(prefix), method) in _TAKE_UPLOAD_TOKENS:
                operation["security"] = [*document.get("security", []), {UPLOAD_TOKEN: []}]
            is_open = path.removeprefix(prefix).startswith(_WITHOUT_ACCOUNT)
            if path.startswith(prefix) and is_open and method in _METHODS:
                operation["security"] = []
            more = _OTHER_FORMATS.get((path.removeprefix(prefix), method))
            if more is not None:
                responses["200"]["content"].update(more)
            # dservercore documents a status of 1 for GET of /manifests/{uri} and /tags/{uri}.
            if responses.get("1") == {"description": 2}:
                del responses["1"]


def _move_revoking(paths: MutableMapping[str, Any], prefix: str) -> None:
    """Document at one path what differs in the name of a parameter only."""
    revoking = paths.pop(f"{prefix}shares/{{share_id}}", None)
    if revoking is not None:
        paths[f"{prefix}shares/{{uri}}"]["delete"] = revoking["delete"]
