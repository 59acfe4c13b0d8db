"""Tables of another implementation, with exactly the fields of the specification, become ours."""

from __future__ import annotations

import hashlib
import json
from datetime import datetime, timedelta, timezone
from uuid import uuid4

import dtoolcore
import pytest
from dtoolcore.utils import generate_identifier
from sqlalchemy import (
    Column,
    DateTime,
    Float,
    Integer,
    MetaData,
    String,
    Table,
    Text,
    column,
    delete,
    literal_column,
    select,
    text,
)
from sqlalchemy import table as sql_table

from dserver_signed_url_plugin.audit.repository import SignedURLAudit
from dserver_signed_url_plugin.cli.pending_upload import pending_upload
from dserver_signed_url_plugin.uploads.models import PendingUpload
from tests.support.databases import on_each_database
from tests.support.dserver import encoded
from tests.support.flask_db_hosts import UPLOAD, shape

pytestmark = on_each_database

FILES = {"one.txt": b"eins", "two/zwei.txt": b"zwei"}
LONG_AGO = UPLOAD["created_at"].replace(tzinfo=None)
UUID = UPLOAD["uuid"]


def specified(*, key):
    """The table as `flask db migrate` makes it of somebody else's model."""
    first = [Column("id", Integer, primary_key=True)] if key == "id" else []
    return Table(
        "pending_upload",
        MetaData(),
        *first,
        Column("uuid", String(36), unique=True, nullable=False, primary_key=key == "uuid"),
        Column("uri", String(255), nullable=False),
        Column("base_uri", String(255), nullable=False),
        Column("name", String(80), nullable=False),
        Column("creator_username", String(255), nullable=False),
        Column("created_at", DateTime, nullable=False),
        Column("frozen_at", Float),
        Column("manifest_json", Text, nullable=False),
    )


def manifest(files=FILES):
    """What another implementation keeps of what was announced."""
    items = {
        generate_identifier(relpath): {
            "relpath": relpath,
            "size_in_bytes": len(content),
            "hash": hashlib.md5(content).hexdigest(),
            "utc_timestamp": 1.5,
        }
        for relpath, content in files.items()
    }
    return json.dumps({"items": items, "hash_function": "md5sum_hexdigest"})


def row(base_uri="s3://lab", uuid=UUID, created_at=LONG_AGO, **more):
    return {
        "uuid": uuid,
        "uri": f"{base_uri}/{uuid}",
        "base_uri": base_uri,
        "name": "my-dataset",
        "creator_username": "alice",
        "created_at": created_at,
        "frozen_at": None,
        "manifest_json": manifest(),
    } | more


def stand(host, table, *rows):
    """Make the table in a host's database."""
    table.create(host.engine)
    for each in rows:
        host.run(table.insert(), each)


@pytest.mark.parametrize("key", ["id", "uuid"])
def test_a_table_of_the_specs_fields_becomes_ours_with_its_rows(host, new_host, key):
    second = str(uuid4())
    stand(host, specified(key=key), row(frozen_at=7.5), row(uuid=second))
    host.types("upgrade")
    host.types("check")
    uploads = host.run(select(PendingUpload.__table__))
    told = {each.uuid: each for each in uploads}
    assert (told[UUID].frozen_at, told[second].frozen_at) == (7.5, None)
    for each in uploads:
        assert (each.state.value, each.uploader, each.number_of_items) == ("open", "alice", 2)
        assert each.size_in_bytes == 8
        # PostgreSQL answers in the zone of the session, and SQLite forgets the zone.
        ends = each.urls_expire_at.replace(tzinfo=each.urls_expire_at.tzinfo or timezone.utc)
        assert ends == UPLOAD["created_at"] + timedelta(hours=4)
        assert json.loads(each.manifest_json)["items"].keys() == {
            generate_identifier(relpath) for relpath in FILES
        }
    assert len({each.staging for each in uploads}) == 2
    fresh = new_host()
    fresh.types("upgrade")
    for name in ("pending_upload", "signed_url_audit"):
        assert shape(host.engine, {name}) == shape(fresh.engine, {name})
    host.types("upgrade")
    assert len(host.run(select(PendingUpload.id))) == 2


def test_what_the_table_has_beside_is_kept(host):
    table = specified(key="id")
    table.append_column(Column("note", String(20), nullable=False))
    stand(host, table, row(note="by hand"))
    host.types("upgrade")
    assert host.run(text("SELECT note FROM pending_upload")) == [("by hand",)]
    host.run(PendingUpload.__table__.insert(), UPLOAD | {"uuid": str(uuid4())})


@pytest.mark.parametrize("lost", ["staging", "size_in_bytes", "lease_ends", "urls_expire_at"])
def test_a_column_of_ours_that_was_lost_comes_back(host, lost):
    host.types("upgrade")
    host.run(PendingUpload.__table__.insert(), UPLOAD)
    host.types("stamp", "base")
    host.run(text(f"ALTER TABLE pending_upload DROP COLUMN {lost}"))
    host.types("upgrade")
    host.types("check")
    [kept] = host.run(select(PendingUpload.__table__))
    assert (kept.uuid, kept.uploader) == (UUID, "alice")


