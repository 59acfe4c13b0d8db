"""Which parts, and which items in parts, are refused, and to whom."""

from __future__ import annotations

import pytest

from tests.support.dserver import Dserver, encoded
from tests.support.parts import IDENTIFIER, LARGE, ask, deposit


@pytest.fixture(scope="module")
def parts_lab(lab) -> tuple[Dserver, str]:
    """A dserver with the default part size, and a pending upload with an item of two parts."""
    item = {"relpath": LARGE, "size_in_bytes": 100 * 1024**2, "hash": "0" * 32}
    plan = {"uuid": deposit().uuid, "name": "large", "items": [item], "multipart": True}
    return lab, lab.alice.begin(lab.base_uri, plan).json["uri"]


def test_only_the_uploader_or_an_admin_gets_urls_of_parts(parts_lab):
    lab, uri = parts_lab
    for person, status in ((lab.nobody, 401), (lab.bob, 403)):
        path = f"/signed-urls/parts/{encoded(uri)}/{IDENTIFIER}"
        assert person.post(path, {"numbers": "no list"}).status_code == status
        assert ask(person, uri, [1]).status_code == status
    carol = ask(lab.carol, uri, [1])
    assert (carol.status_code, carol.json["errors"]["slug"]) == (403, "not-uploader")
    assert ask(lab.admin, uri, [1]).status_code == 200


@pytest.mark.parametrize(
    ("body", "status", "field"),
    [
        ({}, 422, "numbers"),
        ({"numbers": [0]}, 422, "numbers"),
        ({"numbers": [3]}, 422, "numbers"),
        ({"numbers": [1, 1]}, 422, "numbers"),
        ({"numbers": list(range(1, 1002))}, 422, "numbers"),
        ({"numbers": ["1"]}, 422, "numbers"),
        ({"numbers": [1], "hashes": {"1": "abc"}}, 422, "hashes"),
        ({"numbers": [1], "hashes": {"2": "0" * 32}}, 422, "hashes.2"),
        ({"numbers": [1], "expiry_seconds": 604_801}, 422, "expiry_seconds"),
        ({"numbers": [1], "more": 1}, 422, "more"),
    ],
)
def test_a_bad_request_names_the_field(parts_lab, body, status, field):
    dserver, uri = parts_lab
    answer = dserver.alice.post(f"/signed-urls/parts/{encoded(uri)}/{IDENTIFIER}", body)
    assert answer.status_code == status, answer.json
    assert any(name.startswith(field) for name in answer.json["errors"]), answer.json


@pytest.mark.parametrize(
    "identifier",
    ["{", "%22", "%5C", "%00", f"{IDENTIFIER}%22.%22relpath", IDENTIFIER.upper(), "0" * 300],
)
def test_what_is_no_identifier_is_of_no_item(parts_lab, identifier):
    dserver, uri = parts_lab
    answer = ask(dserver.alice, uri, [1], identifier)
    assert (answer.status_code, answer.json["errors"]["slug"]) == (404, "item-not-found")


def test_an_item_that_is_sent_whole_or_unknown_has_no_parts(parts_lab):
    dserver, uri = parts_lab
    unknown = ask(dserver.alice, uri, [1], "0" * 40)
    assert (unknown.status_code, unknown.json["errors"]["slug"]) == (404, "item-not-found")
    plan = {"uuid": deposit().uuid, "name": "small", "items": [{"relpath": LARGE}]}
    small = dserver.alice.begin(dserver.base_uri, {**plan, "multipart": True}).json["uri"]
    answer = ask(dserver.alice, small, [1])
    assert (answer.status_code, "multipart: true" in answer.json["message"]) == (400, True)


@pytest.mark.parametrize(
    ("item", "multipart", "field", "words"),
    [
        ({"size_in_bytes": 5 * 1024**3 + 1, "hash": "0" * 32}, False, "size", "multipart: true"),
        ({"size_in_bytes": 5 * 1024**4 + 1, "hash": "0" * 32}, True, "size", "can be assembled"),
        ({"size_in_bytes": 5 * 1024**3 + 1}, True, "hash", "is required"),
        ({"size_in_bytes": 5 * 1024**4, "hash": "0" * 32}, True, None, ""),
    ],
)
def test_an_item_that_cannot_be_sent_is_refused_with_what_to_do(
    parts_lab, item, multipart, field, words
):
    dserver, _ = parts_lab
    items = [{"relpath": LARGE, **item}]
    plan = {"uuid": deposit().uuid, "name": "large", "items": items, "multipart": multipart}
    answer = dserver.alice.begin(dserver.base_uri, plan)
    if field is None:
        assert answer.status_code == 200
        [entry] = answer.json["upload_urls"]["items"].values()
        assert (entry["parts"]["count"] <= 10_000, entry["url"]) == (True, None)
        return
    assert answer.status_code == 400
    [name] = answer.json["errors"].keys() - {"slug"}
    assert (name.startswith(f"items.0.{field}"), words in answer.json["message"]) == (True, True)
