"""Several processes on one PostgreSQL, as workers and cron jobs are, agree on who does what."""

from __future__ import annotations

import json
import os
import subprocess
import threading
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime, timedelta, timezone
from typing import Any
from uuid import uuid4

import pytest
from dservercore import sql_db
from sqlalchemy import select, text

from dserver_signed_url_plugin.cli.pending_upload import pending_upload
from dserver_signed_url_plugin.demo.app import create_app
from dserver_signed_url_plugin.uploads import repository
from dserver_signed_url_plugin.uploads.lease import leased
from dserver_signed_url_plugin.uploads.models import PendingUpload
from tests.support.clients import Deposit, DserverClientJS, DtoolDserver
from tests.support.databases import MIGRATIONS
from tests.support.dserver import Dserver, Person, in_capitals, without_openapi
from tests.support.forked_python import forking, run_forked
from tests.support.s3_holdings import check_dataset, holdings

pytestmark = pytest.mark.database("postgresql", reason="its server is what these tests are about")

PROCESSES = 4
ROUNDS = 3
SECONDS = 60
FILES = {"one.txt": b"eins", "two.txt": b"zwei"}
CLEANUP = ["cleanup", "--older-than", "0", "--force", "--delete-storage", "--json"]


@dataclass(frozen=True)
class Answer:
    """What a process was told."""

    status: int
    body: Any


# In the processes -----------------------------------------------------------------------------


class _Worker:
    """The app of one process, made before its first call."""

    app: Any
    token: str
    start: Any


def become_a_worker(config: Mapping[str, Any], token: str, start: Any) -> None:
    """Be one of several: the same dserver, from the same database."""
    with without_openapi():
        _Worker.app = create_app(config)
    _Worker.token, _Worker.start = token, start


def begin(base_uri: str, plan: Mapping[str, Any]) -> Answer:
    _Worker.start.wait(SECONDS)
    answer = Person(_Worker.app, _Worker.token).begin(base_uri, plan)
    return Answer(answer.status_code, answer.json)


def complete(uri: str) -> Answer:
    _Worker.start.wait(SECONDS)
    answer = Person(_Worker.app, _Worker.token).complete(uri)
    return Answer(answer.status_code, answer.json)


def clean_up() -> Answer:
    _Worker.start.wait(SECONDS)
    result = _Worker.app.test_cli_runner().invoke(pending_upload, CLEANUP)
    said = None
    with suppress(ValueError):
        said = json.loads(result.stdout)
    return Answer(result.exit_code, said or repr(result.exception) + result.output)


# In the test ----------------------------------------------------------------------------------

AtOnce = Callable[..., list[Answer]]


@pytest.fixture
def at_once(dserver) -> Iterator[AtOnce]:
    """Make several calls at the same moment, each in a process of its own."""
    context = forking()
    start = context.Barrier(PROCESSES)
    names = ("SQLALCHEMY_DATABASE_URI", "SECRET_KEY", "JWT_ALGORITHM", "JWT_PUBLIC_KEY")
    config = {name: dserver.app.config[name] for name in names}
    config |= {**in_capitals(dserver.bucket.settings()), "TESTING": True}
    arguments = (config, dserver.tokens["alice"], start)
    with ProcessPoolExecutor(PROCESSES, context, become_a_worker, arguments) as processes:

        def make(*calls: Sequence[Any]) -> list[Answer]:
            # The barrier is what lets each process take one call only.
            assert len(calls) == PROCESSES
            made = [processes.submit(*call) for call in calls]
            return [each.result(SECONDS) for each in made]

        yield make


def rows(dserver: Dserver, deposit: Deposit) -> int:
    with dserver.app.app_context():
        wanted = select(PendingUpload.id).where(PendingUpload.uuid == deposit.uuid)
        found = sql_db.session.scalars(wanted).all()
        sql_db.session.remove()
    return len(found)


def statuses(answers: Sequence[Answer]) -> Counter[int]:
    assert {answer.status for answer in answers} <= {200, 409}, answers
    return Counter(answer.status for answer in answers)


