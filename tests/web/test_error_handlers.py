"""Every refusal is an envelope with a slug and a line in the log, and none tells a secret."""

from __future__ import annotations

import json
import logging
import re
from typing import Any

import dservercore.utils
import pytest
import requests
from flask import Blueprint, Flask
from werkzeug.exceptions import Conflict

from dserver_signed_url_plugin.demo.app import DEPOSITORS, SEARCHERS
from dserver_signed_url_plugin.demo.store import free_port
from dserver_signed_url_plugin.web import error_handlers
from tests.support.clients import Deposit, DserverClientJS, DtoolDserver
from tests.support.databases import on_each_database
from tests.support.dserver import Dserver, encoded
from tests.support.http_server import serving
from tests.support.refusals import assert_refused, nothing_is_written

CLIENT = DtoolDserver()
UUID = Deposit().uuid
REFUSED = "The request was refused: It differs."


def settle(dserver: Dserver, base_uri: str, uuid: str = UUID) -> str:
    """Let dserver know a base URI, alice's permissions, and a dataset there; return its URI."""
    uri = f"{base_uri}/{uuid}"
    info = {
        "uuid": uuid,
        "uri": uri,
        "base_uri": base_uri,
        "name": "my-dataset",
        "type": "dataset",
        "creator_username": "alice",
        "created_at": 1_700_000_000.0,
        "frozen_at": 1_700_000_000.0,
        "readme": "",
        "manifest": {"items": {}},
        "annotations": {},
        "tags": [],
        "number_of_items": 0,
        "size_in_bytes": 0,
    }
    with dserver.app.app_context():
        if not dservercore.utils.base_uri_exists(base_uri):
            dservercore.utils.register_base_uri(base_uri)
        dservercore.utils.register_permissions(
            base_uri,
            {
                "users_with_search_permissions": SEARCHERS,
                "users_with_register_permissions": DEPOSITORS,
            },
        )
        dservercore.utils.register_dataset(info)
    return uri


def setting(dserver_bucket: Any, part: str) -> str:
    """One of dtool's variables, as Flask's config keeps it."""
    return f"DTOOL_S3_{part}_{dserver_bucket.name}".upper()


def ask_everything(dserver: Dserver, uri: str) -> dict[str, Any]:
    """Ask for the URLs of a dataset and an item, and begin an upload."""
    base_uri = uri.rpartition("/")[0]
    return {
        "dataset": dserver.alice.read(uri),
        "item": dserver.alice.read_item(uri, "0" * 40),
        "upload": dserver.alice.begin(base_uri, CLIENT.plan(Deposit())),
    }


@pytest.fixture(params=["no bucket", "unknown key", "away", "half configured"])
def broken(request, make_dserver, bucket, s3) -> Dserver:
    """A dserver whose store refuses it, or is away."""
    if request.param == "no bucket":
        s3.delete_bucket(Bucket=bucket.name)
    changed = {
        "no bucket": {},
        "unknown key": {setting(bucket, "ACCESS_KEY_ID"): "AKUNKNOWNUNKNOWN"},
        "away": {setting(bucket, "ENDPOINT"): f"http://127.0.0.1:{free_port()}"},
        "half configured": {setting(bucket, "SECRET_ACCESS_KEY"): ""},
    }
    return make_dserver(**changed[request.param])


def test_a_store_that_refuses_or_is_away_is_said_to_be_so(broken, bucket, caplog):
    uri = settle(broken, broken.base_uri)
    for answer in ask_everything(broken, uri).values():
        assert_refused(answer, 502, bucket.name)
        assert ("Retry-After" in answer.headers) == (
            answer.json["errors"]["slug"] == "storage-away"
        )
        said = json.dumps(answer.json) + caplog.text
        for secret in (bucket.secret_key, bucket.access_key, broken.tokens["alice"], "Traceback"):
            assert secret not in said


def test_an_upload_that_met_a_missing_bucket_can_be_repeated(make_dserver, bucket, s3, store):
    s3.delete_bucket(Bucket=bucket.name)
    dserver, deposit = make_dserver(), Deposit()
    plan = CLIENT.plan(deposit)
    assert_refused(dserver.alice.begin(dserver.base_uri, plan), 502, "no bucket")
    store.create_bucket(bucket.name)
    assert CLIENT.upload(dserver.alice, dserver.base_uri, deposit).status_code == 200


