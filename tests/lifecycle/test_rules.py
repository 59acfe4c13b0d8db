"""`flask lifecycle show | set | remove`: what an operator sees, and what is left in the bucket."""

from __future__ import annotations

import json
from datetime import datetime, timezone

import pytest
from dservercore.utils import register_base_uri

from dserver_signed_url_plugin.cli.lifecycle import lifecycle
from dserver_signed_url_plugin.uris import BaseURI
from tests.support.bucket_lifecycle import put, rules
from tests.support.clients import Deposit, DtoolDserver
from tests.support.dserver import in_capitals
from tests.support.lifecycle_store import LifecycleStore, minio

OURS = "dserver-signed-url-expire"
UUID = "550e8400-e29b-41d4-a716-446655440000"
XMLNS = 'xmlns="http://s3.amazonaws.com/doc/2006-03-01/"'


@pytest.fixture
def run(dserver):
    """Run a command on the base URI; return (exit code, stdout, stderr)."""

    def act(command, *arguments, base_uri=dserver.base_uri):
        words = [command, base_uri, *map(str, arguments)]
        result = dserver.app.test_cli_runner().invoke(lifecycle, words)
        return result.exit_code, result.stdout, result.stderr

    return act


def deposited(dserver):
    deposit = Deposit()
    assert DtoolDserver().upload(dserver.alice, dserver.base_uri, deposit).status_code == 200
    return deposit.uuid


THEIRS = {
    "ID": "tidy",
    "Status": "Disabled",
    "Filter": {"Prefix": "logs/"},
    "Expiration": {"Days": 30},
}


def test_a_bucket_gets_a_lifetime_that_can_be_checked_and_taken_away(run, s3, bucket):
    code, said, _ = run("set", "--days", 1)
    assert code == 0
    assert f"+  {OURS} (written by `flask lifecycle set`): all objects: deleted 1 day" in said
    assert [rule["Expiration"] for rule in rules(s3, bucket)] == [{"Days": 1}]

    code, said, _ = run("show")
    assert (code, said.splitlines()[0]) == (0, f"{bucket.base_uri} has 1 lifecycle rule:")

    code, said, _ = run("remove")
    assert (code, rules(s3, bucket)) == (0, [])
    assert f"-  {OURS}" in said
    assert "has no lifecycle rules" in run("show")[1]
    assert "Nothing to change." in run("remove")[1]


def test_rules_of_others_are_shown_in_words_and_stay(run, s3, bucket):
    put(s3, bucket, THEIRS)
    before = rules(s3, bucket)
    assert run("set", "--days", 2, "--prefix", "tmp/", "--abort-incomplete-days", 7)[0] == 0
    lines = run("show")[1].splitlines()
    assert lines[1:] == [
        "  tidy (switched off): objects whose key begins with 'logs/': deleted 30 days after they "
        "were written",
        f"  {OURS} (written by `flask lifecycle set`): objects whose key begins with 'tmp/': "
        "deleted 2 days after they were written; unfinished multipart uploads dropped after 7 days",
    ]
    assert run("remove")[0] == 0
    assert rules(s3, bucket) == before


def test_unfinished_uploads_are_dropped_and_datasets_stay(dserver, run, s3, bucket):
    deposited(dserver)
    put(s3, bucket, THEIRS)
    code, said, _ = run("set", "--abort-incomplete-days", 7)
    assert (code, len(rules(s3, bucket))) == (0, 2)
    assert "registered dataset" not in said
    assert run("show")[1].splitlines()[-1] == (
        f"  {OURS} (written by `flask lifecycle set`): all objects: unfinished multipart uploads "
        "dropped after 7 days"
    )
    assert "Nothing to change." in run("set", "--abort-incomplete-days", 7)[1]


def test_the_document_is_shown_as_the_recipe_has_it(run):
    assert run("show", "--xml")[1].endswith(f"\n<LifecycleConfiguration {XMLNS} />\n")
    run("set", "--days", 1)
    code, said, _ = run("show", "--xml")
    assert code == 0
    assert said.splitlines() == [
        '<?xml version="1.0"?>',
        f"<LifecycleConfiguration {XMLNS}>",
        "  <Rule>",
        f"    <ID>{OURS}</ID>",
        "    <Filter>",
        "      <Prefix />",
        "    </Filter>",
        "    <Status>Enabled</Status>",
        "    <Expiration>",
        "      <Days>1</Days>",
        "    </Expiration>",
        "  </Rule>",
        "</LifecycleConfiguration>",
    ]


