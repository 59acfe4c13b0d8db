"""Requests signed by the account's key, beside the SDK's: the same, whatever they hold."""

from __future__ import annotations

import base64

from azure.storage.common._auth import _StorageSharedKeyAuthentication
from azure.storage.common._http import HTTPRequest
from hypothesis import example, given
from hypothesis import strategies as st

from dserver_signed_url_plugin.storage.azure.shared_key import SharedKey

KEY = bytes(range(64))
HEADERS = (
    "content-length",
    "content-md5",
    "content-type",
    "if-match",
    "if-none-match",
    "if-unmodified-since",
    "x-ms-blob-type",
    "x-ms-copy-source",
    "x-ms-date",
    "x-ms-meta-created_at",
    "x-ms-meta-creator_username",
    "x-ms-meta-name",
    "x-ms-meta-type",
    "x-ms-range",
    "x-ms-version",
)
# As they are sent: the SDK leaves out headers without a value, and so do we.
values = st.text('abc*/=%"ü0123456789 :,', min_size=1, max_size=12).map(lambda text: f"v{text}")


@given(
    st.sampled_from(["GET", "HEAD", "PUT", "POST", "DELETE"]),
    st.sampled_from(["/", "/lab/", "/cont", "/lab/cont/tags/a%2Bb%20%25~%C3%BC"]),
    st.dictionaries(st.sampled_from(["comp", "restype", "marker", "prefix", "include"]), values),
    st.dictionaries(st.sampled_from(HEADERS), values),
)
@example("PUT", "/c/b", {"comp": "metadata"}, {"content-length": "12", "x-ms-meta-name": "a"})
def test_a_request_is_signed_as_the_sdk_signs_it(method, path, query, headers):
    request = HTTPRequest()
    request.method, request.path = method, path
    request.query, request.headers = dict(query), dict(headers)
    encoded = base64.b64encode(KEY).decode()
    _StorageSharedKeyAuthentication("acct", encoded).sign_request(request)
    ours = SharedKey("acct", KEY).authorization(method, path, query, headers)
    assert ours == request.headers["Authorization"]


def test_a_signer_does_not_show_its_key():
    signer = SharedKey("acct", b"the-account-key")
    assert "the-account-key" not in f"{signer!r} {signer}"
