"""docs/troubleshooting.rst shows what the doctor really reports."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from datetime import datetime, timedelta, timezone

import pytest

from tests.support.doctor_reports import (
    ORIGIN,
    Guarded,
    ask,
    forget_this_machine,
    settings_of,
)
from tests.support.documentation import code_blocks
from tests.support.proxy import StoreProxy
from tests.support.stub_store import Faults, StubStore

PAGE = "docs/troubleshooting.rst"
INTERNAL = "http://minio:9000"


@pytest.fixture(autouse=True)
def alone(monkeypatch, tmp_path):
    forget_this_machine(monkeypatch, tmp_path)


@pytest.fixture
def guarded(bucket):
    """The local store obeys unsigned headers, so it needs a write key and staging."""
    return Guarded.of(bucket)


def shown(section: str) -> Iterator[str]:
    """Yield each report that the page shows below a heading."""
    return (squeezed(block) for block in code_blocks("text", PAGE, section))


def report(place, *options, public=None, internal=None) -> str:
    """Return the doctor's report, with the names that the page has."""
    output = ask(place.base_uri, settings_of(place, public), *options).stdout
    if internal is not None:
        output = output.replace(internal, INTERNAL)
    return squeezed(output).replace(f"_{place.name}", "_lab")


def squeezed(text: str) -> str:
    """Return text with single spaces: columns and lines are as wide as addresses are long."""
    return " ".join(text.split())


def test_signature_does_not_match_behind_a_proxy(guarded):
    hosts = [guarded.endpoint.removeprefix("http://"), "s3.internal"]
    for block, host in zip(
        shown("SignatureDoesNotMatch behind Docker or a proxy"), hosts, strict=True
    ):
        with StoreProxy(guarded) as proxy:
            proxy.before = lambda request, host=host: request.headers.update(host=host)
            found = report(guarded, public=proxy.endpoint, internal=guarded.endpoint)
        assert block in found


def test_people_cannot_reach_the_store(guarded):
    [block] = shown("People cannot reach the store")
    assert block in report(guarded, public="http://minio.invalid:9000")


def test_urls_expire_too_early(guarded, s3, monkeypatch):
    credentials, lifecycle = shown("URLs expire too early")
    rule = {"ID": "tidy", "Status": "Enabled", "Filter": {"Prefix": ""}, "Expiration": {"Days": 30}}
    s3.put_bucket_lifecycle_configuration(
        Bucket=guarded.name, LifecycleConfiguration={"Rules": [rule]}
    )
    assert lifecycle in report(guarded)

    monkeypatch.setenv("AWS_ACCESS_KEY_ID", guarded.access_key)
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", guarded.secret_key)
    monkeypatch.setenv("AWS_SESSION_TOKEN", "token")
    end = datetime.now(timezone.utc) + timedelta(minutes=25, seconds=10)
    monkeypatch.setenv("AWS_CREDENTIAL_EXPIRATION", end.isoformat())
    monkeypatch.setenv("AWS_ENDPOINT_URL_S3", guarded.endpoint)
    assert credentials in squeezed(ask(guarded.base_uri, {}).stdout)


def test_clock_skew():
    [block] = shown("Clock skew")
    with StubStore(Faults(clock=timedelta(minutes=20))) as stub:
        assert block in report(stub)


def test_every_item_differs():
    [block] = shown("Every item differs: ETag and KMS")
    with StubStore(Faults(salts_etags=True)) as stub:
        assert block in report(stub)


def test_a_web_page_cannot_use_the_urls(guarded, s3):
    [block] = shown("A web page cannot use the URLs (CORS)")
    s3.delete_bucket_cors(Bucket=guarded.name)
    assert block in report(guarded, "--origin", ORIGIN)


def test_a_store_obeys_headers_that_urls_do_not_sign(bucket):
    [block] = shown("The store obeys headers that URLs do not sign")
    assert block in report(bucket)


def test_a_wrong_secret_key_is_not_only_blamed_on_a_proxy(guarded):
    assert "DTOOL_S3_SECRET_ACCESS_KEY_lab" in report(replace(guarded, secret_key="wrong"))
