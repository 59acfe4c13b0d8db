"""What one person may have pending; others, and what they resume, are not hindered by it."""

from __future__ import annotations

import json
from concurrent.futures import ThreadPoolExecutor, wait
from typing import Any

import pytest
from dservercore import sql_db
from sqlalchemy import event

from dserver_signed_url_plugin.cli.pending_upload import pending_upload
from tests.support.clients import Deposit, DtoolDserver, RelpathsOnly
from tests.support.databases import on_each_database
from tests.support.dserver import Dserver, Person, encoded
from tests.support.refusals import assert_refused, nothing_is_written

pytestmark = on_each_database

CLIENT = DtoolDserver()
FILES = {"one.txt": b"eins"}


def begin(person: Person, dserver: Dserver, deposit: Deposit | None = None) -> Any:
    return person.begin(dserver.base_uri, CLIENT.plan(deposit or Deposit(FILES)))


def listed(dserver: Dserver, *options: str) -> str:
    command = ["list", "--by-person", *options]
    result = dserver.app.test_cli_runner().invoke(pending_upload, command)
    assert result.exit_code == 0, result.output
    return result.stdout


def test_nobody_has_more_uploads_pending_than_the_server_allows(make_dserver):
    dserver = make_dserver(SIGNED_URL_MAX_PENDING=2)
    first, second = Deposit(FILES), Deposit(FILES)
    for deposit in (first, second):
        assert begin(dserver.alice, dserver, deposit).status_code == 200
    with nothing_is_written(dserver):
        refused = begin(dserver.alice, dserver)
        assert_refused(refused, 409, "SIGNED_URL_MAX_PENDING", "2", "cancel")
        assert "Retry-After" not in refused.headers
    # Her own go on, and so does everybody else.
    assert begin(dserver.alice, dserver, first).status_code == 200
    assert begin(dserver.carol, dserver).status_code == 200

    assert dserver.alice.delete(upload(dserver, second)).status_code == 200
    CLIENT.put(begin(dserver.alice, dserver, first).json, first)
    assert begin(dserver.alice, dserver).status_code == 200
    assert_refused(begin(dserver.alice, dserver), 409, "SIGNED_URL_MAX_PENDING")
    assert dserver.alice.complete(f"{dserver.base_uri}/{first.uuid}").status_code == 200
    assert begin(dserver.alice, dserver).status_code == 200


def upload(dserver: Dserver, deposit: Deposit) -> str:
    return f"/signed-urls/upload/{encoded(f'{dserver.base_uri}/{deposit.uuid}')}"


def test_beginning_and_cancelling_does_not_fill_the_table(make_dserver):
    dserver = make_dserver(SIGNED_URL_MAX_PENDING=1)
    for _ in range(10):
        deposit = Deposit(FILES)
        assert begin(dserver.alice, dserver, deposit).status_code == 200
        assert dserver.alice.delete(upload(dserver, deposit)).status_code == 200
    assert_refused(begin(dserver.alice, dserver), 409, "cancelled not long ago")


def test_beginning_again_what_was_cancelled_counts_like_the_first_time(make_dserver):
    dserver = make_dserver(SIGNED_URL_MAX_PENDING_BYTES=10, SIGNED_URL_MAX_PENDING=2)
    deposits = [Deposit({"six.txt": b"sechs!"}) for _ in range(3)]
    for deposit in deposits:
        assert begin(dserver.alice, dserver, deposit).status_code == 200
        assert dserver.alice.delete(upload(dserver, deposit)).status_code == 200
    assert begin(dserver.alice, dserver, deposits[0]).status_code == 200
    for deposit in deposits[1:]:
        refused = begin(dserver.alice, dserver, deposit)
        assert_refused(refused, 409, "SIGNED_URL_MAX_PENDING_BYTES", "6 bytes", "6 more", "10")
    # Nobody is left holding it.
    assert dserver.alice.delete(upload(dserver, deposits[0])).status_code == 200
    assert begin(dserver.alice, dserver, deposits[1]).status_code == 200


def test_nobody_has_more_bytes_pending_than_the_server_allows(make_dserver):
    dserver = make_dserver(SIGNED_URL_MAX_PENDING_BYTES=10)
    first = Deposit({"six.txt": b"sechs!"})
    assert begin(dserver.alice, dserver, first).status_code == 200
    with nothing_is_written(dserver):
        refused = begin(dserver.alice, dserver, Deposit({"five.txt": b"fuenf"}))
        assert_refused(refused, 409, "SIGNED_URL_MAX_PENDING_BYTES", "6 bytes", "5 more", "10")
        unsaid = dserver.alice.begin(dserver.base_uri, RelpathsOnly().plan(Deposit(FILES)))
        assert_refused(unsaid, 409, "SIGNED_URL_MAX_PENDING_BYTES", "size_in_bytes")
    assert begin(dserver.alice, dserver, first).status_code == 200
    assert begin(dserver.alice, dserver, Deposit({"four.txt": b"vier"})).status_code == 200
    assert begin(dserver.carol, dserver, Deposit({"ten.txt": b"zehn Byte!"})).status_code == 200


