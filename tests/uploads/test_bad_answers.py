"""An answer that is not what was asked for is never believed, and the call repeated works."""

from __future__ import annotations

from collections.abc import Callable
from itertools import count
from typing import Any
from urllib.parse import urlsplit

import pytest
from dtoolcore.utils import generate_identifier
from werkzeug.test import TestResponse

from dserver_signed_url_plugin.cli.pending_upload import pending_upload
from tests.support.clients import Deposit, DserverClientJS, DtoolDserver, each_client
from tests.support.dserver import Dserver, encoded
from tests.support.every_step import EVERY_STEP
from tests.support.proxy import Instead, Request, StoreProxy
from tests.support.s3_holdings import check_dataset

FILE = {"one.txt": b"eins"}
FILES = {**FILE, "two.txt": b"zwei"}
ONE = generate_identifier("one.txt")
PAGE = b"<html><body>Down for maintenance</body></html>"
DEEP = b"<ListBucketResult>" + b"<a>" * 50_000 + b"</a>" * 50_000 + b"</ListBucketResult>"

Call = Callable[[], TestResponse]


@pytest.fixture
def dserver(make_dserver, proxy) -> Dserver:
    return make_dserver(**proxy.settings())


def listing(entry: str, more: str = "") -> bytes:
    """A listing of whatever is asked for, which has one entry."""
    return (
        f"<ListBucketResult><Prefix/>{more}<Contents>{entry}</Contents></ListBucketResult>".encode()
    )


ENTRY = "<Key>k</Key><Size>1</Size><ETag>e</ETag><LastModified>{}</LastModified>"
# Answers to any request; of several statuses, each request gets another.
ANSWERS: list[Instead | tuple[Instead, ...]] = [
    Instead(200, PAGE),
    Instead(200),
    (Instead(204), Instead(307, to_itself=True), Instead(404, PAGE)),
    Instead(200, PAGE, length=10_000),
]
# Answers to a request for a listing.
LISTINGS = [
    Instead(200, b"<ListBucketResult>\xff\xfe</ListBucketResult>"),
    Instead(200, DEEP),
    Instead(200, listing("<Key>k</Key><Size>1</Size>")),
    Instead(200, listing(ENTRY.format("yesterday"))),
    Instead(
        200,
        listing(
            ENTRY.format("2026-01-01T00:00:00Z"),
            "<IsTruncated>true</IsTruncated><NextContinuationToken>t</NextContinuationToken>",
        ),
    ),
]


def reading(dserver: Dserver, deposit: Deposit) -> Call:
    assert DtoolDserver().upload(dserver.alice, dserver.base_uri, deposit).status_code == 200
    return lambda: dserver.bob.read(f"{dserver.base_uri}/{deposit.uuid}")


def reading_an_item(dserver: Dserver, deposit: Deposit) -> Call:
    reading(dserver, deposit)
    return lambda: dserver.bob.read_item(f"{dserver.base_uri}/{deposit.uuid}", ONE)


def beginning(dserver: Dserver, deposit: Deposit) -> Call:
    return lambda: dserver.alice.begin(dserver.base_uri, DtoolDserver().plan(deposit))


def put(dserver: Dserver, deposit: Deposit, client: DtoolDserver) -> str:
    grant = client.begin(dserver.alice, dserver.base_uri, deposit)
    client.put(grant, deposit)
    return str(grant["uri"])


def looking(dserver: Dserver, deposit: Deposit) -> Call:
    uri = put(dserver, deposit, DtoolDserver())
    return lambda: dserver.alice.get(f"/signed-urls/upload/{encoded(uri)}")


def completing(dserver: Dserver, deposit: Deposit) -> Call:
    uri = put(dserver, deposit, DtoolDserver())
    return lambda: dserver.alice.complete(uri)


def completing_staged(dserver: Dserver, deposit: Deposit) -> Call:
    uri = put(dserver, deposit, DserverClientJS())
    return lambda: dserver.alice.complete(uri)


def cancelling(dserver: Dserver, deposit: Deposit) -> Call:
    uri = put(dserver, deposit, DserverClientJS())
    return lambda: dserver.alice.delete(f"/signed-urls/upload/{encoded(uri)}")


def objects(s3: Any, dserver: Dserver, uuid: str) -> list[str]:
    found = s3.list_objects_v2(Bucket=dserver.bucket.name).get("Contents", [])
    return [entry["Key"] for entry in found if uuid in entry["Key"]]


def check_done(call: Any, told: TestResponse, dserver: Dserver, s3: Any, deposit: Deposit) -> None:
    """Fail unless what an answer 200 promises is so."""
    items = {generate_identifier(path) for path in deposit.files}
    if call is cancelling:
        assert objects(s3, dserver, deposit.uuid) == []
    elif call is reading:
        assert told.json["item_urls"].keys() == items
    elif call is beginning:
        assert told.json["upload_urls"]["items"].keys() == items
    elif call is looking:
        assert told.json["items"]["stored"] == len(items)
    elif call in (completing, completing_staged):
        check_dataset(dserver, s3, deposit)


class Once:
    """Gives another answer to the request of one number: one of those that may fit it, in turn."""

    def __init__(self, at: int, turn: int) -> None:
        self._at, self._turn = at, turn
        self._numbers = count(1)
        self.given = False

    def __call__(self, request: Request) -> Instead | None:
        if next(self._numbers) != self._at:
            return None
        self.given = True
        fitting = [*LISTINGS, *ANSWERS] if "list-type=2" in request.target else ANSWERS
        wrong = fitting[(self._at + self._turn) % len(fitting)]
        return wrong[self._at % len(wrong)] if isinstance(wrong, tuple) else wrong


