"""The demo as a person or a script starts it: a real command, real processes, real ports."""

import hashlib
import os
import re
import signal
import socket
import stat
import sys
from collections.abc import Iterator
from importlib.metadata import version

import pytest
import requests
from click.testing import CliRunner

from dserver_signed_url_plugin.demo.backends import (
    Account,
    Bucket,
    VariableMissing,
    external_bucket,
)
from dserver_signed_url_plugin.demo.command import main
from dserver_signed_url_plugin.demo.processes import Child, ChildFailed
from dserver_signed_url_plugin.demo.store import LocalStore, s3_client
from tests.support.demo_command import PATIENCE, Serve, listens, refused

NOWHERE = "s3%3A%2F%2Fdtool-demo%2F550e8400-e29b-41d4-a716-446655440000"


ELSEWHERE = {"DTOOL_S3_ENDPOINT_dtool-demo": "http://127.0.0.1:9"}


@pytest.fixture(scope="module")
def demo(tmp_path_factory):
    """A demo beside modules with names that it needs, and with a variable for its bucket."""
    directory = tmp_path_factory.mktemp("modules")
    for module in ("six", "json", "boto3"):
        (directory / f"{module}.py").write_text("raise ImportError('not the one that is meant')\n")
    with Serve(tmp_path_factory.mktemp("demo"), directory=directory, **ELSEWHERE) as running:
        yield running


def test_the_info_file_is_private_and_holds_exactly_what_is_promised(demo):
    assert stat.S_IMODE(demo.info_file.stat().st_mode) == 0o600
    assert set(demo.info) == {
        "base_url",
        "base_uri",
        "bucket",
        "s3_endpoint",
        "access_key",
        "secret_key",
        "tokens",
    }
    assert set(demo.info["tokens"]) == {"alice", "bob", "carol", "dave", "admin"}
    assert demo.info["base_uri"] == f"s3://{demo.info['bucket']}" == "s3://dtool-demo"


@pytest.mark.parametrize(
    ("person", "searches", "registers", "is_admin"),
    [
        ("alice", True, True, False),
        ("bob", True, False, False),
        ("carol", True, True, False),
        ("dave", False, False, False),
        ("admin", False, False, True),
    ],
)
def test_each_person_may_what_the_demo_says(demo, person, searches, registers, is_admin):
    me = demo.get(person, "/me").json()
    base_uris = [demo.info["base_uri"]]
    assert me["search_permissions_on_base_uris"] == base_uris * searches
    assert me["register_permissions_on_base_uris"] == base_uris * registers
    assert me["is_admin"] is is_admin


def test_a_forged_token_is_refused(demo):
    demo.info["tokens"]["mallory"] = demo.info["tokens"]["alice"][:-8] + "AAAAAAAA"
    assert demo.get("mallory", "/me").status_code in {401, 422}


def test_the_index_answers_a_search(demo):
    answer = demo.get("bob", "/uris?free_text=nothing-like-it")
    assert (answer.status_code, answer.json()) == (200, [])


def test_this_plugin_is_loaded_once(demo):
    versions = demo.get("bob", "/config/versions").json()["versions"]
    assert versions["dserver_signed_url_plugin"] == version("dserver-signed-url-plugin")


def test_no_private_key_is_shown(demo):
    config = demo.get("bob", "/config/info").json()["config"]
    assert config["jwt_private_key"] == config["secret_key"] == "***"


def test_the_front_page_leads_to_a_share_of_the_demos_own_dataset(demo):
    page = demo.get("nobody", "/").text
    [link] = re.findall(rf'href="({demo.info["base_url"]}/signed-urls/s/[^"]+)"', page)
    shared = requests.get(link, headers={"Accept": "application/json"}, timeout=PATIENCE).json()
    assert shared["name"] == "growth-of-cress"
    for item in shared["items"].values():
        content = requests.get(item["url"], timeout=PATIENCE).content
        assert hashlib.md5(content).hexdigest() == item["hash"]


def test_no_signature_and_no_token_of_a_share_is_in_a_log(demo):
    page = demo.get("nobody", "/").text
    token = re.search(r"/signed-urls/s/(\w+)", page)[1]
    demo.get("nobody", f"/signed-urls/s/{token}")
    for log in (demo.info_file.parent / "data").glob("*.log"):
        assert token not in log.read_text()


def test_browsers_may_use_the_embedded_bucket(demo):
    info = demo.info
    client = s3_client(info["s3_endpoint"], info["access_key"], info["secret_key"])
    (rule,) = client.get_bucket_cors(Bucket=info["bucket"])["CORSRules"]
    assert set(rule["AllowedMethods"]) == {"GET", "HEAD", "PUT"}
    assert rule["ExposeHeaders"] == ["ETag"]


def test_a_signal_ends_everything_and_a_new_start_finds_what_was_kept(tmp_path):
    with Serve(tmp_path) as first:
        info = first.info
        client = s3_client(info["s3_endpoint"], info["access_key"], info["secret_key"])
        client.put_object(Bucket=info["bucket"], Key="kept/ü", Body=b"bytes", Metadata={"a": "b"})
        shared = sample_of(first)
        check_ended_by(signal.SIGTERM, first)
    with Serve(tmp_path) as second:
        second.info["tokens"]["bob"] = info["tokens"]["bob"]
        assert second.get("bob", "/me").status_code == 200
        info = second.info
        client = s3_client(info["s3_endpoint"], info["access_key"], info["secret_key"])
        kept = client.get_object(Bucket=info["bucket"], Key="kept/ü")
        assert (kept["Body"].read(), kept["Metadata"]) == (b"bytes", {"a": "b"})
        assert sample_of(second) == shared
        check_ended_by(signal.SIGINT, second)


