"""Reading some items: chosen by identifier, relpath or pattern, with what the manifest says."""

from __future__ import annotations

import hashlib
import json
from uuid import uuid4

import pytest
import requests
from dtoolcore.utils import generate_identifier

from dserver_signed_url_plugin.downloads.selection import Selection, matches
from dserver_signed_url_plugin.errors import InvalidField
from dserver_signed_url_plugin.storage.values import Item
from tests.support.audit_records import rows
from tests.support.clients import FILES, Deposit, DtoolDserver
from tests.support.dserver import encoded
from tests.support.refusals import assert_refused

IDENTIFIERS = {relpath: generate_identifier(relpath) for relpath in FILES}


@pytest.fixture(scope="module")
def uri(lab) -> str:
    deposit = Deposit()
    assert DtoolDserver().upload(lab.alice, lab.base_uri, deposit).status_code == 200
    return f"{lab.base_uri}/{deposit.uuid}"


def relpaths_of(answer) -> set[str]:
    assert answer.status_code == 200, answer.json
    return {item["relpath"] for item in answer.json["items"].values()}


def test_items_are_answered_with_urls_that_open_them_and_what_the_manifest_says(lab, uri):
    answer = lab.bob.read_items(uri, match="*")
    assert answer.status_code == 200
    assert answer.json.keys() == {"uri", "expiry_seconds", "expiry_timestamp", "items", "missing"}
    assert (answer.json["uri"], answer.json["missing"]) == (uri, [])
    assert answer.headers["Cache-Control"] == "no-store"
    assert set(answer.json["items"]) == set(IDENTIFIERS.values())
    for item in answer.json["items"].values():
        content = FILES[item["relpath"]]
        assert requests.get(item["url"], timeout=30).content == content
        assert item["size_in_bytes"] == len(content)
        assert item["hash"] == hashlib.md5(content).hexdigest()


@pytest.mark.parametrize("field", ["identifiers", "relpaths"])
def test_what_is_not_there_is_listed_once_in_the_order_of_the_request(lab, uri, field):
    there = list(FILES) if field == "relpaths" else list(IDENTIFIERS.values())
    request = ["z", there[0], "../x", "z", there[1], there[0], ""]
    answer = lab.bob.read_items(uri, **{field: request})
    assert relpaths_of(answer) == set(list(FILES)[:2])
    assert answer.json["missing"] == ["z", "../x", ""]


def test_no_items_are_answered_if_none_are_requested(lab, uri):
    assert relpaths_of(lab.bob.read_items(uri, identifiers=[], match=None)) == set()


@pytest.mark.parametrize(
    ("pattern", "expected"),
    [
        ("*.txt", {"data/file1.txt", "Notizen/Größe über Zeit.txt"}),
        ("data/*", {"data/file1.txt"}),
        ("DATA/*", set()),
        ("*Größe*", {"Notizen/Größe über Zeit.txt"}),
        ("[de]*", {"data/file1.txt", "empty.dat"}),
        ("empty?dat", {"empty.dat"}),
        (".*", set()),
    ],
)
def test_a_pattern_chooses_as_fnmatch_does(lab, uri, pattern, expected):
    assert relpaths_of(lab.bob.read_items(uri, match=pattern)) == expected


def test_lifetime_and_disposition_are_those_of_the_body(lab, uri):
    answer = lab.bob.read_items(uri, match="*1.txt", expiry_seconds=77, disposition="inline")
    assert answer.json["expiry_seconds"] == 77
    [item] = answer.json["items"].values()
    served = requests.get(item["url"], timeout=30).headers["Content-Disposition"]
    assert served.startswith("inline;")


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({}, "body"),
        ({"match": "*", "relpaths": []}, "body"),
        ({"match": "*" * 257}, "match"),
        ({"match": ""}, "match"),
        ({"match": 1}, "match"),
        ({"relpaths": "a"}, "relpaths"),
        ({"relpaths": [1]}, "relpaths"),
        ({"identifiers": [""] * 10_001}, "identifiers"),
        ({"match": "*", "expiry_seconds": 0}, "expiry_seconds"),
        ({"match": "*", "expiry_seconds": 10**9}, "expiry_seconds"),
        ({"match": "*", "disposition": "x"}, "disposition"),
        ({"match": "*", "other": 1}, "other"),
        ({"relpaths": [""] * 2_000_000}, "body"),
    ],
    ids=lambda value: None if isinstance(value, dict) else value,
)
def test_a_body_that_does_not_fit_is_refused_with_its_field(lab, uri, body, field):
    answer = lab.bob.read_items(uri, **body)
    assert_refused(answer, 422, field)
    assert field in {name.partition(".")[0] for name in answer.json["errors"]}


