"""Our shared access signatures beside the SDK's: the same, for whatever a blob may be called."""

from __future__ import annotations

import base64
from dataclasses import replace
from datetime import datetime, timezone

import pytest
from azure.storage.blob.sharedaccesssignature import BlobSharedAccessSignature
from hypothesis import example, given
from hypothesis import strategies as st

from dserver_signed_url_plugin.filenames import ServedAs, served_as
from dserver_signed_url_plugin.storage.azure.sas import BlobSigner, DelegationKey

KEY = bytes(range(64))
HTTPS, HTTP = "https://acct.blob.core.windows.net", "http://127.0.0.1:10000/acct"
ENDS = datetime(2026, 2, 28, 23, 59, 59, tzinfo=timezone.utc)
UUID = "6f9619ff-8b86-4011-b42d-00c04fc964ff"
NAMED = ServedAs("attachment", "a b", "%C3%BC%20%2B.csv", "text/csv")
SDK_VERSION = "2019-02-02"  # what azure-storage-blob 2.1.0 signs with

DELEGATED = DelegationKey(
    bytes(range(32)),
    "11059fcc-5514-4800-b5f8-49808b9cfab6",
    "ab1f708d-50f6-404c-a006-d71b2ac7a606",
    "2026-02-24T12:00:00Z",
    "2026-03-03T12:00:00Z",
    "b",
    "2025-01-05",
)
OF_KEY = (
    "&skoid=11059fcc-5514-4800-b5f8-49808b9cfab6&sktid=ab1f708d-50f6-404c-a006-d71b2ac7a606"
    "&skt=2026-02-24T12%3A00%3A00Z&ske=2026-03-03T12%3A00%3A00Z&sks=b&skv=2025-01-05"
)

# What generate_blob_sas of azure-storage-blob 12.24.0, which cannot be installed beside 2.1.0, made
# of account "acct", UUID, ENDS, and KEY or DELEGATED; content_encoding="identity" where there is a
# content type.
RECORDED = [
    (KEY, HTTPS, "r", "0" * 40, None,
     "se=2026-02-28T23%3A59%3A59Z&sp=r&spr=https&sv=2025-01-05&sr=b"
     "&sig=ThzhRLaRkqZ2r4%2BGSDJYuDL9FrIHY9HZcyK7IWJYbi4%3D"),
    (KEY, HTTP, "r", "overlays/a+b %~ü測🧪.json", None,
     "se=2026-02-28T23%3A59%3A59Z&sp=r&sv=2025-01-05&sr=b"
     "&sig=yXM9DjNNMuj3rpbHBQh4cbRFLmckcKviUEbCAne6t8E%3D"),
    (KEY, HTTPS, "c", "data", None,
     "se=2026-02-28T23%3A59%3A59Z&sp=c&spr=https&sv=2025-01-05&sr=b"
     "&sig=WSN7sgiVHLQYZjp2nh%2BUEzefL6EqE2Lx%2BxRJJiy2Mlk%3D"),
    (KEY, HTTP, "w", "staging/README.yml", None,
     "se=2026-02-28T23%3A59%3A59Z&sp=w&sv=2025-01-05&sr=b"
     "&sig=HzHfBlwvkzCJCiV%2BycILqAToM8kWM1%2Bz7JScLOZhBPA%3D"),
    (KEY, HTTPS, "r", "0" * 40, NAMED,
     "se=2026-02-28T23%3A59%3A59Z&sp=r&spr=https&sv=2025-01-05&sr=b"
     "&rscd=attachment%3B%20filename%3D%22a%20b%22%3B%20filename%2A%3DUTF-8%27%27%25C3"
     "%25BC%2520%252B.csv&rsce=identity&rsct=text/csv"
     "&sig=hHBDc9F69yiwiYU6GVMXTAFNeOpIJg6/JQ/l%2BCOOdk8%3D"),
    (DELEGATED, HTTPS, "r", "0" * 40, None,
     f"se=2026-02-28T23%3A59%3A59Z&sp=r&spr=https&sv=2025-01-05&sr=b{OF_KEY}"
     "&sig=4pOLrOdLwos6T0ZvDBmywes71VGyfQz4kGe6PMxWzXM%3D"),
    (DELEGATED, HTTP, "r", "overlays/a+b %~ü測🧪.json", None,
     f"se=2026-02-28T23%3A59%3A59Z&sp=r&sv=2025-01-05&sr=b{OF_KEY}"
     "&sig=bKdfRWtGo9jMvceOEuHRpaGcIwyhfwmckdw5aDylBvE%3D"),
    (DELEGATED, HTTPS, "c", "data", None,
     f"se=2026-02-28T23%3A59%3A59Z&sp=c&spr=https&sv=2025-01-05&sr=b{OF_KEY}"
     "&sig=cst0UDsgJmUzOMreVrtddocsf6GAN2mJegF7CzfUpD0%3D"),
    (DELEGATED, HTTP, "w", "staging/README.yml", None,
     f"se=2026-02-28T23%3A59%3A59Z&sp=w&sv=2025-01-05&sr=b{OF_KEY}"
     "&sig=G8rmjUQYwhDA7gw01wHhZAi7Ce4rUqlt64BS/1CEqdM%3D"),
    (DELEGATED, HTTPS, "r", "0" * 40, NAMED,
     "se=2026-02-28T23%3A59%3A59Z&sp=r&spr=https&sv=2025-01-05&sr=b"
     "&rscd=attachment%3B%20filename%3D%22a%20b%22%3B%20filename%2A%3DUTF-8%27%27%25C3"
     f"%25BC%2520%252B.csv&rsce=identity&rsct=text/csv{OF_KEY}"
     "&sig=wf3nFFyGO88eUwybmPosVOLigRP4oT43HRPj1tOsIlw%3D"),
]  # fmt: skip

