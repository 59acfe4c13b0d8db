"""How a URI may be written in a request, and how not."""

import pytest

from dserver_signed_url_plugin.errors import InvalidField
from dserver_signed_url_plugin.uris import BaseURI, DatasetURI, is_canonical_uuid

UUID = "6f9619ff-8b86-4011-b42d-00c04fc964ff"
LONGEST = "file://" + "b" * 1017


@pytest.mark.parametrize(
    ("text", "scheme", "location", "spelled"),
    [
        ("s3://lab", "s3", "lab", "s3://lab"),
        ("s3:/lab", "s3", "lab", "s3://lab"),
        ("s3://Lab.with-dots_1", "s3", "Lab.with-dots_1", "s3://Lab.with-dots_1"),
        ("azure://account", "azure", "account", "azure://account"),
        ("file://data/of/lab", "file", "data/of/lab", "file://data/of/lab"),
        ("file:/data/of/lab", "file", "data/of/lab", "file://data/of/lab"),
        ("irods+v1.2-x://zone", "irods+v1.2-x", "zone", "irods+v1.2-x://zone"),
        ("smb://größe", "smb", "größe", "smb://größe"),
        (LONGEST, "file", "b" * 1017, LONGEST),
    ],
)
def test_a_base_uri_is_read_and_spelled_as_dserver_does(text, scheme, location, spelled):
    uri = BaseURI.parse(text)
    assert (uri.scheme, uri.location, str(uri)) == (scheme, location, spelled)


WRONG = [
    ("", "not a URI"),
    ("lab", "not a URI"),
    ("s3:lab", "not a URI"),
    ("s3://", "not a URI"),
    ("s3:///lab", "not a URI"),
    ("://lab", "not a URI"),
    ("S3://lab", "lower case"),
    ("3s://lab", "lower case"),
    ("s_3://lab", "lower case"),
    ("s3://lab/", "ends in a slash"),
    ("s3%3A%2F%2Flab", "encoded twice"),
    ("s3://l%61b", "encoded twice"),
    ("s3://lab?versionId=1", "query"),
    ("s3://lab#top", "query"),
    ("s3://la b", "space"),
    (" s3://lab", "space"),
    ("s3://lab\n", "control character"),
    ("s3://lab\x00", "control character"),
    ("s3://lab\u200b", "control character"),
    ("s3://lab\ud800", "control character"),
    ("s3://lab\\other", "query"),
    ("s3://..", "'..' segment"),
    ("s3://.", "'..' segment"),
    ("s3://bücket", "ASCII letters"),
    ("s3://lab:9000", "ASCII letters"),
    ("s3://lab,other", "ASCII letters"),
    (f"s3://{'b' * 256}", "ASCII letters"),
    ("file://data/../other", "'..' segment"),
    ("file://data//other", "empty"),
    (LONGEST + "b", "longer than 1024"),
]


@pytest.mark.parametrize(("text", "reason"), [*WRONG, ("s3://lab/folder", "has a path")])
def test_a_base_uri_that_cannot_be_used_is_refused_with_the_reason(text, reason):
    with pytest.raises(InvalidField, match=reason) as refusal:
        BaseURI.parse(text)
    assert refusal.value.details.keys() == {"base_uri"}


@pytest.mark.parametrize(
    ("text", "base", "uuid"),
    [
        (f"s3://lab/{UUID}", BaseURI("s3", "lab"), UUID),
        (f"s3:/lab/{UUID}", BaseURI("s3", "lab"), UUID),
        (f"azure://account/{UUID}", BaseURI("azure", "account"), UUID),
        ("file://data/of/lab/my-dataset", BaseURI("file", "data/of/lab"), "my-dataset"),
    ],
)
def test_a_dataset_uri_is_a_base_uri_and_a_dataset(text, base, uuid):
    uri = DatasetURI.parse(text)
    assert (uri.base, uri.uuid, str(uri)) == (base, uuid, f"{base}/{uuid}")
    assert base.dataset(uuid) == uri
    assert DatasetURI.parse(str(uri)) == uri


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        *WRONG,
        ("s3://lab", "end in a dataset"),
        (f"s3://lab/folder/{UUID}", "s3://name/uuid"),
        (f"s3://lab/{UUID}/", "ends in a slash"),
        (f"s3://lab/{UUID.upper()}", "lower case with dashes"),
        (f"s3://lab/{UUID.replace('-', '')}", "lower case with dashes"),
        (f"s3://lab/{UUID}0", "lower case with dashes"),
        ("s3://lab/my-dataset", "lower case with dashes"),
        (f"s3://lab/../{UUID}", "'..' segment"),
        (f"s3://lab//{UUID}", "empty"),
    ],
)
def test_a_dataset_uri_that_cannot_be_used_is_refused_with_the_reason(text, reason):
    with pytest.raises(InvalidField, match=reason) as refusal:
        DatasetURI.parse(text)
    assert refusal.value.details.keys() == {"uri"}


def test_a_refusal_names_the_field_that_was_read():
    with pytest.raises(InvalidField, match=r"^elsewhere: "):
        BaseURI.parse("nonsense", "elsewhere")


@pytest.mark.parametrize("text", ["s3://lab/../%2e", "s3://lab?t=secret", "x" * 2000, "\x1b[31m"])
def test_a_refusal_does_not_repeat_what_was_sent(text):
    with pytest.raises(InvalidField) as refusal:
        BaseURI.parse(text)
    assert text not in str(refusal.value)


@pytest.mark.parametrize(
    ("text", "canonical"),
    [
        (UUID, True),
        ("00000000-0000-0000-0000-000000000000", True),
        (UUID.upper(), False),
        (f"{{{UUID}}}", False),
        (f"urn:uuid:{UUID}", False),
        (UUID.replace("-", ""), False),
        (f"{UUID}\n", False),
        (UUID[:-1] + "g", False),
        (UUID[:-1] + "٣", False),
        ("", False),
    ],
)
def test_a_uuid_is_canonical_as_python_writes_it(text, canonical):
    assert is_canonical_uuid(text) is canonical
