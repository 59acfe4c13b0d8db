"""`flask share …`: what an operator types, and what people without an account then see."""

from __future__ import annotations

import json
from contextlib import contextmanager
from datetime import datetime, timedelta, timezone
from hashlib import sha256
from uuid import UUID

import pytest
import requests
from dservercore import sql_db
from dservercore.sql_models import Dataset
from sqlalchemy import event

from dserver_signed_url_plugin.cli.share import share
from dserver_signed_url_plugin.shares.models import Share
from tests.support.clients import Deposit, DtoolDserver
from tests.support.dserver import encoded
from tests.support.dserver_fixtures import dserver_on
from tests.support.links import Visitor

ADDRESS = "https://dserver.example.org/data"
FILES = {"images/1.tif": b"one", "images/2.tif": b"two!", "notes.txt": b"three"}


@pytest.fixture(scope="module")
def lab(lab_bucket, jwt_settings, database, jwt_tokens):
    """A dserver whose address is set."""
    settings = {**jwt_settings, "SIGNED_URL_PUBLIC_URL": ADDRESS}
    yield from dserver_on(lab_bucket, settings, database, jwt_tokens)


@pytest.fixture(scope="module")
def deposit(lab):
    """A dataset in the store."""
    return deposited(lab)


@pytest.fixture
def uri(lab, deposit):
    """The URI of the dataset, which has no share."""
    with lab.app.app_context():
        sql_db.session.execute(sql_db.delete(Share))
        sql_db.session.commit()
    return f"{lab.base_uri}/{deposit.uuid}"


@pytest.fixture
def run(lab):
    """Run a command as it is typed; return its result."""

    def act(*arguments, code=0):
        result = lab.app.test_cli_runner().invoke(share, [str(each) for each in arguments])
        assert result.exit_code == code, result.output
        return result

    return act


@pytest.fixture
def create(run, uri):
    """Share the dataset; return what --json says."""
    return lambda *arguments: json.loads(run("create", uri, *arguments, "--json").stdout)


def visitor(lab, link):
    assert link.startswith(f"{ADDRESS}/signed-urls/s/")
    return Visitor(lab, link.rpartition("/")[2])


def ids(result):
    """The IDs in the lines of `list`, in their order."""
    return [line.partition(" ")[0] for line in result.stdout.splitlines()]


# Create -------------------------------------------------------------------------------------


def test_the_link_alone_goes_to_stdout_and_anybody_can_follow_it(lab, run, deposit, uri):
    result = run("create", uri, "--note", "For Bob")
    [link] = result.stdout.splitlines()
    visit = visitor(lab, link)
    seen = visit.open().json
    assert (seen["note"], seen["number_of_items"]) == ("For Bob", len(FILES))
    for identifier in seen["items"]:
        there = visit.download(identifier).headers["Location"]
        assert requests.get(there, timeout=30).content == deposit.content(identifier)
    assert f"`flask share revoke {seen['id']}` ends it" in result.stderr
    assert "works until" in result.stderr


def test_a_share_of_an_operator_works_for_seven_days_or_as_long_as_requested(create):
    for arguments, days in ((), 7), (("--expires", "30d"), 30):
        ends = datetime.fromisoformat(create(*arguments)["expires_timestamp"].rstrip("Z"))
        left = ends.replace(tzinfo=timezone.utc) - datetime.now(timezone.utc)
        assert timedelta(days=days, minutes=-1) < left <= timedelta(days=days)


def test_only_matching_items_are_shared(lab, create):
    made = create("--item", "images/*", "--item", "notes.txt")
    assert made["items"] == sorted(FILES)
    made = create("--item", "images/*.tif", "--downloads", "3")
    assert (made["items"], made["max_downloads"]) == (["images/1.tif", "images/2.tif"], 3)
    assert visitor(lab, made["link"]).open().json["number_of_items"] == 2


def test_globs_that_match_nothing_are_all_named_and_nothing_is_shared(run, uri):
    before = run("list", "--uri", uri).stdout
    result = run("create", uri, "--item", "*.tif", "--item", "*.png", "--item", "x", code=2)
    assert "'--item'" in result.stderr or "--item" in result.stderr
    assert "no item matches '*.png' or 'x'" in result.stderr
    assert (result.stdout, run("list", "--uri", uri).stdout) == ("", before)


