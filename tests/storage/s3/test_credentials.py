"""Credentials out of boto3's own chain: which are used, for how long, and for which region."""

from __future__ import annotations

import threading
from contextlib import contextmanager
from datetime import datetime, timedelta, timezone
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import parse_qs, urlsplit

import boto3
import pytest

from dserver_signed_url_plugin.config import Settings
from dserver_signed_url_plugin.errors import StorageUnavailable
from dserver_signed_url_plugin.storage.s3 import s3_storage
from dserver_signed_url_plugin.uris import BaseURI
from tests.support.stored_upload import Upload, put, uninterrupted

PROMISE = 3600


pytestmark = pytest.mark.usefixtures("alone")


@pytest.fixture
def chain(bucket, environment):
    """Credentials and endpoint as boto3's own chain finds them."""
    environment(
        {
            "AWS_ACCESS_KEY_ID": bucket.access_key,
            "AWS_SECRET_ACCESS_KEY": bucket.secret_key,
            "AWS_ENDPOINT_URL_S3": bucket.endpoint,
            "AWS_DEFAULT_REGION": "us-east-1",
        }
    )


def storage_of(name):
    return s3_storage(BaseURI("s3", name), Settings.load({}, {}))


def staged_request(storage, seconds=60):
    """A signed PUT for a new upload's one item."""
    upload = Upload(storage, {"file": b"bytes"})
    return next(iter(upload.urls(storage.reads.life(seconds), pinned=False).items.values()))


def opens(storage):
    """Return whether the store takes what the storage signs, and takes its own requests."""
    upload = Upload(storage, {"file": b"bytes"})
    storage.uploads.create(upload.opening, uninterrupted)
    return put(staged_request(storage), b"bytes") == 200


def query(request):
    return {name: values[0] for name, values in parse_qs(urlsplit(request.url).query).items()}


@contextmanager
def elsewhere(status, region):
    """A store that says, with this status, in which region its buckets are, and holds nothing."""

    class Answer(BaseHTTPRequestHandler):
        def do_HEAD(self):
            self.send_response(status)
            self.send_header("x-amz-bucket-region", region)
            self.send_header("Content-Length", "0")
            self.end_headers()

        def do_GET(self):
            # What says so must be S3.
            word = b"<Error><Code>NoSuchKey</Code></Error>"
            self.send_response(404)
            self.send_header("Content-Length", str(len(word)))
            self.end_headers()
            self.wfile.write(word)

        def log_message(self, *args):
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Answer)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}"
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


def test_without_settings_boto3s_own_chain_is_asked(bucket, chain):
    assert opens(storage_of(bucket.name))


def test_no_credentials_at_all_are_a_sentence(bucket, environment):
    environment({"AWS_ENDPOINT_URL_S3": bucket.endpoint, "AWS_DEFAULT_REGION": "us-east-1"})
    names = f"DTOOL_S3_ACCESS_KEY_ID_{bucket.name} and DTOOL_S3_SECRET_ACCESS_KEY_{bucket.name}"
    with pytest.raises(StorageUnavailable, match=f"no credentials for {bucket.name}: set {names}"):
        storage_of(bucket.name).reads.life(PROMISE)


def temporary(seconds, key="ASIATEMPORARY"):
    """Variables of credentials that end in so many seconds."""
    ends = datetime.now(timezone.utc) + timedelta(seconds=seconds)
    return {
        "AWS_ACCESS_KEY_ID": key,
        "AWS_SECRET_ACCESS_KEY": "temporary-secret",
        "AWS_SESSION_TOKEN": "temporary/token+=",
        "AWS_CREDENTIAL_EXPIRATION": ends.isoformat(),
    }


@pytest.mark.parametrize("left", [5, 300, 1800])
def test_no_life_is_promised_beyond_the_credentials_end(bucket, chain, environment, left):
    settings = temporary(left)
    environment(settings)
    life = storage_of(bucket.name).reads.life(PROMISE)
    assert life.ends <= datetime.fromisoformat(settings["AWS_CREDENTIAL_EXPIRATION"])
    assert left - 5 <= life.seconds <= left
    assert life.limited_by == "credentials"
    assert life.ends == life.starts + timedelta(seconds=life.seconds)


def test_credentials_that_outlive_the_urls_shorten_nothing(bucket, chain, environment):
    environment(temporary(2 * PROMISE))
    life = storage_of(bucket.name).reads.life(PROMISE)
    assert (life.seconds, life.limited_by) == (PROMISE, None)


def test_credentials_that_have_ended_are_a_sentence(bucket, chain, environment):
    environment(temporary(-60))
    with pytest.raises(StorageUnavailable) as refusal:
        storage_of(bucket.name).reads.life(PROMISE)
    assert "temporary" not in str(refusal.value)


def test_refreshable_credentials_are_asked_each_time(environment):
    with elsewhere(200, "us-east-1") as endpoint:
        environment({**temporary(300, "ASIAFIRST"), "AWS_ENDPOINT_URL_S3": endpoint})
        storage = storage_of("lab")
        before = query(staged_request(storage))
        environment(temporary(1800, "ASIASECOND"))
        after = query(staged_request(storage, PROMISE))
    assert before["X-Amz-Credential"].startswith("ASIAFIRST/")
    assert after["X-Amz-Credential"].startswith("ASIASECOND/")
    assert 1790 <= int(after["X-Amz-Expires"]) <= 1800


def test_urls_of_temporary_credentials_open(bucket, chain, environment):
    sts = boto3.client("sts", endpoint_url=bucket.endpoint)
    made = sts.get_session_token(DurationSeconds=900)["Credentials"]
    sts.close()
    environment(
        {
            "AWS_ACCESS_KEY_ID": made["AccessKeyId"],
            "AWS_SECRET_ACCESS_KEY": made["SecretAccessKey"],
            "AWS_SESSION_TOKEN": made["SessionToken"],
        }
    )
    storage = storage_of(bucket.name)
    assert query(staged_request(storage))["X-Amz-Security-Token"] == made["SessionToken"]
    assert opens(storage)


@pytest.mark.parametrize("status", [200, 301, 403])
def test_a_bucket_is_signed_for_its_own_region(environment, status):
    with elsewhere(status, "eu-central-1") as endpoint:
        environment({**temporary(2 * PROMISE), "AWS_ENDPOINT_URL_S3": endpoint})
        request = staged_request(storage_of("lab"))
    assert "/eu-central-1/s3/aws4_request" in query(request)["X-Amz-Credential"]
