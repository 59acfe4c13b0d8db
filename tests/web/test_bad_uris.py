"""URIs are read strictly: what is not dserver's spelling is refused at every door."""

from __future__ import annotations

from uuid import uuid4

import pytest

from tests.support.clients import Deposit, DtoolDserver
from tests.support.dserver import Dserver, encoded
from tests.support.refusals import assert_refused, nothing_is_written

UUID = str(uuid4())
PLAN = {"uuid": UUID, "name": "my-dataset"}

BASE_URIS = {
    "trailing slash": ("s3://{name}/", 400),
    "two trailing slashes": ("s3://{name}//", 400),
    "scheme in capitals": ("S3://{name}", 400),
    "query": ("s3://{name}?x=1", 400),
    "fragment": ("s3://{name}#x", 400),
    "parent": ("s3://{name}/..", 400),
    "parent inside": ("s3://../{name}", 400),
    "here": ("s3://./{name}", 400),
    "folder": ("s3://{name}/folder", 400),
    "no scheme": ("{name}", 400),
    "no bucket": ("s3://", 400),
    "three slashes": ("s3:///{name}", 400),
    "space": ("s3://{name} ", 400),
    "tab": ("s3://{name}\t", 400),
    "NUL": ("s3://{name}\x00", 400),
    "backslash": ("s3:\\\\{name}", 400),
    "endless": ("s3://" + "b" * 2000, 400),
    "encoded twice": ("s3%3A%2F%2F{name}", 400),
    "bucket in capitals": ("s3://{NAME}", 403),
}
DATASETS = {
    "trailing slash": "s3://{name}/{uuid}/",
    "scheme in capitals": "S3://{name}/{uuid}",
    "query": "s3://{name}/{uuid}?x=1",
    "parent": "s3://{name}/../{uuid}",
    "empty segment": "s3://{name}//{uuid}",
    "folder": "s3://{name}/folder/{uuid}",
    "no UUID": "s3://{name}/my-dataset",
    "UUID in capitals": "s3://{name}/{UUID}",
    "UUID without dashes": "s3://{name}/{hex}",
    "only a base URI": "s3://{name}",
    "encoded twice": "s3%3A%2F%2F{name}%2F{uuid}",
    "NUL": "s3://{name}/{uuid}\x00",
    "endless": "s3://{name}/" + "u" * 2000,
}


def spelled(template: str, dserver: Dserver, uuid: str = "f" * 8 + UUID[8:]) -> str:
    name = dserver.bucket.name
    return template.format(
        name=name, NAME=name.upper(), uuid=uuid, UUID=uuid.upper(), hex=uuid.replace("-", "")
    )


@pytest.mark.parametrize(("template", "status"), BASE_URIS.values(), ids=BASE_URIS)
def test_no_upload_begins_at_a_base_uri_spelled_otherwise(lab, template, status):
    word = {400: "base_uri: ", 403: "permission"}[status]
    with nothing_is_written(lab):
        assert_refused(lab.alice.begin(spelled(template, lab), PLAN), status, word)


@pytest.mark.parametrize("template", DATASETS.values(), ids=DATASETS)
def test_no_dataset_is_found_under_a_uri_spelled_otherwise(lab, template):
    uri = spelled(template, lab)
    with nothing_is_written(lab):
        assert_refused(lab.alice.read(uri), 400, "uri: ")
        assert_refused(lab.alice.read_item(uri, "0" * 40), 400, "uri: ")


@pytest.mark.parametrize("template", [*DATASETS.values(), "s3://{name}/{uuid}\n"])
def test_no_upload_is_completed_under_a_uri_spelled_otherwise(lab, template):
    with nothing_is_written(lab):
        answer = lab.alice.complete(spelled(template, lab))
        assert answer.status_code in {400, 422}
        # What is NUL is refused with the body, before it is anybody's URI.
        assert_refused(answer, answer.status_code, "NUL" if "\x00" in template else "uri: ")


@pytest.mark.parametrize("body", [None, {}, {"uri": None}, {"uri": 7}, {"uri": ""}, []])
def test_a_completion_without_a_uri_is_refused(lab, body):
    with nothing_is_written(lab):
        assert_refused(lab.alice.post("/signed-urls/upload-complete", body), 422)


@pytest.mark.parametrize("separator", [":/", ":%2F", "%3A%2F", "://", "%3A%2F%2F"])
def test_slashes_that_a_proxy_merged_are_accepted(lab, separator):
    deposit = Deposit()
    plan = DtoolDserver().plan(deposit)
    name, uri = lab.bucket.name, f"{lab.base_uri}/{deposit.uuid}"
    begun = lab.alice.post(f"/signed-urls/upload/s3{separator}{name}", plan)
    assert (begun.status_code, begun.json["uri"]) == (200, uri)
    DtoolDserver().put(begun.json, deposit)
    assert lab.alice.complete(f"s3:/{name}/{deposit.uuid}").json["uri"] == uri

    read = lab.bob.get(f"/signed-urls/dataset/s3{separator}{name}/{deposit.uuid}")
    assert (read.status_code, read.json["uri"]) == (200, uri)
    identifier = next(iter(read.json["item_urls"]))
    item = lab.bob.get(f"/signed-urls/item/s3{separator}{name}/{deposit.uuid}/{identifier}")
    assert (item.status_code, item.json["uri"]) == (200, uri)


def test_a_uri_that_was_encoded_twice_is_not_decoded_twice(lab):
    with nothing_is_written(lab):
        answer = lab.alice.begin(encoded(lab.base_uri), PLAN)
        assert_refused(answer, 400, "twice")