def test_without_an_address_it_is_said_what_to_set_and_nothing_is_shared(dserver):
    made = deposited(dserver)
    runner = dserver.app.test_cli_runner()
    result = runner.invoke(share, ["create", f"{dserver.base_uri}/{made.uuid}"])
    assert (result.exit_code, result.stdout) == (2, "")
    assert "set SIGNED_URL_PUBLIC_URL to the address" in result.stderr
    assert runner.invoke(share, ["list", "--all"]).stdout == "No shares found.\n"


@pytest.mark.parametrize(
    ("arguments", "word"),
    [
        (["--expires", "91d"], "must be at most 90d, which is SIGNED_URL_MAX_SHARE_DAYS"),
        (["--expires", "30"], "'30' is not a duration with a unit, such as 90m, 24h or 7d"),
        (["--downloads", "0"], "0 is not in the range"),
        (["--downloads", str(2**31)], "must be at least 1 and at most"),
        (["--note", "x" * 1001], "must be at most 1000 printable characters"),
    ],
)
def test_options_that_cannot_be_used_are_refused_with_a_sentence(run, uri, arguments, word):
    result = run("create", uri, *arguments, code=2)
    assert word in result.stderr
    assert (result.stdout, arguments[0] in result.stderr) == ("", True)


def test_what_is_no_dataset_is_refused(lab, run):
    unknown = f"{lab.base_uri}/{UUID(int=0)}"
    assert "dserver has no dataset" in run("create", unknown, code=1).stderr
    assert "does not end in a dataset" in run("create", lab.base_uri, code=2).stderr


def test_nothing_is_said_of_lifecycle_rules_before_a_refusal(lab, run):
    lab.app.test_cli_runner().invoke(args=["base_uri", "add", "s3://no-keys"])
    [said] = run("create", f"s3://no-keys/{UUID(int=0)}", code=1).stderr.splitlines()
    assert "dserver has no dataset" in said


# List and show ------------------------------------------------------------------------------


def test_the_list_has_what_works_newest_first_and_never_a_token(run, create, uri):
    first, second = create("--note", "For Bob\nand Carol"), create("--downloads", "10")
    result = run("list", "--uri", uri)
    assert ids(result) == [second["id"], first["id"]]
    newest, oldest = result.stdout.splitlines()
    assert "0 of 10 downloads" in newest
    assert '"For Bob…"' in oldest
    for word in ("works until", "by an operator", uri):
        assert word in newest
    listed = json.loads(run("list", "--uri", uri, "--json").stdout)
    assert [(each["id"], each["state"], each["note"]) for each in listed] == [
        (second["id"], "active", None),
        (first["id"], "active", "For Bob\nand Carol"),
    ]
    everything = result.output + json.dumps(listed)
    for made in (first, second):
        token = made["link"].rpartition("/")[2]
        assert token not in everything
        assert sha256(token.encode()).hexdigest() not in everything


def test_shares_that_ended_are_listed_with_all_and_say_why(lab, run, create, uri):
    ended, used_up, expired = create(), create("--downloads", 1), create()
    run("revoke", ended["id"])
    visit = visitor(lab, used_up["link"])
    assert visit.download(next(iter(visit.open().json["items"]))).status_code == 303
    age(lab, expired["id"])
    assert run("list", "--uri", uri).stdout == "No shares found.\n"
    assert json.loads(run("list", "--uri", uri, "--json").stdout) == []
    found = json.loads(run("list", "--uri", uri, "--all", "--json").stdout)
    states = {each["id"]: each["state"] for each in found}
    assert states == {ended["id"]: "revoked", used_up["id"]: "used-up", expired["id"]: "expired"}
    text = run("list", "--uri", uri, "--all").stdout
    assert ("revoked 20" in text, "used up" in text, "expired 20" in text) == (True, True, True)


