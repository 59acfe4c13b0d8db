"""OpenTelemetry's own instrumentation traces the routes, and no span holds a secret."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from urllib.parse import quote

import pytest
from opentelemetry.instrumentation.botocore import BotocoreInstrumentor
from opentelemetry.instrumentation.flask import FlaskInstrumentor
from opentelemetry.instrumentation.sqlalchemy import SQLAlchemyInstrumentor
from opentelemetry.instrumentation.urllib3 import URLLib3Instrumentor
from opentelemetry.instrumentation.utils import suppress_http_instrumentation
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

from dserver_signed_url_plugin.cli.share import share
from dserver_signed_url_plugin.cli.signed_url import signed_url
from dserver_signed_url_plugin.cli.temp_share import temp_share
from tests.support.clients import Deposit, DtoolDserver
from tests.support.dserver import Dserver, encoded, in_capitals
from tests.support.links import HTML, Visitor, shared
from tests.support.logged_secrets import secrets_of

CLIENT = DtoolDserver()
RULE = "/signed-urls/s/<token>"


@pytest.fixture(scope="module")
def provider() -> Iterator[TracerProvider]:
    """What records the spans of all libraries, with old and new names of attributes."""
    provider = TracerProvider()
    instrumentors = [SQLAlchemyInstrumentor(), BotocoreInstrumentor(), URLLib3Instrumentor()]
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("OTEL_SEMCONV_STABILITY_OPT_IN", "http/dup")
        for instrumentor in instrumentors:
            # The one for SQLAlchemy has not been released for 2.1 yet.
            instrumentor.instrument(tracer_provider=provider, skip_dep_check=True)
        yield provider
        for instrumentor in instrumentors:
            instrumentor.uninstrument()
    provider.shutdown()


@pytest.fixture
def spans(provider) -> InMemorySpanExporter:
    """The spans of a test."""
    exporter = InMemorySpanExporter()
    provider.add_span_processor(SimpleSpanProcessor(exporter))
    return exporter


@pytest.fixture
def traced_on(make_dserver_on, provider, tmp_path, monkeypatch) -> Callable[..., Dserver]:
    """Make a dserver whose app was instrumented after it was made."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))

    def make(place) -> Dserver:
        dserver = make_dserver_on(place, SIGNED_URL_PUBLIC_URL="https://dserver.example.org")
        FlaskInstrumentor.instrument_app(dserver.app, tracer_provider=provider)
        return dserver

    return make


@pytest.fixture
def traced(traced_on, bucket) -> Dserver:
    """One on a bucket."""
    return traced_on(bucket)


def deposited(dserver: Dserver) -> tuple[str, Deposit]:
    deposit = Deposit()
    grant = CLIENT.begin(dserver.alice, dserver.base_uri, deposit)
    with suppress_http_instrumentation():
        # By the client, in a process of its own.
        CLIENT.put(grant, deposit)
    assert dserver.alice.complete(grant["uri"]).status_code == 200
    return grant["uri"], deposit


def everything(spans: InMemorySpanExporter) -> str:
    return "\n".join(span.to_json() for span in spans.get_finished_spans())


def check_no_secrets(dserver: Dserver, spans: InMemorySpanExporter, *secrets: str) -> None:
    recorded = everything(spans)
    known = [*secrets_of(dserver.place), *dserver.tokens.values(), *secrets]
    for secret in (*known, "X-Amz-", "Signature", "sig=", "eyJ", "Bearer"):
        assert secret not in recorded


def test_requests_are_traced_down_to_the_database_and_the_store(traced, spans):
    uri, _ = deposited(traced)
    assert traced.bob.read(uri).status_code == 200
    assert traced.bob.read_item(uri, "0" * 40).status_code == 404
    names = {span.name for span in spans.get_finished_spans()}
    assert {
        "POST /signed-urls/upload/<path:uri>",
        "POST /signed-urls/upload-complete",
        "GET /signed-urls/dataset/<path:uri>",
        "GET /signed-urls/item/<path:uri>/<identifier>",
    } <= names
    assert any(name.startswith("SELECT") for name in names)
    assert any(name.startswith("S3.") or name in ("GET", "PUT") for name in names)
    check_no_secrets(traced, spans)


def test_no_span_of_a_link_holds_its_token(traced, spans):
    uri, _ = deposited(traced)
    visitor = shared(traced, uri)
    identifier = visitor.open().json["items"].popitem()[0]
    assert visitor.download(identifier).status_code == 303
    assert visitor.open(headers=HTML).status_code == 200
    assert visitor.open("/none/such/route").status_code == 404
    assert visitor.open(f"/{'0' * 40}?preview=1").status_code == 404
    spelled = Visitor(traced, f"{visitor.token}?x={visitor.token}")
    assert spelled.open().status_code in (200, 422)
    upper = traced.app.test_client().get(f"/%73igned-urls//s/{visitor.token}")
    assert upper.status_code < 500
    visitor.revoke()
    assert visitor.open().status_code == 410
    names = [span.name for span in spans.get_finished_spans()]
    assert f"GET {RULE}" in names
    assert "GET /signed-urls/s/…" in names
    check_no_secrets(traced, spans, visitor.token)


def test_no_span_holds_what_somebody_pastes_in_the_place_of_a_uri(traced, spans):
    uri, _ = deposited(traced)
    signed = next(iter(traced.bob.read(uri).json["item_urls"].values()))
    for path in (encoded(signed), quote(signed), f"{encoded(uri)}?{signed.partition('?')[2]}"):
        traced.bob.get(f"/signed-urls/dataset/{path}")
        traced.bob.get(f"/signed-urls/nothing/{path}")
    check_no_secrets(traced, spans, traced.tokens["bob"])


def test_no_span_of_a_command_holds_a_signature(traced_on, place, spans, tmp_path):
    traced = traced_on(place)
    (tmp_path / "file").write_text("results")
    invoke = traced.app.test_cli_runner().invoke
    created = invoke(temp_share, ["create", traced.base_uri, str(tmp_path / "file")])
    assert created.exit_code == 0, created.output
    [link] = created.stdout.splitlines()
    uri = created.stderr.partition("Shared as ")[2].split(".\n")[0]
    assert invoke(signed_url, ["verify", uri]).exit_code == 0
    assert invoke(share, ["revoke", link]).exit_code == 0
    sent = [span for span in spans.get_finished_spans() if span.name in ("GET", "PUT")]
    urls = {dict(span.attributes)["url.full"].partition("?")[1:] for span in sent}
    assert {span.name for span in sent} == {"GET", "PUT"}
    if traced.base_uri.startswith("s3:"):
        assert urls == {("", "")}
    check_no_secrets(traced, spans, link.rpartition("/")[2])


def test_no_exception_that_a_span_records_holds_a_signature(
    make_dserver, bucket, provider, spans, tmp_path
):
    nobody = {f"DTOOL_S3_PUBLIC_ENDPOINT_{bucket.name}": "http://127.0.0.1:1"}
    dserver = make_dserver(**in_capitals(nobody))
    (tmp_path / "file").write_text("results")
    with provider.get_tracer("test").start_as_current_span("command"):
        arguments = ["create", dserver.base_uri, str(tmp_path / "file")]
        assert dserver.app.test_cli_runner().invoke(temp_share, arguments).exit_code == 1
    assert "exception.message" in everything(spans)
    check_no_secrets(dserver, spans)
