"""What a call costs: storage requests and database queries, for few items and for many."""

from __future__ import annotations

from math import ceil

import pytest
from dtoolcore.utils import generate_identifier

from tests.support.clients import CLIENTS, DtoolDserver, each_client
from tests.support.dserver import Dserver
from tests.support.request_costs import QUERIES, Cost, costs, counted, deposit_of

# More than the 1,000 keys that one listing or deletion takes.
FEW, MANY = 10, 1200
# What begins an upload, with three looks at whether what was written is there.
BEGINNING = 7 + 3

DESCRIPTIONS = {
    "tags": ["one", "two"],
    "annotations": {"solvent": "water", "mass": 3, "mixed": [1, {"two": None}]},
}


@pytest.fixture
def dserver(make_dserver, proxy) -> Dserver:
    return make_dserver(**proxy.settings())


@each_client
def test_costs_do_not_grow_with_the_dataset_where_they_need_not(dserver, proxy, client):
    cost = {number: costs(dserver, proxy, client, number) for number in (FEW, MANY)}

    for number, calls in cost.items():
        pages = ceil(number / 1000)
        copies = 0 if type(client) is DtoolDserver else number
        # Copies, deletions, and the listings that verify what was copied; and what is fixed.
        budget = 10 + pages + (copies and copies + 2 * pages)
        assert calls["complete"].copies == copies
        assert len(calls["complete"].requests) <= budget
        assert len(calls["begin"].requests) <= BEGINNING
        assert len(calls["dataset"].requests) <= 6
        assert len(calls["item"].requests) <= 2
    for call, most in QUERIES.items():
        few, many = (cost[number][call].queries for number in (FEW, MANY))
        assert few == many
        assert len(few) <= most


def test_a_read_that_remembers_nothing_keeps_to_the_budget(make_dserver, proxy):
    cost: dict[str, Cost] = {}
    deposit = deposit_of(FEW, **DESCRIPTIONS)
    first = make_dserver(**proxy.settings())
    assert DtoolDserver().upload(first.alice, first.base_uri, deposit).status_code == 200
    # The same dserver in another process: what is registered is in the database.
    database = first.app.config["SQLALCHEMY_DATABASE_URI"]
    fresh = make_dserver(**proxy.settings(), SQLALCHEMY_DATABASE_URI=database)
    with counted(fresh, proxy) as cost["dataset"]:
        answer = fresh.bob.read(f"{fresh.base_uri}/{deposit.uuid}")
    assert (answer.status_code, len(answer.json["tags"])) == (200, len(DESCRIPTIONS["tags"]))
    assert 1 <= len(cost["dataset"].requests) <= 6


def test_a_read_where_the_store_deletes_costs_a_listing(dserver, proxy, s3):
    deposit = deposit_of(FEW)
    assert DtoolDserver().upload(dserver.alice, dserver.base_uri, deposit).status_code == 200
    rule = {"ID": "a", "Status": "Enabled", "Filter": {"Prefix": ""}, "Expiration": {"Days": 1}}
    s3.put_bucket_lifecycle_configuration(
        Bucket=dserver.bucket.name, LifecycleConfiguration={"Rules": [rule]}
    )
    uri, most = f"{dserver.base_uri}/{deposit.uuid}", {"expiry_seconds": 604_800}
    with counted(dserver, proxy) as cost:
        assert dserver.bob.read(uri, **most).json["expiry_limited_by"] == "lifecycle"
    assert len(cost.requests) <= 5 + 1 + 2
    with counted(dserver, proxy) as cost:
        read = dserver.bob.read_item(uri, generate_identifier(next(iter(deposit.files))), **most)
    assert read.json["expiry_limited_by"] == "lifecycle"
    assert len(cost.requests) <= 1 + 1 + 1


def test_a_description_costs_one_request_at_initiation(dserver, proxy):
    plain = deposit_of(FEW)
    described = deposit_of(FEW, **DESCRIPTIONS)
    described.more["overlays"] = {
        "kind": {generate_identifier(path): "txt" for path in described.files}
    }
    spent = []
    for deposit in (plain, described):
        with counted(dserver, proxy) as cost:
            DtoolDserver().begin(dserver.alice, dserver.base_uri, deposit)
        spent.append(len(cost.requests))
    assert spent[0] <= BEGINNING
    assert spent[1] - spent[0] == 2 + 3 + 1


def test_an_initiation_that_resumes_keeps_to_the_budget(dserver, proxy):
    deposit = deposit_of(FEW)
    DtoolDserver().begin(dserver.alice, dserver.base_uri, deposit)
    with counted(dserver, proxy) as cost:
        DtoolDserver().begin(dserver.alice, dserver.base_uri, deposit)
    assert len(cost.requests) <= BEGINNING


@pytest.mark.parametrize("client", CLIENTS[:2], ids=lambda client: type(client).__name__)
def test_a_completion_by_another_worker_keeps_to_the_budget(make_dserver, proxy, client):
    first = make_dserver(**proxy.settings())
    deposit = deposit_of(FEW)
    client.put(client.begin(first.alice, first.base_uri, deposit), deposit)
    database = first.app.config["SQLALCHEMY_DATABASE_URI"]
    fresh = make_dserver(**proxy.settings(), SQLALCHEMY_DATABASE_URI=database)
    with counted(fresh, proxy) as cost:
        assert fresh.alice.complete(f"{fresh.base_uri}/{deposit.uuid}").status_code == 200
    staged = 0 if type(client) is DtoolDserver else FEW + 1 + 1
    assert len(cost.requests) <= 10 + 1 + staged