def test_scripts_are_answered_with_one_object(run, bucket):
    expected = {
        "name": OURS,
        "is_ours": True,
        "is_enabled": True,
        "applies_to": "all objects",
        "does": ["deleted 1 day after they were written"],
    }
    done = json.loads(run("set", "--days", 1, "--json")[1])
    assert done == {
        "base_uri": bucket.base_uri,
        "dry_run": False,
        "changed": True,
        "rules": [expected],
        "warnings": [],
        "registered_datasets": 0,
    }
    assert json.loads(run("set", "--days", 1, "--json")[1])["changed"] is False
    assert json.loads(run("show", "--json")[1])["rules"] == [expected]
    assert json.loads(run("remove", "--json")[1])["rules"] == []


def test_a_dry_run_says_it_and_changes_nothing(run, s3, bucket):
    code, said, _ = run("set", "--days", 1, "--dry-run")
    assert (code, rules(s3, bucket)) == (0, [])
    assert said.splitlines()[-1] == "Dry run: nothing was changed."
    assert f"+  {OURS}" in said
    run("set", "--days", 1)
    before = rules(s3, bucket)
    assert f"-  {OURS}" in run("remove", "--dry-run")[1]
    assert rules(s3, bucket) == before


def test_a_rule_that_would_delete_datasets_is_refused_with_their_number(run, dserver, s3, bucket):
    first, second = deposited(dserver), deposited(dserver)
    for prefix in ("", "dtool-"):
        code, said, why = run("set", "--days", 1, "--prefix", prefix)
        assert (code, said, rules(s3, bucket)) == (1, "", [])
        assert f"2 registered dataset(s) of {dserver.base_uri} would be deleted" in why
        assert "--ephemeral" in why
    for prefix in (f"dtool-{first}", first, f"{second}/data/"):
        assert "1 registered dataset(s)" in run("set", "--days", 1, "--prefix", prefix)[2]
    assert run("set", "--days", 1, "--prefix", "scratch/")[0] == 0
    assert run("set", "--days", 1, "--prefix", "")[0] == 1
    assert [rule["Filter"]["Prefix"] for rule in rules(s3, bucket)] == ["scratch/"]


def test_datasets_below_another_prefix_than_todays_are_counted(make_dserver, bucket, s3):
    grouped = in_capitals({f"DTOOL_S3_DATASET_PREFIX_{bucket.name}": "group/"})
    dserver = make_dserver(**grouped)
    uuid = deposited(dserver)
    s3.put_object(Bucket=bucket.name, Key=f"dtool-{uuid}", Body=b"old/")
    for prefix, number in (("group/", 1), ("old/", 1), ("older/", 0)):
        words = ["set", dserver.base_uri, "--days", "1", "--ephemeral", "--json"]
        result = dserver.app.test_cli_runner().invoke(lifecycle, [*words, "--prefix", prefix])
        assert json.loads(result.stdout)["registered_datasets"] == number


def test_ephemeral_says_that_it_is_meant(run, dserver, s3, bucket):
    deposited(dserver)
    code, said, _ = run("set", "--days", 1, "--ephemeral")
    assert code == 0
    assert f"`flask lifecycle sweep {bucket.base_uri}`" in said
    assert [rule["ID"] for rule in rules(s3, bucket)] == [OURS]
    done = json.loads(run("set", "--days", 1, "--ephemeral", "--json")[1])
    assert (done["changed"], done["registered_datasets"]) == (False, 1)


@pytest.mark.parametrize(
    "words",
    [
        [],
        ["--prefix", "tmp/"],
        ["--days", "0"],
        ["--days", "one"],
        ["--days", "1", "--prefix", "a\nb"],
        ["--days", "1", "--prefix", "a" * 1025],
        ["--days", "1", "--abort-incomplete-days", "0"],
    ],
)
def test_a_wrong_option_exits_with_2(run, words):
    assert run("set", *words)[0] == 2