@pytest.fixture(params=[DtoolDserver(), DserverClientJS()], ids=["pinned", "staged"])
def client(request) -> DtoolDserver:
    return request.param


def test_initiations_from_several_processes_begin_one_upload(dserver, s3, at_once, client):
    for _ in range(ROUNDS):
        deposit = Deposit(FILES)
        plan = client.plan(deposit)
        answers = at_once(*[(begin, dserver.base_uri, plan)] * PROCESSES)
        assert statuses(answers)[200] >= 1
        assert rows(dserver, deposit) == 1
        grants = [answer.body for answer in answers if answer.status == 200]
        for grant in grants:
            client.put(grant, deposit)
        assert dserver.alice.complete(grants[0]["uri"]).status_code == 200
        check_dataset(dserver, s3, deposit)
        assert rows(dserver, deposit) == 0


def test_completions_from_several_processes_register_one_dataset(dserver, s3, at_once, client):
    for _ in range(ROUNDS):
        deposit = Deposit(FILES, more={"tags": ["tag"], "annotations": {"a": 1}})
        grant = client.begin(dserver.alice, dserver.base_uri, deposit)
        client.put(grant, deposit)
        answers = at_once(*[(complete, grant["uri"])] * PROCESSES)
        assert statuses(answers)[200] >= 1
        check_dataset(dserver, s3, deposit)
        assert rows(dserver, deposit) == 0
        assert dserver.alice.complete(grant["uri"]).status_code == 200


def test_processes_that_work_on_different_uploads_do_not_meet(dserver, s3, at_once, client):
    deposits = [Deposit({"number.txt": b"%d" % number}) for number in range(PROCESSES)]
    plans = [(begin, dserver.base_uri, client.plan(deposit)) for deposit in deposits]
    grants = [answer.body for answer in at_once(*plans)]
    for grant, deposit in zip(grants, deposits, strict=True):
        client.put(grant, deposit)
    answers = at_once(*[(complete, grant["uri"]) for grant in grants])
    assert statuses(answers) == {200: PROCESSES}
    for deposit in deposits:
        check_dataset(dserver, s3, deposit)


def test_clean_ups_from_several_processes_remove_each_upload_once(dserver, s3, at_once, client):
    deposits = [Deposit(FILES) for _ in range(5)]
    for deposit in deposits:
        client.put(client.begin(dserver.alice, dserver.base_uri, deposit), deposit)
    answers = at_once(*[(clean_up,)] * PROCESSES)
    assert [answer.status for answer in answers] == [0] * PROCESSES, answers
    removed = Counter(
        upload["uuid"]
        for answer in answers
        for upload in answer.body["uploads"]
        if upload["result"] == "removed"
    )
    assert removed == Counter(deposit.uuid for deposit in deposits)
    for deposit in deposits:
        assert holdings(s3, dserver.bucket, deposit.uuid) == {}


