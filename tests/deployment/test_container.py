"""What the containers run, run here: the image's entrypoint, its one-shots, its clean-up schedule.

The environment is that of docker-compose.yml. What is different: PostgreSQL is the tests' own, and
the local store is in SeaweedFS's place, which test_store.py runs.
"""

from __future__ import annotations

import json
import os
import stat
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta, timezone
from pathlib import Path
from typing import Any
from urllib.parse import quote, urlsplit

import pytest
import requests
from cryptography.hazmat.primitives.serialization import load_pem_private_key, load_pem_public_key
from dservercore import sql_db
from flask import Flask
from sqlalchemy import create_engine, inspect, update

from dserver_signed_url_plugin.demo.app import create_app, prepare, tokens
from dserver_signed_url_plugin.demo.store import LocalStore, free_port, s3_client
from dserver_signed_url_plugin.uploads.models import PendingUpload
from tests.support.clients import Deposit, DserverClientJS, DtoolDserver, urls_in
from tests.support.compose_container import PATIENCE, Caller, Container, run
from tests.support.compose_files import DOCKER, compose_file, environment, image_app, made_env
from tests.support.databases import Database
from tests.support.dserver import Bucket, in_capitals
from tests.support.front import Front
from tests.support.write_keys import write_key

pytestmark = pytest.mark.database("postgresql", reason="docker-compose.yml has PostgreSQL")

SERVE = [DOCKER / "entrypoint.sh", "serve"]
KEYS = [sys.executable, DOCKER / "make_keys.py"]
CLEANUP = [DOCKER / "entrypoint.sh", "cleanup"]
EVERY_SECOND = {"CLEANUP_EVERY_HOURS": str(1 / 3600)}
FILES = {"one.txt": b"eins", "Notizen/zwei drei.txt": b"zwei"}
BUCKET = "dtool"
BASE_URI = f"s3://{BUCKET}"


@dataclass
class Stack:
    """What stands when dserver starts: variables of the service, and what they lead to."""

    directory: Path
    variables: dict[str, str]
    front: Front
    s3: Any

    @property
    def address(self) -> str:
        return f"http://{self.variables['DSERVER_LISTEN']}"

    def keys(self, uuid: str) -> list[str]:
        found = self.s3.list_objects_v2(Bucket=BUCKET).get("Contents", [])
        return [entry["Key"] for entry in found if uuid in entry["Key"]]

    def container(self, command: list[str | Path], **variables: str) -> Container:
        return Container(command, {**self.variables, **variables}, self.directory)


@pytest.fixture(scope="module")
def stack(
    tmp_path_factory: pytest.TempPathFactory, store: LocalStore, database: Database
) -> Iterator[Stack]:
    """Everything before dserver itself: keys and tables are made as the one-shot services do it."""
    directory = tmp_path_factory.mktemp("stack")
    store.create_bucket(BUCKET)
    url = database.create_empty()
    service = compose_file(made_env(tmp_path_factory.mktemp("env") / ".env"))["services"]["dserver"]
    inside = {
        name: said.replace("/keys/", f"{directory}/") for name, said in environment(service).items()
    }
    with Front(directory, store=urlsplit(store.endpoint).netloc) as front:
        here = {
            "FLASK_APP": image_app(),
            "SQLALCHEMY_DATABASE_URI": url,
            f"DTOOL_S3_ENDPOINT_{BUCKET}": store.endpoint,
            f"DTOOL_S3_PUBLIC_ENDPOINT_{BUCKET}": front.store_endpoint,
            f"DTOOL_S3_ACCESS_KEY_ID_{BUCKET}": store.access_key,
            f"DTOOL_S3_SECRET_ACCESS_KEY_{BUCKET}": store.secret_key,
            **write_key(Bucket(BUCKET, store.endpoint, store.access_key, store.secret_key)),
            "DSERVER_LISTEN": f"127.0.0.1:{free_port()}",
        }
        s3 = s3_client(store.endpoint, store.access_key, store.secret_key)
        made = Stack(directory, {**inside, **here}, front, s3)
        run(["keys"], made.variables, directory)
        run(["migrate"], made.variables, directory)
        yield made
    database.drop(url)


@pytest.fixture(scope="module")
def app(stack: Stack) -> Iterator[Flask]:
    """The same dserver in this process, to add its people and to look behind the scenes."""
    keys = {
        name: Path(stack.variables[f"{name}_FILE"]).read_text()
        for name in ("JWT_PRIVATE_KEY", "JWT_PUBLIC_KEY")
    }
    said = {name: stack.variables[name] for name in stack.variables if name.startswith("DTOOL")}
    database = {"SQLALCHEMY_DATABASE_URI": stack.variables["SQLALCHEMY_DATABASE_URI"]}
    made = create_app({**keys, **in_capitals(said), **database})
    prepare(made, BASE_URI)
    yield made
    with made.app_context():
        sql_db.engine.dispose()


