"""What a store's own words mean, and what to do about them.

Knows the error codes of S3. A code that is not known here is passed on as it is.
"""

from __future__ import annotations

from collections.abc import Mapping

from dserver_signed_url_plugin.doctor.findings import Outcome, failed
from dserver_signed_url_plugin.storage.examination import Refused

_REGION = (
    "The bucket lives in another region than the one that is signed for.",
    "Set AWS_DEFAULT_REGION, or the region of the profile, to the bucket's region.",
)
_ENDED = (
    "The server's temporary credentials have ended.",
    "Renew them, or use credentials that renew themselves.",
)
_SKEWED = (
    "The store finds the server's clock too far from its own.",
    "Switch on time synchronisation (NTP) on the server, or on the store.",
)
_BUSY = ("The store, or a proxy before it, is not well at the moment.", "Try again later.")
_MEANINGS: Mapping[str, tuple[str, str]] = {
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
NOT_A_STORE = (
    "Something else than an S3 store answers here: a web page, a console or a proxy.",
    "Correct the endpoint; MinIO's console, for example, is not on the port of its store.",
)


def explained(refusal: Refused, needs: str) -> Outcome:
    """Say what a refusal means.

    :param needs: the permission without which the store would refuse just so.
    """
    code = refusal.code or ""
    if code == "AccessDenied":
        means = "The server's key may not do this."
        advice = f"Grant it {needs}; look for a policy of the bucket that denies it."
    elif code in _MEANINGS:
        means, advice = _MEANINGS[code]
    elif refusal.status >= 500:
        means, advice = _BUSY
    elif not code:
        means, advice = NOT_A_STORE
    else:
        means = "The store refuses it."
        advice = "Look the word up in the documentation or the log of the store."
    return failed(str(refusal), means, advice)
