"""Whatever people and proxies send becomes a decision, and no secret is in it."""

from __future__ import annotations

import json

import pytest

from dserver_signed_url_plugin.audit.decisions import Decision
from tests.support.audit_records import rows, said
from tests.support.clients import Deposit, DtoolDserver
from tests.support.databases import on_each_database
from tests.support.dserver import encoded

pytestmark = on_each_database

CLIENT = DtoolDserver()


# The id of a request -------------------------------------------------------------------------


def test_a_request_keeps_the_id_that_a_proxy_gave_it(dserver):
    client = dserver.app.test_client()
    answer = client.get("/signed-urls/dataset/s3:%2F%2Fx", headers={"X-Request-ID": "a/b-7~" * 10})
    assert answer.headers["X-Request-ID"] == rows(dserver)[0]["request_id"] == "a/b-7~" * 10


@pytest.mark.parametrize("given", [None, "", "x" * 65, "a b", "ä", "a\tb"])
def test_a_request_without_a_sane_id_gets_one(dserver, given):
    headers = {} if given is None else {"X-Request-ID": given}
    client = dserver.app.test_client()
    ids = [
        client.get("/signed-urls/dataset/s3:%2F%2Fx", headers=headers).headers["X-Request-ID"]
        for _ in range(2)
    ]
    # Refusals without a token are counted in one row, which tells of the first.
    assert ids[0] == rows(dserver)[0]["request_id"]
    assert len({given, *ids}) == 3


# What people send ----------------------------------------------------------------------------


@pytest.mark.parametrize(
    "name", ["a\x00b", "\ud800", "n" * 5000, "漢" * 300, "\x1b[31mred", "", "O'Hara; --"]
)
def test_whatever_a_token_says_is_written_down(dserver, caplog, name):
    with dserver.app.app_context():
        dserver.services.audit.record(Decision(action="read-item", username=name, uri=name))
    (row,) = rows(dserver)
    assert row["username"][:1] in ("", "a", "n", "漢", "O", "\N{REPLACEMENT CHARACTER}")
    assert row["username"].isprintable()
    assert "could not be written" not in caplog.text


@pytest.mark.parametrize(
    "uri", ["%00", "%ED%A0%80", "own://x/" + "%F0%9D%95%8C" * 1000, "x" * 5000, "%1b[31m"]
)
def test_whatever_stands_in_a_path_is_written_down(dserver, caplog, uri):
    for answer in (
        dserver.alice.get(f"/signed-urls/dataset/{uri}"),
        dserver.alice.post(f"/signed-urls/upload/{uri}", CLIENT.plan(Deposit())),
    ):
        assert answer.status_code in (400, 403)
    assert len(rows(dserver)) == 2
    assert "could not be written" not in caplog.text


def test_no_secret_is_in_a_line_or_a_row(dserver, caplog):
    deposit = Deposit()
    grant = CLIENT.begin(dserver.alice, dserver.base_uri, deposit)
    CLIENT.put(grant, deposit)
    dserver.alice.complete(grant["uri"])
    urls = dserver.bob.read(grant["uri"]).json
    token = dserver.tokens["alice"]
    for mistaken in (urls["readme_url"], token, f"s3://lab/{token}", f"Bearer {token}"):
        dserver.bob.read(mistaken)
        dserver.bob.read(encoded(mistaken))
        dserver.alice.complete(mistaken)
        dserver.alice.begin(mistaken, CLIENT.plan(deposit))
    text_of_all = json.dumps(said(caplog)) + str(rows(dserver))
    assert len(said(caplog)) == len(rows(dserver)) == 3 + 4 * 4
    signature = urls["readme_url"].partition("X-Amz-Signature=")[2][:64]
    for secret in (
        "X-Amz",
        signature,
        *token.split("."),
        dserver.bucket.secret_key,
        dserver.bucket.access_key,
    ):
        assert secret not in text_of_all
