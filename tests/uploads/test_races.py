"""Two at once: one wins, the other is told so, and what is registered is what is stored."""

from __future__ import annotations

import json
import threading
from collections import Counter
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from itertools import count
from typing import Any

import pytest
import requests
from dservercore import sql_db
from dtoolcore.utils import generate_identifier
from sqlalchemy import event
from werkzeug.test import TestResponse

from dserver_signed_url_plugin.demo.app import prepare
from tests.support.clients import CLIENTS, Deposit, DtoolDserver, each_client
from tests.support.databases import on_each_database
from tests.support.dserver import Bucket, Dserver, Person, in_capitals
from tests.support.every_step import EVERY_STEP
from tests.support.proxy import Fault, Request, StoreProxy
from tests.support.s3_holdings import check_dataset, check_readme, holdings, verifies
from tests.support.store_fixtures import each_client_and_store

FILES = {"one.txt": b"eins", "two.txt": b"zwei"}
STAGED = CLIENTS[1:]
each_staged = pytest.mark.parametrize("client", STAGED, ids=lambda client: type(client).__name__)


@pytest.fixture
def dserver(make_dserver, proxy) -> Dserver:
    return make_dserver(**proxy.settings())


def at_once(calls: Sequence[Callable[[], TestResponse]]) -> list[TestResponse]:
    """Make all calls at the same moment, each in a thread of its own."""
    start = threading.Barrier(len(calls))

    def make(call: Callable[[], TestResponse]) -> TestResponse:
        start.wait(timeout=30)
        return call()

    with ThreadPoolExecutor(len(calls)) as pool:
        return list(pool.map(make, calls))


def person(dserver: Dserver, name: str) -> Person:
    """Return the person once more: a test client is for one thread."""
    return Person(dserver.app, dserver.tokens[name])


def statuses(answers: Sequence[TestResponse]) -> Counter[int]:
    return Counter(answer.status_code for answer in answers)


def registered(dserver: Dserver, deposit: Deposit) -> bool:
    return dserver.bob.read(f"{dserver.base_uri}/{deposit.uuid}").status_code == 200


@on_each_database
@each_client
def test_eight_initiations_at_once_begin_one_upload(dserver, s3, client):
    deposit = Deposit(FILES)
    plan = client.plan(deposit)
    answers = at_once(
        [lambda: person(dserver, "alice").begin(dserver.base_uri, plan) for _ in range(8)]
    )
    assert set(statuses(answers)) <= {200, 409}
    grants = [answer.json for answer in answers if answer.status_code == 200]
    assert {grant["uri"] for grant in grants} == {f"{dserver.base_uri}/{deposit.uuid}"}

    client.put(grants[-1], deposit)
    assert dserver.alice.complete(grants[0]["uri"]).status_code == 200
    check_dataset(dserver, s3, deposit)


@on_each_database
@each_client_and_store
def test_eight_completions_at_once_register_one_dataset(placed, holdings, client):
    deposit = Deposit(FILES)
    grant = client.begin(placed.alice, placed.base_uri, deposit)
    client.put(grant, deposit)
    answers = at_once([lambda: person(placed, "alice").complete(grant["uri"]) for _ in range(8)])
    assert set(statuses(answers)) <= {200, 409}
    assert statuses(answers)[200] >= 1
    assert all("Retry-After" in answer.headers for answer in answers if answer.status_code == 409)
    holdings.check_dataset(placed, deposit)
    assert holdings.verifies(placed, deposit)


@on_each_database
def test_of_two_people_with_one_uuid_one_wins(placed, holdings):
    for _ in range(5):
        deposit = Deposit(FILES)
        plan = DtoolDserver().plan(deposit)
        names = ["alice", "carol"]
        answers = at_once(
            [
                lambda name=name, plan=plan: person(placed, name).begin(placed.base_uri, plan)
                for name in names
            ]
        )
        assert statuses(answers) == {200: 1, 409: 1}
        won = next(number for number in (0, 1) if answers[number].status_code == 200)
        loser, winner = person(placed, names[1 - won]), person(placed, names[won])
        assert loser.begin(placed.base_uri, plan).status_code == 409
        assert loser.complete(answers[won].json["uri"]).status_code == 403
        DtoolDserver().put(answers[won].json, deposit)
        assert winner.complete(answers[won].json["uri"]).status_code == 200
    holdings.check_dataset(placed, deposit)


@on_each_database
def test_a_uuid_is_pending_at_one_base_uri_only(make_dserver, store, bucket):
    other = Bucket(f"{bucket.name}-other", bucket.endpoint, bucket.access_key, bucket.secret_key)
    store.create_bucket(other.name)
    dserver = make_dserver(**in_capitals(other.settings()))
    prepare(dserver.app, other.base_uri)
    plan = DtoolDserver().plan(Deposit(FILES))
    bases = [dserver.base_uri, other.base_uri]
    answers = at_once(
        [lambda base=base: person(dserver, "alice").begin(base, plan) for base in bases]
    )
    assert statuses(answers) == {200: 1, 409: 1}
    refused = next(answer.json for answer in answers if answer.status_code == 409)
    assert "another base URI" in refused["message"]
    assert refused["errors"] == {"slug": "upload-elsewhere"}


def test_32_uploads_in_parallel_do_not_mix(dserver, s3, dtool_reads):
    deposits = [
        Deposit({"a.txt": b"a%d" % number, f"{number}.txt": b"same"}, name=f"set-{number}")
        for number in range(32)
    ]

    def upload(number: int) -> TestResponse:
        client = CLIENTS[number % len(CLIENTS)]
        return client.upload(person(dserver, "alice"), dserver.base_uri, deposits[number])

    answers = at_once([lambda number=number: upload(number) for number in range(32)])
    assert statuses(answers) == {200: 32}
    for deposit in deposits:
        structure = s3.get_object(Bucket=dserver.bucket.name, Key=f"{deposit.uuid}/structure.json")[
            "Body"
        ].read()
        assert json.loads(structure)["dataset_registration_key"] == f"dtool-{deposit.uuid}"
        check_dataset(dserver, s3, deposit)
    assert all(verifies(dserver, deposit) for deposit in deposits[:3])


