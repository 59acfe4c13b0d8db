"""What S3 calls its things, and what its error codes mean.

Source: Amazon S3 API Reference, "Error responses".
"""

from __future__ import annotations

from dserver_signed_url_plugin.doctor.terms import Terms

REGION = (
    "The bucket lives in another region than the one that is signed for.",
    "Set DTOOL_S3_REGION_<bucket> to the bucket's region.",
)
_ENDED = (
    "The server's temporary credentials have ended.",
    "Renew them, or use credentials that renew themselves.",
)
_SKEWED = (
    "The store finds the server's clock too far from its own.",
    "Switch on time synchronisation (NTP) on the server, or on the store.",
)
NO_SIGNATURE = (
    "No URL's signature is taken, not even at the server's own address: the secret key is wrong, "
    "unless a proxy stands there too.",
    "Correct DTOOL_S3_SECRET_ACCESS_KEY_<bucket>.",
)
_ANOTHER_STORE = (
    "The public endpoint leads to another store than the server's endpoint.",
    "Correct DTOOL_S3_PUBLIC_ENDPOINT_<bucket>.",
)
_CHANGED_PUT = (
    "The store takes a signed GET, so the key is right: a proxy before the store changes PUTs.",
    "Let the proxy pass method, path, query and headers on as they come.",
)
SIGNED_HEADERS = (
    "The store takes a PUT that signs the host alone, so the key is right: the store, or a proxy "
    "before it, loses headers that are signed too. No URL can be pinned here.",
    "Stage all uploads: set SIGNED_URL_WRITES_<bucket>=staged.",
)
# At the first PUT, where write URLs are signed with a key of their own.
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
        "The store takes a signed GET, so the secret of the key that signs write URLs is wrong, or "
        "a proxy before the store changes PUTs.",
        "Correct DTOOL_S3_WRITE_SECRET_ACCESS_KEY_<bucket>.",
    ),
}
_AT = {
    "signature": {"InvalidAccessKeyId": _ANOTHER_STORE, "NoSuchBucket": _ANOTHER_STORE},
    "overwriting": {"SignatureDoesNotMatch": _CHANGED_PUT},
}
_MEANINGS = {
    "AccessDenied": (
        "The server's key may not do this.",
        "Grant it {needs}; look for a policy of the bucket that denies it.",
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
        "The secret key is wrong, or a proxy before the store changes the Host header.",
        "Correct DTOOL_S3_SECRET_ACCESS_KEY_<bucket>; let the proxy pass Host on as it comes.",
    ),
    "RequestTimeTooSkewed": _SKEWED,
    "AuthorizationHeaderMalformed": REGION,
    "AuthorizationQueryParametersError": REGION,
    "PermanentRedirect": REGION,
    "TemporaryRedirect": REGION,
    "ExpiredToken": _ENDED,
    "InvalidToken": _ENDED,
    "NotImplemented": (
        "The store cannot do this.",
        "Use a store, or a version of it, that can.",
    ),
}

WORDS = Terms(
    place="bucket",
    endpoint="DTOOL_S3_ENDPOINT_<bucket>",
    public_endpoint="DTOOL_S3_PUBLIC_ENDPOINT_<bucket>",
    signature="X-Amz-Signature",
    absent=frozenset({"NoSuchKey", "AccessDenied"}),
    hidden=frozenset(),
    not_a_store=(
        "Something else than an S3 store answers here: a web page, a console or a proxy.",
        "Correct the endpoint; MinIO's console, for example, is not on the port of its store.",
    ),
    public=(
        "The bucket is public: anybody reads its datasets, whatever dserver permits.",
        "Remove the bucket's public policy or ACL, unless that is intended.",
    ),
    wrong_md5="Encrypt the bucket with SSE-S3 instead of SSE-KMS, or not at all.",
    cors_rule=(
        "Give the bucket a CORS rule for this origin: methods GET, HEAD and PUT; headers "
        "Content-MD5, Content-Type and x-amz-meta-*; expose ETag."
    ),
    meanings=_MEANINGS,
    at=_AT,
)