names = st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=60) | st.text(
    " +%~/.&=?#;:@!$'()*,[]\\\"^`{|}<>ä測🧪e\u0301", min_size=1, max_size=30
)
served = st.none() | st.builds(served_as, names, st.sampled_from(["attachment", "inline"]))
moments = st.integers(0, 2**32).map(lambda second: datetime.fromtimestamp(second, timezone.utc))


def queried(url):
    """The query of a URL, which has one question mark."""
    _, query = url.split("?")
    return query


@given(
    st.sampled_from([HTTPS, HTTP]),
    st.binary(min_size=1, max_size=64),
    moments,
    st.sampled_from("rcw"),
    names,
    served,
)
@example(HTTPS, KEY, ENDS, "r", "100% + 1 ~ ü 測定 🧪", NAMED)
@example(HTTP, KEY, ENDS, "c", "leading//and/trailing/", None)
def test_a_blob_is_signed_as_the_sdk_signs_it(endpoint, key, ends, permission, name, headers):
    sdk = BlobSharedAccessSignature("acct", base64.b64encode(key).decode())
    expected = sdk.generate_blob(
        UUID,
        name,
        permission=permission,
        expiry=ends,
        protocol="https" if endpoint is HTTPS else None,
        content_disposition=headers and headers.content_disposition,
        content_encoding=headers and "identity",
        content_type=headers and headers.content_type,
    )
    signer = BlobSigner(endpoint, "acct", key, ends, SDK_VERSION)
    assert queried(signer.sign(permission, UUID, name, headers)) == expected


@pytest.mark.parametrize(("key", "endpoint", "permission", "name", "headers", "query"), RECORDED)
def test_a_blob_is_signed_as_the_newer_sdk_signs_it(
    key, endpoint, permission, name, headers, query
):
    url = BlobSigner(endpoint, "acct", key, ENDS).sign(permission, UUID, name, headers)
    assert queried(url) == query


def test_a_url_is_the_endpoint_the_container_and_the_quoted_name():
    url = BlobSigner(HTTP, "acct", KEY, ENDS).sign("r", UUID, "tags/a+b %~ü")
    assert url.startswith(f"{HTTP}/{UUID}/tags/a%2Bb%20%25~%C3%BC?se=")


def test_whatever_is_signed_changes_the_signature():
    signer = BlobSigner(HTTPS, "acct", KEY, ENDS)
    urls = [
        signer.sign("r", UUID, "blob"),
        signer.sign("c", UUID, "blob"),
        signer.sign("r", UUID, "other"),
        signer.sign("r", f"{UUID}-upload", "blob"),
        signer.sign("r", UUID, "blob", ServedAs("inline", "a", "a", "text/csv")),
        signer.sign("r", UUID, "blob", ServedAs("inline", "a", "a", "text/plain")),
        signer.sign("r", UUID, "blob", ServedAs("attachment", "a", "a", "text/csv")),
        BlobSigner(HTTP, "acct", KEY, ENDS).sign("r", UUID, "blob"),
        BlobSigner(HTTPS, "other", KEY, ENDS).sign("r", UUID, "blob"),
        BlobSigner(HTTPS, "acct", KEY[1:], ENDS).sign("r", UUID, "blob"),
        BlobSigner(HTTPS, "acct", KEY, ENDS.replace(second=58)).sign("r", UUID, "blob"),
        BlobSigner(HTTPS, "acct", KEY, ENDS, "2021-12-02").sign("r", UUID, "blob"),
        *(BlobSigner(HTTPS, "acct", key, ENDS).sign("r", UUID, "blob") for key in delegated()),
    ]
    signatures = {url.rpartition("sig=")[2] for url in urls}
    assert len(signatures) == len(urls)


def delegated():
    """Keys that differ in one of their fields."""
    yield DELEGATED
    for name in ("object_id", "tenant_id", "start", "expiry", "service", "version"):
        yield replace(DELEGATED, **{name: "other"})
    yield replace(DELEGATED, value=b"other")


@pytest.mark.parametrize("key", [b"the-secret", replace(DELEGATED, value=b"the-secret")])
def test_neither_a_signer_nor_a_delegation_shows_its_key(key):
    signer = BlobSigner(HTTPS, "acct", key, ENDS)
    shown = f"{signer!r} {signer}" + (repr(key) if isinstance(key, DelegationKey) else "")
    assert "the-secret" not in shown
