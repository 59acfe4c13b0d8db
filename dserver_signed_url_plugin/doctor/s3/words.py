"""What S3 calls its things, and what its error codes mean.

Source: Amazon S3 API Reference, "Error responses".
"""

from __future__ import annotations

from dserver_signed_url_plugin.doctor.words import Words

_REGION = (
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
    "AuthorizationHeaderMalformed": _REGION,
    "AuthorizationQueryParametersError": _REGION,
    "PermanentRedirect": _REGION,
    "TemporaryRedirect": _REGION,
    "ExpiredToken": _ENDED,
    "InvalidToken": _ENDED,
    "NotImplemented": (
        "The store cannot do this.",
        "Use a store, or a version of it, that can.",
    ),
}

WORDS = Words(
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
)
