"""The store of docker/store.yml: SeaweedFS, run here by its own start script and set-up."""

from __future__ import annotations

import json
import runpy
import shutil
import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

import pytest
from botocore.exceptions import ClientError
from flask.cli import ScriptInfo

from dserver_signed_url_plugin.demo.app import create_app, prepare
from dserver_signed_url_plugin.demo.store import s3_client
from dserver_signed_url_plugin.storage.protocols import Storage
from tests.support.compose_container import PATIENCE, Container
from tests.support.compose_files import DOCKER, compose_file, environment, image_app, made_env
from tests.support.doctor_reports import (
    FIT,
    NOT_FOR_UPLOADING,
    Examined,
    examined,
    forget_this_machine,
)
from tests.support.dserver import Bucket, in_capitals
from tests.support.part_contract import PartContract
from tests.support.s3_storages import checksum_of, etags_in, storage_of
from tests.support.seaweedfs import WEED, SeaweedFS
from tests.support.stored_upload import get, put
from tests.support.write_keys import write_key_settings

pytestmark = pytest.mark.skipif(
    WEED is None, reason="The wheel of SeaweedFS is not for this machine."
)

LAB, TEMPORARY = "dtool", "tempstore"
BUCKETS = (LAB, TEMPORARY)


@pytest.fixture(scope="module")
def services(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """The services of both Compose files, with a fresh .env."""
    env = made_env(tmp_path_factory.mktemp("env") / ".env")
    found: dict[str, Any] = compose_file(env)["services"]
    return found


@pytest.fixture(scope="module")
def seaweedfs(
    tmp_path_factory: pytest.TempPathFactory, services: dict[str, Any]
) -> Iterator[SeaweedFS]:
    directory = tmp_path_factory.mktemp("seaweedfs")
    with SeaweedFS(directory, environment(services["store"])) as running:
        yield running


def keys(store: SeaweedFS, user: str) -> tuple[str, str]:
    """Return the access key ID and secret of root, dserver or dserver-write."""
    if user == "root":
        return "root", store.variables["STORE_ROOT_PASSWORD"]
    of = {"dserver": "S3", "dserver-write": "S3_WRITE"}[user]
    names = (f"{of}_ACCESS_KEY_ID", f"{of}_SECRET_ACCESS_KEY")
    return store.variables[names[0]], store.variables[names[1]]


def client(store: SeaweedFS, user: str) -> Any:
    return s3_client(store.endpoint, *keys(store, user))


class SetUp:
    """The service store-setup, with a database that has the tables of dserver."""

    def __init__(self, said: Mapping[str, str], endpoint: str, directory: Path) -> None:
        self._directory = directory
        here = {name: endpoint for name in said if "ENDPOINT" in name}
        self._variables = {
            **said,
            **here,
            "FLASK_APP": image_app(),
            "SQLALCHEMY_DATABASE_URI": f"sqlite:///{directory}/dserver.sqlite",
        }
        database = {"SQLALCHEMY_DATABASE_URI": self._variables["SQLALCHEMY_DATABASE_URI"]}
        prepare(create_app(database), f"s3://{LAB}")

    def run(self, **changes: str) -> tuple[int, str]:
        """Run it to its end; return the exit code, and what it said."""
        command = [Path(sys.executable), DOCKER / "store_setup.py"]
        with Container(command, {**self._variables, **changes}, self._directory) as container:
            return container.process.wait(PATIENCE), container.said


@pytest.fixture(scope="module")
def set_up(
    seaweedfs: SeaweedFS, services: dict[str, Any], tmp_path_factory: pytest.TempPathFactory
) -> SetUp:
    """The set-up, after it has run once."""
    said = environment(services["store-setup"])
    made = SetUp(said, seaweedfs.endpoint, tmp_path_factory.mktemp("set-up"))
    code, answer = made.run()
    assert code == 0, answer
    return made


def test_the_store_runs_unprivileged_and_apart_from_the_databases(services):
    assert services["store"]["user"] == "1000:1000"
    assert services["store"]["networks"] == ["store"]
    users = {name for name, one in services.items() if "store" in one.get("networks", ())}
    assert users == {"store", "store-setup", "dserver", "cleanup", "flask", "front"}


def test_dserver_has_the_same_settings_for_both_buckets(services):
    for name in ("dserver", "cleanup", "flask", "doctor"):
        said = environment(services[name])
        of_both = [
            {setting.removesuffix(f"_{bucket}"): value for setting, value in said.items()
             if setting.endswith(f"_{bucket}")}
            for bucket in BUCKETS
        ]  # fmt: skip
        assert of_both[0] == of_both[1], name
        assert of_both[0]["SIGNED_URL_WRITES"] == "staged"
    assert environment(services["cleanup"])["EPHEMERAL_BASE_URIS"] == f"s3://{TEMPORARY}"


def test_the_set_up_makes_both_buckets_and_their_rules(set_up, seaweedfs):
    def actions(bucket: str) -> dict[str, Any]:
        answer = client(seaweedfs, "dserver").get_bucket_lifecycle_configuration(Bucket=bucket)
        [rule] = answer["Rules"]
        return {name: rule.get(name) for name in ("Expiration", "AbortIncompleteMultipartUpload")}

    aborted = {"DaysAfterInitiation": 7}
    assert actions(LAB) == {"Expiration": None, "AbortIncompleteMultipartUpload": aborted}
    assert actions(TEMPORARY) == {
        "Expiration": {"Days": 7},
        "AbortIncompleteMultipartUpload": aborted,
    }


def test_the_set_up_may_be_repeated(set_up):
    code, said = set_up.run()
    assert (code, said.count("Nothing to change.")) == (0, 2), said


def test_the_set_up_asks_about_temp_days_only_if_they_are_wrong(set_up):
    code, said = set_up.run(TEMP_DAYS="x")
    assert (code, said.count("were not set; is TEMP_DAYS right?")) == (1, 1), said
    code, said = set_up.run(**{f"DTOOL_S3_ENDPOINT_{LAB}": "http://127.0.0.1:1"})
    assert (code, "were not set." in said, "TEMP_DAYS" in said) == (1, True, False), said


def test_a_command_of_the_set_up_that_fails_says_why(dserver, monkeypatch, capsys):
    # Flask sets it.
    monkeypatch.setenv("FLASK_RUN_FROM_CLI", "true")
    run_flask = runpy.run_path(str(DOCKER / "store_setup.py"))["run_flask"]
    app = ScriptInfo(create_app=lambda: dserver.app)
    assert run_flask(app, "lifecycle", "set", dserver.base_uri, "--days", "x") == 2
    assert "Invalid value for '--days'" in capsys.readouterr().err
    assert run_flask(app, "lifecycle", "show", dserver.base_uri) == 0


def test_the_set_up_never_lets_the_labs_own_bucket_expire(monkeypatch, capsys):
    for name in ("BUCKET", "TEMP_BUCKET"):
        monkeypatch.setenv(name, LAB)
    with pytest.raises(SystemExit, match="1"):
        runpy.run_path(str(DOCKER / "store_setup.py"), run_name="__main__")
    assert capsys.readouterr().err.startswith("TEMP_BUCKET must not be BUCKET")


# Permissions ---------------------------------------------------------------------------------


def allowed(store: SeaweedFS, user: str, bucket: str) -> set[str]:
    """Try what there is to do; return what is not refused."""
    s3, key = client(store, user), {"Bucket": bucket, "Key": f"of-{user}"}
    root, source = client(store, "root"), {"Bucket": bucket, "Key": "of-root"}
    root.put_object(**source, Body=b"bytes")
    rules = root.get_bucket_lifecycle_configuration(Bucket=bucket)["Rules"]
    everybody = {"Effect": "Allow", "Principal": "*", "Action": "s3:GetObject"}
    policy = {"Statement": [{**everybody, "Resource": f"arn:aws:s3:::{bucket}/*"}]}
    requests: dict[str, Callable[[], Any]] = {
        "PutObject": lambda: s3.put_object(**key, Body=b"bytes"),
        "CreateMultipartUpload": lambda: s3.create_multipart_upload(**key),
        "GetObject": lambda: s3.get_object(**key),
        "CopyObject": lambda: s3.copy_object(**key, CopySource=source),
        "ListObjects": lambda: s3.list_objects_v2(Bucket=bucket),
        "GetLifecycle": lambda: s3.get_bucket_lifecycle_configuration(Bucket=bucket),
        "PutLifecycle": lambda: s3.put_bucket_lifecycle_configuration(
            Bucket=bucket, LifecycleConfiguration={"Rules": rules}
        ),
        "PutObjectAcl": lambda: s3.put_object_acl(**key, ACL="public-read"),
        "PutBucketPolicy": lambda: s3.put_bucket_policy(Bucket=bucket, Policy=json.dumps(policy)),
        "DeleteObject": lambda: s3.delete_object(**key),
        "CreateBucket": lambda: s3.create_bucket(Bucket=f"{bucket}-of-{user}"),
        "DeleteBucket": lambda: s3.delete_bucket(Bucket=bucket),
    }
    return {name for name, request in requests.items() if not is_denied(request)}


def is_denied(request: Callable[[], Any]) -> bool:
    try:
        request()
    except ClientError as refusal:
        return refusal.response["Error"]["Code"] == "AccessDenied"
    return False


DSERVER = {"PutObject", "CreateMultipartUpload", "GetObject", "CopyObject"} | {
    "ListObjects", "GetLifecycle", "DeleteObject",
}  # fmt: skip


def test_each_key_may_do_what_docs_security_says_and_nothing_else(set_up, seaweedfs):
    assert allowed(seaweedfs, "dserver", LAB) == DSERVER
    assert allowed(seaweedfs, "dserver", TEMPORARY) == DSERVER | {"PutLifecycle"}
    for bucket in BUCKETS:
        only_writes = {"PutObject", "CreateMultipartUpload"}
        assert allowed(seaweedfs, "dserver-write", bucket) == only_writes


def test_a_bucket_or_key_that_would_change_the_permissions_is_refused(seaweedfs, tmp_path):
    for name in ("BUCKET", "S3_SECRET_ACCESS_KEY"):
        with seaweedfs.run("serve", **{name: 'a","b'}) as container:
            assert container.process.wait(PATIENCE) == 2
            assert "must consist of" in container.said


# The doctor ----------------------------------------------------------------------------------


def examine(store: SeaweedFS, bucket: str, monkeypatch: pytest.MonkeyPatch, home: Path) -> Examined:
    forget_this_machine(monkeypatch, home)
    place = Bucket(bucket, store.endpoint, *keys(store, "dserver"))
    more = write_key_settings(place, keys(store, "dserver-write"))
    settings = {**place.settings(), **more, f"SIGNED_URL_WRITES_{bucket}": "staged"}
    return examined(place, "--origin", "https://a.example.org", settings=in_capitals(settings))


def test_the_doctor_finds_the_labs_bucket_fit(set_up, seaweedfs, monkeypatch, tmp_path):
    report = examine(seaweedfs, LAB, monkeypatch, tmp_path)
    assert (report.code, report.failed, report.warned, report.cures) == (FIT, set(), set(), {})
    for name in ("copy-source", "acl", "tagging", "redirect", "encryption"):
        assert report[name]["answered"] == "refused", name


def test_all_that_the_doctor_has_against_the_other_bucket_is_that_it_expires(
    set_up, seaweedfs, monkeypatch, tmp_path
):
    report = examine(seaweedfs, TEMPORARY, monkeypatch, tmp_path)
    assert (report.code, report.failed) == (NOT_FOR_UPLOADING, {"lifecycle"})


# What the store does by itself ------------------------------------------------------------------


LONG_AGO = {"Date": datetime(2020, 1, 1, tzinfo=timezone.utc)}
RULE = {"ID": "past", "Status": "Enabled", "Filter": {"Prefix": ""}, "Expiration": LONG_AGO}


@pytest.fixture
def expired(seaweedfs: SeaweedFS) -> Iterator[Any]:
    """An object that a rule of the store says to delete; returns whether it is there."""
    # Once it has looked for such objects, the store looks again in an hour.
    seaweedfs.container.wait_until(lambda: "cursors checkpointed" in seaweedfs.container.said)
    root, key = client(seaweedfs, "root"), {"Bucket": "past", "Key": "a/b"}
    root.create_bucket(Bucket="past")
    root.put_object(**key, Body=b"bytes")
    root.put_bucket_lifecycle_configuration(Bucket="past", LifecycleConfiguration={"Rules": [RULE]})
    yield lambda: root.list_objects_v2(Bucket="past")["KeyCount"]
    root.delete_object(**key)
    root.delete_bucket(Bucket="past")


def test_who_has_not_the_stores_signing_key_deletes_nothing(expired, seaweedfs):
    with seaweedfs.run("lifecycle", STORE_SIGNING_KEY="guessed") as container:
        assert container.process.wait(PATIENCE) != 0
        assert "Unauthenticated" in container.said
    assert expired()


def test_a_copy_of_its_volume_has_everything_and_deletes_what_a_rule_says(services, tmp_path):
    volume, copy = tmp_path / "volume", tmp_path / "copy"
    volume.mkdir()
    store = SeaweedFS(volume, environment(services["store"]))
    with store:
        for bucket in BUCKETS:
            client(store, "root").create_bucket(Bucket=bucket)
            client(store, "dserver").put_object(
                Bucket=bucket, Key="ü/1", Body=b"eins", Metadata={"handle": "one.txt"}
            )
        client(store, "root").put_bucket_lifecycle_configuration(
            Bucket=TEMPORARY, LifecycleConfiguration={"Rules": [RULE]}
        )

    def is_expired() -> bool:
        # For a moment it answers with InternalError, which clients repeat.
        with suppress(ClientError):
            return not client(store, "dserver").list_objects_v2(Bucket=TEMPORARY)["KeyCount"]
        return False

    volume.rename(copy)
    shutil.copytree(copy, volume)
    with store:
        store.container.wait_until(is_expired)
        found = client(store, "dserver").get_object(Bucket=LAB, Key="ü/1")
        assert (found["Body"].read(), found["Metadata"]) == (b"eins", {"handle": "one.txt"})


# Items in parts --------------------------------------------------------------------------------


class TestParts(PartContract):
    """Parts in SeaweedFS, with the key that only writes."""

    # A part is kept beside one that was sent later, until the item is assembled.
    test_a_part_that_was_rewritten_meanwhile_is_not_assembled = None
    # It lists both, in whole seconds: of other bytes within a second, either may be the last.
    test_a_part_may_be_put_again = None

    @pytest.fixture
    def lab(self, seaweedfs: SeaweedFS, set_up: SetUp) -> Bucket:
        return Bucket(LAB, seaweedfs.endpoint, *keys(seaweedfs, "dserver"))

    @pytest.fixture
    def storage(self, seaweedfs: SeaweedFS, lab: Bucket) -> Iterator[Storage]:
        yield storage_of(lab, **write_key_settings(lab, keys(seaweedfs, "dserver-write")))
        root = client(seaweedfs, "root")
        for entry in root.list_objects_v2(Bucket=LAB).get("Contents", []):
            root.delete_object(Bucket=LAB, Key=entry["Key"])

    @pytest.fixture
    def everything(self, seaweedfs: SeaweedFS, lab: Bucket) -> Any:
        return lambda: etags_in(client(seaweedfs, "dserver"), lab)

    @pytest.fixture
    def hash_of(self, seaweedfs: SeaweedFS, lab: Bucket) -> Any:
        return lambda parted: checksum_of(client(seaweedfs, "dserver"), lab, parted)

    def test_a_part_that_is_sent_twice_counts_once(self, parted):
        parted.put_all()
        parted.put_all()
        parted.assemble()
        url = parted.storage.reads.item_url(parted.upload.uuid, parted.item.identifier, parted.life)
        assert get(url).content == parted.content

    def test_an_item_is_made_of_the_parts_that_were_listed(self, parted):
        urls = parted.put_all()
        seen = parted.stored()
        assert put(urls[1], b"!" * parted.part_bytes) == 200
        parted.assemble(seen)
        url = parted.storage.reads.item_url(parted.upload.uuid, parted.item.identifier, parted.life)
        assert get(url).content == parted.content
