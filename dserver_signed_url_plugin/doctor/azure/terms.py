"""What Azure calls its things, and what its error codes mean.

Source: Microsoft, "Common REST API error codes" and "Shared access signature error codes",
https://learn.microsoft.com/rest/api/storageservices/common-rest-api-error-codes
"""

from __future__ import annotations

from dserver_signed_url_plugin.doctor.terms import Terms

_KEY = "Correct DTOOL_AZURE_ACCOUNT_KEY_<account>"
_OLD = (
    "The store does not know the version of Azure's interface that is used.",
    "Use a newer version of the emulator.",
)
_ELSEWHERE = (
    "The store takes the key at the server's endpoint, so it is right: the public endpoint is "
    "another account's, or a proxy before it changes path or query.",
    "Correct DTOOL_AZURE_PUBLIC_BLOB_ENDPOINT_<account>; let the proxy pass path and query on as "
    "they come.",
)
_MEANINGS = {
    "AuthenticationFailed": (
        "The account key is wrong, or the address is another account's, or a proxy before the "
        "store changes path or query.",
        f"{_KEY}, or the endpoint; let the proxy pass path and query on as they come.",
    ),
    "AuthorizationFailure": (
        "The account's network rules keep this address out, or the account key is wrong, or the "
        "endpoint another account's.",
        f"Look under Networking in the Azure portal. {_KEY}, or the endpoint.",
    ),
    "KeyBasedAuthenticationNotPermitted": (
        "The account takes no signature that is made with its key.",
        'Switch on "Allow storage account key access" under Configuration in the Azure portal.',
    ),
    "AuthorizationProtocolMismatch": (
        "The URL is signed for https alone, and the store was asked by http.",
        "Let the proxy before the store speak https to it, or set an endpoint of http.",
    ),
    "AccountRequiresHttps": (
        "The account takes https alone.",
        "Set an endpoint that begins with https, or none.",
    ),
    "AccountIsDisabled": (
        "The account is disabled.",
        "Look at the account and its subscription in the Azure portal.",
    ),
    "InsufficientAccountPermissions": (
        "The account is closed to reading or writing at the moment.",
        "Look at the account and its subscription in the Azure portal.",
    ),
    "FeatureVersionMismatch": _OLD,
    "InvalidHeaderValue": _OLD,
}

WORDS = Terms(
    place="account",
    endpoint="DTOOL_AZURE_BLOB_ENDPOINT_<account>",
    public_endpoint="DTOOL_AZURE_PUBLIC_BLOB_ENDPOINT_<account>",
    signature="sig",
    absent=frozenset({"BlobNotFound"}),
    hidden=frozenset({"ResourceNotFound"}),
    not_a_store=(
        "Something else than a Blob service answers here: a web page or a proxy.",
        "The endpoint is the account's URL of the Blob service, not of its web site or portal.",
    ),
    public=(
        "Who has no URL reads blobs of a private container, whatever dserver permits.",
        "Let no proxy and no cache before the store answer, or sign, for everybody.",
    ),
    wrong_md5="Let no proxy before the store change what is PUT, or its headers.",
    cors_rule=(
        "Give the account's Blob service a CORS rule for this origin: methods GET, HEAD and PUT; "
        "headers Content-MD5, Content-Type, If-None-Match and x-ms-*; expose ETag."
    ),
    meanings=_MEANINGS,
    at={"signature": {"AuthenticationFailed": _ELSEWHERE, "AuthorizationFailure": _ELSEWHERE}},
)
