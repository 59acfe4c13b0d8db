"""Which lifecycle rules of S3 reach the keys of datasets."""

import pytest

from dserver_signed_url_plugin.storage.s3.examination import reaches_datasets

TAG = {"Key": "kind", "Value": "log"}


@pytest.mark.parametrize("prefix", ["", "d", "dtool-", "dtool-1f", "1f-", "1f30a1b2-", "0"])
@pytest.mark.parametrize("spelling", ["filter", "old", "and"])
def test_a_prefix_of_which_a_dataset_may_have_the_key(prefix, spelling):
    assert reaches_datasets(spelled(prefix)[spelling], "")


@pytest.mark.parametrize("prefix", ["", "gr", "group/", "group/1f", "dtool-1f"])
def test_a_prefix_where_datasets_have_one_of_their_own(prefix):
    assert reaches_datasets(spelled(prefix)["filter"], "group/")


@pytest.mark.parametrize(
    "prefix", ["logs/", "dtool_", "dtoolkit/", "dserver-signed-url-doctor/", "1g", "group/"]
)
@pytest.mark.parametrize("spelling", ["filter", "old", "and"])
def test_a_prefix_that_no_key_of_a_dataset_has(prefix, spelling):
    assert not reaches_datasets(spelled(prefix)[spelling], "")


@pytest.mark.parametrize("prefix", ["1f", "group/logs", "group/../"])
def test_a_prefix_beside_that_of_datasets(prefix):
    assert not reaches_datasets(spelled(prefix)["filter"], "group/")


@pytest.mark.parametrize("chosen", [{"Tag": TAG}, {"And": {"Prefix": "", "Tags": [TAG]}}])
def test_objects_of_datasets_have_no_tags(chosen):
    assert not reaches_datasets({"Filter": chosen}, "")


@pytest.mark.parametrize("chosen", [{}, {"ObjectSizeGreaterThan": 5}])
def test_a_rule_without_a_prefix_reaches_everything(chosen):
    assert reaches_datasets({"Filter": chosen}, "group/")


def spelled(prefix):
    """The ways in which a rule may say its prefix."""
    return {
        "filter": {"Filter": {"Prefix": prefix}},
        "old": {"Prefix": prefix},
        "and": {"Filter": {"And": {"Prefix": prefix, "ObjectSizeGreaterThan": 1}}},
    }
