"""The user's token may end while a deposit runs; nothing secret is left anywhere."""

from __future__ import annotations

import logging
import os
import stat
import traceback
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

import pytest
from dserver_client.errors import ClientError

from client.tests.faults.world import README
from tests.support.proxy import Instead

REFUSED = Instead(403, b"<Error><Code>AccessDenied</Code></Error>")
OURS = ("dserver_client", "urllib3")


@pytest.fixture
def seen(world):
    """Every secret that a request of the client has."""
    secrets = set()

    def note(request):
        secrets.update(
            request.headers[name].removeprefix("Bearer ")
            for name in ("authorization", "upload-token")
            if name in request.headers
        )
        query = parse_qs(urlsplit(request.target).query)
        secrets.update(query.get("X-Amz-Signature", []))

    for proxy in world.proxies.values():
        proxy.before = note
    yield secrets
    for proxy in world.proxies.values():
        proxy.heal()


def everything_below(directory: Path) -> list[Path]:
    return [Path(root, name) for root, _, names in os.walk(directory) for name in names]


def test_a_deposit_outlives_the_token_of_its_user(world, source):
    is_announced = []

    def end_the_token(request):
        is_announced.append("/upload/" in request.target and request.method == "POST")
        if any(is_announced[:-1]) and "authorization" in request.headers:
            request.headers["authorization"] = "Bearer ended"

    world.proxies["dserver"].before = end_the_token
    try:
        with world.client() as client:
            done = client.deposit(source, world.dserver.base_uri, name="outlives", readme=README)
    finally:
        world.proxies["dserver"].heal()
    assert world.registered("outlives") == [done.uri]


def test_nothing_secret_is_logged_or_kept(world, source, dataset, tmp_path, caplog, seen):
    caplog.set_level(logging.DEBUG)
    note = world.proxies["store"].before

    def refuse_puts(request):
        note(request)
        return REFUSED if request.method == "PUT" else None

    world.proxies["store"].before = refuse_puts
    with world.client() as client:
        with pytest.raises(ClientError) as refused:
            client.deposit(source, world.dserver.base_uri, name="secrets", readme=README)
        client.fetch(dataset, tmp_path / "target")
    kept = [path for path in everything_below(tmp_path) if source not in path.parents]
    state = [path for path in kept if any("xdg" in name for name in path.parts)]
    # dserver, which has other secrets, is in the same process.
    logged = [record for record in caplog.records if record.name.startswith(OURS)]
    texts = [
        *("".join(traceback.format_exception(refused.value)), repr(client), repr(vars(client))),
        *(record.getMessage() for record in logged),
        *(path.read_bytes().decode("latin-1") for path in kept),
    ]
    assert len(seen) > 4
    assert logged
    assert [secret for secret in seen for text in texts if secret in text] == []
    assert {stat.S_IMODE(path.stat().st_mode) for path in state} == {0o600}