@pytest.fixture(scope="module")
def server(stack: Stack, app: Flask) -> Iterator[Container]:
    """The service dserver."""
    with stack.container(SERVE) as container:
        container.wait_until(lambda: container.answers(f"{stack.address}/config/versions"))
        yield container
        assert container.stop() == 0


@pytest.fixture(scope="module")
def alice(stack: Stack, app: Flask, server: Container) -> Caller:
    return Caller(stack.address, tokens(app, timedelta(hours=1))["alice"])


# Starting and serving --------------------------------------------------------------------------


def test_settings_reach_dserver_whatever_the_buckets_name(tmp_path):
    env = made_env(tmp_path / ".env") | {"BUCKET": "lab-data", "TEMP_BUCKET": "tmp.example.org"}
    dserver = environment(compose_file(env)["services"]["dserver"])
    assert {"SIGNED_URL_WRITES_lab-data", "SIGNED_URL_WRITES_tmp.example.org"} < dserver.keys()
    assert set(run(["env"], dserver, tmp_path).splitlines()) >= {
        f"{name}={value}" for name, value in dserver.items()
    }


def test_the_one_shot_services_make_what_is_missing_and_change_nothing_after(stack):
    names = [Path(stack.variables[f"JWT_{kind}_KEY_FILE"]) for kind in ("PRIVATE", "PUBLIC")]
    before = [path.read_bytes() for path in names]
    assert [stat.S_IMODE(path.stat().st_mode) for path in names] == [0o600, 0o644]
    assert [path.parent for path in names] == [stack.directory] * 2
    assert "PRIVATE KEY" not in run(["keys"], stack.variables, stack.directory)
    run(["migrate"], stack.variables, stack.directory)
    assert [path.read_bytes() for path in names] == before

    engine = create_engine(stack.variables["SQLALCHEMY_DATABASE_URI"])
    assert {"dataset", "user", "pending_upload"} <= set(inspect(engine).get_table_names())
    engine.dispose()


def test_of_two_stacks_that_start_at_once_one_makes_the_keys(tmp_path):
    files = {f"JWT_{kind}_KEY_FILE": str(tmp_path / kind) for kind in ("PRIVATE", "PUBLIC")}
    processes = [
        subprocess.Popen(KEYS, env={**os.environ, **files}, stdout=subprocess.PIPE, text=True)
        for _ in range(2)
    ]
    said = sorted(process.communicate(timeout=PATIENCE)[0] for process in processes)
    assert said == [f"{tmp_path}/PRIVATE is {how}.\n" for how in ("kept", "new")]
    made = load_pem_private_key((tmp_path / "PRIVATE").read_bytes(), password=None).public_key()
    assert made == load_pem_public_key((tmp_path / "PUBLIC").read_bytes())
    assert sorted(path.name for path in tmp_path.iterdir()) == ["PRIVATE", "PUBLIC"]


@pytest.mark.parametrize("client", [DtoolDserver(), DserverClientJS()], ids=["pinned", "staged"])
def test_a_dataset_goes_in_and_out_by_urls_for_the_public_address(stack, alice, client):
    deposit = Deposit(FILES)
    grant = client.begin(alice, BASE_URI, deposit)
    client.put(grant, deposit)
    assert alice.complete(grant["uri"]).json["status"] == "registered"
    urls = alice.read(grant["uri"]).json["item_urls"]
    assert all(url.startswith(f"{stack.front.store_endpoint}/{BUCKET}/") for url in urls.values())
    for identifier, url in urls.items():
        assert requests.get(url, timeout=PATIENCE).content == deposit.content(identifier)
        part = requests.get(url, headers={"Range": "bytes=1-2"}, timeout=PATIENCE)
        assert (part.status_code, part.content) == (206, deposit.content(identifier)[1:3])


def test_urls_to_write_are_signed_by_who_may_do_nothing_else(stack, alice):
    deposit = Deposit(FILES)
    grant = DtoolDserver().begin(alice, BASE_URI, deposit)
    written = set(urls_in(grant))
    assert len(written) == 4 + len(FILES)
    key_id = stack.variables[f"DTOOL_S3_WRITE_ACCESS_KEY_ID_{BUCKET}"]
    assert all(f"X-Amz-Credential={key_id}%2F" in url for url in written)


def test_a_command_of_the_operators_runs_as_it_stands(stack, app):
    said = run(["flask", "base_uri", "list"], stack.variables, stack.directory)
    assert BASE_URI in said


def test_the_doctor_finds_the_public_side_fit(stack, app):
    doctor = compose_file()["services"]["doctor"]["entrypoint"][1:]
    arguments = [*doctor, BASE_URI, "--origin", "https://lookup.example.org"]
    said = run(arguments, stack.variables, stack.directory)
    assert "Fit for uploading: yes." in said
    lines = [line for line in said.splitlines() if line.startswith(("failed", "skipped"))]
    # Where there is but this bucket, nothing can be copied out of another.
    assert all(line.startswith("skipped") and "another bucket" in line for line in lines)


