"""Shares over HTTP: created by whoever may read, listed and revoked by their owner or an admin."""

from __future__ import annotations

import json
import re
from datetime import datetime, timedelta
from typing import Any

import pytest

from dserver_signed_url_plugin.demo.store import s3_client
from dserver_signed_url_plugin.errors import ShareNotFound
from tests.support.audit_records import rows
from tests.support.clients import FILES, Deposit, DtoolDserver
from tests.support.databases import on_each_database
from tests.support.dserver import Dserver, Person, encoded
from tests.support.refusals import assert_refused

SHARES = "/signed-urls/shares"
LINK = re.compile(r"http://localhost/signed-urls/s/[a-z2-7]{32}")


def deposited(dserver: Dserver, deposit: Deposit) -> str:
    assert DtoolDserver().upload(dserver.alice, dserver.base_uri, deposit).status_code == 200
    return f"{dserver.base_uri}/{deposit.uuid}"


@pytest.fixture(scope="module")
def uri(lab) -> str:
    return deposited(lab, Deposit())


def share(person: Person, uri: str, **body: Any) -> Any:
    return person.post(f"{SHARES}/{encoded(uri)}", body)


def created(person: Person, uri: str, **body: Any) -> Any:
    answer = share(person, uri, **body)
    assert answer.status_code == 201, answer.json
    return answer.json


def refused(answer: Any, status: int, slug: str) -> str:
    """Expect a refusal; return its sentence."""
    assert_refused(answer, status)
    assert answer.json["errors"]["slug"] == slug
    return answer.json["message"]


def moment(text: str) -> datetime:
    return datetime.fromisoformat(text.replace("Z", "+00:00"))


def listed(person: Person, **query: Any) -> list[str]:
    answer = person.get(SHARES, query_string=query)
    assert answer.status_code == 200, answer.json
    return [each["id"] for each in answer.json["shares"]]


def test_whoever_may_read_gets_a_link_to_all_for_seven_days(lab, uri):
    answer = share(lab.bob, uri)
    assert (answer.status_code, answer.headers["Cache-Control"]) == (201, "no-store")
    found = answer.json
    assert LINK.fullmatch(found["link"])
    assert (found["uri"], found["owner"], found["state"]) == (uri, "bob", "active")
    assert (found["items"], found["number_of_items"]) == (None, len(FILES))
    assert found["size_in_bytes"] == sum(map(len, FILES.values()))
    life = moment(found["expires_timestamp"]) - moment(found["created_timestamp"])
    assert life == timedelta(days=7)


def test_items_time_downloads_and_note_are_as_requested(lab, uri):
    name = next(iter(FILES))
    body = {"items": [name], "expires_in": 90 * 86_400, "max_downloads": 3, "note": "Für dich\n🙂"}
    found = created(lab.bob, uri, **body)
    assert found["items"] == [name]
    assert (found["max_downloads"], found["note"]) == (3, body["note"])
    assert (found["number_of_items"], found["size_in_bytes"]) == (1, len(FILES[name]))
    life = moment(found["expires_timestamp"]) - moment(found["created_timestamp"])
    assert life == timedelta(days=90)


def test_the_public_address_begins_the_link_if_it_is_set(make_dserver):
    dserver = make_dserver(SIGNED_URL_PUBLIC_URL="https://data.example.org/dserver/")
    found = created(dserver.bob, deposited(dserver, Deposit()))
    assert found["link"].startswith("https://data.example.org/dserver/signed-urls/s/")


def test_a_relpath_may_be_in_another_normalisation_form(lab):
    deposit = Deposit({"U\u0308bung.txt": b"one", "other.txt": b"two"})
    uri = deposited(lab, deposit)
    assert created(lab.bob, uri, items=["\u00dcbung.txt"])["items"] == ["U\u0308bung.txt"]
    answer = share(lab.bob, uri, items=["\u00dcbung.txt", "U\u0308bung.txt"])
    assert "twice" in refused(answer, 422, "invalid-field")