def test_clean_ups_beside_completions_remove_all_of_an_upload_or_nothing(
    dserver, s3, at_once, client
):
    for _ in range(ROUNDS):
        deposit = Deposit(FILES)
        grant = client.begin(dserver.alice, dserver.base_uri, deposit)
        client.put(grant, deposit)
        calls = [(complete, grant["uri"]), (clean_up,)] * (PROCESSES // 2)
        answers = at_once(*calls)
        # Whoever completes what was removed is told to announce it first.
        assert {answer.status for answer in answers[::2]} <= {200, 400, 409}, answers
        assert [answer.status for answer in answers[1::2]] == [0, 0], answers
        if dserver.bob.read(grant["uri"]).status_code == 200:
            check_dataset(dserver, s3, deposit)
            assert rows(dserver, deposit) == 0
        else:
            assert 200 not in {answer.status for answer in answers[::2]}
            # One that was told to come back left it as it was.
            answer = dserver.alice.complete(grant["uri"])
            assert answer.status_code in (200, 400)
            if answer.status_code == 400:
                assert holdings(s3, dserver.bucket, deposit.uuid) == {}


def test_clean_ups_beside_initiations_leave_an_upload_that_can_be_completed(
    dserver, s3, at_once, client
):
    for _ in range(ROUNDS):
        deposit = Deposit(FILES)
        plan = client.plan(deposit)
        answers = at_once(*[(begin, dserver.base_uri, plan), (clean_up,)] * (PROCESSES // 2))
        assert {answer.status for answer in answers[::2]} <= {200, 409}, answers
        assert [answer.status for answer in answers[1::2]] == [0, 0], answers
        # What was removed while its URLs lived may be begun again by the same person.
        grant = client.begin(dserver.alice, dserver.base_uri, deposit)
        client.put(grant, deposit)
        assert dserver.alice.complete(grant["uri"]).status_code == 200
        check_dataset(dserver, s3, deposit)


# What a server does that SQLite does not ---------------------------------------------------------


def test_times_come_back_in_utc_whatever_the_zone_of_the_session(dserver):
    begun = datetime(2024, 7, 1, 12, 0, 0, 123456, tzinfo=timezone.utc)
    uuid = str(uuid4())
    values = {
        "uri": f"{dserver.base_uri}/{uuid}",
        "base_uri": dserver.base_uri,
        "name": "my-dataset",
        "creator_username": "alice",
        "created_at": begun.astimezone(timezone(timedelta(hours=-3))),
        "manifest_json": "{}",
        "descriptions_json": "{}",
        "number_of_items": 0,
        "fingerprint": "f" * 64,
        "uploader": "alice",
        "staging": "a" * 32,
    }
    with dserver.app.app_context():
        zone = sql_db.session.scalar(text("SHOW timezone"))
        assert zone not in ("UTC", "GMT", "Etc/UTC")
        upload = repository.claim(uuid, **values)
        with leased(upload) as lease:
            lease.record_urls(begun, pinned=True)
        found = repository.find(uuid)
        for time in (found.created_at_utc, found.urls_expire_at_utc):
            assert (time, time.utcoffset()) == (begun, timedelta(0))
            assert f"{time:%Y-%m-%dT%H:%M:%S}" == "2024-07-01T12:00:00"


def test_a_server_that_dropped_every_connection_is_asked_again(dserver, postgresql):
    deposit = Deposit(FILES)
    plan = DtoolDserver().plan(deposit)
    assert dserver.alice.begin(dserver.base_uri, plan).status_code == 200
    with postgresql.connect() as connection:
        connection.execute(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE pid <> pg_backend_pid() "
            "AND datname LIKE 'test_%'"
        )
    told = []
    for _ in range(5):
        answer = dserver.alice.begin(dserver.base_uri, plan)
        told.append(answer.status_code)
        if answer.status_code == 200:
            break
        assert answer.status_code == 503
    assert told[-1] == 200, told


def test_several_servers_that_migrate_at_once_wait_for_each_other(database, jwt_settings, tmp_path):
    url = database.create_empty()
    settings = tmp_path / "settings.json"
    settings.write_text(json.dumps({**jwt_settings, "SQLALCHEMY_DATABASE_URI": url}))
    environment = {
        "PATH": os.environ["PATH"],
        "FLASK_APP": "dserver_signed_url_plugin.demo.app:create_app_from_environment",
        "DSERVER_DEMO_SETTINGS": str(settings),
    }
    program = "from flask.cli import main; main()"
    results: list[subprocess.CompletedProcess[str]] = []

    def migrate() -> None:
        arguments = ["db", "upgrade", "--directory", MIGRATIONS]
        results.append(run_forked(program, arguments, tmp_path, environment))

    threads = [threading.Thread(target=migrate) for _ in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(SECONDS)
    assert [done.returncode for done in results] == [0, 0, 0], [done.stderr for done in results]
    # The others found it done.
    assert sum("-> 0001" in done.stderr for done in results) == 1
    database.drop(url)