# What is asked for a pinned completion is asked for a staged one, too, beside the copies.
EACH = [reading, reading_an_item, beginning, looking, completing_staged, cancelling]
# Each request of a call gets one answer, another one in each call, or all with EVERY_STEP.
TURNS = range(len(LISTINGS) + len(ANSWERS)) if EVERY_STEP else (0,)


@pytest.mark.parametrize(
    ("call", "turn"),
    [
        *((call, number + turn) for number, call in enumerate(EACH) for turn in TURNS),
        (completing, 0),
    ],
    ids=lambda value: getattr(value, "__name__", value),
)
def test_an_answer_to_something_else_is_502_or_repeated_and_the_same_call_works_later(
    dserver, proxy: StoreProxy, s3, call, turn
):
    for at in count(1):
        deposit = Deposit(FILE)
        act = call(dserver, deposit)
        proxy.before = once = Once(at, turn)
        told = act()
        proxy.heal()
        if told.status_code != 200:
            assert told.status_code == 502, told.text
            for secret in (dserver.bucket.secret_key, "X-Amz-Signature", "http:"):
                assert secret not in told.text
            told = act()
        assert told.status_code == 200, told.text
        check_done(call, told, dserver, s3, deposit)
        if not once.given:
            return


def lost(ending: str) -> Callable[[Request], Any]:
    """Let one PUT be answered as if it were kept."""
    left = [True]

    def answer(request: Request) -> Any:
        if left and request.writes(ending):
            left.clear()
            return Instead.kept(request)
        return None

    return answer


@pytest.mark.parametrize("name", ["manifest.json", "dtool", "README.yml"])
@each_client
def test_what_makes_a_dataset_and_was_not_kept_is_noticed_and_repaired(
    dserver, proxy, s3, client, name
):
    deposit = Deposit(FILES)
    uri = put(dserver, deposit, client)
    proxy.before = lost(f"/{name}")
    told = dserver.alice.complete(uri)
    proxy.heal()
    assert told.status_code == 502
    assert "has not kept" in told.json["message"]
    assert told.headers["Retry-After"] == "30"
    assert dserver.bob.read(uri).status_code == 404
    assert dserver.alice.complete(uri).status_code == 200
    check_dataset(dserver, s3, deposit)


@pytest.mark.parametrize("name", ["structure.json", "README.txt", "claim.json", "dtool-"])
def test_what_opens_an_upload_and_was_not_kept_is_noticed(dserver, proxy, s3, name):
    deposit = Deposit(FILES)
    begin = beginning(dserver, deposit)
    proxy.before = lost(f"/{name}{deposit.uuid}" if name == "dtool-" else f"/{name}")
    assert begin().status_code == 502
    proxy.heal()
    assert DtoolDserver().upload(dserver.alice, dserver.base_uri, deposit).status_code == 200
    check_dataset(dserver, s3, deposit)


def test_a_cancellation_whose_deletions_were_not_done_is_502_and_can_be_repeated(
    dserver, proxy, s3
):
    for at in count(1):
        deposit = Deposit(FILES)
        cancel = cancelling(dserver, deposit)
        deletions = count(1)

        def lie(request: Request, at: int = at, deletions: Any = deletions) -> Any:
            if request.method == "POST" and next(deletions) == at:
                return Instead(200, b"<DeleteResult/>")
            return None

        proxy.before = lie
        told = cancel()
        proxy.heal()
        if told.status_code == 200:
            assert objects(s3, dserver, deposit.uuid) == []
            break
        assert told.status_code == 502
        assert cancel().status_code == 200
        assert objects(s3, dserver, deposit.uuid) == []
    assert at > 3


def test_a_readme_in_place_that_is_not_utf8_stops_no_clean_up_and_can_be_replaced(
    dserver, s3, caplog
):
    odd, other = Deposit(FILES, readme=None), Deposit(FILES)
    uris = [put(dserver, deposit, DtoolDserver()) for deposit in (odd, other)]
    s3.put_object(
        Bucket=dserver.bucket.name, Key=f"{odd.uuid}/README.yml", Body=b"\xff\xfe not UTF-8"
    )
    for _ in range(2):
        told = dserver.alice.complete(uris[0])
        assert (told.status_code, told.json["errors"].keys()) == (400, {"readme", "slug"})
        assert "PUT another README" in told.json["message"]
    command = ["cleanup", "--older-than", "0", "--force", "--dry-run", "--delete-storage"]
    ran = dserver.app.test_cli_runner().invoke(pending_upload, command)
    assert ran.exit_code == 0, ran.output
    odd.readme = "---\ndescription: readable\n"
    put(dserver, odd, DtoolDserver())
    assert dserver.alice.complete(uris[0]).status_code == 200
    check_dataset(dserver, s3, odd, odd.readme)
    ran = dserver.app.test_cli_runner().invoke(pending_upload, [*command[:3], "--force"])
    assert ran.exit_code == 0, ran.output


def test_the_line_of_the_log_names_request_action_place_and_cause_and_no_url(
    dserver, proxy, caplog
):
    read = reading(dserver, Deposit(FILES))
    proxy.before = lambda request: Instead(200, PAGE) if request.method == "GET" else None
    caplog.clear()
    told = read()
    assert (told.status_code, told.headers["Retry-After"]) == (502, "30")
    # The lifecycle rules are asked for in the name of all.
    lines = [text for text in caplog.messages if text.startswith("S3 ")]
    line = next(text for text in lines if "lifecycle" not in text)
    assert f"request {told.headers['X-Request-ID']}, read-dataset" in line
    assert dserver.bucket.name in line
    assert not any(word in line for word in ("http", urlsplit(dserver.bucket.endpoint).netloc))
