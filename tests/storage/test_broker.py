"""Any broker with the signing methods of the spec works through the same routes."""

from dataclasses import replace
from time import monotonic

import dservercore.utils
import dtoolcore
import pytest
import requests
from dservercore import sql_db
from sqlalchemy import delete
from sqlalchemy.exc import OperationalError

from dserver_signed_url_plugin.cli.lifecycle import lifecycle
from dserver_signed_url_plugin.storage.manifest import FrozenDataset, Manifest
from dserver_signed_url_plugin.storage.values import Claim, ProtoDataset
from dserver_signed_url_plugin.uploads.models import PendingUpload
from dserver_signed_url_plugin.uris import BaseURI
from tests.support.clients import README, Deposit, DtoolDserver
from tests.support.own_broker import STORES, HangingBroker, install, own_store
from tests.support.refusals import assert_refused, nothing_is_written


@pytest.fixture(autouse=True)
def installed(tmp_path, monkeypatch):
    """Install the broker for as long as a test runs."""
    names = ("OwnBroker", "SilentBroker", "HangingBroker")
    install(monkeypatch, tmp_path / "site", *(f"tests.support.own_broker:{name}" for name in names))


@pytest.fixture
def base_uri(dserver):
    with own_store() as uri:
        permit(dserver, uri)
        yield uri


def permit(dserver, base_uri):
    with dserver.app.app_context():
        dservercore.utils.register_base_uri(base_uri)
        everything = {
            "users_with_search_permissions": ["alice", "bob"],
            "users_with_register_permissions": ["alice"],
        }
        dservercore.utils.register_permissions(base_uri, everything)


def test_what_is_deposited_can_be_downloaded_and_read_by_dtool(dserver, base_uri):
    described = {"tags": ["grown"], "annotations": {"plant": "cress"}}
    deposit = Deposit(more=described)
    done = DtoolDserver().upload(dserver.alice, base_uri, deposit)
    assert (done.status_code, done.json["status"]) == (200, "registered")

    urls = dserver.bob.read(done.json["uri"]).json
    for identifier, url in urls["item_urls"].items():
        assert requests.get(url, timeout=30).content == deposit.content(identifier)
    assert requests.get(urls["readme_url"], timeout=30).content.decode() == README
    assert urls["tags"] == ["grown"]
    assert requests.get(urls["annotation_urls"]["plant"], timeout=30).json() == "cress"

    dataset = dtoolcore.DataSet.from_uri(done.json["uri"])
    assert (dataset.name, len(dataset.identifiers)) == (deposit.name, len(deposit.files))


def test_what_a_broker_takes_for_a_name_and_is_none_is_left_out(dserver, base_uri):
    deposit = Deposit(more={"tags": ["grown"], "annotations": {"plant": "cress"}})
    uri = DtoolDserver().upload(dserver.alice, base_uri, deposit).json["uri"]
    store = STORES[base_uri.removeprefix("own://")]
    [readme] = [key for key in store if key.endswith("README.yml")]
    for kind in ("tags", "annotations", "overlays"):
        for name in ("", "of/others", "größe"):
            store[f"{readme.removesuffix('README.yml')}{kind}/{name}"] = b"", None
    urls = dserver.bob.read(uri).json
    assert urls["tags"] == ["grown"]
    assert (list(urls["annotation_urls"]), urls["overlay_urls"]) == (["plant"], {})


def test_one_item_is_signed_alone(dserver, base_uri):
    deposit = Deposit()
    uri = DtoolDserver().upload(dserver.alice, base_uri, deposit).json["uri"]
    identifier = next(iter(dserver.bob.read(uri).json["item_urls"]))
    url = dserver.bob.read_item(uri, identifier).json["url"]
    assert requests.get(url, timeout=30).content == deposit.content(identifier)
    assert dserver.bob.read_item(uri, "0" * 40).status_code == 404


def test_an_item_is_looked_up_once_a_minute(dserver, base_uri):
    uri = DtoolDserver().upload(dserver.alice, base_uri, Deposit()).json["uri"]
    known, other, *_ = dserver.bob.read(uri).json["item_urls"]
    assert dserver.bob.read_item(uri, known).status_code == 200
    store = STORES[base_uri.removeprefix("own://")]
    [manifest] = [key for key in store if key.endswith("manifest.json")]
    del store[manifest]
    assert dserver.bob.read_item(uri, known).status_code == 200
    assert dserver.bob.read_item(uri, other).status_code in (404, 502)


def test_what_is_missing_is_reported_and_can_follow(dserver, base_uri):
    client, deposit = DtoolDserver(), Deposit()
    grant = client.begin(dserver.alice, base_uri, deposit)
    report = dserver.alice.complete(grant["uri"])
    assert report.status_code == 400
    # The server has written the empty one.
    assert report.json["errors"]["missing"] == list(deposit.files)[:-1]
    client.put(client.begin(dserver.alice, base_uri, deposit), deposit)
    assert dserver.alice.complete(grant["uri"]).status_code == 200


def test_nothing_temporary_stays_behind(dserver, base_uri):
    done = DtoolDserver().upload(dserver.alice, base_uri, Deposit())
    assert done.status_code == 200
    keys = STORES[base_uri.removeprefix("own://")]
    assert not [key for key in keys if "README.yml-" in key]


