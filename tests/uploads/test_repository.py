"""The book of pending uploads, on a database: who holds what, and what happens when it goes."""

import time
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime, timedelta, timezone

import pytest
from dservercore import sql_db
from sqlalchemy import delete, func, select, update

from dserver_signed_url_plugin.errors import UploadBusy
from dserver_signed_url_plugin.storage.manifest import Manifest
from dserver_signed_url_plugin.storage.values import Item
from dserver_signed_url_plugin.uploads import repository
from dserver_signed_url_plugin.uploads.lease import Lease, leased
from dserver_signed_url_plugin.uploads.models import (
    AnnouncedManifest,
    PendingUpload,
    UploadState,
)
from tests.support.databases import on_each_database

pytestmark = on_each_database

UUID = "6f9619ff-8b86-4011-b42d-00c04fc964ff"
NOW = datetime(2024, 1, 15, 14, 30, tzinfo=timezone.utc)


@pytest.fixture(autouse=True)
def app(database_app):
    return database_app


def claim(uuid=UUID, **changes):
    values = {
        "uri": f"s3://lab/{uuid}",
        "base_uri": "s3://lab",
        "name": "my-dataset",
        "creator_username": "alice",
        "created_at": NOW,
        "frozen_at": None,
        "manifest_json": '{"items": {}}',
        "descriptions_json": "{}",
        "number_of_items": 0,
        "size_in_bytes": 0,
        "fingerprint": "f" * 64,
        "uploader": "alice",
        "staging": "a" * 32,
    }
    return repository.claim(uuid, **{**values, **changes})


@pytest.fixture
def upload():
    return claim()


def update_row(upload, **values):
    """Write into the row, whoever holds it."""
    row = update(PendingUpload).where(PendingUpload.id == upload.id)
    sql_db.session.execute(row.values(**values))
    sql_db.session.commit()


def delete_row(upload):
    """Delete the row, whoever holds it."""
    sql_db.session.execute(delete(PendingUpload).where(PendingUpload.id == upload.id))
    sql_db.session.commit()


def hold(upload, token="somebody", seconds=60.0):
    update_row(upload, lease=token, lease_ends=time.time() + seconds)


def rows():
    return sql_db.session.scalar(select(func.count()).select_from(PendingUpload))


# Claiming ------------------------------------------------------------------------------------


def test_a_claim_writes_a_row_that_waits_to_be_opened(upload):
    found = repository.find(UUID)
    assert (found.uuid, found.uploader, found.state) == (UUID, "alice", UploadState.OPENING)
    assert (found.pinned, found.urls_expire_at, found.lease) == (True, None, None)
    assert found.created_at_utc == NOW


def test_what_nobody_claimed_is_not_found():
    assert repository.find(UUID) is None


def test_a_second_claim_gets_the_row_of_the_first(upload):
    second = claim(uploader="carol", uri=f"s3://elsewhere/{UUID}")
    assert (second.id, second.uploader, second.uri) == (upload.id, "alice", upload.uri)
    assert rows() == 1


def test_many_claims_at_once_agree_on_one_row(app):
    def claim_elsewhere(number):
        with app.app_context():
            return claim(uploader=f"person-{number}").uploader

    with ThreadPoolExecutor(8) as pool:
        owners = set(pool.map(claim_elsewhere, range(8)))
    assert len(owners) == 1
    assert rows() == 1


def test_a_long_uri_is_kept():
    base = "own://" + "b" * 981
    assert str(claim(uri=f"{base}/{UUID}", base_uri=base).uri) == f"{base}/{UUID}"


def test_what_was_found_stays_readable_after_the_row_is_gone(upload):
    delete_row(upload)
    assert str(upload.uri) == f"s3://lab/{UUID}"
    assert repository.find(UUID) is None
    delete_row(upload)


# Noting --------------------------------------------------------------------------------------


def test_what_the_holder_of_a_lease_notes_is_found(upload):
    with leased(upload) as lease:
        lease.update(state=UploadState.FROZEN, frozen_at=5.5)
    found = repository.refetch(upload)
    assert (found.state, found.frozen_at) == (UploadState.FROZEN, 5.5)


def gone_in_between(upload):
    delete_row(upload)


def gone_and_claimed_again(upload):
    delete_row(upload)
    claim(uploader="carol")


@pytest.mark.parametrize("meanwhile", [gone_in_between, gone_and_claimed_again])
@pytest.mark.parametrize(
    "act",
    [
        repository.refetch,
        repository.announced,
        repository.frozen,
        lambda upload: leased(upload).__enter__(),
    ],
    ids=["refetch", "announced", "frozen", "leased"],
)
def test_a_row_that_is_gone_is_noticed(upload, act, meanwhile):
    meanwhile(upload)
    with pytest.raises(repository.UploadGone):
        act(upload)


