"""A server that has no key to verify tokens: it is not ready, and says which setting is wrong."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import pytest
from flask_jwt_extended import JWTManager

from dserver_signed_url_plugin.cli.pending_upload import pending_upload
from dserver_signed_url_plugin.cli.share import share
from tests.support.clients import Deposit, DtoolDserver
from tests.support.dserver import encoded
from tests.support.links import shared
from tests.support.refusals import assert_refused

READY = "/signed-urls/health/ready"
DATASET = f"/signed-urls/dataset/{encoded('s3://lab/550e8400-e29b-41d4-a716-446655440000')}"
SECRET = "c2VjcmV0"
BROKEN = f"-----BEGIN PUBLIC KEY-----\n{SECRET}\n-----END PUBLIC KEY-----\n"
CLIENT = DtoolDserver()


@dataclass(frozen=True)
class Fault:
    """Settings without a key, and what is said of them."""

    said: str
    settings: dict[str, Any]


PUBLIC_KEY = "JWT_PUBLIC_KEY, or the file of JWT_PUBLIC_KEY_FILE,"
FAULTS = {
    "missing": Fault(f"{PUBLIC_KEY} is missing or empty", {"JWT_PUBLIC_KEY": ""}),
    "text": Fault(f"{PUBLIC_KEY} is no key for RS256", {"JWT_PUBLIC_KEY": SECRET}),
    "damaged": Fault(f"{PUBLIC_KEY} is no key for RS256", {"JWT_PUBLIC_KEY": BROKEN}),
    "of another algorithm": Fault(
        f"{PUBLIC_KEY} is no key for ES256", {"JWT_ALGORITHM": "ES256", "JWT_PUBLIC_KEY": SECRET}
    ),
    "not secret": Fault(
        "JWT_SECRET_KEY is no key for HS256", {"JWT_ALGORITHM": "HS256", "JWT_SECRET_KEY": BROKEN}
    ),
    "unknown algorithm": Fault("JWT_SECRET_KEY is no key for RS265", {"JWT_ALGORITHM": "RS265"}),
}


@pytest.mark.parametrize("fault", FAULTS.values(), ids=FAULTS)
def test_a_server_that_can_verify_no_token_says_why_and_is_not_ready(make_dserver, fault):
    dserver = make_dserver(**fault.settings)
    for answer in (dserver.nobody.get(READY), dserver.alice.get(DATASET)):
        assert_refused(answer, 503, fault.said)
        assert answer.json["errors"] == {"slug": "token-key-unusable"}
        assert int(answer.headers["Retry-After"]) >= 1
        assert SECRET not in answer.text
    assert dserver.nobody.get("/signed-urls/health/live").status_code == 200


def test_a_server_that_can_verify_no_token_serves_those_who_need_none(make_dserver):
    dserver = make_dserver()
    deposit = Deposit()
    grant = CLIENT.begin(dserver.alice, dserver.base_uri, deposit)
    uri = CLIENT.upload(dserver.alice, dserver.base_uri, Deposit()).json["uri"]
    visitor = shared(dserver, uri)
    dserver.app.config["JWT_PUBLIC_KEY"] = ""
    assert visitor.open().status_code == 200
    upload = f"/signed-urls/upload/{encoded(grant['uri'])}"
    headers = {"Upload-Token": grant["upload_token"]}
    assert dserver.app.test_client().get(upload, headers=headers).status_code == 200
    assert_refused(dserver.alice.get(upload), 503)


def test_a_server_without_authorisation_needs_no_key(make_dserver):
    settings = {"DISABLE_JWT_AUTHORISATION": "1", "DEFAULT_USER": "alice", "JWT_PUBLIC_KEY": ""}
    dserver = make_dserver(**settings)
    assert dserver.nobody.get(READY).status_code == 200
    assert_refused(dserver.nobody.get(DATASET), 403)


def test_a_key_that_a_plugin_looks_up_for_each_token_is_enough(make_dserver, jwt_settings):
    dserver = make_dserver(JWT_PUBLIC_KEY="")
    manager = JWTManager()
    manager.decode_key_loader(lambda _header, _claims: jwt_settings["JWT_PUBLIC_KEY"])
    dserver.app.extensions["flask-jwt-extended"] = manager
    assert dserver.nobody.get(READY).status_code == 200
    assert_refused(dserver.alice.get(DATASET), 403)


def test_commands_need_no_key(make_dserver):
    runner = make_dserver(JWT_PUBLIC_KEY="").app.test_cli_runner()
    assert runner.invoke(pending_upload, ["list"]).exit_code == 0
    assert runner.invoke(share, ["cleanup"]).exit_code == 0
