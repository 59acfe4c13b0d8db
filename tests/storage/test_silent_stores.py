"""Stores that take connections and do not answer: every call ends in time, and others go on."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
import threading
from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from statistics import median
from time import monotonic
from typing import Any
from urllib.parse import quote

import dservercore.utils
import pytest
import requests
from dservercore import sql_db
from werkzeug.test import TestResponse

from dserver_signed_url_plugin.demo.app import DEPOSITORS, SEARCHERS, SETTINGS_VARIABLE
from dserver_signed_url_plugin.demo.server import FACTORY, GUNICORN_SETTINGS
from tests.support.answering_server import Answer, Answering
from tests.support.clients import Deposit, DserverClientJS, DtoolDserver
from tests.support.dserver import Account, Dserver, in_capitals
from tests.support.proxy import Fault, Request
from tests.support.refusals import assert_refused
from tests.support.s3_holdings import check_dataset
from tests.support.silent_servers import KEY, Manner, silent

SECONDS = 1
# What a call may take beyond the time for its store, here, where many tests run at once. Without
# that time, requests would end after 15 (Azure) or 60 seconds (S3).
MORE = 10
UUID = "550e8400-e29b-41d4-a716-446655440000"
FILES = {"one.txt": b"eins", "two.txt": b"zwei"}


def register(dserver: Dserver, base_uri: str) -> str:
    """Let dserver know of a dataset, of which nobody has asked the store; return its URI."""
    uri = f"{base_uri}/{UUID}"
    with dserver.app.app_context():
        if not dservercore.utils.base_uri_exists(base_uri):
            dservercore.utils.register_base_uri(base_uri)
            everything = {
                "users_with_search_permissions": SEARCHERS,
                "users_with_register_permissions": DEPOSITORS,
            }
            dservercore.utils.register_permissions(base_uri, everything)
        info = {
            "uuid": UUID, "type": "dataset", "name": "n", "uri": uri, "base_uri": base_uri,
            "readme": "", "manifest": {"items": {}}, "creator_username": "alice", "tags": [],
            "frozen_at": 1.7e9, "created_at": 1.7e9, "annotations": {}, "number_of_items": 0,
            "size_in_bytes": 0,
        }  # fmt: skip
        dservercore.utils.register_dataset(info)
    return uri


def check_away(answer: TestResponse, seconds: float, most: float = SECONDS + MORE) -> None:
    assert_refused(answer, 502, "The store of ", "call again")
    assert int(answer.headers["Retry-After"]) >= 1
    assert seconds < most


def timed(act: Callable[[], TestResponse]) -> tuple[TestResponse, float]:
    began = monotonic()
    return act(), monotonic() - began


def calls(dserver: Dserver, uri: str) -> list[Callable[[], TestResponse]]:
    plan = DtoolDserver().plan(Deposit(FILES))
    return [
        lambda: dserver.bob.read(uri),
        lambda: dserver.bob.read_item(uri, "0" * 40),
        lambda: dserver.alice.begin(dserver.base_uri, plan),
    ]


@pytest.mark.parametrize("manner", Manner)
@pytest.mark.parametrize("kind", ["bucket", "account"])
def test_every_call_to_a_silent_store_ends_in_time(make_dserver_on, kind, manner):
    with silent(manner) as store:
        place = getattr(store, kind)()
        for number in range(3):
            # A process that has not asked this store before.
            dserver = make_dserver_on(place, SIGNED_URL_STORAGE_SECONDS=SECONDS)
            act = calls(dserver, register(dserver, place.base_uri))[number]
            check_away(*timed(act))


def test_once_a_store_is_away_calls_are_refused_without_asking_it(make_dserver_on):
    with Answering([Answer(status=0)]) as store:
        place = Account("away", f"{store.endpoint}/away", KEY)
        # A sixth of it is the time for which nobody asks.
        dserver = make_dserver_on(place, SIGNED_URL_STORAGE_SECONDS=120)
        uri = register(dserver, dserver.base_uri)
        while "at the moment" not in (answer := dserver.bob.read_item(uri, "0" * 40)).text:
            check_away(answer, 0)
        asked = len(store.asked)
        for act in calls(dserver, uri):
            # Not the twelve seconds for which calls wait for a first answer.
            check_away(*timed(act), most=6)
        assert len(store.asked) == asked


def test_a_store_that_is_back_is_asked_again(make_dserver, proxy, s3):
    dserver = make_dserver(**proxy.settings(), SIGNED_URL_STORAGE_SECONDS=4)
    deposit, never = Deposit(FILES), threading.Event()
    uri = DtoolDserver().upload(dserver.alice, dserver.base_uri, deposit).json["uri"]

    def hang(_: Request) -> Fault | None:
        never.wait(30)
        return Fault.DROPPED

    proxy.before = hang
    check_away(*timed(lambda: dserver.bob.read(uri)), most=4 + MORE)
    never.set()
    proxy.heal()
    threading.Event().wait(SECONDS)
    assert dserver.bob.read(uri).status_code == 200


def test_a_completion_that_makes_progress_may_take_longer_than_a_call(make_dserver, proxy, s3):
    dserver = make_dserver(**proxy.settings(), SIGNED_URL_STORAGE_SECONDS=3)
    deposit, never = Deposit({f"{n}.txt": b"%d" % n for n in range(64)}), threading.Event()
    client = DserverClientJS()
    grant = client.begin(dserver.alice, dserver.base_uri, deposit)
    client.put(grant, deposit)

    def slowly(request: Request) -> Fault | None:
        if request.is_copy:
            never.wait(0.8)
        return None

    proxy.before = slowly
    answer, seconds = timed(lambda: dserver.alice.complete(grant["uri"]))
    assert answer.status_code == 200, answer.text
    assert seconds > 3
    check_dataset(dserver, s3, deposit)


def test_one_copy_that_fails_for_a_moment_does_not_end_a_completion(make_dserver, proxy, s3):
    dserver = make_dserver(**proxy.settings())
    deposit = Deposit({f"{n}.txt": b"%d" % n for n in range(40)})
    client = DserverClientJS()
    grant = client.begin(dserver.alice, dserver.base_uri, deposit)
    client.put(grant, deposit)
    failed: list[str] = []

    def fail(request: Request) -> Fault | None:
        """Fail at one item as often as botocore asks for it by itself."""
        if request.is_copy and len(failed) < 3 and {*failed, request.target} == {request.target}:
            failed.append(request.target)
            return Fault.AWAY
        return None

    proxy.before = fail
    assert dserver.alice.complete(grant["uri"]).status_code == 200
    assert len(failed) == 3
    check_dataset(dserver, s3, deposit)


@pytest.mark.parametrize("pause", [0, 0.4], ids=["quick", "slow"])
def test_many_at_once_are_served_by_a_store_that_answers(make_dserver, proxy, pause):
    first, never = make_dserver(**proxy.settings()), threading.Event()
    uri = DtoolDserver().upload(first.alice, first.base_uri, Deposit(FILES)).json["uri"]
    database = first.app.config["SQLALCHEMY_DATABASE_URI"]
    # A process that has not asked this store before.
    settings = {"SQLALCHEMY_DATABASE_URI": database, "SIGNED_URL_STORAGE_SECONDS": 120}
    dserver = make_dserver(**proxy.settings(), **settings)

    def slowly(_: Request) -> None:
        never.wait(pause)

    def read(_: int) -> int:
        token = {"Authorization": f"Bearer {dserver.tokens['bob']}"}
        path = f"/signed-urls/dataset/{quote(uri, safe='')}"
        return dserver.app.test_client().get(path, headers=token).status_code

    proxy.before = slowly
    with ThreadPoolExecutor(32) as pool:
        assert Counter(pool.map(read, range(96))) == {200: 96}


# Other buckets -------------------------------------------------------------------------------

WORKERS, THREADS, CALLS = 2, 4, 8


@contextmanager
def gunicorn(settings: Path) -> Iterator[str]:
    """Run dserver with these settings; yield its address."""
    environment = {**os.environ, SETTINGS_VARIABLE: str(settings), "AWS_DEFAULT_REGION": "x"}
    with socket.create_server(("127.0.0.1", 0)) as listener:
        words = [sys.executable, "-m", "gunicorn", "--config", GUNICORN_SETTINGS, FACTORY]
        words += ["--workers", str(WORKERS), "--threads", str(THREADS)]
        words += ["--bind", f"fd://{listener.fileno()}"]
        server = subprocess.Popen(
            words, env=environment, pass_fds=[listener.fileno()], stderr=subprocess.DEVNULL
        )
        try:
            yield f"http://127.0.0.1:{listener.getsockname()[1]}"
        finally:
            server.terminate()
            server.wait(30)


def test_a_bucket_that_is_dead_does_not_hold_up_calls_to_another(make_dserver, tmp_path):
    with silent() as store:
        dead = store.bucket("dead")
        dserver = make_dserver(SIGNED_URL_STORAGE_SECONDS=10)
        living = DtoolDserver().upload(dserver.alice, dserver.base_uri, Deposit(FILES)).json["uri"]
        gone = register(dserver, dead.base_uri)
        with dserver.app.app_context():
            sql_db.engine.dispose()
        names = ("SQLALCHEMY_DATABASE_URI", "SECRET_KEY", "JWT_ALGORITHM", "JWT_PUBLIC_KEY")
        config = {name: dserver.app.config[name] for name in names}
        config |= in_capitals({**dserver.bucket.settings(), **dead.settings()})
        settings = tmp_path / "settings.json"
        settings.write_text(json.dumps({**config, "SIGNED_URL_STORAGE_SECONDS": 10}))
        with gunicorn(settings) as address, ThreadPoolExecutor(CALLS) as pool:

            def read(uri: str) -> tuple[int, float]:
                began = monotonic()
                url = f"{address}/signed-urls/dataset/{quote(uri, safe='')}"
                headers = {"Authorization": f"Bearer {dserver.tokens['bob']}"}
                answer: Any = requests.get(url, headers=headers, timeout=60)
                return answer.status_code, monotonic() - began

            # Each worker makes what it needs at its first call.
            for _ in range(20):
                assert read(living)[0] == 200
            alone = [read(living)[1] for _ in range(20)]
            waiting = [pool.submit(read, gone) for _ in range(CALLS)]
            # Two in each worker go on waiting.
            while sum(one.done() for one in waiting) < CALLS - 2 * WORKERS:
                threading.Event().wait(0.1)
            beside = [read(living) for _ in range(20)]
            assert {status for status, _ in beside} == {200}
            # They still wait, and there is a free thread all the same. No machine is ever quiet.
            assert not all(one.done() for one in waiting)
            assert median(seconds for _, seconds in beside) < 2 * median(alone) + 0.5
            assert max(seconds for _, seconds in beside) < 5
            assert {one.result()[0] for one in waiting} == {502}


# Lifecycle -----------------------------------------------------------------------------------


def is_about_rules(request: Request) -> bool:
    return request.target.endswith("?lifecycle")


def test_a_read_does_not_wait_for_rules_that_do_not_come(make_dserver, proxy):
    dserver = make_dserver(**proxy.settings())
    deposit, never = Deposit(FILES), threading.Event()
    uri = DtoolDserver().upload(dserver.alice, dserver.base_uri, deposit).json["uri"]
    asked: list[str] = []

    def hang(request: Request) -> Fault | None:
        if not is_about_rules(request):
            return None
        asked.append(request.target)
        never.wait(30)
        return Fault.DROPPED

    proxy.before = hang
    began = monotonic()
    try:
        for _ in range(4):
            assert dserver.bob.read(uri).status_code == 200
        assert len(asked) == 1
    finally:
        never.set()
    # One second of waiting, and not the ten that the rules have.
    assert monotonic() - began < 8


def test_reads_ask_for_the_rules_once(make_dserver, proxy):
    dserver = make_dserver(**proxy.settings())
    uri = DtoolDserver().upload(dserver.alice, dserver.base_uri, Deposit(FILES)).json["uri"]
    proxy.forget()
    for _ in range(3):
        assert dserver.bob.read(uri).status_code == 200
    assert len([request for request in proxy.requests if is_about_rules(request)]) == 1


def test_a_failure_to_read_the_rules_is_kept_too(make_dserver, proxy):
    dserver = make_dserver(**proxy.settings())
    uri = DtoolDserver().upload(dserver.alice, dserver.base_uri, Deposit(FILES)).json["uri"]
    asked: list[str] = []

    def refuse(request: Request) -> Fault | None:
        if not is_about_rules(request):
            return None
        asked.append(request.target)
        return Fault.REFUSED

    proxy.before = refuse
    for _ in range(3):
        assert dserver.bob.read(uri).status_code == 200
    assert len(asked) == 1