def test_the_most_that_may_be_allowed_allows_uploads(make_dserver):
    most = dict.fromkeys(
        ("SIGNED_URL_MAX_PENDING", "SIGNED_URL_MAX_PENDING_BYTES", "SIGNED_URL_MAX_BODY_BYTES"),
        10**17,
    )
    dserver = make_dserver(**most, SIGNED_URL_MAX_ITEMS=10**17, SIGNED_URL_STORAGE_SECONDS=3600)
    assert begin(dserver.alice, dserver, Deposit(FILES)).status_code == 200


def test_many_bytes_are_counted_without_an_overflow(make_dserver):
    dserver = make_dserver(SIGNED_URL_MAX_PENDING_BYTES=10**17)
    item = {"relpath": "a", "size_in_bytes": 5 * 1024**3, "hash": "0" * 32}
    items = [{**item, "relpath": str(number)} for number in range(1000)]
    for _ in range(3):
        plan = {**CLIENT.plan(Deposit()), "items": items}
        assert dserver.alice.begin(dserver.base_uri, plan).status_code == 200
    assert f"alice: 3 uploads, {3 * 1000 * 5 * 1024**3:,} bytes" in listed(dserver)


def test_those_who_begin_at_once_do_not_pass_by_much(make_dserver):
    dserver = make_dserver(SIGNED_URL_MAX_PENDING=5)

    def knock(_: int) -> int:
        return begin(Person(dserver.app, dserver.tokens["alice"]), dserver).status_code

    threads = 4
    with ThreadPoolExecutor(threads) as pool:
        statuses = list(pool.map(knock, range(16)))
    assert set(statuses) <= {200, 409, 503}
    assert 5 <= statuses.count(200) <= 5 + threads


def test_of_two_that_were_cancelled_and_are_begun_again_at_once_one_exceeds_the_bytes(make_dserver):
    dserver = make_dserver(SIGNED_URL_MAX_PENDING_BYTES=10)
    first, second = (Deposit({"six.txt": b"sechs!"}) for _ in range(2))
    for deposit in (first, second):
        assert begin(dserver.alice, dserver, deposit).status_code == 200
        assert dserver.alice.delete(upload(dserver, deposit)).status_code == 200
    other, answers = Person(dserver.app, dserver.tokens["alice"]), []

    def begin_beside(_connection: Any, _cursor: Any, statement: str, *_: Any) -> None:
        if statement.startswith("UPDATE pending_upload SET state=") and not answers:
            answers.append(pool.submit(begin, other, dserver, second))
            # Long enough to get to where it has to wait; the outcome does not depend on it.
            wait(answers, timeout=0.5)

    with ThreadPoolExecutor(1) as pool, dserver.app.app_context():
        event.listen(sql_db.engine, "before_cursor_execute", begin_beside)
        statuses = [begin(dserver.alice, dserver, first).status_code]
        event.remove(sql_db.engine, "before_cursor_execute", begin_beside)
    statuses += [answer.result().status_code for answer in answers]
    assert sorted(statuses) == [200, 409]


def test_operators_see_who_has_how_much_pending(make_dserver):
    dserver = make_dserver()
    assert listed(dserver) == "No pending uploads found.\n"
    assert json.loads(listed(dserver, "--json")) == []
    for person, content in ((dserver.alice, b"12345"), (dserver.alice, b"6"), (dserver.carol, b"")):
        assert begin(person, dserver, Deposit({"a.txt": content})).status_code == 200
    dserver.alice.begin(dserver.base_uri, RelpathsOnly().plan(Deposit(FILES)))
    alice, carol = listed(dserver).splitlines()
    assert alice.startswith("alice: 3 uploads, 6 bytes announced, oldest 20")
    assert carol.startswith("carol: 1 upload, 0 bytes announced, oldest 20")
    found = json.loads(listed(dserver, "--json"))
    assert [(use["uploader"], use["uploads"], use["size_in_bytes"]) for use in found] == [
        ("alice", 3, 6),
        ("carol", 1, 0),
    ]


@pytest.mark.parametrize("name", ["SIGNED_URL_MAX_PENDING", "SIGNED_URL_MAX_PENDING_BYTES"])
@pytest.mark.parametrize("value", ["-1", "many", "1.5"])
def test_a_limit_that_is_none_stops_dserver(make_dserver, name, value):
    with pytest.raises(Exception, match=name):
        make_dserver(**{name: value})
