"""The terms of S3, and what its error codes mean.

Source: Amazon S3 API Reference, "Error responses".
"""

from __future__ import annotations

from dserver_signed_url_plugin.doctor.terms import Terms

REGION = (
    "The bucket is in another region than the one that URLs are signed for.",
    "Set DTOOL_S3_REGION_<bucket> to the bucket's region.",
)
_ENDED = (
    "The server's temporary credentials have expired.",
    "Renew them, or use credentials that are renewed automatically.",
)
_SKEWED = (
    "The store's clock and the server's differ too much.",
    "Switch on time synchronisation (NTP) on the server, or on the store.",
)
NO_SIGNATURE = (
    "The store accepts no signature, not even at the server's own endpoint: the secret key is "
    "wrong, unless there is a proxy as well.",
    "Correct DTOOL_S3_SECRET_ACCESS_KEY_<bucket>.",
)
_ANOTHER_STORE = (
    "The public endpoint leads to another store than the server's endpoint.",
    "Correct DTOOL_S3_PUBLIC_ENDPOINT_<bucket>.",
)
_CHANGED_PUT = (
    "The store accepts a signed GET, so the key is right: a proxy in front of the store changes "
    "PUT requests.",
    "Let the proxy forward method, path, query and headers unchanged.",
)
SIGNED_HEADERS = (
    "The store accepts a PUT that signs the host only, so the key is right: the store, or a proxy "
    "in front of it, loses other signed headers. URLs cannot be pinned here.",
    "Stage all uploads: set SIGNED_URL_WRITES_<bucket>=staged.",
)
# Meanings at the first PUT, if write URLs are signed with a key of their own.
WRITE_KEY = {
    "AccessDenied": (
        "The key that signs write URLs may not do this.",
        "Grant s3:PutObject on all objects of the bucket to that key's user.",
    ),
    "InvalidAccessKeyId": (
        "The store does not know the key that signs write URLs.",
        "Correct DTOOL_S3_WRITE_ACCESS_KEY_ID_<bucket>.",
    ),
    "SignatureDoesNotMatch": (
        "The store accepts a signed GET, so the secret of the key that signs write URLs is wrong, "
        "or a proxy in front of the store changes PUT requests.",
        "Correct DTOOL_S3_WRITE_SECRET_ACCESS_KEY_<bucket>.",
    ),
}
_MEANINGS_BY_STEP = {
    "signature": {"InvalidAccessKeyId": _ANOTHER_STORE, "NoSuchBucket": _ANOTHER_STORE},
    "overwriting": {"SignatureDoesNotMatch": _CHANGED_PUT},
}
_MEANINGS = {
    "AccessDenied": (
        "The server's key may not do this.",
        "Grant it {permission}; look for a bucket policy that denies it.",
    ),
    "NoSuchBucket": (
        "The store has no bucket of this name.",
        "Create the bucket, or correct BASE_URI or DTOOL_S3_ENDPOINT_<bucket>.",
    ),
    "InvalidAccessKeyId": (
        "The store does not know the server's access key.",
        "Correct DTOOL_S3_ACCESS_KEY_ID_<bucket>, or DTOOL_S3_ENDPOINT_<bucket>.",
    ),
    "SignatureDoesNotMatch": (
        "The secret key is wrong, or a proxy in front of the store changes the Host header.",
        "Correct DTOOL_S3_SECRET_ACCESS_KEY_<bucket>; let the proxy forward the Host header "
        "unchanged.",
    ),
    "RequestTimeTooSkewed": _SKEWED,
    "AuthorizationHeaderMalformed": REGION,
    "AuthorizationQueryParametersError": REGION,
    "PermanentRedirect": REGION,
    "TemporaryRedirect": REGION,
    "ExpiredToken": _ENDED,
    "InvalidToken": _ENDED,
    "NotImplemented": (
        "The store does not support this.",
        "Use another store, or another version of it.",
    ),
}

TERMS = Terms(
    location="bucket",
    endpoint="DTOOL_S3_ENDPOINT_<bucket>",
    public_endpoint="DTOOL_S3_PUBLIC_ENDPOINT_<bucket>",
    signature="X-Amz-Signature",
    not_found=frozenset({"NoSuchKey", "AccessDenied"}),
    hidden=frozenset(),
    not_a_store=(
        "This is not an S3 store, but a web page, a console or a proxy.",
        "The endpoint is the address of the store; MinIO's console, for example, has another port.",
    ),
    public=(
        "The bucket is public: anybody can read its datasets, whatever dserver permits.",
        "Remove the public bucket policy or ACL, unless it is intended.",
    ),
    wrong_md5="Encrypt the bucket with SSE-S3 instead of SSE-KMS, or not at all.",
    cors_rule="Give the bucket the CORS rule below.",
    meanings=_MEANINGS,
    meanings_by_step=_MEANINGS_BY_STEP,
)
