"""Ask the store for the size of an item."""

from __future__ import annotations

from dserver_client.http import HTTP
from dserver_client.manifest import ManifestItem
from dserver_client.store_answers import content_range, refusal
from dserver_client.transfers.item_urls import ItemURLs

_EXPIRED = frozenset({401, 403, 410})
# A signed URL is for GET, so the first byte is asked for instead of HEAD.
_FIRST_BYTE = {"Range": "bytes=0-0", "Accept-Encoding": "identity"}


def stored_size(http: HTTP, urls: ItemURLs, item: ManifestItem) -> int | None:
    """Return the size in bytes, None if the store has no such object.

    :raises StoreRefused: if the store does not say.
    """
    url = urls.get(item.identifier)
    response = http.request("GET", url, headers=_FIRST_BYTE, stream=True)
    if response.status in _EXPIRED:
        url = urls.renewed(item.identifier, url)
        response = http.request("GET", url, headers=_FIRST_BYTE, stream=True)
    try:
        if response.status == 404:
            return None
        # There is no first byte of an empty object: S3 answers 416, others with all of it.
        if response.status == 416:
            return 0
        if response.status == 206 and (answered := content_range(response)) is not None:
            # The connection is kept for the next item if that is all.
            response.read(2)
            return answered[2]
        length = response.headers.get("Content-Length", "")
        if response.status == 200 and length.isdecimal():
            return int(length)
        raise refusal(response, item.relpath)
    finally:
        response.close()
