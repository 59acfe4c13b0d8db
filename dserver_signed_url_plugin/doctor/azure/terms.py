"""The terms of Azure, and what its error codes mean.

Source: Microsoft, "Common REST API error codes" and "Shared access signature error codes",
https://learn.microsoft.com/rest/api/storageservices/common-rest-api-error-codes
"""

from __future__ import annotations

from dserver_signed_url_plugin.doctor.terms import Terms

_KEY = "Correct DTOOL_AZURE_ACCOUNT_KEY_<account>"
_ROLE = '"Storage Blob Data Contributor"'
_OLD = (
    "The store does not support this version of Azure's interface.",
    "Use a newer version of the emulator.",
)
_ELSEWHERE = (
    "The store accepts the key at the server's endpoint, so it is right: the public endpoint is "
    "another account's, or a proxy in front of it changes path or query.",
    "Correct DTOOL_AZURE_PUBLIC_BLOB_ENDPOINT_<account>; let the proxy forward path and query "
    "unchanged.",
)
_MEANINGS = {
    "AuthenticationFailed": (
        "The account key is wrong, or the endpoint is another account's, or a proxy in front of "
        "the store changes path or query.",
        f"{_KEY}, or the endpoint; let the proxy forward path and query unchanged.",
    ),
    "AuthorizationFailure": (
        "The account's network rules exclude this server, or the account key is wrong, or the "
        "endpoint is another account's.",
        f"See Networking in the Azure portal. {_KEY}, or the endpoint.",
    ),
    "KeyBasedAuthenticationNotPermitted": (
        "The account accepts no signatures made with its key.",
        "Set DTOOL_AZURE_ENTRA_ID_<account> to 1, so that the server uses Entra ID; or switch on "
        '"Allow storage account key access" under Configuration in the Azure portal.',
    ),
    "AuthorizationPermissionMismatch": (
        "The server's identity in Entra ID has no role for this on the account.",
        f"Give it the role {_ROLE} for the whole account: `az role assignment create`. That takes "
        "some minutes to work.",
    ),
    "InvalidAuthenticationInfo": (
        "The store does not accept the token that Entra ID gives the server: the account belongs "
        "to another tenant or cloud.",
        "Correct AZURE_TENANT_ID or AZURE_AUTHORITY_HOST, or use an identity of its tenant.",
    ),
    "AuthorizationProtocolMismatch": (
        "The URL is signed for https only, and the request used http.",
        "Let the proxy in front of the store connect to it by https, or set an http endpoint.",
    ),
    "AccountRequiresHttps": (
        "The account requires https.",
        "Set an https endpoint, or none.",
    ),
    "AccountIsDisabled": (
        "The account is disabled.",
        "See the account and its subscription in the Azure portal.",
    ),
    "InsufficientAccountPermissions": (
        "The account does not allow reading or writing at the moment.",
        "See the account and its subscription in the Azure portal.",
    ),
    "FeatureVersionMismatch": _OLD,
    "InvalidHeaderValue": _OLD,
}

TERMS = Terms(
    location="account",
    endpoint="DTOOL_AZURE_BLOB_ENDPOINT_<account>",
    public_endpoint="DTOOL_AZURE_PUBLIC_BLOB_ENDPOINT_<account>",
    signature="sig",
    not_found=frozenset({"BlobNotFound"}),
    hidden=frozenset({"ResourceNotFound"}),
    not_a_store=(
        "This is not a Blob service, but a web page or a proxy.",
        "The endpoint is the URL of the account's Blob service, not of its web site or the portal.",
    ),
    public=(
        "Anybody can read blobs of a private container without a URL, whatever dserver permits.",
        "Use no proxy or cache in front of the store that answers, or signs, for everybody.",
    ),
    wrong_md5="Use no proxy in front of the store that changes bodies or headers.",
    cors_rule="Give the account's Blob service the CORS rule below.",
    meanings=_MEANINGS,
    meanings_by_step={
        "credentials": {
            "AuthorizationPermissionMismatch": (
                "The server's identity in Entra ID may not get keys that sign URLs.",
                f'Give it the role {_ROLE} for the whole account, or "Storage Blob Delegator" '
                "beside roles for containers: `az role assignment create`. That takes some "
                "minutes to work.",
            )
        },
        "soft-delete": {
            "AuthorizationPermissionMismatch": (
                "The server's identity may not read the account's configuration; it need not.",
                "See Data protection in the Azure portal.",
            )
        },
        "signature": {"AuthenticationFailed": _ELSEWHERE, "AuthorizationFailure": _ELSEWHERE},
    },
)