def test_the_list_can_be_limited_to_an_owner(lab, run, create, uri):
    ours = create()
    theirs = lab.bob.post(f"/signed-urls/shares/{encoded(uri)}", {}).json
    assert ids(run("list", "--uri", uri, "--owner", "bob")) == [theirs["id"]]
    assert ids(run("list", "--uri", uri, "--owner", "")) == [ours["id"]]
    assert "by bob" in run("list", "--owner", "bob").stdout


def test_a_long_list_is_read_page_by_page(lab, run, create, uri):
    copies(lab, create()["id"], 1_200)
    with queries(lab) as sent:
        assert len(run("list", "--uri", uri).stdout.splitlines()) == 1_201
    assert len(sent) == 3
    assert len(json.loads(run("list", "--uri", uri, "--json").stdout)) == 1_201


def test_show_says_how_often_a_link_was_opened_and_downloaded(lab, run, create):
    made = create("--item", "notes.txt", "--note", "For Bob\nand Carol")
    visit = visitor(lab, made["link"])
    [identifier] = visit.open().json["items"]
    visit.open()
    visit.download(identifier)
    lines = run("show", made["id"]).stdout.splitlines()
    assert lines[0].startswith(f"Share {made['id']}: works until ")
    assert "  Shared: 1 item, 5 bytes" in lines
    assert ("  Note: For Bob" in lines, "        and Carol" in lines) == (True, True)
    used = {line.split(":")[0].strip(): line for line in lines if ", last 20" in line}
    assert used.keys() == {"Opened", "Downloaded"}
    assert used["Opened"].startswith("  Opened: 2 times, last 20")
    assert used["Downloaded"].startswith("  Downloaded: 1 time, last 20")
    assert "  Downloads: 1" in lines
    shown = json.loads(run("show", made["id"], "--json").stdout)
    assert (shown["id"], shown["downloads"], shown["owner"]) == (made["id"], 1, "")
    assert {name: use["count"] for name, use in shown["uses"].items()} == {
        "share-open": 2,
        "share-download": 1,
    }


def test_a_share_that_nobody_has_opened_is_shown(run, create):
    assert json.loads(run("show", create()["id"], "--json").stdout)["uses"] == {}


def test_an_unknown_share_is_said_to_be_unknown(run):
    result = run("show", "f" * 16, code=1)
    assert (result.stdout, "no share with the ID or link 'ffff" in result.stderr) == ("", True)


def test_a_link_names_its_share_and_is_not_printed(run, create):
    made = create()
    assert run("show", made["link"]).stdout.startswith(f"Share {made['id']}: works until ")
    file = f"{made['link'].upper()}/{'0' * 40}"
    assert ids(run("revoke", file, made["id"])) == [made["id"]]
    unknown = f"{ADDRESS}/signed-urls/s/{'a' * 32}"
    results = run("show", unknown, code=1), run("revoke", unknown, "--json", code=1)
    for result in results:
        assert "/signed-urls/s/…'" in result.stderr
        assert "a" * 32 not in result.output


def test_a_note_or_name_cannot_break_the_lines(lab, run, create, uri):
    made = create()
    with lab.app.app_context():
        values = {"name": "two\nlines", "note": "one\x1b[2J", "owner": "eve\nmallory"}
        sql_db.session.execute(sql_db.update(Share).where(Share.id == made["id"]).values(**values))
        sql_db.session.commit()
    result = run("list", "--uri", uri, "--all")
    assert len(result.stdout.splitlines()) == 1
    assert "\x1b" not in result.stdout + run("show", made["id"]).stdout


# Revoke -------------------------------------------------------------------------------------


def test_a_revoked_link_is_refused_at_the_next_click_and_again_is_the_same(lab, run, create):
    made = create()
    visit = visitor(lab, made["link"])
    [identifier, *_] = visit.open().json["items"]
    for _ in range(2):
        result = run("revoke", made["id"])
        assert result.stdout.startswith(f"{made['id']}  revoked 20")
    assert (visit.open().status_code, visit.download(identifier).status_code) == (410, 410)