class Interruption:
    """Does something once, in the proxy, when dserver makes its k-th request."""

    def __init__(self, proxy: StoreProxy, at: int, act: Callable[[], Any]) -> None:
        self._at, self._act, self._lock = at, act, threading.Lock()
        self.outcome: Any = None
        self.happened = False
        proxy.forget()
        proxy.before = self

    def __call__(self, request: Request) -> Fault | None:
        with self._lock:
            mine = request.number >= self._at and not self.happened
            self.happened = self.happened or mine
        if mine:
            self.outcome = self._act()
        return None


# At every other request it is resumed only, and at the others also put again.
@pytest.mark.parametrize("turn", [0, 1] if EVERY_STEP else [0])
@pytest.mark.parametrize("client", CLIENTS[:2], ids=["pinned", "staged"])
def test_an_initiation_may_be_resumed_while_completion_runs(dserver, proxy, s3, client, turn):
    for at in count(1):
        putting = (at + turn) % 2
        deposit = Deposit(FILES)
        grant = client.begin(dserver.alice, dserver.base_uri, deposit)
        client.put(grant, deposit)

        def resume(deposit: Deposit = deposit, putting: int = putting) -> int:
            again = person(dserver, "alice").begin(dserver.base_uri, client.plan(deposit))
            if again.status_code == 200 and putting:
                client.put(again.json, deposit)
            return again.status_code

        interruption = Interruption(proxy, at, resume)
        done = dserver.alice.complete(grant["uri"])
        proxy.heal()
        if not interruption.happened:
            break
        assert done.status_code == 200, done.json
        assert interruption.outcome in (200, 409)
        check_dataset(dserver, s3, deposit)
    # Registration key apart, which is remembered: listing, README twice, manifest, …
    assert at > 5


@on_each_database
def test_an_initiation_overtaken_by_completion_changes_nothing(dserver, s3):
    client, deposit = DtoolDserver(), Deposit(FILES)
    grant = client.begin(dserver.alice, dserver.base_uri, deposit)
    client.put(grant, deposit)
    done: list[TestResponse] = []

    def complete() -> None:
        done.append(person(dserver, "alice").complete(grant["uri"]))

    def overtake(_connection: Any, _cursor: Any, statement: str, *_: Any) -> None:
        """Complete between the look at the register and the look at the pending uploads."""
        if statement.startswith("SELECT pending_upload") and not overtaking:
            overtaking.append(threading.Thread(target=complete))
            overtaking[0].start()
            overtaking[0].join(timeout=30)

    overtaking: list[threading.Thread] = []
    with dserver.app.app_context():
        event.listen(sql_db.engine, "before_cursor_execute", overtake)
    late = dserver.alice.begin(dserver.base_uri, client.plan(deposit))
    assert ([answer.status_code for answer in done], late.status_code) == ([200], 409)
    check_dataset(dserver, s3, deposit)
    again = dserver.carol.begin(dserver.base_uri, client.plan(deposit))
    assert "registered already" in again.json["message"]


@pytest.mark.parametrize("heeded", [True, False], ids=["copy-conditional", "condition-ignored"])
@each_staged
def test_a_rewrite_between_verification_and_promotion_is_noticed(
    dserver, proxy, s3, client, heeded
):
    deposit = Deposit(FILES)
    grant = client.begin(dserver.alice, dserver.base_uri, deposit)
    client.put(grant, deposit)
    item = grant["upload_urls"]["items"][generate_identifier("one.txt")]
    rewritten = threading.Event()

    def rewrite(request: Request) -> None:
        if not request.is_copy:
            return
        if not heeded:
            # As a store that does not hold a copy to its condition.
            request.headers.pop("x-amz-copy-source-if-match", None)
        if not rewritten.is_set() and generate_identifier("one.txt") in request.target:
            rewritten.set()
            assert requests.put(item["url"], data=b"EINS", timeout=30).ok

    proxy.before = rewrite
    refused = dserver.alice.complete(grant["uri"])
    assert rewritten.is_set()
    proxy.heal()
    assert refused.status_code == 400
    errors = refused.json["errors"]
    named = [*errors["missing"], *(entry["relpath"] for entry in errors["mismatched"])]
    assert named == ["one.txt"]
    assert not registered(dserver, deposit)

    client.put(grant, deposit)
    assert dserver.alice.complete(grant["uri"]).status_code == 200
    check_dataset(dserver, s3, deposit)


@each_client
def test_a_readme_rewritten_at_every_moment_is_registered_as_it_is_stored(
    dserver, proxy, s3, client
):
    deposit = Deposit(FILES)
    grant = client.begin(dserver.alice, dserver.base_uri, deposit)
    client.put(grant, deposit)
    numbers = count(1)

    def rewrite(_: Request) -> None:
        text = f"---\nnumber: {next(numbers)}\n"
        assert requests.put(grant["upload_urls"]["readme"], data=text, timeout=30).ok

    proxy.before = rewrite
    assert dserver.alice.complete(grant["uri"]).status_code == 200
    assert next(numbers) > 5
    proxy.heal()
    rewrite(Request(0, "", "", {}))
    check_readme(dserver, holdings(s3, dserver.bucket, deposit.uuid), deposit, None)
    check_dataset(dserver, s3, deposit, readme=None)