def test_a_completion_that_met_a_missing_bucket_can_be_repeated(dserver, bucket, s3, store):
    deposit = Deposit()
    grant = CLIENT.begin(dserver.alice, dserver.base_uri, deposit)
    for found in s3.list_objects_v2(Bucket=bucket.name)["Contents"]:
        s3.delete_object(Bucket=bucket.name, Key=found["Key"])
    s3.delete_bucket(Bucket=bucket.name)
    assert_refused(dserver.alice.complete(grant["uri"]), 502, "no bucket")

    store.create_bucket(bucket.name)
    # All that was in it is gone, and the person is told how to go on.
    assert_refused(dserver.alice.complete(grant["uri"]), 400, "announce")
    assert CLIENT.upload(dserver.alice, dserver.base_uri, deposit).status_code == 200


@pytest.mark.parametrize(
    ("base_uri", "named"),
    [
        ("nosuch://place", "nosuch"),
        ("file://localhost/data", "DiskStorageBroker"),
    ],
)
def test_a_storage_that_cannot_sign_is_named(lab, base_uri, named):
    uri = settle(lab, base_uri)
    with nothing_is_written(lab):
        for answer in ask_everything(lab, uri).values():
            assert_refused(answer, 501, named)


@on_each_database
@pytest.mark.parametrize("client", [DtoolDserver(), DserverClientJS()])
def test_a_locked_database_is_said_to_be_busy_and_nothing_is_lost(make_dserver, database, client):
    dserver = make_dserver(SQLALCHEMY_ENGINE_OPTIONS=database.impatient)
    url = dserver.app.config["SQLALCHEMY_DATABASE_URI"]
    deposit = Deposit()
    plan = client.plan(deposit)
    with nothing_is_written(dserver), database.locked(url):
        assert_busy(dserver.alice.begin(dserver.base_uri, plan))

    grant = client.begin(dserver.alice, dserver.base_uri, deposit)
    client.put(grant, deposit)
    with nothing_is_written(dserver), database.locked(url):
        assert_busy(dserver.alice.begin(dserver.base_uri, plan))
        assert_busy(dserver.alice.complete(grant["uri"]))
    assert dserver.alice.complete(grant["uri"]).status_code == 200

    with database.locked(url):
        # Nothing is written for reading, so nobody has to wait.
        assert dserver.bob.read(grant["uri"]).status_code == 200


def assert_busy(answer: Any) -> None:
    assert_refused(answer, 503, "again")
    assert int(answer.headers["Retry-After"]) >= 1


def test_a_failing_token_is_no_fault_of_the_server(lab):
    for header in ("Bearer", "Bearer  ", "Basic YTpi", "bearer x", "Bearer a b", "\u00e4"):
        headers = {"Authorization": header}
        answer = lab.app.test_client().get("/signed-urls/dataset/s3:%2F%2Fx%2Fy", headers=headers)
        assert_refused(answer, 401, "token")


# Slugs, headers and log lines -----------------------------------------------------------------


@pytest.mark.parametrize(
    ("method", "path", "status", "slug"),
    [
        ("GET", "/signed-urls", 404, "route-not-found"),
        ("GET", "/signed-urls/nothing/here", 404, "route-not-found"),
        ("PATCH", "/signed-urls/upload-complete", 405, "method-not-allowed"),
        ("PUT", "/signed-urls/upload/s3%3A%2F%2Fx", 405, "method-not-allowed"),
    ],
)
def test_a_url_or_method_without_a_route_is_refused_like_any_other(lab, method, path, status, slug):
    answer = lab.app.test_client().open(path, method=method)
    assert_refused(answer, status)
    assert answer.json["errors"] == {"slug": slug}
    assert answer.headers["X-Request-ID"]
    assert ("Allow" in answer.headers) == (status == 405)


def test_clients_that_show_the_reason_phrase_alone_show_the_sentence(lab):
    name = "\N{GREEK SMALL LETTER ALPHA}\r\nX-Forged: 1 " + "é" * 300
    with serving(lab.app) as address:
        answer = requests.post(
            f"{address}/signed-urls/upload/{encoded(lab.base_uri)}",
            json={"uuid": UUID, "name": "my-dataset", name: 1},
            headers={"Authorization": f"Bearer {lab.tokens['alice']}"},
            timeout=30,
        )
    assert_refused(answer, 422, "Unknown field")
    assert "X-Forged" not in answer.headers
    assert answer.reason.startswith("? X-Forged: 1 \xe9")
    with pytest.raises(requests.HTTPError, match=re.escape(answer.reason)):
        answer.raise_for_status()


@pytest.mark.parametrize("path", ["/nothing", "/signed-urls-of-others"])
def test_other_urls_of_dserver_are_answered_as_ever(lab, path):
    answer = lab.nobody.get(path)
    assert answer.json == {"code": 404, "status": "Not Found"}
    assert "X-Request-ID" not in answer.headers


