"""Which lifecycle rules of S3 reach the keys of datasets, and what rules say in words."""

import pytest

from dserver_signed_url_plugin.storage.s3.lifecycle_document import Document

TAG = "<Tag><Key>kind</Key><Value>log</Value></Tag>"


def rule(*parts):
    xml = f"<Rule><ID>tidy</ID><Status>Enabled</Status>{''.join(parts)}</Rule>"
    [read] = Document.parse(
        f"<LifecycleConfiguration>{xml}</LifecycleConfiguration>".encode()
    ).rules
    return read


def spelled(prefix, spelling):
    """The ways in which a rule may say its prefix."""
    said = f"<Prefix>{prefix}</Prefix>"
    return {
        "filter": rule(f"<Filter>{said}</Filter>"),
        "old": rule(said),
        "and": rule(
            f"<Filter><And>{said}<ObjectSizeGreaterThan>1</ObjectSizeGreaterThan></And></Filter>"
        ),
    }[spelling]


each_spelling = pytest.mark.parametrize("spelling", ["filter", "old", "and"])


@pytest.mark.parametrize("prefix", ["", "d", "dtool-", "dtool-1f", "1f-", "1f30a1b2-", "0"])
@each_spelling
def test_a_prefix_of_which_a_dataset_may_have_the_key(prefix, spelling):
    assert spelled(prefix, spelling).reaches_datasets("")


@pytest.mark.parametrize("prefix", ["", "gr", "group/", "group/1f", "dtool-1f"])
def test_a_prefix_where_datasets_have_one_of_their_own(prefix):
    assert spelled(prefix, "filter").reaches_datasets("group/")


@pytest.mark.parametrize(
    "prefix", ["logs/", "dtool_", "dtoolkit/", "dserver-signed-url-doctor/", "1g", "group/"]
)
@each_spelling
def test_a_prefix_that_no_key_of_a_dataset_has(prefix, spelling):
    assert not spelled(prefix, spelling).reaches_datasets("")


@pytest.mark.parametrize("prefix", ["1f", "group/logs", "group/../"])
def test_a_prefix_beside_that_of_datasets(prefix):
    assert not spelled(prefix, "filter").reaches_datasets("group/")


@pytest.mark.parametrize("chosen", [TAG, f"<And><Prefix/>{TAG}</And>"])
def test_objects_of_datasets_have_no_tags(chosen):
    assert not rule(f"<Filter>{chosen}</Filter>").reaches_datasets("")


@pytest.mark.parametrize("chosen", ["", "<ObjectSizeGreaterThan>5</ObjectSizeGreaterThan>"])
def test_a_rule_without_a_prefix_reaches_everything(chosen):
    assert rule(f"<Filter>{chosen}</Filter>").reaches_datasets("group/")


@pytest.mark.parametrize(
    ("action", "words"),
    [
        ("<Expiration><Days>1</Days></Expiration>", "deleted 1 day after they were written"),
        (
            "<Expiration><Date>2027-01-01T00:00:00Z</Date></Expiration>",
            "deleted from 2027-01-01T00:00:00Z on",
        ),
        (
            "<Expiration><ExpiredObjectDeleteMarker>true</ExpiredObjectDeleteMarker></Expiration>",
            "delete markers removed when no version is left",
        ),
        (
            "<Transition><Days>30</Days><StorageClass>GLACIER</StorageClass></Transition>",
            "moved to GLACIER 30 days after they were written",
        ),
        (
            "<Transition><Date>2027-01-01</Date><StorageClass>GLACIER</StorageClass></Transition>",
            "moved to GLACIER from 2027-01-01 on",
        ),
        (
            "<NoncurrentVersionExpiration><NoncurrentDays>2</NoncurrentDays>"
            "<NewerNoncurrentVersions>3</NewerNoncurrentVersions></NoncurrentVersionExpiration>",
            "old versions deleted 2 days after they were replaced, except the newest 3",
        ),
        (
            "<NoncurrentVersionTransition><NoncurrentDays>2</NoncurrentDays>"
            "<StorageClass>STANDARD_IA</StorageClass></NoncurrentVersionTransition>",
            "old versions moved to STANDARD_IA 2 days after they were replaced",
        ),
        (
            "<AbortIncompleteMultipartUpload><DaysAfterInitiation>7</DaysAfterInitiation>"
            "</AbortIncompleteMultipartUpload>",
            "unfinished multipart uploads dropped after 7 days",
        ),
        ("<DelMarkerExpiration><Days>1</Days></DelMarkerExpiration>", "DelMarkerExpiration (see"),
    ],
)
def test_every_action_is_told_in_words(action, words):
    [said] = rule(action).described().does
    assert said.startswith(words)


@pytest.mark.parametrize(
    ("chosen", "words"),
    [
        ("", "all objects"),
        ("<Prefix>tmp/</Prefix>", "objects whose key begins with 'tmp/'"),
        (
            f"<And><Prefix>tmp/</Prefix>{TAG}<ObjectSizeGreaterThan>0</ObjectSizeGreaterThan>"
            "<ObjectSizeLessThan>9</ObjectSizeLessThan></And>",
            "objects whose key begins with 'tmp/' and tagged kind=log and smaller than 9 bytes",
        ),
        ("<ObjectSizeGreaterThan>5</ObjectSizeGreaterThan>", "objects larger than 5 bytes"),
    ],
)
def test_what_a_rule_applies_to_is_told_in_words(chosen, words):
    assert rule(f"<Filter>{chosen}</Filter>").described().applies_to == words