@pytest.mark.parametrize("command", ["show", "remove", "sweep"])
def test_a_wrong_base_uri_exits_with_2(run, command):
    code, _, why = run(command, base_uri="tempstore")
    assert code == 2
    assert "'BASE_URI': is not a URI such as s3://bucket" in why


@pytest.mark.parametrize("words", [["show"], ["set", "--days", "1"], ["remove"], ["sweep"]])
def test_a_base_uri_that_dserver_does_not_know_exits_with_2(run, words):
    code, said, why = run(*words, base_uri="s3://tempstroe")
    assert (code, said) == (2, "")
    assert "flask base_uri add s3://tempstroe" in why
    assert "base_uri:" not in why


def test_a_rule_that_the_store_does_not_keep_is_taken_back_and_exits_with_1(make_dserver_on):
    store = LifecycleStore(keeps=minio)
    with store as bucket:
        words = ["set", bucket.base_uri, "--days", "1", "--abort-incomplete-days", "7"]
        result = make_dserver_on(bucket).app.test_cli_runner().invoke(lifecycle, words)
    assert (result.exit_code, result.stdout, store.document) == (1, "", None)
    assert "--abort-incomplete-days needs a rule without" in result.stderr


def test_what_becomes_of_old_versions_is_said(run, s3, bucket):
    s3.put_bucket_versioning(Bucket=bucket.name, VersioningConfiguration={"Status": "Enabled"})
    assert run("set", "--days", 3)[0] == 0
    assert run("show")[1].endswith(
        "deleted 3 days after they were written; old versions deleted 1 day after they were "
        "replaced\n"
    )


def test_a_dry_run_is_refused_what_the_real_run_would_be(make_dserver_on):
    rules_ = b"".join(b"<Rule><ID>%d</ID></Rule>" % number for number in range(1000))
    full = b"<LifecycleConfiguration>" + rules_ + b"</LifecycleConfiguration>"
    with LifecycleStore(full) as bucket:
        words = ["set", bucket.base_uri, "--days", "1", "--dry-run"]
        result = make_dserver_on(bucket).app.test_cli_runner().invoke(lifecycle, words)
    assert (result.exit_code, result.stdout) == (1, "")
    assert "1,000 lifecycle rules" in result.stderr


@pytest.mark.parametrize(
    ("base_uri", "can_be_read"),
    [("azure://account", True), ("own://x", True), ("s3://without-settings", False)],
)
def test_where_there_are_no_rules_is_told_from_where_they_cannot_be_read(
    dserver, base_uri, can_be_read
):
    base, lifecycles = BaseURI.parse(base_uri), dserver.services.lifecycles
    assert lifecycles.can_be_read(base) == can_be_read
    assert lifecycles.ends(base.dataset(UUID)) is None
    assert not lifecycles.had_time(base.dataset(UUID), datetime.min.replace(tzinfo=timezone.utc))


def test_one_way_of_showing_can_be_chosen(run):
    assert run("show", "--xml", "--json")[0] == 2


@pytest.mark.parametrize("words", [["show"], ["set", "--days", "1"], ["remove"]])
def test_azure_has_its_lifecycle_elsewhere(run, dserver, words):
    with dserver.app.app_context():
        register_base_uri("azure://account")
    code, said, why = run(*words, base_uri="azure://account")
    assert (code, said) == (1, "")
    assert "az storage account management-policy create" in why
    assert "flask lifecycle sweep" in why


def test_a_bucket_that_is_not_there_is_named(run, s3, bucket):
    s3.delete_bucket(Bucket=bucket.name)
    code, _, why = run("show")
    assert (code, why) == (
        1,
        f"Error: The store has no bucket {bucket.name}. The server's administrator can fix that.\n",
    )


@pytest.mark.parametrize("command", ["show", "set", "remove", "sweep"])
def test_every_help_text_has_an_example(dserver, command):
    result = dserver.app.test_cli_runner().invoke(lifecycle, [command, "--help"])
    assert result.exit_code == 0
    assert f"flask lifecycle {command} s3://tempstore" in result.stdout
