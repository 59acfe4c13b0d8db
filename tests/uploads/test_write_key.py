"""A key pair that only writes: people deposit with it, and it is shown to nobody."""

from __future__ import annotations

import logging

import pytest

from tests.support.clients import Deposit, each_client, urls_in
from tests.support.dserver import encoded, in_capitals
from tests.support.s3_holdings import check_dataset, verifies
from tests.support.write_keys import write_key


@pytest.fixture
def pair(bucket):
    """The settings of a key pair that may write to the bucket and do nothing else."""
    return in_capitals(write_key(bucket))


@pytest.fixture
def dserver(make_dserver, pair):
    return make_dserver(**pair)


@each_client
def test_every_client_deposits_with_a_key_that_only_writes(
    dserver, bucket, pair, client, s3, dtool_reads
):
    deposit = Deposit()
    grant = client.begin(dserver.alice, dserver.base_uri, deposit)
    path = f"/signed-urls/upload/{encoded(grant['uri'])}"
    progress = dserver.alice.get(path, query_string={"urls": True}).json
    key_id, _ = pair.values()
    for url in urls_in([grant, progress["upload"]]):
        assert f"X-Amz-Credential={key_id}%2F" in url
    client.put(progress["upload"], deposit)
    assert dserver.alice.complete(grant["uri"]).status_code == 200
    check_dataset(dserver, s3, deposit)
    assert verifies(dserver, deposit)
    for url in urls_in(dserver.bob.read(grant["uri"]).json):
        assert f"X-Amz-Credential={bucket.access_key}%2F" in url


def test_nobody_is_shown_a_write_key(dserver, pair, caplog):
    caplog.set_level(logging.DEBUG)
    config = dserver.alice.get("/config/info").json["config"]
    assert {config[name.lower()] for name in pair} == {"***"}
    shown = repr(config) + repr(dserver.services) + caplog.text
    assert not any(secret in shown for secret in pair.values())


@pytest.mark.parametrize("part", [0, 1])
def test_half_a_write_key_is_a_sentence_for_the_administrator(make_dserver, pair, part):
    missing = list(pair)[part]
    dserver = make_dserver(**{name: pair[name] for name in pair if name != missing})
    answer = dserver.alice.begin(dserver.base_uri, {"uuid": Deposit().uuid, "name": "mine"})
    assert answer.status_code == 502
    assert missing.rpartition("_")[0] in answer.json["message"]
