"""`flask temp_share create` where proxies, certificates and names are as an operator has them."""

from __future__ import annotations

import base64
import json
import os

import pytest
import requests

from dserver_signed_url_plugin.cli.temp_share import temp_share
from tests.support.proxy import Instead, StoreProxy
from tests.support.shared_files import FILES, check_fetched
from tests.support.tls import PAIR, PASSWORD, USER, EncryptedProxy, certificate, tunnel

BUNDLES = ["AWS_CA_BUNDLE", "REQUESTS_CA_BUNDLE", "SSL_CERT_FILE"]


@pytest.fixture(autouse=True)
def _nothing_of_this_machine(monkeypatch):
    for name in ("no_proxy", "NO_PROXY", *BUNDLES):
        monkeypatch.delenv(name, raising=False)


def created(dserver, folder):
    command = ["create", dserver.base_uri, str(folder), "--json"]
    return dserver.app.test_cli_runner().invoke(temp_share, command)


@pytest.mark.parametrize("pair", ["", f"{PAIR}@"])
def test_files_go_through_the_proxy_of_the_environment(
    make_dserver, bucket, folder, monkeypatch, pair
):
    with StoreProxy(bucket) as between:
        dserver = make_dserver()
        monkeypatch.setenv("http_proxy", between.endpoint.replace("//", f"//{pair}"))
        assert created(dserver, folder).exit_code == 0
    puts = [request for request in between.requests if "X-Amz-Signature" in request.target]
    assert [request.method for request in puts] == ["PUT"] * len(FILES)
    word = base64.b64encode(f"{USER}:{PASSWORD}".encode()).decode()
    told = {request.headers.get("proxy-authorization") for request in puts}
    assert told == {f"Basic {word}" if pair else None}


def test_a_proxy_that_asks_for_a_password_is_named(make_dserver, bucket, folder, monkeypatch):
    with StoreProxy(bucket) as between:
        between.before = lambda it: Instead(407) if "X-Amz-Signature" in it.target else None
        dserver = make_dserver()
        monkeypatch.setenv("http_proxy", between.endpoint.replace("127.0.0.1", "localhost"))
        result = created(dserver, folder)
    assert "the proxy localhost answered 407" in result.stderr


# Certificates -------------------------------------------------------------------------------


@pytest.fixture
def bundle(tmp_path):
    """A certificate of which only the environment can tell that it is trusted."""
    return certificate(tmp_path)


@pytest.fixture
def encrypted(make_dserver, bucket, bundle):
    """A dserver whose people, and whose operator, reach the store by https."""
    with EncryptedProxy(bucket) as public_side:
        public_side.encrypt(*bundle)
        yield make_dserver(**public_side.public_settings())


def check_trusted(result, bundle):
    assert result.exit_code == 0, result.stderr
    for file in json.loads(result.stdout)["files"]:
        answer = requests.get(file["url"], verify=str(bundle[0]), timeout=30)
        assert answer.content == FILES[file["relpath"].rpartition("/")[2]]


@pytest.mark.parametrize("variable", BUNDLES)
def test_a_certificate_that_the_environment_names_is_trusted(
    encrypted, folder, bundle, monkeypatch, variable
):
    monkeypatch.setenv(variable, str(bundle[0]))
    check_trusted(created(encrypted, folder), bundle)


def test_a_certificate_that_nobody_names_is_not_trusted(encrypted, folder):
    result = created(encrypted, folder)
    assert (result.exit_code, result.stdout) == (1, "")
    assert "was not stored: 127.0.0.1 does not answer (" in result.stderr


def test_a_certificate_that_is_not_trusted_is_not_tried_again(
    make_dserver, bucket, bundle, tmp_path
):
    folder = tmp_path / "one"
    folder.mkdir()
    (folder / "file.txt").write_text("content")
    with EncryptedProxy(bucket) as public_side:
        public_side.encrypt(*bundle)
        assert created(make_dserver(**public_side.public_settings()), folder).exit_code == 1
    assert public_side.connections == 1


def test_certificates_that_cannot_be_read_are_told(encrypted, folder, monkeypatch, tmp_path):
    monkeypatch.setenv("AWS_CA_BUNDLE", str(tmp_path / "none.pem"))
    result = created(encrypted, folder)
    assert (result.exit_code, result.stdout) == (1, "")
    assert "certificates cannot be used (No such file or directory)" in result.stderr


def test_files_go_by_https_through_a_proxy_that_asks_for_a_password(
    encrypted, folder, bundle, monkeypatch
):
    monkeypatch.setenv("AWS_CA_BUNDLE", str(bundle[0]))
    with tunnel() as (address, proxy):
        monkeypatch.setenv("https_proxy", address)
        result = created(encrypted, folder)
        monkeypatch.delenv("https_proxy")
    check_trusted(result, bundle)
    assert proxy.connections > 0


@pytest.mark.parametrize(
    ("address", "said"),
    [
        ("http://lab:hidden@[bad", "proxy holds no URL"),
        ("http://lab:hidden@127.0.0.1:port", "proxy holds no URL"),
        ("odd://lab:hidden@127.0.0.1", "proxy holds no URL"),
        (
            "http://lab:hidden@localhost:1",
            "the proxy localhost does not answer (Connection refused)",
        ),
    ],
)
def test_a_proxy_that_cannot_be_used_is_told_without_its_password(
    encrypted, folder, monkeypatch, address, said
):
    monkeypatch.setenv("https_proxy", address)
    result = created(encrypted, folder)
    assert (result.exit_code, result.stdout) == (1, "")
    assert said in result.stderr
    assert "hidden" not in result.stderr


def test_a_proxy_that_refuses_is_named_and_not_the_store(encrypted, folder, monkeypatch):
    with tunnel() as (address, _):
        monkeypatch.setenv("https_proxy", address.replace(f"{PAIR}@127.0.0.1", "localhost"))
        result = created(encrypted, folder)
    assert result.exit_code == 1
    assert "the proxy localhost answered 407" in result.stderr


# Names --------------------------------------------------------------------------------------


@pytest.mark.parametrize(("name", "kept"), [("doe", "doe"), ("müller", str(os.getuid()))])
def test_who_has_a_name_that_no_store_can_keep_is_called_by_number(
    dserver, share, folder, monkeypatch, name, kept
):
    monkeypatch.setenv("LOGNAME", name)
    result = share()
    assert result.exit_code == 0, result.stderr
    check_fetched(json.loads(result.stdout), folder)
    [registered] = dserver.alice.post("/uris", {}).json
    assert registered["creator_username"] == kept