@pytest.mark.parametrize(
    "act",
    [
        Lease.check,
        Lease.delete,
        Lease.retire,
        lambda lease: lease.update(state=UploadState.OPEN),
        lambda lease: lease.record_urls(NOW, pinned=True),
    ],
    ids=["check", "delete", "retire", "update", "record_urls"],
)
def test_whoever_lost_a_lease_changes_nothing_any_more(upload, act):
    with leased(upload) as lease:
        hold(upload, "the-new-holder")
        with pytest.raises(UploadBusy, match="Another request"):
            act(lease)
    found = repository.find(UUID)
    assert (found.state, found.lease) == (UploadState.OPENING, "the-new-holder")


def test_the_holder_of_a_lease_strikes_the_row_out(upload):
    with leased(upload) as lease:
        lease.delete()
    assert repository.find(UUID) is None


def test_what_was_announced_is_read_when_asked_for(upload):
    assert repository.announced(upload) == (Manifest(), {})


@pytest.mark.parametrize("order", [(1, 2, 3), (3, 2, 1), (2, 3, 1)])
def test_the_latest_end_of_urls_is_remembered(upload, order):
    for hours in order:
        with leased(upload) as lease:
            lease.record_urls(NOW + timedelta(hours=hours), pinned=True)
    expected = NOW + timedelta(hours=3)
    assert repository.find(UUID).urls_expire_at_utc == expected


@pytest.mark.parametrize(
    ("handed_out", "pinned"), [((True, True), True), ((False, True), False), ((True, False), False)]
)
def test_urls_that_were_not_pinned_are_never_forgotten(upload, handed_out, pinned):
    for kind in handed_out:
        with leased(upload) as lease:
            lease.record_urls(NOW, pinned=kind)
    assert repository.find(UUID).pinned is pinned


def test_the_frozen_manifest_is_kept_beside_the_announced_one(upload):
    frozen = Manifest.of([Item("id-1", "a.txt", 7, "0" * 32, 1.5)], "3.19.0")
    with leased(upload) as lease:
        lease.update(state=UploadState.FROZEN, frozen_manifest_json=frozen.to_json())
    assert repository.announced(upload) == (Manifest(), {})
    assert repository.frozen(upload) == (frozen, {})


def test_what_was_frozen_before_there_were_two_manifests_has_the_one(upload):
    assert repository.frozen(upload) == repository.announced(upload)


def test_a_manifest_goes_with_its_upload():
    with leased(claim(manifest_json='{"items": {"id-1": {"relpath": "a.txt"}}}')) as lease:
        manifest, _ = repository.announced(lease.upload)
        assert manifest.items["id-1"].relpath == "a.txt"
        assert sql_db.session.scalar(select(PendingUpload.manifest_json)) == ""
        lease.delete()
    assert list(sql_db.session.scalars(select(AnnouncedManifest))) == []


def test_a_manifest_that_stands_in_the_row_itself_is_found(upload):
    """As it does in rows from before the other table existed."""
    sql_db.session.execute(delete(AnnouncedManifest))
    update_row(upload, manifest_json='{"items": {"id-1": {"relpath": "a.txt"}}}')
    for read in (repository.announced, repository.frozen):
        manifest, _ = read(upload)
        assert manifest.items["id-1"].relpath == "a.txt"


# Age -----------------------------------------------------------------------------------------

LONG_AGO = NOW - timedelta(days=3)


def idle(since=NOW):
    return [found.uuid for found in repository.listed(since)]


def test_an_upload_is_idle_from_its_announcement_on():
    claim(created_at=LONG_AGO)
    assert (idle(), idle(LONG_AGO)) == ([UUID], [])


@pytest.mark.parametrize(("active", "expected"), [(True, []), (False, [UUID])])
def test_whoever_works_on_an_upload_under_a_lease_says_so(active, expected):
    with leased(claim(created_at=LONG_AGO), active=active):
        pass
    assert idle() == expected


def test_a_row_that_says_nothing_of_activity_was_active_when_it_was_created():
    update_row(claim(created_at=LONG_AGO), last_active_at=None)
    assert idle() == [UUID]
    assert repository.find(UUID).last_active_at_utc == LONG_AGO


# Leases --------------------------------------------------------------------------------------


@pytest.mark.parametrize("meanwhile", [{"state": UploadState.FROZEN}, {"pinned": False}])
def test_a_lease_hands_out_the_row_as_it_is_not_as_it_was_read(upload, meanwhile):
    update_row(upload, **meanwhile)
    with leased(upload) as lease:
        assert {name: getattr(lease.upload, name) for name in meanwhile} == meanwhile


def test_what_its_holder_writes_is_in_the_row_of_the_lease(upload):
    with leased(upload) as lease:
        lease.update(state=UploadState.OPEN)
        lease.record_urls(NOW, pinned=False)
        assert (lease.upload.state, lease.upload.pinned) == (UploadState.OPEN, False)
        assert lease.upload.urls_expire_at_utc == NOW


@pytest.mark.parametrize(("hours", "kept"), [(1, True), (-1, False)])
def test_the_row_of_what_is_given_up_is_kept_while_its_urls_live(upload, hours, kept):
    with leased(upload) as lease:
        lease.record_urls(datetime.now(timezone.utc) + timedelta(hours=hours), pinned=True)
        lease.retire()
    assert rows() == kept
    assert len(repository.removed()) == kept
