"""The store fails in the middle: a sentence within seconds, and the call repeated works."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from itertools import count
from time import monotonic

import pytest
from dtoolcore.utils import generate_identifier
from werkzeug.test import TestResponse

from tests.support.clients import Deposit, DserverClientJS, DtoolDserver, RelpathsOnly
from tests.support.dserver import Dserver
from tests.support.every_step import EVERY_STEP
from tests.support.logged_secrets import kept_out_of_the_log
from tests.support.proxy import Fault
from tests.support.refusals import assert_store_unavailable
from tests.support.store_fixtures import Holdings

FILE = {"one.txt": b"eins"}
FILES = {**FILE, "two.txt": b"zwei"}
DESCRIPTIONS = {"tags": ["tag"], "annotations": {"a": 1}}
ONE = generate_identifier("one.txt")
FOREVER = 1_000_000
PATIENCE = 10  # seconds, on a busy machine

Call = Callable[[], TestResponse]


@pytest.fixture(autouse=True)
def _no_secret_is_logged(caplog, place) -> Iterator[None]:
    with kept_out_of_the_log(place, caplog):
        yield


def reading(dserver: Dserver, client: DtoolDserver, deposit: Deposit) -> Call:
    if dserver.alice.complete(f"{dserver.base_uri}/{deposit.uuid}").status_code != 200:
        assert client.upload(dserver.alice, dserver.base_uri, deposit).status_code == 200
    return lambda: dserver.bob.read(f"{dserver.base_uri}/{deposit.uuid}")


def reading_an_item(dserver: Dserver, client: DtoolDserver, deposit: Deposit) -> Call:
    reading(dserver, client, deposit)
    return lambda: dserver.bob.read_item(f"{dserver.base_uri}/{deposit.uuid}", ONE)


def beginning(dserver: Dserver, client: DtoolDserver, deposit: Deposit) -> Call:
    return lambda: dserver.alice.begin(dserver.base_uri, client.plan(deposit))


def completing(dserver: Dserver, client: DtoolDserver, deposit: Deposit) -> Call:
    grant = client.begin(dserver.alice, dserver.base_uri, deposit)
    client.put(grant, deposit)
    return lambda: dserver.alice.complete(grant["uri"])


def finish(dserver: Dserver, client: DtoolDserver, deposit: Deposit, holdings: Holdings) -> None:
    """Go through with the upload, if it is not done yet, and look at the dataset."""
    reading(dserver, client, deposit)
    holdings.check_dataset(dserver, deposit)


def named(value: object) -> str:
    return getattr(
        value, "__name__", str(value) if isinstance(value, str | int) else type(value).__name__
    )


# The first request that is refused, and the distance to the next.
EACH = (1, 1)
# Items of both are staged: each has every other request refused.
ODD, EVEN = (EACH, EACH) if EVERY_STEP else ((1, 2), (2, 2))


@pytest.mark.parametrize(
    ("place", "call", "client", "refusals", "least"),
    [
        ("bucket", reading, DtoolDserver(), EACH, 4),
        ("bucket", reading_an_item, DtoolDserver(), EACH, 1),
        ("bucket", beginning, DtoolDserver(), EACH, 7),
        ("bucket", completing, DtoolDserver(), EACH, 7),
        ("bucket", completing, DserverClientJS(), ODD, 10),
        ("bucket", completing, RelpathsOnly(), EVEN, 11),
        ("account", reading, DtoolDserver(), EACH, 4),
        ("account", reading_an_item, DtoolDserver(), EACH, 1),
        ("account", beginning, DtoolDserver(), EACH, 8),
        ("account", completing, DtoolDserver(), EACH, 8),
    ],
    indirect=["place"],
    ids=named,
)
def test_a_call_that_the_store_refused_at_any_request_can_be_repeated(
    placed, place_proxy, holdings, call, client, refusals, least
):
    for at in count(*refusals):
        deposit = Deposit(FILE, more=DESCRIPTIONS)
        act = call(placed, client, deposit)
        place_proxy.fail(Fault.REFUSED, at)
        answer = act()
        refused = place_proxy.requests[at - 1 : at]
        place_proxy.heal()
        if not refused:
            assert answer.status_code == 200
            break
        if "?lifecycle" in refused[0].target:
            # A server that may not read the rules goes without them.
            assert answer.status_code == 200
            continue
        if refused[0].is_copy:
            # It is repeated by botocore, which would know what a lasting refusal means.
            assert answer.status_code == 200
            continue
        assert_store_unavailable(placed, answer)
        assert act().status_code == 200
        finish(placed, client, deposit, holdings)
    finish(placed, client, deposit, holdings)
    assert holdings.verifies(placed, deposit)
    assert at > least


@pytest.mark.parametrize("fault", [Fault.AWAY, Fault.DROPPED])
@pytest.mark.parametrize(
    ("place", "client", "call", "at"),
    [
        ("bucket", DserverClientJS(), reading, 1),
        ("bucket", DserverClientJS(), reading_an_item, 1),
        ("bucket", DserverClientJS(), beginning, 2),
        ("bucket", DserverClientJS(), completing, 5),
        ("account", DtoolDserver(), reading_an_item, 1),
        ("account", DtoolDserver(), beginning, 4),
        ("account", DtoolDserver(), completing, 5),
    ],
    indirect=["place"],
    ids=named,
)
def test_a_call_during_which_the_store_went_away_is_answered_soon_and_can_be_repeated(
    placed, place_proxy, holdings, client, fault, call, at
):
    deposit = Deposit(FILES)
    act = call(placed, client, deposit)
    place_proxy.fail(fault, at, until=FOREVER)
    started = monotonic()
    assert_store_unavailable(placed, act())
    assert monotonic() - started < PATIENCE
    place_proxy.heal()
    assert act().status_code == 200
    finish(placed, client, deposit, holdings)


def test_one_dropped_connection_is_not_worth_a_word(placed, place_proxy, holdings):
    deposit = Deposit(FILES)
    act = completing(placed, DtoolDserver(), deposit)
    place_proxy.fail(Fault.DROPPED, at=3)
    assert act().status_code == 200
    holdings.check_dataset(placed, deposit)


def test_a_completion_cut_off_anywhere_leaves_a_dataset_or_none(placed, place_proxy, holdings):
    """What was asked is done, but no answer arrives, from one request on."""
    deposit = Deposit(FILES)
    act = completing(placed, DtoolDserver(), deposit)
    kinds = []
    for at in count(1):
        place_proxy.forget()
        place_proxy.after = lambda request, at=at: Fault.REFUSED if request.number >= at else None
        answer = act()
        place_proxy.heal()
        with placed.app.app_context():
            kinds.append(placed.storage.uploads.dataset_type(deposit.uuid))
        if answer.status_code == 200:
            break
        assert answer.status_code == 502
    assert kinds == sorted(kinds, reverse=True)
    assert set(kinds) == {"protodataset", "dataset"}
    holdings.check_dataset(placed, deposit)
    assert holdings.verifies(placed, deposit)
