"""Two at once, the first paused where it takes the lease: nothing is decided by an old row."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from datetime import datetime, timedelta, timezone
from typing import Any

import pytest
from dservercore import sql_db
from sqlalchemy import select, update

from dserver_signed_url_plugin.cli.pending_upload import pending_upload
from dserver_signed_url_plugin.uploads.cleanup import CleanupOptions
from dserver_signed_url_plugin.uploads.models import PendingUpload
from tests.support.clients import Deposit, DserverClientJS
from tests.support.databases import on_each_database
from tests.support.dserver import Dserver, Person, encoded
from tests.support.every_step import EVERY_STEP
from tests.support.lease_pause import paused
from tests.support.s3_holdings import check_readable
from tests.support.search_plugins import Index

FILES = {"one.txt": b"eins"}
CLIENT = DserverClientJS()


@pytest.fixture
def index(lab: Dserver) -> Iterator[Index]:
    before = lab.app.search
    lab.app.search = index = Index(before)
    yield index
    lab.app.search = before


@dataclass
class Upload:
    """One upload of alice's, which several requests are about at once."""

    dserver: Dserver
    deposit: Deposit

    @property
    def uri(self) -> str:
        return f"{self.dserver.base_uri}/{self.deposit.uuid}"

    @property
    def row(self) -> PendingUpload | None:
        with self.dserver.app.app_context():
            wanted = select(PendingUpload).where(PendingUpload.uuid == self.deposit.uuid)
            found = sql_db.session.scalar(wanted)
            sql_db.session.expunge_all()
            return found

    @property
    def is_registered(self) -> bool:
        return self.dserver.bob.read(self.uri).status_code == 200

    @property
    def is_frozen(self) -> bool:
        with self.dserver.app.app_context():
            return self.dserver.storage.uploads.dataset_type(self.deposit.uuid) == "dataset"

    def by(self, name: str) -> Person:
        """Return somebody, as another worker would answer them."""
        return Person(self.dserver.app, self.dserver.tokens[name])

    def begin(self) -> Any:
        return self.by("alice").begin(self.dserver.base_uri, CLIENT.plan(self.deposit))

    def deposit_all(self) -> Any:
        """Begin, PUT and complete."""
        begun = self.begin()
        if begun.status_code != 200:
            return begun
        CLIENT.put(begun.json, self.deposit)
        return self.complete()

    def announce_another(self) -> Any:
        """Let somebody else announce other contents under the same UUID."""
        other = replace(self.deposit, files={"other.txt": b"anders"})
        return self.by("carol").begin(self.dserver.base_uri, CLIENT.plan(other))

    def complete(self) -> Any:
        return self.by("alice").complete(self.uri)

    def cancel(self) -> Any:
        return self.by("alice").delete(f"/signed-urls/upload/{encoded(self.uri)}")

    def look(self) -> Any:
        return self.by("alice").get(f"/signed-urls/upload/{encoded(self.uri)}?urls=true")

    def clean_up(self) -> Any:
        arguments = ["cleanup", "--older-than", "48", "--delete-storage", "--force"]
        return self.dserver.app.test_cli_runner().invoke(pending_upload, arguments)

    def forget(self) -> Any:
        with self.dserver.app.app_context():
            return list(self.dserver.services.cleanup.forget_removed(CleanupOptions()))

    def age(self) -> None:
        """Let nobody have worked on it for three days."""
        then = datetime.now(timezone.utc) - timedelta(days=3)
        row = update(PendingUpload).where(PendingUpload.uuid == self.deposit.uuid)
        times = {"created_at": then, "last_active_at": then, "urls_expire_at": then}
        with self.dserver.app.app_context():
            sql_db.session.execute(row.values(**times))
            sql_db.session.commit()


@pytest.fixture
def old(lab: Dserver) -> Upload:
    """An upload that was begun and PUT three days ago."""
    upload = Upload(lab, Deposit(FILES))
    CLIENT.put(upload.begin().json, upload.deposit)
    upload.age()
    return upload


@pytest.fixture
def removed(old: Upload) -> Upload:
    """One that was cancelled while its URLs lived; they have ended since."""
    assert old.begin().status_code == 200
    assert old.cancel().status_code == 200
    old.age()
    return old


# What was seen ---------------------------------------------------------------------------------


@on_each_database
def test_a_removed_upload_announced_twice_keeps_its_row_once_it_is_frozen(removed, index):
    index.is_away = True
    with paused(removed.dserver, removed.deposit_all) as pause:
        late = removed.begin()
    assert pause.outcome.status_code == 502
    assert (removed.is_frozen, removed.row is not None) == (True, True)
    assert late.status_code in (200, 409)
    index.is_away = False
    assert removed.complete().status_code == 200


@on_each_database
def test_what_its_owner_revives_is_not_struck_out_by_somebody_else(removed):
    with paused(removed.dserver, removed.begin) as pause:
        late = removed.announce_another()
    assert (pause.outcome.status_code, late.status_code) == (200, 409)
    assert removed.row.uploader == "alice"
    CLIENT.put(pause.outcome.json, removed.deposit)
    assert removed.complete().status_code == 200


@on_each_database
@pytest.mark.parametrize("act", [Upload.clean_up, Upload.forget])
def test_a_cleanup_that_listed_before_leaves_what_was_announced_again(removed, act):
    with paused(removed.dserver, removed.begin) as pause:
        act(removed)
    assert (pause.happened, removed.row.state.value) == (True, "open")
    CLIENT.put(pause.outcome.json, removed.deposit)
    assert removed.complete().status_code == 200


