"""Examinations of the URLs of items: on Azure they create one block blob, and change none.

Knows what it means if the store, or a proxy before it, sees that differently.
"""

from __future__ import annotations

from dserver_signed_url_plugin.doctor import urls
from dserver_signed_url_plugin.doctor.case import OTHER, Case
from dserver_signed_url_plugin.doctor.findings import Outcome
from dserver_signed_url_plugin.storage.base import SignedRequest
from dserver_signed_url_plugin.storage.examination import AccountExamination

_BLOB_TYPE = "x-ms-blob-type"


def second_put(case: Case[AccountExamination]) -> Outcome:
    """PUT something else where the announced item is."""
    return urls.refused_or_failed(
        case.put(case.store.pinned_put(case.key("pinned"), OTHER), OTHER),
        "What a URL has written nobody can change.",
        "A URL writes more than once: whoever holds one can change a dataset after completion.",
        "Use a store that knows the permission to create from the one to write.",
    )


def no_blob_type(case: Case[AccountExamination]) -> Outcome:
    """PUT an item without the header that every blob needs."""
    request = case.store.pinned_put(case.key("no-blob-type"), OTHER)
    headers = {name: value for name, value in request.headers.items() if name != _BLOB_TYPE}
    return urls.refused_or_failed(
        case.put(SignedRequest(request.url, headers), OTHER),
        "A client that forgets the returned headers is told so.",
        "Something makes up for a header that is missing; Azure itself does not.",
        "Tell people to send the returned headers in any case.",
    )