def test_no_secret_is_logged(stack, server, alice):
    deposit = Deposit(FILES)
    grant = DtoolDserver().begin(alice, BASE_URI, deposit)
    DtoolDserver().put(grant, deposit)
    alice.complete(grant["uri"])
    assert alice.read(grant["uri"], expiry_seconds=600).status_code == 200
    [signed, *_] = alice.read(grant["uri"]).json["item_urls"].values()
    alice.ask("GET", f"dataset/{quote(signed, safe='')}")
    shared = alice.ask("POST", f"shares/{quote(grant['uri'], safe='')}", json={}).json
    token = shared["link"].rpartition("/")[2]
    assert alice.ask("GET", f"s/{token}?format=json").json["id"] == shared["id"]
    alice.ask("GET", "dataset/s3%3A%2F%2Fdtool%2Fx%0A127.0.0.1 forged")
    server.wait_until(lambda: "forged" in server.said)
    secrets = [
        signed.partition("X-Amz-Signature=")[2],
        alice.token.split(".")[2],
        stack.variables["SECRET_KEY"],
        "Bearer",
        "expiry_seconds=",
        token,
    ]
    for said in (server.said, stack.front.said):
        assert not [word for word in secrets if word in said]
        assert deposit.uuid in said
        assert not [line for line in said.splitlines() if line.startswith("127.0.0.1 forged")]


def test_every_decision_is_a_line_of_json_on_stdout(server, alice):
    deposit = Deposit(FILES)
    DtoolDserver().begin(alice, BASE_URI, deposit)

    def decisions() -> list[Any]:
        lines = [line for line in server.said.splitlines() if line.startswith("{")]
        return [one for one in map(json.loads, lines) if deposit.uuid in one["uri"]]

    server.wait_until(decisions)
    [decision] = decisions()
    assert (decision["username"], decision["outcome"]) == ("alice", "granted")


# The clean-up's schedule -----------------------------------------------------------------------


def abandon(app: Flask, deposit: Deposit) -> None:
    """Let an upload be three days old, its URLs ended; nobody waits for that."""
    then = datetime.now(timezone.utc) - timedelta(days=3)
    row = update(PendingUpload).where(PendingUpload.uuid == deposit.uuid)
    with app.app_context():
        sql_db.session.execute(row.values(last_active_at=then, urls_expire_at=then))
        sql_db.session.commit()


def runs(container: Container) -> int:
    """Return how many clean-ups have come to their end, after which the next is announced."""
    return container.said.count("Next clean-up at") - 1


def ended(container: Container) -> list[str]:
    """Return what the schedule said of each command that came to its end."""
    return [line for line in container.said.splitlines() if "ended with exit code" in line]


def test_the_schedule_cleans_everything_up_also_if_a_command_fails(stack, app, alice):
    old, young = Deposit(FILES), Deposit(FILES)
    for deposit in (old, young):
        DtoolDserver().put(DtoolDserver().begin(alice, BASE_URI, deposit), deposit)
    abandon(app, old)
    kept = stack.keys(young.uuid)
    ephemeral = {"EPHEMERAL_BASE_URIS": f"s3://unknown {BASE_URI}"}
    with stack.container(CLEANUP, **EVERY_SECOND, **ephemeral) as schedule:
        schedule.wait_until(lambda: runs(schedule) >= 1)
        assert schedule.stop() == 0
    assert stack.keys(old.uuid) == []
    assert stack.keys(young.uuid) == kept
    codes = [line.split("exit code ")[1].split()[0] for line in ended(schedule)]
    assert codes[:4] == ["0", "0", "2", "0"]
    # A run takes longer than a second, and the next one is only announced when it has ended.
    steps = [line.split(" ", 1)[1] for line in schedule.said.splitlines() if line[:2] == "20"]
    kinds = [step.partition(" ended")[0].partition(" at")[0] for step in steps]
    what = ["uploads", "shares", "s3://unknown", BASE_URI]
    assert kinds[:6] == [
        "Next clean-up",
        *(f"Clean-up of {each}" for each in what),
        "Next clean-up",
    ]


def test_a_schedule_that_waits_for_tomorrow_stops_at_once(stack):
    with stack.container(CLEANUP) as schedule:
        schedule.wait_until(lambda: "Next clean-up at" in schedule.said)
        assert "02:00 UTC" in schedule.said
        assert schedule.stop() == 0
    assert schedule.said.endswith("Stopped.\n")


def test_a_schedule_that_is_stopped_ends_its_clean_up_too(stack):
    (stack.directory / "endless.py").write_text(
        "import os, signal, sys\n"
        "def create_app():\n"
        "    print('pid', os.getpid(), flush=True)\n"
        "    signal.pause()\n"
    )
    with stack.container(CLEANUP, FLASK_APP="endless", **EVERY_SECOND) as schedule:
        schedule.wait_until(lambda: "pid " in schedule.said)
        pid = int(schedule.said.split("pid ")[1].split()[0])
        assert schedule.stop() == 0
    with pytest.raises(ProcessLookupError):
        os.kill(pid, 0)
