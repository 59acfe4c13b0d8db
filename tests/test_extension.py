"""What dserver's own `/config` routes say of this plugin, and which proxies it believes."""

from __future__ import annotations

from concurrent.futures import Future, ThreadPoolExecutor, wait
from importlib.metadata import version
from typing import Any

import dservercore.utils
import pytest
from dservercore.config import Config
from flask import request

import dserver_signed_url_plugin
from tests.support.audit_records import rows
from tests.support.databases import on_each_database
from tests.support.dserver import Dserver, encoded


def test_the_version_of_this_plugin_is_shown(dserver):
    # The public web application offers downloads only where this value is true.
    versions = dserver.nobody.get("/config/versions").json["versions"]
    assert versions["dserver_signed_url_plugin"] == version("dserver-signed-url-plugin")
    assert dserver_signed_url_plugin.__version__


def test_two_apps_of_one_process_do_not_see_which_secrets_the_other_has(
    make_dserver_on, bucket, account
):
    before = list(Config.CONFIG_SECRETS_TO_OBFUSCATE)
    on_s3, on_azure = make_dserver_on(bucket), make_dserver_on(account)
    hidden = [set(each.app.config["CONFIG_SECRETS_TO_OBFUSCATE"]) for each in (on_s3, on_azure)]
    names = [f"DTOOL_S3_SECRET_ACCESS_KEY_{bucket.name}", f"DTOOL_AZURE_ACCOUNT_KEY_{account.name}"]
    assert [[name.upper() in each for name in names] for each in hidden] == [
        [True, False],
        [False, True],
    ]
    assert before == Config.CONFIG_SECRETS_TO_OBFUSCATE
    for each in (on_s3, on_azure):
        shown = each.alice.get("/config/info").text
        assert bucket.secret_key not in shown
        assert account.key not in shown


@pytest.mark.parametrize(
    ("proxies", "address", "root"),
    [
        ("0", "127.0.0.1", "http://localhost/"),
        ("1", "192.0.2.1", "http://inner.example.org/"),
        ("2", "198.51.100.7", "https://dserver.example.org/"),
    ],
)
def test_the_audit_has_the_address_that_the_outermost_of_so_many_proxies_saw(
    make_dserver, proxies, address, root
):
    """The client claims 203.0.113.9, the outer proxy saw 198.51.100.7, the inner 192.0.2.1."""
    dserver = make_dserver(SIGNED_URL_PROXIES=proxies)
    headers = {
        "X-Forwarded-For": "203.0.113.9, 198.51.100.7, 192.0.2.1",
        "X-Forwarded-Proto": "http, https, http",
        "X-Forwarded-Host": "evil.example.org, dserver.example.org, inner.example.org",
        "X-Forwarded-Prefix": "/evil",
        "X-Forwarded-Port": "81",
    }
    with dserver.app.test_client() as client:
        client.get(f"/signed-urls/dataset/{encoded(dserver.base_uri)}", headers=headers)
        assert request.url_root == root
    assert [row["address"] for row in rows(dserver)] == [address]


class RegistersAnew:
    """Another extension, beside whose part of a deletion somebody else registers the dataset."""

    def __init__(self, dserver: Dserver, info: dict[str, Any]) -> None:
        self._dserver, self._info = dserver, info
        self._pool = ThreadPoolExecutor(1)
        self.registered: Future[None]

    def register_dataset(self, info: Any) -> None:
        pass

    def delete_dataset(self, _uri: str) -> None:
        self.registered = self._pool.submit(self._register)
        # Long enough for all that need not wait for the deletion.
        wait([self.registered], timeout=0.5)

    def _register(self) -> None:
        with self._dserver.app.app_context():
            dservercore.utils.register_dataset(self._info)


@on_each_database
def test_a_dataset_that_is_registered_while_it_is_deleted_is_found_and_is_there(dserver):
    uuid = "550e8400-e29b-41d4-a716-446655440000"
    info = {
        "uuid": uuid, "type": "dataset", "name": "n", "uri": f"{dserver.base_uri}/{uuid}",
        "base_uri": dserver.base_uri, "readme": "", "manifest": {"items": {}}, "annotations": {},
        "creator_username": "alice", "frozen_at": 1.7e9, "created_at": 1.7e9, "tags": [],
        "number_of_items": 0, "size_in_bytes": 0,
    }  # fmt: skip
    with dserver.app.app_context():
        dservercore.utils.register_dataset(info)
    other = RegistersAnew(dserver, info)
    dserver.app.custom_extensions.append(other)
    assert dserver.alice.delete(f"/uris/{encoded(info['uri'])}").status_code == 200
    other.registered.result()
    with dserver.app.app_context():
        assert len(dserver.app.search.search({"base_uris": [dserver.base_uri]})) == 1
        assert dservercore.utils.dataset_uri_exists(info["uri"])
