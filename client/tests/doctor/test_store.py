"""What a refusal of a signed URL comes from."""

from __future__ import annotations

from datetime import datetime, timedelta, timezone
from email.utils import format_datetime

import pytest
from dserver_client.doctor.store import explanation
from urllib3 import HTTPResponse

URL = "https://s3.example.org/lab/x?X-Amz-Signature=5ec4e7"


def refusal(body: bytes, status: int = 403, **headers: str) -> HTTPResponse:
    return HTTPResponse(body, status=status, headers=headers)


def of_s3(code: str, **headers: str) -> HTTPResponse:
    return refusal(f"<Error><Code>{code}</Code></Error>".encode(), **headers)


@pytest.mark.parametrize(
    ("code", "cause"),
    [
        ("SignatureDoesNotMatch", "a proxy changes the request, or dserver has a wrong key"),
        ("RequestTimeTooSkewed", "the clocks of dserver and of the store differ"),
        ("InvalidAccessKeyId", "the store does not know the key of dserver"),
        ("AccessDenied", "the key of dserver may not do this"),
    ],
)
def test_a_store_says_by_a_code_why_it_refuses(code, cause):
    sentence = explanation(of_s3(code), URL)
    assert sentence.startswith(f"https://s3.example.org answers 403 {code}: ")
    assert cause in sentence
    assert "5ec4e7" not in sentence


def test_azure_says_it_in_a_header():
    answer = refusal(b"", **{"x-ms-error-code": "AuthorizationFailure"})
    assert "the account allows other networks only" in explanation(answer, URL)


def test_a_code_that_is_unknown_is_named():
    assert explanation(of_s3("QuotaExceeded"), URL) == (
        "https://s3.example.org answers 403 QuotaExceeded."
    )


def test_what_answers_without_a_code_is_no_store():
    sentence = explanation(refusal(b"<html>Blocked</html>"), URL)
    assert "such as a proxy or a firewall" in sentence


def test_a_clock_that_differs_by_hours_explains_that_access_is_denied():
    then = format_datetime(datetime.now(timezone.utc) - timedelta(hours=1), usegmt=True)
    assert "clocks" in explanation(of_s3("AccessDenied", Date=then), URL)
    assert explanation(of_s3("AccessDenied", Date=then), URL) != explanation(
        of_s3("AccessDenied"), URL
    )