def test_a_query_that_does_not_fit_names_the_field_and_has_a_slug(lab):
    answer = lab.bob.read(f"{lab.base_uri}/{UUID}", expiry_seconds="soon")
    assert_refused(answer, 422, "expiry_seconds: ")
    errors = answer.json["errors"]
    assert (errors["slug"], list(errors["query"])) == ("invalid-field", ["expiry_seconds"])


def test_what_flask_itself_refuses_has_a_slug(make_dserver):
    dserver = make_dserver(MAX_CONTENT_LENGTH=100)
    answer = dserver.alice.begin(dserver.base_uri, CLIENT.plan(Deposit()))
    assert_refused(answer, 413, "100 bytes")
    assert answer.json["errors"] == {"slug": "body-too-large"}


def test_what_nobody_foresaw_has_a_slug_and_a_line(make_dserver, caplog):
    dserver = make_dserver(TESTING=False, PROPAGATE_EXCEPTIONS=False, JWT_HEADER_NAME="")
    answer = dserver.bob.read(f"{dserver.base_uri}/{UUID}")
    assert_refused(answer, 500, "X-Request-ID")
    assert answer.json["errors"] == {"slug": "internal-error"}
    assert " internal-error: " in caplog.text


@pytest.mark.parametrize(
    ("person", "status", "slug"),
    [
        ("nobody", 401, "not-authenticated"),
        ("dave", 403, "permission-denied"),
        ("bob", 404, "dataset-not-found"),
    ],
)
def test_a_line_of_the_log_has_status_slug_uri_request_and_action(
    lab, caplog, person, status, slug
):
    caplog.set_level(logging.INFO, "dserver_signed_url_plugin")
    uri = f"{lab.base_uri}/{UUID}"
    answer = getattr(lab, person).read(uri)
    request_id = answer.headers["X-Request-ID"]
    lines = [record.getMessage() for record in caplog.records if slug in record.getMessage()]
    assert f"{status} {slug}: {uri} (request {request_id}, read-dataset)" in lines


def test_a_uri_cannot_forge_a_line_of_the_log_or_put_a_signature_into_it(lab, caplog):
    caplog.set_level(logging.INFO, "dserver_signed_url_plugin")
    uri = f"{lab.base_uri}/x\r409 forged?X-Amz-Signature=secret"
    assert_refused(lab.bob.read(uri), 400)
    assert all(record.getMessage().isprintable() for record in caplog.records)
    assert "secret" not in caplog.text


def test_the_rest_of_an_unknown_path_is_not_logged_because_it_may_be_a_token(lab, caplog):
    caplog.set_level(logging.INFO, "dserver_signed_url_plugin")
    assert_refused(lab.nobody.get("/signed-urls/x/0paqueT0ken"), 404)
    assert "404 route-not-found: /signed-urls/x/… (request " in caplog.text
    assert "0paqueT0ken" not in caplog.text


@pytest.mark.parametrize(
    ("given", "message", "details"),
    [
        ({"message": "Not so", "errors": {"a": ["wrong"]}}, "Not so", {"a": ["wrong"]}),
        ({"message": "Not so"}, "Not so", {}),
        ({"errors": {"a": ["wrong"]}}, REFUSED, {"a": ["wrong"]}),
        ({"errors": ["wrong"], "headers": None}, REFUSED, {}),
        (None, REFUSED, {}),
    ],
)
def test_what_abort_was_called_with_is_in_the_envelope(given, message, details):
    app, views = Flask(__name__), Blueprint("views", __name__, url_prefix="/views")

    @views.route("/")
    def view() -> None:
        error = Conflict("It differs.")
        error.data = given
        raise error

    error_handlers.install(views)
    app.register_blueprint(views)
    answer = app.test_client().get("/views/")
    assert answer.json["message"] == message
    assert answer.json["errors"] == {**details, "slug": "request-refused"}


def test_answers_are_kept_by_no_cache_and_browsers_may_read_their_headers(dserver):
    dserver.alice.begin(dserver.base_uri, CLIENT.plan(Deposit()))
    origin = {"Origin": "https://app.example.org"}
    for person in (dserver.alice, dserver.nobody):
        answer = person.post(
            f"/signed-urls/upload/{encoded(dserver.base_uri)}",
            CLIENT.plan(Deposit()),
            headers=origin,
        )
        assert answer.headers["Cache-Control"] == "no-store"
        assert answer.headers["Access-Control-Allow-Origin"]
        exposed = ",".join(answer.headers.getlist("Access-Control-Expose-Headers"))
        assert {"X-Request-ID", "Retry-After"} <= {name.strip() for name in exposed.split(",")}