def sample_of(demo: Serve) -> list[str]:
    """Return the URIs of the demo's own dataset and of all others."""
    return [dataset["uri"] for dataset in demo.get("alice", "/uris").json()]


def check_ended_by(number: int, demo: Serve) -> None:
    assert demo.end(number) == 0
    assert not listens(demo.info["base_url"])
    assert not listens(demo.info["s3_endpoint"])


def test_a_store_of_ones_own_is_used_and_the_bucket_created(store, tmp_path):
    variables = {
        "DTOOL_S3_ENDPOINT_mine": store.endpoint,
        "DTOOL_S3_ACCESS_KEY_ID_mine": store.access_key,
        "DTOOL_S3_SECRET_ACCESS_KEY_mine": store.secret_key,
    }
    with Serve(tmp_path, "--bucket", "mine", **variables) as running:
        assert running.info["s3_endpoint"] == store.endpoint
        assert running.info["access_key"] == store.access_key
        client = s3_client(store.endpoint, store.access_key, store.secret_key)
        assert "mine" in [bucket["Name"] for bucket in client.list_buckets()["Buckets"]]
    assert listens(store.endpoint)


def test_a_store_named_only_in_part_is_refused_with_the_missing_variable(tmp_path):
    said = refused(
        *("--info", tmp_path / "info.json", "--bucket", "mine"),
        DTOOL_S3_ENDPOINT_mine="http://127.0.0.1:9",
        DTOOL_S3_ACCESS_KEY_ID_mine="key",
    )
    assert "DTOOL_S3_SECRET_ACCESS_KEY_mine" in said


def test_variables_of_ones_own_store_are_read_as_dserver_reads_them():
    own = {
        "DTOOL_S3_ENDPOINT_mine": " http://127.0.0.1:9\n",
        "DTOOL_S3_ACCESS_KEY_ID_mine": "key\n",
        "DTOOL_S3_SECRET_ACCESS_KEY_mine": "secret\n",
    }
    found = Bucket("mine", "http://127.0.0.1:9", "key", "secret")
    assert external_bucket("mine", own) == found
    own["DTOOL_S3_ENDPOINT_mine"] = "http://minio_server:9000"
    with pytest.raises(VariableMissing, match="DTOOL_S3_ENDPOINT_mine must be a URL"):
        external_bucket("mine", own)


def test_without_variables_the_named_bucket_is_embedded():
    assert external_bucket("mine", {}) is None
    with pytest.raises(VariableMissing, match="DTOOL_S3_ENDPOINT_mine and DTOOL_S3_ACCESS_KEY_ID"):
        external_bucket("mine", {"DTOOL_S3_SECRET_ACCESS_KEY_mine": "secret"})


@pytest.mark.parametrize(
    "place", [Bucket("mine", "http://127.0.0.1:9", "key", "geheim"), Account("mine", "", "geheim")]
)
def test_what_opens_a_store_is_not_shown_with_it(place):
    assert "geheim" in place.variables().values()
    assert "geheim" not in repr(place)


def test_variables_of_the_bucket_that_nobody_named_are_left_alone(demo):
    assert demo.info["s3_endpoint"] not in ELSEWHERE.values()
    assert listens(demo.info["s3_endpoint"])


@pytest.fixture
def own_handlers() -> Iterator[None]:
    """Put back the handlers of signals that the command sets."""
    numbers = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
    before = {number: signal.getsignal(number) for number in numbers}
    yield
    for number, handler in before.items():
        signal.signal(number, handler)


@pytest.mark.parametrize(
    ("options", "code", "said"),
    [
        (("--base-uri", "s3://mine", "--bucket", "mine"), 2, "--base-uri or --bucket, not both"),
        (("--base-uri", "mine"), 2, "is not a URI such as s3://bucket"),
        (("--bucket", "mine/too"), 2, "which no base URI of s3 has"),
        (("--base-uri", "file://mine"), 1, "serves s3://BUCKET and azure://ACCOUNT"),
        (("--base-uri", "azure://my-account"), 1, "3 to 24 of a-z and 0-9"),
    ],
)
@pytest.mark.usefixtures("own_handlers")
def test_a_base_uri_that_cannot_be_served_is_refused_with_the_reason(options, code, said, tmp_path):
    command = ["serve", "--info", str(tmp_path / "info.json"), *options]
    ended = CliRunner().invoke(main, command)
    assert ended.exit_code == code
    assert said in ended.output


def test_a_port_that_is_taken_is_named(tmp_path):
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = str(taken.getsockname()[1])
        said = refused("--info", tmp_path / "info.json", "--port", port)
    assert f"127.0.0.1:{port}" in said


def test_a_child_that_dies_is_quoted(tmp_path):
    command = [sys.executable, "-c", "print('my last words'); raise SystemExit(3)"]
    with (
        Child("The child", command, os.environ, tmp_path / "log") as child,
        pytest.raises(ChildFailed, match=r"The child ended with code 3\.\n  \| my last words"),
    ):
        child.wait_until(lambda: False, PATIENCE)


def test_a_local_store_refuses_other_keys():
    with LocalStore() as store:
        store.create_bucket("lab")
        stranger = s3_client(store.endpoint, "somebody", "else", patient=False)
        with pytest.raises(stranger.exceptions.ClientError):
            stranger.list_buckets()
    assert not listens(store.endpoint)


def test_a_directory_with_modules_of_its_own_is_no_place_for_the_demos(demo):
    assert demo.get("bob", "/me").status_code == 200
    assert demo.get("bob", f"/signed-urls/dataset/{NOWHERE}").status_code == 404