@on_each_database
def test_a_forced_cleanup_leaves_what_was_resumed_since_it_was_listed(old):
    with paused(old.dserver, old.begin) as pause:
        cleaned = old.clean_up()
    assert (pause.happened, cleaned.exit_code) == (True, 0)
    assert f"{old.deposit.uuid} my-dataset: kept: Upload" in cleaned.stdout
    assert old.complete().status_code == 200


@on_each_database
@pytest.mark.parametrize("act", [Upload.begin, Upload.look])
def test_no_urls_are_given_for_an_upload_cancelled_meanwhile(old, act):
    assert old.begin().status_code == 200
    with paused(old.dserver, old.cancel) as pause:
        late = act(old)
    assert (pause.happened, pause.outcome.status_code) == (True, 200)
    if late.status_code == 200:
        # Begun again after it was cancelled: what its URLs lead to can be completed.
        CLIENT.put(grant_in(late), old.deposit)
        assert old.complete().status_code == 200
    else:
        assert late.status_code in (404, 409)
        assert old.row.state.value == "removed"


@on_each_database
def test_a_cancellation_overtaken_by_a_completion_does_not_say_that_it_cancelled(old):
    with paused(old.dserver, old.complete) as pause:
        late = old.cancel()
    assert (pause.outcome.status_code, late.status_code) == (200, 409)
    assert old.is_registered


# Each beside each ------------------------------------------------------------------------------

ACTS = [
    Upload.begin,
    Upload.deposit_all,
    Upload.announce_another,
    Upload.complete,
    Upload.cancel,
    Upload.look,
    Upload.clean_up,
    Upload.forget,
]
Act = Callable[[Upload], Any]


def begun(lab: Dserver) -> Upload:
    upload = Upload(lab, Deposit(FILES))
    CLIENT.put(upload.begin().json, upload.deposit)
    return upload


def idle(lab: Dserver) -> Upload:
    upload = begun(lab)
    upload.age()
    return upload


def given_up(lab: Dserver) -> Upload:
    upload = begun(lab)
    assert upload.cancel().status_code == 200
    upload.age()
    return upload


def frozen(lab: Dserver) -> Upload:
    upload = begun(lab)
    assert upload.complete().status_code == 502
    upload.age()
    return upload


def check_answer(answer: Any) -> None:
    """Expect an answer, a refusal with a reason, or that the index is away."""
    if hasattr(answer, "status_code"):
        assert answer.status_code in (200, 400, 404, 409, 502), answer.json
        assert answer.status_code != 502 or "index" in answer.json["message"]
    elif hasattr(answer, "exit_code"):
        assert answer.exit_code in (0, 1), answer.exception


def grant_in(answer: Any) -> Any:
    """Return the URLs that a request was given, or None."""
    if getattr(answer, "status_code", 0) != 200:
        return None
    return answer.json if "upload_urls" in answer.json else answer.json.get("upload")


def check_nothing_is_lost(upload: Upload, first: Act, answers: tuple[Any, Any]) -> None:
    """Expect what is true whoever came first."""
    row = upload.row
    if upload.is_frozen:
        assert upload.is_registered or row is not None
    if grant_in(answers[0]) or (grant_in(answers[1]) and first is not Upload.cancel):
        # Whoever announces an upload, or is given its URLs, has it, unless it is cancelled later.
        assert upload.is_registered or (row is not None and row.state.value != "removed")


def check_way_out(upload: Upload) -> None:
    """Expect that whoever has the UUID can make a dataset of it now."""
    row = upload.row
    if row is not None and row.uploader == "carol":
        assert upload.by("carol").delete(f"/signed-urls/upload/{encoded(upload.uri)}").json
        upload.age()
    done = upload.deposit_all()
    if done.status_code != 200:
        assert "registered already" in done.json["message"], done.json
    check_readable(upload.dserver, upload.deposit)
    assert upload.row is None


STATES = [begun, frozen, given_up, idle]


def beside(first: Act, prepared: Callable[[Dserver], Upload]) -> list[Act]:
    """Return the acts to do beside the first: each in one of the first three states, a third of
    them in the idle one, too, or all in every state with EVERY_STEP."""
    number = ACTS.index(first) + STATES.index(prepared)
    return ACTS if EVERY_STEP else ACTS[number % 3 :: 3]


def check_pairs(dserver: Dserver, index: Index, prepared: Callable[[Dserver], Upload], first: Act):
    """Do acts while the first is paused, and expect that nothing is lost and all can go on."""
    for second in beside(first, prepared):
        index.is_away = True
        upload = prepared(dserver)
        with paused(dserver, lambda act=second, upload=upload: act(upload)) as pause:
            answer = first(upload)
        if pause.happened:
            for each in (answer, pause.outcome):
                check_answer(each)
            check_nothing_is_lost(upload, first, (answer, pause.outcome))
        index.is_away = False
        check_way_out(upload)
        if not pause.happened:
            # Here it takes no lease, whatever the second would be.
            return


each_act = pytest.mark.parametrize("first", ACTS, ids=lambda act: act.__name__)


@each_act
@pytest.mark.parametrize("prepared", STATES[:3])
def test_of_two_at_once_neither_loses_what_the_other_was_told(lab, index, prepared, first):
    check_pairs(lab, index, prepared, first)


@pytest.mark.database("postgresql", reason="the other states are tested on SQLite")
@each_act
def test_of_two_at_once_about_an_idle_upload_neither_loses(lab, index, first):
    check_pairs(lab, index, idle, first)
