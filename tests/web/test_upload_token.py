"""The token of an upload: what stands for the uploader after the dserver token has expired."""

from __future__ import annotations

import inspect
import json
from datetime import datetime, timedelta, timezone

import dservercore.config
import dservercore.utils
import pytest
from dservercore import sql_db
from dtoolcore.utils import generate_identifier
from flask_jwt_extended import create_access_token
from itsdangerous import URLSafeSerializer
from sqlalchemy import update

from dserver_signed_url_plugin.uploads import repository
from dserver_signed_url_plugin.uploads.models import PendingUpload
from dserver_signed_url_plugin.uploads.tokens import UploadTokens
from tests.support.audit_records import rows, written
from tests.support.clients import Deposit, DtoolDserver
from tests.support.dserver import Person, encoded

CLIENT = DtoolDserver()
FILES = {"one.txt": b"eins", "two.txt": b"zwei"}
COMPLETE = "/signed-urls/upload-complete"
EMPTY_PARTS = {"numbers": []}


class Holder(Person):
    """Somebody who comes with the token of an upload, and with nothing else."""

    def __init__(self, dserver, token, jwt=None):
        super().__init__(dserver.app, jwt)
        self._headers["Upload-Token"] = token


@pytest.fixture
def deposit():
    return Deposit(FILES)


@pytest.fixture
def grant(lab, deposit):
    return CLIENT.begin(lab.alice, lab.base_uri, deposit)


@pytest.fixture
def holder(lab, grant):
    return Holder(lab, grant["upload_token"])


def calls(uri):
    """Each route that takes the token, as (method, path, options)."""
    path = encoded(uri)
    return [
        ("get", f"/signed-urls/upload/{path}", {}),
        ("post", f"/signed-urls/parts/{path}/{generate_identifier('one.txt')}", EMPTY_PARTS),
        ("post", COMPLETE, {"uri": uri}),
        ("delete", f"/signed-urls/upload/{path}", None),
    ]


def answers(person, uri):
    return [
        person.post(path, body) if method == "post" else getattr(person, method)(path)
        for method, path, body in calls(uri)
    ]


def assert_refused(answer, problem):
    assert (answer.status_code, answer.json["errors"]) == (401, {"slug": "upload-token-refused"})
    assert problem in answer.json["message"]
    assert answer.headers["WWW-Authenticate"] == "Bearer"


def test_a_deposit_is_finished_without_a_dserver_token(lab, deposit, grant, holder):
    CLIENT.put(grant, deposit)
    status = holder.get(f"/signed-urls/upload/{encoded(grant['uri'])}")
    assert status.json["items"]["stored"] == 2
    assert holder.complete(grant["uri"]).json["status"] == "registered"
    # The answer may have been lost.
    assert holder.complete(grant["uri"]).json["status"] == "registered"
    assert written(lab)[-2:] == [("alice", "upload-complete", grant["uri"], None)] * 2


def test_every_route_of_the_upload_takes_it_and_no_other(lab, grant, holder):
    found = [answer.status_code for answer in answers(holder, grant["uri"])]
    # The item is not in parts; the items are missing.
    assert found == [200, 400, 400, 200]
    assert holder.read(grant["uri"]).json["errors"]["slug"] == "not-authenticated"
    assert holder.begin(lab.base_uri, {}).status_code == 401


def test_a_status_with_urls_brings_a_fresh_one(lab, grant, holder):
    status = holder.get(f"/signed-urls/upload/{encoded(grant['uri'])}?urls=true")
    fresh = Holder(lab, status.json["upload"]["upload_token"])
    assert fresh.get(f"/signed-urls/upload/{encoded(grant['uri'])}").status_code == 200


def test_it_is_no_token_for_another_upload(lab, grant, holder):
    other = CLIENT.begin(lab.alice, lab.base_uri, Deposit(FILES))
    for answer in answers(holder, other["uri"]):
        assert_refused(answer, "of another upload")


@pytest.mark.parametrize("change", ["{}x", "x{}", "", "{0}.{0}", "é"], ids=str)
def test_what_was_not_made_here_is_refused(lab, grant, change):
    for answer in answers(Holder(lab, change.format(grant["upload_token"])), grant["uri"]):
        assert_refused(answer, "is not valid")


def test_what_another_server_made_is_refused(lab, grant):
    facts = [grant["uri"], "", "alice", 2**40]
    for salt in ("dserver-signed-url-plugin.upload-token", "other"):
        forged = URLSafeSerializer("another key", salt).dumps(facts)
        assert_refused(Holder(lab, forged).complete(grant["uri"]), "is not valid")
    # Another serializer with dserver's own key, such as that of a session.
    own = URLSafeSerializer(lab.app.config["SECRET_KEY"], "cookie-session").dumps(facts)
    assert_refused(Holder(lab, own).complete(grant["uri"]), "is not valid")


def test_it_ends_with_the_last_url(lab, grant, deposit):
    with lab.app.app_context():
        tokens = lab.services.upload_tokens
        ended = tokens.make(
            repository.find(deposit.uuid),
            "alice",
            datetime.now(timezone.utc) - timedelta(seconds=1),
        )
        # There are URLs that have not ended, which were granted later.
        assert tokens.check(ended).username == "alice"
    assert Holder(lab, ended).get(f"/signed-urls/upload/{encoded(grant['uri'])}").status_code == 200
    CLIENT.put(grant, deposit)
    assert lab.alice.complete(grant["uri"]).status_code == 200
    for answer in answers(Holder(lab, ended), grant["uri"]):
        assert_refused(answer, "has expired")