def test_a_body_above_eight_mebibytes_is_refused_unread(lab, uri):
    path = f"/signed-urls/items/{encoded(uri)}"
    body = json.dumps({"match": "x" * 9_000_000})
    answer = lab.bob.post(path, data=body, headers={"Content-Type": "application/json"})
    assert_refused(answer, 413)


def test_identity_and_permission_come_before_the_body(lab, uri):
    path = f"/signed-urls/items/{encoded(uri)}"
    assert_refused(lab.nobody.post(path, "nonsense"), 401)
    assert_refused(lab.dave.post(path, "nonsense"), 403)
    assert_refused(lab.bob.post(path, "nonsense"), 422)


def test_a_dataset_that_dserver_does_not_know_is_not_found(lab):
    assert_refused(lab.bob.read_items(f"{lab.base_uri}/{uuid4()}", match="*"), 404)


def test_the_audit_says_how_many_items_and_bytes_were_granted(dserver):
    deposit = Deposit()
    DtoolDserver().upload(dserver.alice, dserver.base_uri, deposit)
    dserver.bob.read_items(f"{dserver.base_uri}/{deposit.uuid}", relpaths=[*list(FILES)[:2], "z"])
    row = rows(dserver)[-1]
    size = sum(len(content) for content in list(FILES.values())[:2])
    assert (row["action"], row["items"], row["size_in_bytes"]) == ("read-items", 2, size)
    assert row["expires_at"] is not None


def test_items_in_azure_are_read_alike(azure_dserver):
    deposit = Deposit()
    DtoolDserver().upload(azure_dserver.alice, azure_dserver.base_uri, deposit)
    answer = azure_dserver.bob.read_items(
        f"{azure_dserver.base_uri}/{deposit.uuid}", relpaths=["data/file1.txt"]
    )
    [item] = answer.json["items"].values()
    assert requests.get(item["url"], timeout=30).content == b"content1"


# Patterns and odd manifests -----------------------------------------------------------------


def entries(*relpaths: str) -> dict[str, Item]:
    return {str(number): Item(str(number), relpath) for number, relpath in enumerate(relpaths)}


@pytest.mark.parametrize(
    "pattern", ["*a" * 127 + "b", "*" * 255 + "b", "*" + "a" * 254 + "b", "*[ab]" * 50 + "c"]
)
def test_no_pattern_takes_long_on_100_000_relpaths(pattern):
    everything = entries(*["a" * 80] * 100_000)
    # It is refused above two seconds.
    assert Selection(match=pattern).chosen(everything) == ({}, [])


def test_a_pattern_that_takes_too_long_in_all_is_refused():
    everything = entries(*["a" * 30_000] * 1_000)
    with pytest.raises(InvalidField, match="takes too long"):
        Selection(match="*" + "a" * 254 + "b").chosen(everything)


@pytest.mark.parametrize("pattern", ["[[a]", "[a--b]", "[!]", "[]", "[z-a]", "a||b[&&]", "\\", "["])
def test_every_pattern_is_one_whatever_its_characters(pattern):
    assert matches(pattern).match("no such relpath") is None


def test_a_pattern_that_matches_more_than_10_000_items_is_refused():
    assert len(Selection(match="*").chosen(entries(*["a"] * 10_000))[0]) == 10_000
    with pytest.raises(InvalidField, match="10,000 items"):
        Selection(match="*").chosen(entries(*["a"] * 10_001))


def test_an_item_is_found_by_its_relpath_under_whatever_identifier():
    odd = entries("a\nb", "ü")
    assert Selection(relpaths=["a\nb", "u"]).chosen(odd) == ({"0": odd["0"]}, ["u"])
