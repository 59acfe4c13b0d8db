"""Who works on an upload holds its lease: one at a time, and nobody for ever."""

import time
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime, timedelta, timezone

import pytest
from dservercore import sql_db
from sqlalchemy import event

from dserver_signed_url_plugin.errors import UploadBusy
from dserver_signed_url_plugin.uploads import repository
from dserver_signed_url_plugin.uploads.lease import LEASE, leased
from tests.support.databases import on_each_database
from tests.uploads import test_repository
from tests.uploads.test_repository import UUID, claim, delete_row, hold, update_row

pytestmark = on_each_database

# Fixtures: an app with tables, and a row of an upload.
app, upload = test_repository.app, test_repository.upload


def test_a_second_lease_is_refused_while_the_first_is_held(upload):
    with leased(upload) as lease:
        with pytest.raises(UploadBusy) as refusal, leased(upload):
            pytest.fail("two hold one upload")
        assert refusal.value.retry_after >= 1
        lease.check()


def test_a_lease_ends_with_its_block(upload):
    for _ in range(2):
        with leased(upload):
            assert repository.find(UUID).lease is not None
        assert repository.find(UUID).lease is None


def test_a_lease_ends_with_a_block_that_fails(upload):
    with pytest.raises(ZeroDivisionError), leased(upload):
        raise ZeroDivisionError
    with leased(upload) as lease:
        lease.check()


def test_a_lease_whose_holder_died_is_taken_over(upload):
    hold(upload, "the-dead", seconds=-1.0)
    with leased(upload) as lease:
        assert repository.find(UUID).lease == lease.token != "the-dead"


def test_a_lease_that_was_lost_is_noticed_and_left_to_its_new_holder(upload):
    with leased(upload) as lease:
        hold(upload, "the-new-holder")
        with pytest.raises(UploadBusy, match="Another request"):
            lease.check()
        assert not lease.renew()
    assert repository.find(UUID).lease == "the-new-holder"


def test_a_check_prolongs_the_lease(upload):
    with leased(upload) as lease:
        hold(upload, lease.token, seconds=0.5)
        lease.check()
        assert repository.find(UUID).lease_ends > time.time() + 5


HOUR = 3600
clock_of_its_own = pytest.mark.database(
    "sqlite", reason="The clock of PostgreSQL is the machine's, SQLite's can be set."
)


@pytest.fixture(params=[-HOUR, HOUR], ids=["behind", "ahead"])
def clock(request):
    """A database whose clock is an hour off; returns its time in seconds since 1970 UTC."""

    def now():
        return datetime.now(timezone.utc) + timedelta(seconds=request.param)

    def set_clock(connection, _):
        connection.create_function("current_timestamp", 0, lambda: f"{now():%Y-%m-%d %H:%M:%S}")

    event.listen(sql_db.engine, "connect", set_clock)
    sql_db.engine.dispose()
    yield lambda: now().timestamp()
    event.remove(sql_db.engine, "connect", set_clock)


@clock_of_its_own
def test_a_lease_lasts_by_the_clock_of_the_database(clock, upload):
    with leased(upload) as lease:
        assert 0 < repository.find(UUID).lease_ends - clock() <= LEASE
        update_row(upload, lease_ends=clock() + 1)
        lease.check()
        assert repository.find(UUID).lease_ends - clock() > LEASE / 2


@clock_of_its_own
def test_the_clock_of_the_database_says_when_a_holder_is_dead(clock, upload):
    update_row(upload, lease="the-living", lease_ends=clock() + 60)
    with pytest.raises(UploadBusy), leased(upload):
        pytest.fail("two hold one upload")
    update_row(upload, lease="the-dead", lease_ends=clock() - 60)
    with leased(upload) as lease:
        assert repository.find(UUID).lease == lease.token


def test_a_lease_on_a_row_that_goes_is_lost(upload):
    with leased(upload) as lease:
        delete_row(upload)
        with pytest.raises(UploadBusy):
            lease.check()


def test_a_lease_on_one_upload_leaves_another_free(upload):
    other = claim("00000000-0000-4000-8000-000000000001")
    with leased(upload) as one, leased(other) as two:
        one.check()
        two.check()


def test_of_many_at_once_one_holds_the_upload(app, upload):
    tried = []

    def try_it(number):
        with app.app_context():
            try:
                with leased(upload):
                    # Held until everybody else has been refused.
                    deadline = time.monotonic() + 10
                    while len(tried) < 7 and time.monotonic() < deadline:
                        time.sleep(0.001)
                return True
            except UploadBusy:
                tried.append(number)
                return False

    with ThreadPoolExecutor(8) as pool:
        assert sum(pool.map(try_it, range(8))) == 1
