"""A client that sends large items in parts, as `docs/client-guide.rst` tells client authors to."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping
from datetime import datetime, timedelta, timezone
from typing import Any

import requests
from dservercore import sql_db
from dtoolcore.utils import generate_identifier
from sqlalchemy import select
from werkzeug.test import TestResponse

from dserver_signed_url_plugin.uploads.models import ItemInParts
from tests.support.clients import Deposit, DtoolDserver
from tests.support.dserver import Dserver, Person, encoded

MIB = 1024**2
PART = 5 * MIB
SETTINGS = {"SIGNED_URL_PART_BYTES": PART}
LARGE = "scan/large image.tif"
IDENTIFIER = generate_identifier(LARGE)
# Two parts, the second of which is short.
CONTENT = bytes(range(256)) * (PART // 256) + b"the end\n"
SMALL = {"notes.txt": b"two"}


def deposit(**more: Any) -> Deposit:
    """A dataset with one large item and a small one."""
    return Deposit({LARGE: CONTENT, **SMALL}, more={"multipart": True, **more})


def part(number: int, content: bytes = CONTENT) -> bytes:
    """The bytes of one part."""
    return content[(number - 1) * PART : number * PART]


def md5(content: bytes) -> str:
    return hashlib.md5(content).hexdigest()


def begin(dserver: Dserver, wanted: Deposit, person: Person | None = None) -> dict[str, Any]:
    """Announce a deposit, and return the answer."""
    return DtoolDserver().begin(person or dserver.alice, dserver.base_uri, wanted)


def put_small(grant: Mapping[str, Any], wanted: Deposit) -> None:
    """PUT the README and what is sent whole."""
    items = grant["upload_urls"]["items"]
    whole = {name: item for name, item in items.items() if item["url"] is not None}
    DtoolDserver().put({"upload_urls": {**grant["upload_urls"], "items": whole}}, wanted)


def ask(
    person: Person, uri: str, numbers: Iterable[int], identifier: str = IDENTIFIER, **more: Any
) -> TestResponse:
    """Ask for URLs of parts."""
    path = f"/signed-urls/parts/{encoded(uri)}/{identifier}"
    return person.post(path, {"numbers": list(numbers), **more})


def put_part(signed: Mapping[str, Any], content: bytes) -> requests.Response:
    return requests.put(signed["url"], content, headers=signed["headers"], timeout=30)


def send(
    person: Person, uri: str, contents: Mapping[int, bytes], *, pinned: bool = False
) -> dict[str, Any]:
    """Ask for URLs of parts and PUT them; return the answer."""
    hashes = {str(number): md5(content) for number, content in contents.items()}
    answer = ask(person, uri, contents, **({"hashes": hashes} if pinned else {}))
    assert answer.status_code == 200, answer.json
    for number, content in contents.items():
        response = put_part(answer.json["parts"][str(number)], content)
        assert response.ok, response.text
    return answer.json


def send_all(person: Person, uri: str, **options: Any) -> dict[str, Any]:
    """Send every part of the large item."""
    return send(person, uri, {1: part(1), 2: part(2)}, **options)


def rows(dserver: Dserver) -> list[tuple]:
    """Return the identifier, upload ID and MD5 of each item in parts that the database has."""
    with dserver.app.app_context():
        columns = (ItemInParts.identifier, ItemInParts.upload_id, ItemInParts.assembled_md5)
        return [tuple(row) for row in sql_db.session.execute(select(*columns))]


def execute(dserver: Dserver, statement: object) -> None:
    """Change the database, and commit."""
    with dserver.app.app_context():
        sql_db.session.execute(statement)
        sql_db.session.commit()


def incomplete(dserver: Dserver) -> list:
    """Return what was begun in parts in the store, and not assembled."""
    tomorrow = datetime.now(timezone.utc) + timedelta(days=1)
    with dserver.app.app_context():
        return list(dserver.storage.parts.incomplete(tomorrow))