@pytest.mark.parametrize(
    ("body", "field", "part"),
    [
        ({"items": []}, "items", "leave it out"),
        ({"items": ["no.txt"]}, "items", "no.txt"),
        ({"items": [f"{n}.txt" for n in range(30)]}, "items", "and 20 more"),
        ({"items": ["x"] * 10_001}, "items", "10,000"),
        ({"items": ["\0"]}, "items", "\\x00"),
        ({"expires_in": 0}, "expires_in", "1 or more"),
        ({"expires_in": 1.5}, "expires_in", "whole"),
        ({"expires_in": 90 * 86_400 + 1}, "expires_in", "7776000"),
        ({"expires_in": 10**30}, "expires_in", ""),
        ({"max_downloads": 0}, "max_downloads", "from 1"),
        ({"max_downloads": 2**31}, "max_downloads", "2147483647"),
        ({"note": "x" * 1001}, "note", "1000"),
        ({"note": "\x1b[31m"}, "note", "printable"),
        ({"note": "a\u202eb"}, "note", "printable"),
        ({"password": "x"}, "password", "Unknown"),
    ],
)
def test_a_value_that_cannot_be_is_refused_with_its_field(lab, uri, body, field, part):
    answer = share(lab.bob, uri, **body)
    assert answer.status_code == 422
    [[reason]] = [answer.json["errors"][field]]
    assert part in reason
    assert len(answer.json["message"]) < 3000


@pytest.mark.parametrize("size", [2**70, 2**62])
def test_sizes_that_no_database_counts_are_unknown_sizes(lab, size):
    uri = deposited(lab, Deposit({"one.txt": b"1", "two.txt": b"2"}))
    s3 = s3_client(lab.bucket.endpoint, lab.bucket.access_key, lab.bucket.secret_key)
    place = {"Bucket": lab.bucket.name, "Key": f"{uri[-36:]}/manifest.json"}
    manifest = json.load(s3.get_object(**place)["Body"])
    for item in manifest["items"].values():
        item["size_in_bytes"] = size
    s3.put_object(**place, Body=json.dumps(manifest))
    assert created(lab.bob, uri)["size_in_bytes"] is None
    relpaths = {"relpaths": ["one.txt", "two.txt"]}
    assert lab.bob.post(f"/signed-urls/items/{encoded(uri)}", relpaths).status_code == 200
    found = [(row["action"], row["size_in_bytes"]) for row in rows(lab) if row["uri"] == uri]
    assert found[-2:] == [("share-create", None), ("read-items", None)]


def test_permission_is_checked_before_the_body_and_identity_before_that(lab, uri):
    refused(share(lab.nobody, uri, wrong=1), 401, "not-authenticated")
    refused(share(lab.dave, uri, wrong=1), 403, "permission-denied")
    missing = f"{lab.base_uri}/00000000-0000-0000-0000-000000000000"
    refused(share(lab.bob, missing), 404, "dataset-not-found")
    refused(lab.nobody.get(SHARES), 401, "not-authenticated")
    refused(lab.nobody.delete(f"{SHARES}/x"), 401, "not-authenticated")


def test_people_list_their_own_shares_and_admins_all_newest_first(make_dserver):
    dserver = make_dserver()
    uri, other = (deposited(dserver, Deposit()) for _ in range(2))
    first, second = created(dserver.bob, uri)["id"], created(dserver.bob, other)["id"]
    third = created(dserver.alice, uri)["id"]
    assert listed(dserver.bob) == [second, first]
    assert listed(dserver.bob, uri=uri) == [first]
    assert listed(dserver.admin) == [third, second, first]
    assert listed(dserver.admin, uri=uri) == [third, first]
    assert listed(dserver.carol) == []
    page = dserver.admin.get(SHARES, query_string={"limit": 2}).json
    assert [each["id"] for each in page["shares"]] == [third, second]
    rest = dserver.admin.get(SHARES, query_string={"limit": 2, "before": page["next"]}).json
    assert ([each["id"] for each in rest["shares"]], rest["next"]) == ([first], None)
    assert "link" not in page["shares"][0]