def test_an_upload_without_a_readme_has_an_empty_one(dserver, base_uri):
    uri = DtoolDserver().upload(dserver.alice, base_uri, Deposit(readme=None)).json["uri"]
    assert requests.get(dserver.bob.read(uri).json["readme_url"], timeout=30).content == b""


def test_somebody_elses_dataset_is_left_alone(dserver, base_uri):
    deposit = Deposit()
    theirs = {"uuid": deposit.uuid, "name": "theirs", "type": "protodataset"}
    dtoolcore.ProtoDataSet(f"{base_uri}/{deposit.uuid}", theirs).create()
    before = dict(STORES[base_uri.removeprefix("own://")])
    answer = dserver.alice.begin(base_uri, DtoolDserver().plan(deposit))
    assert answer.status_code == 409
    assert STORES[base_uri.removeprefix("own://")] == before


def test_a_dataset_that_storage_lost_is_not_found(dserver, base_uri):
    uri = DtoolDserver().upload(dserver.alice, base_uri, Deposit()).json["uri"]
    STORES[base_uri.removeprefix("own://")].clear()
    assert dserver.bob.read(uri).status_code == 404


@pytest.mark.parametrize(
    ("base_uri", "name"),
    [("silent://place", "SilentBroker"), ("file://place/dir", "DiskStorageBroker")],
)
def test_a_broker_that_cannot_sign_is_named(dserver, base_uri, name):
    permit(dserver, base_uri)
    with nothing_is_written(dserver):
        for _ in range(2):
            answer = dserver.alice.begin(base_uri, DtoolDserver().plan(Deposit()))
            assert answer.status_code == 501
            assert name in answer.json["message"]


def test_a_broker_of_which_one_place_cannot_sign_leaves_another_alone(dserver, base_uri):
    permit(dserver, "silent://place")
    assert dserver.alice.begin("silent://place", DtoolDserver().plan(Deposit())).status_code == 501
    assert DtoolDserver().upload(dserver.alice, base_uri, Deposit()).status_code == 200


def test_a_lost_upload_is_not_begun_again_with_other_contents(dserver, base_uri):
    client, deposit = DtoolDserver(), Deposit()
    client.begin(dserver.alice, base_uri, deposit)
    with dserver.app.app_context():
        sql_db.session.execute(delete(PendingUpload))
        sql_db.session.commit()
    keys = STORES[base_uri.removeprefix("own://")]
    before = dict(keys)
    changed = replace(deposit, name="other")
    assert dserver.alice.begin(base_uri, client.plan(changed)).status_code == 409
    assert keys == before
    assert client.upload(dserver.alice, base_uri, deposit).status_code == 200


def test_a_broker_that_fails_is_answered_with_a_sentence(dserver):
    # The store of this address was never started, so every call of the broker raises.
    permit(dserver, "own://127.0.0.1:1")
    answer = dserver.alice.begin("own://127.0.0.1:1", DtoolDserver().plan(Deposit()))
    assert answer.status_code == 502
    assert "OwnBroker failed" in answer.json["message"]


def test_a_sweep_forgets_nothing_where_a_broker_cannot_tell_what_is_left(dserver, base_uri):
    kept, gone = Deposit(), Deposit()
    for deposit in (kept, gone):
        DtoolDserver().upload(dserver.alice, base_uri, deposit)
    store = STORES[base_uri.removeprefix("own://")]
    for key in [key for key in store if key.startswith(gone.uuid)]:
        del store[key]
    result = dserver.app.test_cli_runner().invoke(lifecycle, ["sweep", base_uri])
    assert result.exit_code == 1
    assert f"{gone.uuid} my-dataset: failed: its storage broker cannot tell" in result.stdout
    assert dserver.bob.read(f"{base_uri}/{kept.uuid}").status_code == 200


def test_a_broker_that_hangs_is_waited_for_only_as_long_as_a_call_may_take(make_dserver):
    dserver = make_dserver(SIGNED_URL_STORAGE_SECONDS=1)
    permit(dserver, "hanging://127.0.0.1:9")
    began = monotonic()
    try:
        for _ in range(2):
            answer = dserver.alice.begin("hanging://127.0.0.1:9", DtoolDserver().plan(Deposit()))
            assert_refused(answer, 502, "does not answer", "call again")
            assert int(answer.headers["Retry-After"]) >= 1
    finally:
        HangingBroker.let_go.set()
    assert monotonic() - began < 6


def test_a_database_that_is_away_when_a_lease_is_checked_is_no_failure_of_the_broker(
    dserver, base_uri
):
    def check() -> None:
        raise OperationalError("UPDATE", {}, Exception("locked"))

    storage = dserver.services.storages.of(BaseURI.parse(base_uri))
    uuid, metadata = "550e8400-e29b-41d4-a716-446655440000", {"type": "protodataset"}
    with pytest.raises(OperationalError):
        storage.uploads.create(ProtoDataset(uuid, Claim({}), metadata), check)
    with pytest.raises(OperationalError):
        storage.uploads.freeze(uuid, FrozenDataset("", Manifest(), metadata), check)