@pytest.mark.parametrize("table", ["pending_upload", "signed_url_audit"])
def test_a_table_that_is_somebody_elses_is_refused_with_a_sentence(host, table, caplog):
    host.run(text(f"CREATE TABLE {table} (uuid VARCHAR(36), uri VARCHAR(255))"))
    result = host.tries("upgrade")
    assert result.exit_code == 1
    assert f"The table {table} is not this plugin's: it has no column" in caplog.text
    assert host.run(select(literal_column("uuid")).select_from(sql_table(table))) == []


@pytest.mark.parametrize("content", ["no JSON", "[]", '{"items": [1]}', '{"items": {"a": {}}}'])
def test_a_row_that_cannot_be_read_is_named_and_nothing_is_lost(host, caplog, content):
    stand(host, specified(key="id"), row(uuid=str(uuid4())), row(manifest_json=content))
    assert host.tries("upgrade").exit_code == 1
    assert f"The upload {UUID} of the table pending_upload cannot be taken over" in caplog.text
    assert len(host.run(text("SELECT * FROM pending_upload"))) == 2
    host.run(delete(specified(key="id")).where(column("uuid") == UUID))
    host.types("upgrade")
    host.types("check")


@pytest.mark.parametrize("lost", ["reason", "expires_at", "request_id"])
def test_an_audit_table_gets_the_columns_that_it_lacks(host, lost):
    host.types("upgrade")
    decision = {
        "time": LONG_AGO.replace(tzinfo=timezone.utc),
        "username": "alice",
        "action": "read-item",
        "uri": "s3://lab",
        "outcome": "granted",
    }
    host.run(SignedURLAudit.__table__.insert(), decision)
    host.types("stamp", "base")
    host.run(text(f"ALTER TABLE signed_url_audit DROP COLUMN {lost}"))
    host.types("upgrade")
    host.types("check")
    [kept] = host.run(select(SignedURLAudit.__table__))
    assert (kept.username, kept.action) == ("alice", "read-item")


# What can be done with them -----------------------------------------------------------------


@pytest.fixture
def begun(host, bucket, make_dserver, dtool_reads, tmp_path):
    """An upload that another implementation has begun and a client has PUT; and its dserver."""
    metadata = dtoolcore.generate_admin_metadata("my-dataset", "alice")
    proto = dtoolcore.generate_proto_dataset(metadata, bucket.base_uri)
    proto.create()
    proto.put_readme("---\nby: alice\n")
    for number, (relpath, content) in enumerate(FILES.items()):
        (tmp_path / f"{number}").write_bytes(content)
        proto.put_item(tmp_path / f"{number}", relpath)
    at = datetime.now(timezone.utc).replace(tzinfo=None) - timedelta(hours=5)
    stand(host, specified(key="id"), row(bucket.base_uri, proto.uuid, at))
    host.types("upgrade")
    url = host.app.config["SQLALCHEMY_DATABASE_URI"]
    return make_dserver(SQLALCHEMY_DATABASE_URI=url), proto


def typed(dserver, *words):
    result = dserver.app.test_cli_runner().invoke(pending_upload, words)
    assert result.exit_code == 0, result.output
    return result.stdout


def test_an_upload_that_was_taken_over_is_listed_and_completed(begun):
    dserver, proto = begun
    assert proto.uuid in typed(dserver, "list")
    assert dserver.alice.get(f"/signed-urls/upload/{encoded(proto.uri)}").status_code == 200
    done = dserver.alice.complete(proto.uri)
    assert done.status_code == 200, done.json
    dataset = dtoolcore.DataSet.from_uri(proto.uri)
    assert dataset.get_readme_content() == "---\nby: alice\n"
    assert {dataset.item_properties(each)["relpath"] for each in dataset.identifiers} == {*FILES}
    assert dserver.bob.read(proto.uri).status_code == 200
    assert "No pending" in typed(dserver, "list")


def test_what_is_missing_of_one_that_was_taken_over_is_listed(begun, s3, bucket):
    dserver, proto = begun
    gone = f"{proto.uuid}/data/{generate_identifier('one.txt')}"
    s3.delete_object(Bucket=bucket.name, Key=gone)
    refused = dserver.alice.complete(proto.uri)
    assert (refused.status_code, refused.json["errors"]["missing"]) == (400, ["one.txt"])


def test_an_upload_that_was_taken_over_is_cleaned_up(begun, s3, bucket):
    dserver, _ = begun
    typed(dserver, "cleanup", "--older-than", "4", "--delete-storage")
    assert "No pending" in typed(dserver, "list")
    assert s3.list_objects_v2(Bucket=bucket.name)["KeyCount"] == 0
