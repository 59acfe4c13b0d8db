"""What a call costs: storage requests and database queries, for few items and for many."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from math import ceil
from typing import Any

import pytest
from dtoolcore.utils import generate_identifier

from dserver_signed_url_plugin.cli.pending_upload import pending_upload
from tests.support import parts
from tests.support.azure_accounts import BLOCK_BLOB
from tests.support.clients import CLIENTS, DserverClientJS, DtoolDserver
from tests.support.documentation import text_of
from tests.support.dserver import Account, Bucket, Dserver, encoded
from tests.support.links import shared
from tests.support.proxy import StoreProxy
from tests.support.request_costs import QUERIES, Cost, costs, counted, deposit_of, put_all

# A listing or deletion takes 1,000 keys of a bucket, a listing 5,000 blobs of an account.
FEW, MANY = 10, {Bucket: 1200, Account: 300}
PAGE = 1000
# What one call may ask of each store: with looks at whether what was written is there, and what
# was deleted is gone, but without what grows with the dataset.
REQUESTS = {
    Bucket: {"begin": 7 + 3, "complete": 10, "dataset": 6, "items": 3, "list": 3, "item": 2},
    Account: {"begin": 11, "complete": 11, "dataset": 4, "items": 1, "list": 1, "item": 1},
}
GIVING_UP = {"resume": 2, "status": 1, "dry run": 7, "cleanup": 12}
BEGINNING = REQUESTS[Bucket]["begin"]

DESCRIPTIONS = {
    "tags": ["one", "two"],
    "annotations": {"solvent": "water", "mass": 3, "mixed": [1, {"two": None}]},
}


@pytest.fixture
def dserver(make_dserver, proxy) -> Dserver:
    return make_dserver(**proxy.settings())


@pytest.mark.parametrize(
    ("place", "client"),
    [("bucket", DtoolDserver()), ("bucket", DserverClientJS()), ("account", DtoolDserver())],
    indirect=["place"],
    ids=lambda value: value if isinstance(value, str) else type(value).__name__,
)
def test_costs_do_not_grow_with_the_dataset_where_they_need_not(placed, place_proxy, client):
    most, sizes = REQUESTS[type(placed.place)], (FEW, MANY[type(placed.place)])
    cost = {number: costs(placed, place_proxy, client, number) for number in sizes}
    fixed = []
    for number, calls in cost.items():
        pages = ceil(number / PAGE)
        copies = 0 if type(client) is DtoolDserver else number
        # Copies, deletions, and the listings that verify what was copied.
        growing = {"complete": pages + (copies and copies + 2 * pages)}
        assert calls["complete"].copies == copies
        spent = {name: len(call.requests) - growing.get(name, 0) for name, call in calls.items()}
        assert {name: number for name, number in spent.items() if number > most[name]} == {}
        fixed.append(spent)
    few, many = fixed
    # What a bucket's lifecycle rules say may be remembered from one read to the next.
    remembered = {"dataset": 1} if isinstance(placed.place, Bucket) else {}
    assert few.keys() == many.keys() == most.keys()
    assert all(0 <= few[name] - many[name] <= remembered.get(name, 0) for name in most)
    for call, queries in QUERIES.items():
        of_few, of_many = (cost[number][call].queries for number in sizes)
        assert of_few == of_many
        assert len(of_few) <= queries


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


def test_costs_of_giving_up_do_not_grow_with_the_dataset(make_azure_dserver, azure_proxy):
    dserver = make_azure_dserver(**azure_proxy.settings())
    few, many = (
        costs_of_giving_up(dserver, azure_proxy, number) for number in (FEW, MANY[Account])
    )
    spent = {name: len(cost.requests) for name, cost in few.items()}
    assert {name: len(cost.requests) for name, cost in many.items()} == spent
    assert spent.keys() == GIVING_UP.keys()
    assert {name: most for name, most in GIVING_UP.items() if spent[name] > most} == {}
    assert not any(cost.copies for cost in many.values())


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


def test_a_description_costs_one_request_at_initiation(placed, place_proxy):
    most = REQUESTS[type(placed.place)]
    plain = deposit_of(FEW)
    described = deposit_of(FEW, **DESCRIPTIONS)
    described.more["overlays"] = {
        "kind": {generate_identifier(path): "txt" for path in described.files}
    }
    spent = []
    for deposit in (plain, described):
        with counted(placed, place_proxy) as cost:
            DtoolDserver().begin(placed.alice, placed.base_uri, deposit)
        spent.append(len(cost.requests))
    assert spent[0] <= most["begin"]
    assert spent[1] - spent[0] == 2 + 3 + 1


def test_an_initiation_that_resumes_keeps_to_the_budget(dserver, proxy):
    deposit = deposit_of(FEW)
    DtoolDserver().begin(dserver.alice, dserver.base_uri, deposit)
    with counted(dserver, proxy) as cost:
        DtoolDserver().begin(dserver.alice, dserver.base_uri, deposit)
    assert len(cost.requests) <= BEGINNING


def test_resuming_and_fresh_urls_cost_the_same_for_many_items(dserver, proxy):
    spent = []
    for number in (FEW, PAGE):
        deposit, cost = deposit_of(number), {}
        DtoolDserver().begin(dserver.alice, dserver.base_uri, deposit)
        with counted(dserver, proxy) as cost["resume"]:
            DtoolDserver().begin(dserver.alice, dserver.base_uri, deposit)
        status = f"/signed-urls/upload/{encoded(f'{dserver.base_uri}/{deposit.uuid}')}?urls=true"
        with counted(dserver, proxy) as cost["status"]:
            found = dserver.alice.get(status).json
        assert len(found["upload"]["upload_urls"]["items"]) == number
        calls = cost.values()
        spent.append([(len(call.requests), call.queries) for call in calls])
    assert spent[0] == spent[1]


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


def test_an_upload_that_made_no_use_of_its_headers_costs_one_request_for_each_item(
    make_azure_dserver, azure_proxy, blobs
):
    """dtool finds an item by its metadata, which the server then has to write."""
    dserver, deposit = make_azure_dserver(**azure_proxy.settings()), deposit_of(FEW)
    grant = DtoolDserver().begin(dserver.alice, dserver.base_uri, deposit)
    for item in grant["upload_urls"]["items"].values():
        item["headers"] = BLOCK_BLOB
    put_all(grant, deposit)
    with counted(dserver, azure_proxy) as cost:
        assert dserver.alice.complete(grant["uri"]).status_code == 200
    assert len(cost.requests) <= REQUESTS[Account]["complete"] + 1 + FEW
    found = blobs.list_blobs(deposit.uuid, include="metadata")
    items = {blob.metadata["relpath"] for blob in found if blob.metadata["type"] == "item"}
    assert items == deposit.files.keys()


# Of calls that are not about all items: statements, one of them PostgreSQL's alone, and requests to
# a bucket and to an account.
OTHERS = {
    "GET /signed-urls/upload": (9, 1, 1),
    "DELETE /signed-urls/upload": (24, 16, 11),
    "POST /signed-urls/parts": (13, 1, 1),
    "POST /signed-urls/shares": (7, 1, 1),
    "GET /signed-urls/shares": (4, 0, 0),
    "GET /signed-urls/s": (6, 1, 1),
    "GET /signed-urls/s/<identifier>": (6, 0, 0),
    "GET /signed-urls/audit": (7, 0, 0),
    "GET /signed-urls/health/ready": (7, 0, 0),
    "GET /signed-urls/metrics": (3, 0, 0),
}
ROUTES = {
    "POST /signed-urls/upload": "begin",
    "POST /signed-urls/upload-complete": "complete",
    "GET /signed-urls/dataset": "dataset",
    "POST /signed-urls/items": "items",
    "GET /signed-urls/item": "item",
}


def test_the_page_has_the_budget_of_each_route():
    page = text_of("docs/scaling.rst", "What a request costs")
    rows = re.findall(
        r"   \* - ``(\w+ /.*?)``.*?\n     - (\d+)\n     - (\d+)\n     - (\d+)\n", page
    )
    costs_of_items = {
        route: (QUERIES[name], REQUESTS[Bucket][name], REQUESTS[Account][name])
        for route, name in ROUTES.items()
    }
    shown = {route: tuple(map(int, figures)) for route, *figures in rows}
    assert shown == {**costs_of_items, **OTHERS}


def test_calls_that_are_not_about_all_items_keep_to_the_budget(make_dserver_on, place, place_proxy):
    settings = {**place_proxy.settings(), **parts.SETTINGS, "SIGNED_URL_METRICS": "1"}
    dserver = make_dserver_on(place, **settings)
    registered, begun, parted = deposit_of(FEW), deposit_of(FEW), parts.deposit()
    assert DtoolDserver().upload(dserver.alice, dserver.base_uri, registered).status_code == 200
    uri, pending, divided = (
        f"{dserver.base_uri}/{each.uuid}" for each in (registered, begun, parted)
    )
    for each in (begun, parted):
        DtoolDserver().begin(dserver.alice, dserver.base_uri, each)
    visitor = shared(dserver, uri)
    identifier = generate_identifier(next(iter(registered.files)))
    upload, share = f"/signed-urls/upload/{encoded(pending)}", f"/signed-urls/shares/{encoded(uri)}"
    calls: Sequence[Callable[[], Any]] = (
        lambda: dserver.alice.get(upload),
        lambda: dserver.alice.delete(upload),
        lambda: parts.ask(dserver.alice, divided, [1, 2]),
        lambda: dserver.bob.post(share, json={}),
        lambda: dserver.bob.get("/signed-urls/shares"),
        visitor.open,
        lambda: visitor.download(identifier),
        lambda: dserver.alice.get(f"/signed-urls/audit/{encoded(uri)}"),
        lambda: dserver.nobody.get("/signed-urls/health/ready"),
        lambda: dserver.nobody.get("/signed-urls/metrics"),
    )
    for (name, most), call in zip(OTHERS.items(), calls, strict=True):
        with counted(dserver, place_proxy) as cost:
            assert call().status_code < 400, name
        requests = most[1 if isinstance(place, Bucket) else 2]
        assert (len(cost.queries) < most[0], len(cost.requests) <= requests) == (True, True), name