def test_others_are_revoked_although_one_is_unknown(lab, run, create, uri):
    first, second = create(), create()
    theirs = lab.bob.post(f"/signed-urls/shares/{encoded(uri)}", {}).json
    given = [first["id"], "e" * 16, "no\nid", second["id"], theirs["id"]]
    result = run("revoke", *given, code=1)
    assert ids(result) == [first["id"], second["id"], theirs["id"]]
    assert "'eeee" in result.stderr
    assert r"'no\nid'" in result.stderr
    assert run("list", "--uri", uri).stdout == "No shares found.\n"
    said = json.loads(run("revoke", *given, "--json", code=1).stdout)
    assert [each["result"] for each in said] == [
        "revoked",
        "unknown",
        "unknown",
        "revoked",
        "revoked",
    ]


def test_every_action_is_in_the_audit_with_the_id_of_the_share(lab, run, create, uri):
    made = create("--expires", "1h")
    run("revoke", made["id"])
    trail = lab.alice.get(f"/signed-urls/audit/{encoded(uri)}").json["decisions"]
    told = [(each["action"], each["share"], each["username"]) for each in trail[:3]]
    assert told == [
        ("share-revoke", made["id"], ""),
        ("flask share create", None, ""),
        ("share-create", made["id"], ""),
    ]
    assert trail[2]["expires_at"] == made["expires_timestamp"]
    assert trail[2]["items"] == len(FILES)


# Clean up -----------------------------------------------------------------------------------


def test_shares_that_ended_long_ago_are_deleted_and_nothing_by_a_dry_run(lab, run, create, uri):
    old, young, active = create(), create(), create()
    age(lab, old["id"], days=31)
    age(lab, young["id"], days=29)
    said = json.loads(run("cleanup", "--dry-run", "--json").stdout)
    assert said == {"dry_run": True, "ended": 0, "deleted": 1}
    assert len(ids(run("list", "--uri", uri, "--all"))) == 3
    assert run("cleanup").stdout == "0 shares without dataset or owner ended, 1 deleted.\n"
    assert ids(run("list", "--uri", uri, "--all")) == [active["id"], young["id"]]
    run("cleanup", "--older-than", "24h")
    assert ids(run("list", "--uri", uri, "--all")) == [active["id"]]


def test_shares_whose_dataset_is_gone_from_the_database_are_ended(lab, run):
    run("cleanup")
    uri = f"{lab.base_uri}/{deposited(lab).uuid}"
    made = json.loads(run("create", uri, "--json").stdout)
    with lab.app.app_context():
        sql_db.session.execute(sql_db.delete(Dataset).where(Dataset.uri == uri))
        sql_db.session.commit()
    said = "1 share without dataset or owner ended, 0 deleted.\n"
    assert run("cleanup", "--dry-run").stdout == f"Dry run: {said}"
    assert run("cleanup").stdout == said
    [found] = json.loads(run("list", "--uri", uri, "--all", "--json").stdout)
    assert (found["id"], found["ended_because"]) == (made["id"], "dataset-deleted")


# Helpers ------------------------------------------------------------------------------------


def deposited(dserver):
    made = Deposit(FILES)
    assert DtoolDserver().upload(dserver.alice, dserver.base_uri, made).status_code == 200
    return made


@contextmanager
def queries(lab):
    """Collect the statements that read shares."""
    sent = []

    def count(_connection, _cursor, statement, *_):
        sent.extend([statement] if "signed_url_share" in statement else [])

    with lab.app.app_context():
        engine = sql_db.engine
    event.listen(engine, "before_cursor_execute", count)
    yield sent
    event.remove(engine, "before_cursor_execute", count)


def age(lab, share_id, days=0):
    """Let a share have expired so many days and a minute ago."""
    ends = datetime.now(timezone.utc) - timedelta(days, minutes=1)
    with lab.app.app_context():
        row = sql_db.update(Share).where(Share.id == share_id)
        sql_db.session.execute(row.values(ends_at=ends))
        sql_db.session.commit()


def copies(lab, share_id, number):
    """Insert shares like this one."""
    with lab.app.app_context():
        table = Share.__table__
        [row] = sql_db.session.execute(sql_db.select(table).where(table.c.id == share_id))
        rows = [
            {**row._mapping, "id": f"{n:016x}", "token_hash": f"{n:064x}"} for n in range(number)
        ]
        sql_db.session.execute(table.insert(), rows)
        sql_db.session.commit()
