"""Check whether the store accepts a signed URL, and explain a refusal."""

from __future__ import annotations

import re
from collections.abc import Iterator

from dserver_client.connections import origin
from dserver_client.doctor.clocks import ahead
from dserver_client.doctor.findings import Finding, ok, problem
from dserver_client.errors import ClientError, Refused, Unavailable
from dserver_client.http import Response
from dserver_client.server import Server

# Seconds by which the clocks of dserver and of an S3 store may differ.
_S3_TOLERANCE = 900

_CODE = re.compile(rb"<Code>([A-Za-z]+)</Code>")
_ASK = "Ask the operators of dserver to run `flask signed_url doctor`."
# By the code in the body of a refusal: what it comes from.
_CAUSES = {
    "RequestTimeTooSkewed": "the clocks of dserver and of the store differ",
    "SignatureDoesNotMatch": "the signature does not fit: a proxy changes the request, or dserver "
    "has a wrong key or another address of the store",
    "InvalidAccessKeyId": "the store does not know the key of dserver",
    "ExpiredToken": "the credentials of dserver have ended",
    "InvalidToken": "the credentials of dserver have ended",
    "AccessDenied": "the key of dserver may not do this, the bucket allows other networks only, or "
    "the URL has expired because the clocks of dserver and of the store differ",
    "AuthenticationFailed": "the signature does not fit, or the clocks of dserver and of the store "
    "differ",
    "AuthorizationFailure": "the account allows other networks only",
    "AuthorizationPermissionMismatch": "the key of dserver may not do this",
    "InvalidObjectState": "the object is archived and has to be restored",
    "BlobArchived": "the blob is archived and has to be restored",
    "NoSuchKey": "the object has been deleted",
    "NoSuchBucket": "the bucket has been deleted",
    "BlobNotFound": "the blob has been deleted",
    "ContainerNotFound": "the container has been deleted",
}


def check_base_uri(server: Server, base_uri: str) -> Iterator[Finding]:
    """Read the administrative metadata of one dataset with a signed URL."""
    check = f"store of {base_uri}"
    try:
        entry = next(iter(server.datasets(base_uri=base_uri)), None)
        if entry is None:
            yield ok(check, "There is no dataset yet by which reading could be tried.")
            return
        url = server.dataset_urls(entry.uri).admin_metadata_url
    except Refused as error:
        yield problem(check, f"dserver refuses ({error.status}): {error}", _advice(error))
        return
    except ClientError as error:
        yield problem(check, str(error), _ASK)
        return
    yield _read(server, check, url)


def _read(server: Server, check: str, url: str) -> Finding:
    try:
        response = server.http.request("GET", url, retries=0)
    except Unavailable as error:
        return problem(
            check,
            str(error),
            f"Is {origin(url)} reached from this network, and through which proxy? Or has dserver "
            "an address of the store that is good inside its own network only?",
        )
    if response.status == 200:
        return ok(check, f"{origin(url)} is read with a signed URL.")
    return problem(check, explanation(response, url), _ASK)


def explanation(response: Response, url: str) -> str:
    """Return a sentence on what the refusal of a signed URL comes from."""
    found = _CODE.search(response.data or b"")
    code = response.headers.get("x-ms-error-code") or (found[1].decode() if found else None)
    answer = f"{origin(url)} answers {response.status}"
    if code is None:
        return (
            f"{answer} and does not say why, as stores do: something between this machine and the "
            "store answers in its place, such as a proxy or a firewall."
        )
    seconds = ahead(response)
    if code == "AccessDenied" and seconds is not None and abs(seconds) > _S3_TOLERANCE:
        code = "RequestTimeTooSkewed"
    cause = _CAUSES.get(code)
    return f"{answer} {code}: {cause}." if cause else f"{answer} {code}."


def _advice(error: Refused) -> str:
    if error.status == 403:
        return "Ask an administrator of dserver for search permission on this base URI."
    return _ASK
