"""The demo on Azure, as a person or a script starts it."""

import stat
import subprocess

import pytest

from dserver_signed_url_plugin.demo.backends import VariableMissing, external_account
from tests.support.blob_client import blob_service
from tests.support.demo_command import COMMAND, PATIENCE, Serve, listens, refused
from tests.support.dserver import Account

# Where Azurite is not installed, the demo cannot start it either.
pytestmark = pytest.mark.usefixtures("azure_store")


def opened(info):
    """Return a client of the account that the info file names."""
    return blob_service(Account(info["account"], info["blob_endpoint"], info["account_key"]))


def test_the_info_file_opens_the_embedded_account_and_a_new_start_finds_its_blobs(tmp_path):
    with Serve(tmp_path, "--base-uri", "azure://lab") as first:
        info = first.info
        assert stat.S_IMODE(first.info_file.stat().st_mode) == 0o600
        assert set(info) == {
            *("base_url", "base_uri", "tokens"),
            *("account", "blob_endpoint", "account_key"),
        }
        assert info["base_uri"] == f"azure://{info['account']}" == "azure://lab"
        assert first.get("alice", "/me").json()["search_permissions_on_base_uris"] == [
            "azure://lab"
        ]
        [rule] = opened(info).get_blob_service_properties().cors
        assert set(rule.allowed_methods) == {"GET", "HEAD", "PUT"}
        opened(info).create_container("kept")
        assert first.end() == 0
        assert not listens(info["blob_endpoint"])
    with Serve(tmp_path, "--base-uri", "azure://lab") as second:
        assert "kept" in {container.name for container in opened(second.info).list_containers()}


def test_an_account_of_ones_own_is_used(account, tmp_path):
    with Serve(tmp_path, "--base-uri", account.base_uri, **account.settings()) as running:
        assert running.info["blob_endpoint"] == account.endpoint
        assert running.info["account_key"] == account.key


def test_an_endpoint_without_a_key_is_refused_with_the_missing_variable(tmp_path):
    said = refused(
        *("--info", tmp_path / "info.json", "--base-uri", "azure://mine"),
        DTOOL_AZURE_BLOB_ENDPOINT_mine="http://127.0.0.1:9/mine",
    )
    assert "DTOOL_AZURE_ACCOUNT_KEY_mine" in said


@pytest.mark.parametrize(
    ("variable", "endpoint"),
    [
        ({}, "https://mine.blob.core.windows.net"),
        ({"DTOOL_AZURE_BLOB_ENDPOINT_mine": ""}, "https://mine.blob.core.windows.net"),
        (
            {"DTOOL_AZURE_BLOB_ENDPOINT_mine": "core.usgovcloudapi.net"},
            "https://mine.blob.core.usgovcloudapi.net",
        ),
        (
            {"DTOOL_AZURE_BLOB_ENDPOINT_mine": "http://127.0.0.1:9/mine"},
            "http://127.0.0.1:9/mine",
        ),
    ],
)
def test_a_key_alone_is_enough(variable, endpoint):
    found = external_account("mine", {"DTOOL_AZURE_ACCOUNT_KEY_mine": "key", **variable})
    assert found is not None
    assert (found.endpoint, found.key) == (endpoint, "key")


def test_without_variables_the_account_is_embedded():
    assert external_account("mine", {}) is None
    with pytest.raises(VariableMissing, match="DTOOL_AZURE_ACCOUNT_KEY_mine too"):
        external_account("mine", {"DTOOL_AZURE_BLOB_ENDPOINT_mine": "http://127.0.0.1:9/mine"})


def test_every_step_of_the_walkthrough_succeeds():
    ended = subprocess.run(
        [COMMAND, "--once", "--base-uri", "azure://lab", "--workers", "1"],
        capture_output=True,
        text=True,
        timeout=PATIENCE,
        check=False,
    )
    assert ended.returncode == 0, ended.stdout + ended.stderr
    assert ended.stdout.count("✓") == 15
    assert "sig=" not in ended.stdout