def test_it_does_not_outlive_its_upload(lab, deposit):
    grant = CLIENT.begin(lab.alice, lab.base_uri, Deposit({}, uuid=deposit.uuid))
    holder = Holder(lab, grant["upload_token"])
    assert lab.alice.delete(f"/signed-urls/upload/{encoded(grant['uri'])}").status_code == 200
    assert holder.complete(grant["uri"]).json["errors"]["slug"] == "no-pending-upload"
    with lab.app.app_context():
        ended = {"urls_expire_at": datetime.now(timezone.utc)}
        sql_db.session.execute(update(PendingUpload).filter_by(uuid=deposit.uuid).values(ended))
        sql_db.session.commit()
    theirs = CLIENT.begin(lab.carol, lab.base_uri, deposit)
    for answer in answers(holder, theirs["uri"]):
        assert_refused(answer, "cancelled")
    assert lab.carol.get(f"/signed-urls/upload/{encoded(theirs['uri'])}").status_code == 200


def test_permission_is_checked_again(make_dserver, deposit):
    dserver = make_dserver()
    grant = CLIENT.begin(dserver.alice, dserver.base_uri, deposit)
    CLIENT.put(grant, deposit)
    with dserver.app.app_context():
        dservercore.utils.register_permissions(
            dserver.base_uri,
            {"users_with_search_permissions": ["alice"], "users_with_register_permissions": []},
        )
    for answer in answers(Holder(dserver, grant["upload_token"]), grant["uri"]):
        assert answer.json["errors"]["slug"] == "permission-denied"


def test_of_two_tokens_that_of_the_upload_counts(lab, grant, deposit):
    token = grant["upload_token"]
    CLIENT.put(grant, deposit)
    with lab.app.app_context():
        ended = create_access_token("alice", expires_delta=timedelta(seconds=-1))
    for jwt in (ended, lab.tokens["bob"]):
        status = Holder(lab, token, jwt).get(f"/signed-urls/upload/{encoded(grant['uri'])}")
        assert status.status_code == 200
    refused = Holder(lab, "wrong", lab.tokens["alice"]).complete(grant["uri"])
    assert_refused(refused, "is not valid")


def test_an_admin_who_resumes_an_upload_gets_a_token_of_their_own(make_dserver, deposit):
    dserver = make_dserver()
    with dserver.app.app_context():
        dservercore.utils.register_permissions(
            dserver.base_uri, {"users_with_register_permissions": ["alice", "admin"]}
        )
    plan = {**CLIENT.plan(deposit), "creator_username": "alice"}
    dserver.alice.begin(dserver.base_uri, plan)
    grant = dserver.admin.begin(dserver.base_uri, plan).json
    assert Holder(dserver, grant["upload_token"]).complete(grant["uri"]).status_code == 400
    assert written(dserver)[-1][:2] == ("admin", "upload-complete")


def test_identity_is_checked_before_the_body(lab, grant):
    answer = Holder(lab, "wrong").post(COMPLETE, data="{", content_type="application/json")
    assert answer.status_code == 401


@pytest.mark.parametrize("key", [None, "", "you-will-never-guess"])
def test_without_a_key_of_its_own_a_server_makes_none(make_dserver, deposit, key):
    dserver = make_dserver(SECRET_KEY=key)
    assert '"you-will-never-guess"' in inspect.getsource(dservercore.config)
    grant = CLIENT.begin(dserver.alice, dserver.base_uri, deposit)
    assert "upload_token" not in grant
    forged = UploadTokens("you-will-never-guess")
    with dserver.app.app_context():
        upload = repository.find(deposit.uuid)
        token = forged.make(upload, "alice", datetime.now(timezone.utc) + timedelta(hours=1))
    assert_refused(Holder(dserver, token).complete(grant["uri"]), "cannot be checked")


def test_where_dserver_checks_no_token_it_is_a_token_all_the_same(make_dserver, deposit):
    dserver = make_dserver(DISABLE_JWT_AUTHORISATION=True, DEFAULT_USER="alice")
    grant = CLIENT.begin(dserver.nobody, dserver.base_uri, deposit)
    CLIENT.put(grant, deposit)
    assert_refused(Holder(dserver, "wrong").complete(grant["uri"]), "is not valid")
    assert Holder(dserver, grant["upload_token"]).complete(grant["uri"]).status_code == 200


def test_it_is_in_no_log_no_url_and_no_audit(make_dserver, deposit, caplog):
    dserver = make_dserver()
    grant = CLIENT.begin(dserver.alice, dserver.base_uri, deposit)
    token = grant["upload_token"]
    CLIENT.put(grant, deposit)
    for shown in (token, token + "x"):
        answers(Holder(dserver, shown), grant["uri"])
    assert token not in caplog.text
    assert token not in json.dumps(grant["upload_urls"])
    assert token not in str(rows(dserver))


def test_browsers_may_send_it(lab, grant):
    path = f"/signed-urls/upload/{encoded(grant['uri'])}"
    answer = lab.app.test_client().options(
        path,
        headers={
            "Origin": "https://web.example.org",
            "Access-Control-Request-Method": "GET",
            "Access-Control-Request-Headers": "upload-token",
        },
    )
    assert "upload-token" in answer.headers["Access-Control-Allow-Headers"].lower()
