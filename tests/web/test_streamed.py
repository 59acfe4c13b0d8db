"""Answers that are written while they are sent."""

from __future__ import annotations

import json
from collections.abc import Iterator
from itertools import chain

import pytest
from dtoolcore.utils import generate_identifier

from dserver_signed_url_plugin.web.streamed import (
    Members,
    json_response,
    ndjson_response,
    text_response,
)
from tests.support.clients import Deposit, DtoolDserver
from tests.support.dserver import encoded

MANY = 2000


@pytest.mark.parametrize("number", [0, 1, 128, 129, MANY])
def test_members_are_written_where_they_stand(number):
    large = {f"name {index}": {"url": "x" * 300, "ü": [index]} for index in range(number)}
    small = {'"quoted"\n': None}
    document = {
        "before": 1,
        "inner": {"large": Members(large.items()), "none": Members({}.items())},
        "list": [Members(small.items()), "after"],
    }
    expected = {"before": 1, "inner": {"large": large, "none": {}}, "list": [small, "after"]}
    assert json.loads(json_response(document).get_data()) == expected


def test_a_short_answer_has_a_length_and_a_long_one_is_made_while_it_is_sent():
    made = []

    def pairs(number: int) -> Iterator[tuple[str, str]]:
        for index in range(number):
            made.append(index)
            yield str(index), "x" * 1000

    assert json_response(Members(pairs(10))).content_length > 10 * 1000
    made.clear()
    long = json_response(Members(pairs(MANY)))
    assert long.content_length is None
    assert len(made) < 300
    assert len(json.loads(long.get_data())) == MANY


@pytest.mark.parametrize(
    "respond",
    [
        lambda texts: ndjson_response("head", texts),
        lambda texts: text_response(f'"{text}"\n' for text in chain(["head"], texts)),
    ],
    ids=["ndjson", "text"],
)
def test_lines_are_made_while_they_are_sent(respond):
    made = []

    def texts() -> Iterator[str]:
        for index in range(MANY):
            made.append(index)
            yield "x" * 1000

    response = respond(texts())
    chunks = response.iter_encoded()
    assert response.content_length is None
    beginning = next(chunks)
    assert 0 < len(made) < 300
    lines = (beginning + b"".join(chunks)).splitlines()
    assert list(map(json.loads, lines)) == ["head", *["x" * 1000] * MANY]


def test_what_fails_at_its_beginning_is_an_error_and_no_broken_answer():
    def pairs() -> Iterator[tuple[str, str]]:
        raise RuntimeError
        yield

    with pytest.raises(RuntimeError):
        json_response({"items": Members(pairs())})
    with pytest.raises(TypeError, match="object in an answer"):
        json_response({"items": object()})


def test_a_client_that_reads_slowly_holds_no_lease(dserver):
    deposit = Deposit({f"{index}.txt": b"%d" % index for index in range(MANY)})
    path = f"/signed-urls/upload/{encoded(dserver.base_uri)}"
    plan = DtoolDserver().plan(deposit)
    answer = dserver.alice.post(path, plan, buffered=False)
    chunks = answer.iter_encoded()
    beginning = next(chunks)
    # Now it waits, and the same upload is worked on by others.
    uri = f"{dserver.base_uri}/{deposit.uuid}"
    assert dserver.alice.begin(dserver.base_uri, plan).status_code == 200
    progress = dserver.alice.get(f"/signed-urls/upload/{encoded(uri)}?urls=true")
    assert len(progress.json["upload"]["upload_urls"]["items"]) == MANY
    identifiers = {generate_identifier(relpath) for relpath in deposit.files}
    document = json.loads(beginning + b"".join(chunks))
    assert document["upload_urls"]["items"].keys() == identifiers
