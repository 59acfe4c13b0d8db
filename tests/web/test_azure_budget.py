"""What a call costs in Azure: storage requests and database queries, for few items and for many."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from dserver_signed_url_plugin.cli.pending_upload import pending_upload
from tests.support.azure_accounts import BLOCK_BLOB
from tests.support.clients import DtoolDserver
from tests.support.dserver import Dserver, encoded
from tests.support.proxy import StoreProxy
from tests.support.request_costs import QUERIES, Cost, costs, counted, deposit_of, put_all

# A listing has 5,000 blobs a page.
FEW, MANY = 10, 300
# What one call may ask of the store.
# With a look at what was written, and whether what was deleted is gone.
REQUESTS = {"begin": 11, "complete": 12, "dataset": 4, "item": 1}
REQUESTS |= {"resume": 2, "status": 1, "dry run": 5, "cleanup": 11}

DESCRIPTIONS = {
    "tags": ["one", "two"],
    "annotations": {"solvent": "water", "mass": 3, "mixed": [1, {"two": None}]},
}


@pytest.fixture
def dserver(make_azure_dserver, azure_proxy) -> Dserver:
    return make_azure_dserver(**azure_proxy.settings())


def costs_of_giving_up(dserver: Dserver, proxy: StoreProxy, number: int) -> dict[str, Cost]:
    """Resume an upload, look at it and clean it up; return the cost of each call."""
    deposit, client = deposit_of(number), DtoolDserver()
    cost: dict[str, Cost] = {}

    def call(name: str, act: Callable[[], Any]) -> Any:
        with counted(dserver, proxy) as cost[name]:
            return act()

    def clean_up(*more: str) -> int:
        command = ["cleanup", "--older-than", "0", "--delete-storage", "--force", *more]
        return dserver.app.test_cli_runner().invoke(pending_upload, command).exit_code

    grant = client.begin(dserver.alice, dserver.base_uri, deposit)
    put_all(grant, deposit)
    call("resume", lambda: client.begin(dserver.alice, dserver.base_uri, deposit))
    status = f"/signed-urls/upload/{encoded(grant['uri'])}"
    found = call("status", lambda: dserver.alice.get(status)).json
    assert found["items"]["stored"] == number
    assert call("dry run", lambda: clean_up("--dry-run")) == 0
    assert call("cleanup", clean_up) == 0
    assert dserver.alice.get(status).status_code == 404
    return cost


def test_costs_do_not_grow_with_the_dataset(dserver, azure_proxy):
    few, many = (
        {
            **costs(dserver, azure_proxy, DtoolDserver(), number),
            **costs_of_giving_up(dserver, azure_proxy, number),
        }
        for number in (FEW, MANY)
    )
    spent = {name: len(cost.requests) for name, cost in few.items()}
    assert {name: len(cost.requests) for name, cost in many.items()} == spent
    assert spent.keys() == REQUESTS.keys()
    assert {name: most for name, most in REQUESTS.items() if spent[name] > most} == {}
    assert not any(cost.copies for cost in many.values())
    for call, most in QUERIES.items():
        assert few[call].queries == many[call].queries
        assert len(few[call].queries) <= most


def test_a_description_costs_one_request_at_initiation(dserver, azure_proxy):
    spent = []
    for described in ({}, DESCRIPTIONS):
        with counted(dserver, azure_proxy) as cost:
            DtoolDserver().begin(dserver.alice, dserver.base_uri, deposit_of(FEW, **described))
        spent.append(len(cost.requests))
    assert spent[1] - spent[0] == 2 + 3


def test_an_upload_that_made_no_use_of_its_headers_costs_one_request_for_each_item(
    dserver, azure_proxy, blobs
):
    """dtool finds an item by its metadata, which the server then has to write."""
    deposit = deposit_of(FEW)
    grant = DtoolDserver().begin(dserver.alice, dserver.base_uri, deposit)
    for item in grant["upload_urls"]["items"].values():
        item["headers"] = BLOCK_BLOB
    put_all(grant, deposit)
    with counted(dserver, azure_proxy) as cost:
        assert dserver.alice.complete(grant["uri"]).status_code == 200
    assert len(cost.requests) <= REQUESTS["complete"] + FEW
    found = blobs.list_blobs(deposit.uuid, include="metadata")
    items = {blob.metadata["relpath"] for blob in found if blob.metadata["type"] == "item"}
    assert items == deposit.files.keys()
