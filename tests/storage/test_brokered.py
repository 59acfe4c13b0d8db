"""SIGNED_URL_STORAGE_<scheme>=broker: a broker of the operator's signs, in the plugin's place."""

from __future__ import annotations

import json
from functools import partial

import pytest
import requests

from dserver_signed_url_plugin.cli.lifecycle import lifecycle
from dserver_signed_url_plugin.cli.signed_url import signed_url
from dserver_signed_url_plugin.cli.temp_share import temp_share
from tests.support.clients import Deposit, DtoolDserver, urls_in
from tests.support.dserver import encoded
from tests.support.own_broker import install
from tests.support.s3_holdings import check_dataset, verifies
from tests.support.shared_files import FILES as SHARED
from tests.support.shared_files import check_fetched
from tests.support.signing_s3_broker import SIGNED, SigningS3Broker
from tests.support.stored_upload import Upload

pytestmark = [
    pytest.mark.usefixtures("dtool_reads"),
]

BROKER = "the storage broker SigningS3Broker"


@pytest.fixture
def installed(tmp_path, monkeypatch):
    """A broker for s3 that signs, beside dtool-s3 itself, which does not."""
    install(monkeypatch, tmp_path / "site", "tests.support.signing_s3_broker:SigningS3Broker")


@pytest.fixture
def dserver(installed, make_dserver):
    return make_dserver(SIGNED_URL_STORAGE_S3="broker")


def run(dserver, command, *arguments):
    return dserver.app.test_cli_runner().invoke(command, [str(each) for each in arguments])


def test_the_broker_signs_what_is_deposited_and_what_is_read(dserver, s3):
    client, deposit = DtoolDserver(), Deposit()
    grant = client.begin(dserver.alice, dserver.base_uri, deposit)
    path = f"/signed-urls/upload/{encoded(grant['uri'])}"
    progress = dserver.alice.get(path, query_string={"urls": True}).json
    assert set(urls_in([grant, progress["upload"]])) <= SIGNED
    client.put(grant, deposit)
    assert dserver.alice.complete(grant["uri"]).status_code == 200
    check_dataset(dserver, s3, deposit)
    assert verifies(dserver, deposit)
    read = dserver.bob.read(grant["uri"]).json
    assert set(urls_in(read)) <= SIGNED
    one = dserver.bob.read_item(grant["uri"], next(iter(read["item_urls"]))).json
    assert one["url"] in SIGNED


def test_the_broker_signs_lists_and_what_is_verified(dserver, tmp_path):
    deposit = Deposit()
    assert DtoolDserver().upload(dserver.alice, dserver.base_uri, deposit).status_code == 200
    uri = f"{dserver.base_uri}/{deposit.uuid}"
    listed = dserver.bob.read(uri, format="aria2").text
    urls = [line for line in listed.splitlines() if line.startswith("http")]
    assert len(urls) == len(deposit.files)
    assert set(urls) <= SIGNED
    result = run(dserver, signed_url, "verify", uri, "--state", tmp_path / "state")
    assert (result.exit_code, result.stdout) == (0, f"{uri}: 3 items: 3 equal.\n")


def test_without_the_setting_the_plugin_signs_though_a_broker_could(installed, make_dserver):
    dserver = make_dserver()
    grant = DtoolDserver().begin(dserver.alice, dserver.base_uri, Deposit())
    assert SIGNED.isdisjoint(urls_in(grant))


def test_a_broker_made_meanwhile_for_another_dataset_is_not_mixed_up(dserver, s3, bucket):
    upload, other = Upload(dserver.storage), Upload(dserver.storage)
    another = partial(SigningS3Broker, f"{dserver.base_uri}/{other.uuid}")
    dserver.storage.uploads.create(upload.opening, another)
    structure = s3.get_object(Bucket=bucket.name, Key=f"{upload.uuid}/structure.json")
    assert json.load(structure["Body"])["dataset_registration_key"] == f"dtool-{upload.uuid}"


def test_the_doctor_tells_who_signs(dserver, make_dserver):
    result = run(dserver, signed_url, "doctor", dserver.base_uri)
    assert result.exit_code == 5
    assert f"not checked. URLs are signed by {BROKER}, for which" in result.stdout
    data = run(dserver, signed_url, "doctor", dserver.base_uri, "--json")
    assert json.loads(data.stdout)["signed_by"] == BROKER

    own = make_dserver()
    result = run(own, signed_url, "doctor", own.base_uri)
    assert "URLs are signed by this plugin, for S3.\n" in result.stdout
    data = run(own, signed_url, "doctor", own.base_uri, "--json")
    assert json.loads(data.stdout)["signed_by"] == "this plugin, for S3"


@pytest.mark.parametrize(
    "arguments", [("show",), ("set", "--days", "1"), ("remove",)], ids=lambda given: given[0]
)
def test_lifecycle_rules_are_left_to_the_operator_with_a_sentence(dserver, arguments):
    command, *options = arguments
    result = run(dserver, lifecycle, command, dserver.base_uri, *options)
    assert result.exit_code != 0
    assert "no lifecycle is known" in result.output
    assert "Traceback" not in result.output


def test_a_sweep_keeps_what_is_there_and_forgets_nothing_that_a_broker_cannot_look_for(
    dserver, s3, bucket
):
    kept, gone = Deposit(), Deposit()
    for deposit in (kept, gone):
        assert DtoolDserver().upload(dserver.alice, dserver.base_uri, deposit).status_code == 200
    for entry in s3.list_objects_v2(Bucket=bucket.name)["Contents"]:
        if gone.uuid in entry["Key"]:
            s3.delete_object(Bucket=bucket.name, Key=entry["Key"])
    result = run(dserver, lifecycle, "sweep", dserver.base_uri)
    assert result.exit_code == 1
    assert f"{gone.uuid} my-dataset: failed: its storage broker cannot tell" in result.stdout
    assert dserver.bob.read(f"{dserver.base_uri}/{gone.uuid}").status_code == 404
    assert dserver.bob.read(f"{dserver.base_uri}/{kept.uuid}").status_code == 200


def test_a_share_is_made_through_the_broker(dserver, tmp_path):
    folder = tmp_path / "results"
    folder.mkdir()
    for name, content in SHARED.items():
        (folder / name).write_bytes(content)
    result = run(dserver, temp_share, "create", dserver.base_uri, folder, "--json")
    assert result.exit_code == 0, result.stderr
    share = json.loads(result.stdout)
    check_fetched(share, folder)
    assert set(urls_in(share)) <= SIGNED
    again = run(dserver, temp_share, "url", share["uri"])
    for line in again.stdout.splitlines():
        assert requests.get(line.split("\t")[1], timeout=30).ok


@pytest.mark.parametrize(
    ("scheme", "name"), [("S3", "S3StorageBroker"), ("AZURE", "AzureStorageBroker")]
)
def test_a_broker_that_is_wanted_and_cannot_sign_is_named(
    make_dserver, make_azure_dserver, scheme, name
):
    make = make_dserver if scheme == "S3" else make_azure_dserver
    dserver = make(**{f"SIGNED_URL_STORAGE_{scheme}": "broker"})
    answer = dserver.alice.begin(dserver.base_uri, DtoolDserver().plan(Deposit()))
    assert answer.status_code == 501
    assert f"{name} cannot make signed URLs: it lacks supports_signing" in answer.json["message"]
    result = run(dserver, signed_url, "doctor", dserver.base_uri)
    assert result.exit_code == 2
    assert name in result.stderr
