"""GET /signed-urls/metrics: what it counts, with bounded labels and no secret."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from time import monotonic, time

import pytest
from dservercore import sql_db
from sqlalchemy import update

from dserver_signed_url_plugin.cli.pending_upload import pending_upload
from dserver_signed_url_plugin.metrics.process_metrics import MAX_STORES, Bounded
from dserver_signed_url_plugin.uploads.models import PendingUpload
from tests.support.clients import Deposit, DtoolDserver, urls_in
from tests.support.dserver import Dserver, encoded
from tests.support.hanging_checks import end_checks
from tests.support.links import UNKNOWN, Visitor, shared
from tests.support.refusals import assert_refused
from tests.support.silent_servers import silent

METRICS = "/signed-urls/metrics"
CLIENT = DtoolDserver()
NOBODYS = "550e8400-e29b-41d4-a716-446655440000"
DEPOSIT = Deposit()
SIZE = sum(map(len, DEPOSIT.files.values()))


def test_metrics_are_off_unless_the_operator_has_switched_them_on(make_dserver):
    assert_refused(make_dserver().nobody.get(METRICS), 404, "no such route")


def test_requests_are_counted_by_route_status_and_slug(dserver, scrape):
    uri = CLIENT.upload(dserver.alice, dserver.base_uri, Deposit()).json["uri"]
    for _ in range(2):
        dserver.bob.read(uri)
    dserver.dave.read(uri)
    dserver.nobody.read(uri)
    seen = scrape(dserver)
    read = {"route": "read-dataset"}
    assert seen("requests_total", **read, status="2xx", slug="") == 2
    assert seen("requests_total", **read, status="4xx", slug="permission-denied") == 1
    assert seen("requests_total", **read, status="4xx", slug="not-authenticated") == 1
    assert seen("requests_total", route="upload-complete", status="2xx", slug="") == 1
    assert seen("request_seconds_count", **read, status="2xx") == 2
    assert 0 < seen("request_seconds_sum", **read, status="2xx") < 20


def test_what_was_granted_is_counted_by_direction_and_scheme(dserver, scrape):
    uri = CLIENT.upload(dserver.alice, dserver.base_uri, DEPOSIT).json["uri"]
    identifiers = dserver.bob.read(uri).json["item_urls"]
    dserver.bob.read_items(uri, identifiers=list(identifiers)[:2])
    dserver.dave.read(uri)
    seen = scrape(dserver)
    of_reads = {"direction": "read", "scheme": "s3"}
    of_writes = {"direction": "write", "scheme": "s3"}
    assert seen("granted_items_total", **of_writes) == len(DEPOSIT.files)
    assert seen("granted_bytes_total", **of_writes) == SIZE
    assert seen("granted_items_total", **of_reads) == len(DEPOSIT.files) + 2
    assert SIZE < seen("granted_bytes_total", **of_reads) <= 2 * SIZE


def test_a_completion_is_counted_once_however_often_it_is_repeated(dserver, scrape):
    uri = CLIENT.upload(dserver.alice, dserver.base_uri, Deposit()).json["uri"]
    assert dserver.alice.complete(uri).status_code == 200
    seen = scrape(dserver)
    assert seen("completion_seconds_count") == seen("deposit_seconds_count") == 1
    assert 0 < seen("completion_seconds_sum") <= seen("deposit_seconds_sum") < 60
    assert seen("deposited_bytes_total") == SIZE
    assert seen("requests_total", route="upload-complete", status="2xx", slug="") == 2


def test_what_is_pending_and_shared_is_read_from_the_database(dserver, scrape):
    CLIENT.begin(dserver.alice, dserver.base_uri, Deposit())
    uri = CLIENT.upload(dserver.alice, dserver.base_uri, Deposit()).json["uri"]
    shared(dserver, uri)
    shared(dserver, uri).revoke()
    seen = scrape(dserver)
    assert seen("pending_uploads") == 1
    assert seen("pending_bytes") == SIZE
    assert 0 < seen("pending_oldest_seconds") < 60
    assert seen("shares") == 1
    assert seen("database_up") == 1
    assert seen("audit_days") == 365


def test_pending_bytes_whose_sum_no_integer_of_sqlite_holds_are_added_up(dserver, scrape):
    for _ in range(2):
        CLIENT.begin(dserver.alice, dserver.base_uri, Deposit())
    with dserver.app.app_context():
        sql_db.session.execute(update(PendingUpload).values(size_in_bytes=2**62))
        sql_db.session.commit()
    seen = scrape(dserver)
    assert (seen("pending_bytes"), seen("database_up")) == (2**63, 1)


def test_the_last_run_of_a_command_is_known_to_every_server(dserver, scrape):
    arguments = ["cleanup", "--older-than", "48h"]
    dserver.app.test_cli_runner().invoke(pending_upload, arguments)
    seen, command = scrape(dserver), {"command": "pending_upload cleanup"}
    assert time() - 60 < seen("command_last_run_timestamp_seconds", **command) <= time()
    assert seen("command_failed", **command) == 0
    succeeded = seen("command_last_success_timestamp_seconds", **command)
    assert succeeded == seen("command_last_run_timestamp_seconds", **command)


def test_opens_and_downloads_of_shares_are_counted(dserver, scrape):
    uri = CLIENT.upload(dserver.alice, dserver.base_uri, Deposit()).json["uri"]
    visitor = shared(dserver, uri)
    identifier = next(iter(dserver.bob.read(uri).json["item_urls"]))
    visitor.open()
    visitor.download(identifier)
    visitor.download(identifier, method="HEAD")
    Visitor(dserver, UNKNOWN).open()
    seen = scrape(dserver)
    opened = {"route": "share-open"}
    assert seen("requests_total", **opened, status="2xx", slug="") == 1
    assert seen("requests_total", **opened, status="4xx", slug="share-not-found") == 1
    assert seen("requests_total", route="share-download", status="3xx", slug="") == 1


def test_probes_and_scrapes_are_not_counted(dserver, scrape):
    for path in ("live", "ready"):
        dserver.nobody.get(f"/signed-urls/health/{path}")
    dserver.nobody.get(METRICS)
    assert scrape(dserver).labels("requests_total", "route") == set()


# Labels -------------------------------------------------------------------------------------


def test_nobody_can_make_labels_without_bound(dserver, scrape):
    client, bearer = dserver.app.test_client(), {"Authorization": f"Bearer {'e' * 40}"}
    for number in range(9):
        client.get(f"/signed-urls/of-{number}")
        client.open(f"/signed-urls/dataset/x{number}", method=f"X{number}")
        client.get(f"/signed-urls/dataset/{encoded(f's3://bucket-{number}/{NOBODYS}')}")
        client.get(f"/signed-urls/dataset/z{number}%3A%2F%2Fhere/x", headers=bearer)
        dserver.admin.read(f"y{number}://here/{NOBODYS}")
        dserver.admin.get(f"/signed-urls/upload/{encoded(f's3://no-{number}/{NOBODYS}')}")
        dserver.admin.begin(f"s3://bucket-{number}", {"uuid": NOBODYS, "name": "a"})
        Visitor(dserver, f"{number:032}").open()
    seen = scrape(dserver)
    routes = {rule.endpoint.rpartition(".")[2] for rule in dserver.app.url_map.iter_rules()}
    assert seen.labels("", "route") <= routes | {"unknown"}
    assert seen.labels("", "status") <= {"2xx", "4xx"}
    slugs = seen.labels("", "slug")
    assert {"route-not-found", "method-not-allowed", "not-authenticated"} <= slugs
    assert not [slug for slug in slugs if re.search(r"\d", slug)]
    assert seen.labels("", "store") | seen.labels("", "scheme") <= {dserver.base_uri, "s3"}
    assert len(seen.values) < 300


def test_values_of_a_label_above_the_limit_count_as_one():
    label = Bounded(MAX_STORES)
    values = {label.of(f"s3://{number}") for number in range(10 * MAX_STORES)}
    assert len(values) == MAX_STORES + 1
    assert label.of("s3://0") == "s3://0"
    assert label.of("s3://new") == "other"


def test_no_metric_holds_a_secret(dserver, scrape):
    deposit = Deposit()
    grant = CLIENT.begin(dserver.alice, dserver.base_uri, deposit)
    CLIENT.put(grant, deposit)
    dserver.alice.complete(grant["uri"])
    visitor = shared(dserver, grant["uri"])
    visitor.open()
    signed = urls_in(grant)[0]
    dserver.nobody.read(signed)
    dserver.nobody.get(f"/signed-urls/{encoded(signed)}")
    text = dserver.nobody.get(METRICS).text
    secrets = (visitor.token, signed.partition("Signature=")[2], grant["upload_token"])
    secrets += (*dserver.tokens.values(), dserver.bucket.access_key, dserver.bucket.secret_key)
    for secret in (*secrets, deposit.uuid, "alice", "127.0.0.1", "X-Amz"):
        assert secret not in text


# Stores and databases ------------------------------------------------------------------------


@pytest.fixture
def silent_dserver(make_dserver_on: Callable[..., Dserver]) -> Iterator[Dserver]:
    """A dserver whose store takes connections, and says nothing."""
    with silent() as store:
        settings = {"SIGNED_URL_METRICS": "1", "SIGNED_URL_STORAGE_SECONDS": 1}
        yield make_dserver_on(store.bucket(), **settings)


def test_calls_to_a_store_that_is_away_are_counted_with_its_breaker(silent_dserver, scrape):
    dserver = silent_dserver
    for _ in range(3):
        dserver.alice.begin(dserver.base_uri, {"uuid": NOBODYS, "name": "cress"})
    seen = scrape(dserver)
    store = {"store": dserver.base_uri}
    failed = seen("store_calls_total", **store, result="failed")
    assert failed >= 1
    # On a slow machine, the breaker lets the store be tried again.
    assert failed + seen("store_calls_total", **store, result="refused") == 3
    assert seen("store_breakers_open", **store) == 1
    assert 0.5 < seen("store_seconds_sum", **store) < 20


def test_calls_to_a_store_that_answers_are_counted(dserver, scrape):
    uri = CLIENT.upload(dserver.alice, dserver.base_uri, Deposit()).json["uri"]
    assert dserver.bob.read_item(uri, "0" * 40).status_code == 404
    seen = scrape(dserver)
    store = {"store": dserver.base_uri}
    assert seen("store_calls_total", **store, result="ok") > 3
    assert seen("store_calls_total", **store, result="failed") == 0
    assert seen("store_breakers_open", **store) == 0


@pytest.mark.database("postgresql", reason="SQLite has no server to freeze")
def test_a_scrape_does_not_wait_for_a_database_that_hangs(dserver, scrape, postgresql):
    dserver.nobody.read("s3://lab")
    with dserver.app.app_context():
        sql_db.engine.dispose()
    with postgresql.frozen():
        began = monotonic()
        seen = scrape(dserver)
        # A statement and a connection have four seconds and more.
        assert monotonic() - began < 3.5
    assert seen("database_up") == 0
    assert "pending_uploads" not in {name for name, _ in seen.values}
    refused = {"route": "read-dataset", "status": "4xx", "slug": "not-authenticated"}
    assert seen("requests_total", **refused) == 1
    end_checks()