@pytest.mark.parametrize(
    "query", [{"limit": 0}, {"limit": 1001}, {"before": "x"}, {"before": "1-2"}]
)
def test_a_page_that_cannot_be_is_refused(lab, query):
    assert lab.bob.get(SHARES, query_string=query).status_code == 422


def test_a_share_is_revoked_by_its_owner_or_an_admin_and_by_nobody_else(lab, uri):
    mine, other = (created(lab.bob, uri)["id"] for _ in range(2))
    refused(lab.alice.delete(f"{SHARES}/{mine}"), 404, "share-not-found")
    refused(lab.bob.delete(f"{SHARES}/unknown"), 404, "share-not-found")
    for person, share_id in ((lab.bob, mine), (lab.admin, other)):
        for _ in range(2):
            answer = person.delete(f"{SHARES}/{share_id}")
            assert (answer.status_code, answer.json["state"]) == (200, "revoked")


@on_each_database
def test_what_is_no_id_of_a_share_is_unknown(dserver):
    for odd in ("%00", "a%00b", "%ff", "x" * 5000, "F" * 16, "%F0%9F%98%80"):
        refused(dserver.bob.delete(f"{SHARES}/{odd}"), 404, "share-not-found")
    shares = dserver.services.shares
    with dserver.app.app_context():
        for act in (shares.find, lambda share_id: shares.revoke(share_id, "")):
            # What a shell makes of bytes that are not UTF-8.
            with pytest.raises(ShareNotFound):
                act("\udcff")


def test_the_audit_names_the_share(lab, uri):
    share_id = created(lab.bob, uri)["id"]
    lab.bob.delete(f"{SHARES}/{share_id}")
    done = [row for row in rows(lab) if row["share"] == share_id]
    assert [(row["action"], row["username"], row["uri"]) for row in done] == [
        ("share-create", "bob", uri),
        ("share-revoke", "bob", uri),
    ]
    assert (done[0]["items"], done[0]["expires_at"] is None) == (len(FILES), False)
    lab.bob.get(SHARES)
    assert rows(lab)[-1]["action"] == "share-list"


def test_only_so_many_shares_of_a_person_work_at_once(make_dserver):
    dserver = make_dserver(SIGNED_URL_MAX_SHARES=2)
    uri = deposited(dserver, Deposit())
    first = created(dserver.bob, uri)["id"]
    created(dserver.bob, uri)
    assert "SIGNED_URL_MAX_SHARES" in refused(share(dserver.bob, uri), 409, "too-many-shares")
    created(dserver.alice, uri)
    dserver.bob.delete(f"{SHARES}/{first}")
    created(dserver.bob, uri)


def test_the_most_shares_that_may_be_allowed_allow_one(make_dserver):
    dserver = make_dserver(SIGNED_URL_MAX_SHARES=10**17)
    created(dserver.bob, deposited(dserver, Deposit()))


@pytest.mark.parametrize("name", [None, ""])
def test_whoever_has_no_name_is_no_operator(make_dserver, name):
    dserver = make_dserver(DISABLE_JWT_AUTHORISATION=True, DEFAULT_USER="alice")
    share_id = created(dserver.nobody, deposited(dserver, Deposit()))["id"]
    dserver.app.config["DEFAULT_USER"] = name
    listed_shares = dserver.nobody.get(SHARES)
    assert listed_shares.status_code == 401 or listed_shares.json["shares"] == []
    assert dserver.nobody.delete(f"{SHARES}/{share_id}").status_code in (401, 404)
    dserver.app.config["DEFAULT_USER"] = "alice"
    assert dserver.nobody.get(SHARES).json["shares"][0]["state"] == "active"
