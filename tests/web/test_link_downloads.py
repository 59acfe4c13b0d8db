"""Downloads behind a link: signed at that moment, counted exactly, followed to the store."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import dservercore.utils
import pytest
import requests
from dtoolcore.utils import generate_identifier

from dserver_signed_url_plugin.demo.store import free_port
from tests.support.bucket_lifecycle import put
from tests.support.clients import Deposit, DtoolDserver
from tests.support.dserver import Dserver, in_capitals
from tests.support.http_server import serving
from tests.support.links import HTML, UNKNOWN, Visitor, shared
from tests.support.own_broker import STORES, OwnBroker, install, own_store
from tests.support.refusals import assert_refused, assert_store_unavailable
from tests.support.request_costs import counted

FILES = {
    "data/one.txt": b"first",
    "Größe über Zeit.txt": b"second",
    'it\'s "100 %" + 1 & 2=3?;#~.txt': b"third",
    "empty": b"",
}
ONE, TWO, *_ = IDENTIFIERS = [generate_identifier(relpath) for relpath in FILES]
CLICKS = 50


def deposit(dserver: Dserver) -> str:
    one = Deposit(FILES)
    assert DtoolDserver().upload(dserver.alice, dserver.base_uri, one).status_code == 200
    return f"{dserver.base_uri}/{one.uuid}"


@pytest.fixture(scope="module")
def uri(lab: Dserver) -> str:
    return deposit(lab)


# To the store ---------------------------------------------------------------------------------


def test_a_download_is_followed_to_the_bytes_and_the_name(each_lab):
    visitor = shared(each_lab, deposit(each_lab))
    for relpath, content in FILES.items():
        answer = visitor.download(generate_identifier(relpath))
        assert (answer.status_code, answer.data) == (303, b"")
        got = requests.get(answer.headers["Location"], timeout=30)
        assert got.content == content
        assert got.headers["Content-Disposition"].startswith("attachment; ")
    assert visitor.facts().downloads == len(FILES)


def test_a_download_is_signed_for_a_minute(lab, uri):
    visitor = shared(lab, uri)
    query = parse_qs(urlsplit(visitor.download(ONE).headers["Location"]).query)
    assert query["X-Amz-Expires"] == ["60"]


def test_a_server_that_signs_for_less_than_a_minute_does_so_here(make_dserver):
    short = {"SIGNED_URL_READ_EXPIRY_SECONDS": 5, "SIGNED_URL_MAX_READ_EXPIRY_SECONDS": 5}
    dserver = make_dserver(**short)
    visitor = shared(dserver, deposit(dserver))
    query = parse_qs(urlsplit(visitor.download(ONE).headers["Location"]).query)
    assert query["X-Amz-Expires"] == ["5"]


def test_a_browser_may_display_an_item_instead(lab, uri):
    visitor = shared(lab, uri)
    answer = visitor.download(ONE, query_string={"disposition": "inline"})
    got = requests.get(answer.headers["Location"], timeout=30)
    assert got.headers["Content-Disposition"].startswith("inline; ")
    assert visitor.open(f"/{ONE}", query_string={"disposition": "other"}).status_code == 422


def test_a_part_of_an_item_can_be_fetched(lab, uri):
    with serving(lab.app) as address:
        visitor = shared(lab, uri)
        url = f"{address}{visitor.path}/{TWO}"
        got = requests.get(url, headers={"Range": "bytes=2-3"}, timeout=30)
    assert (got.status_code, got.content) == (206, b"co")


# What is shared -------------------------------------------------------------------------------


def test_an_item_that_is_not_shared_is_answered_as_one_that_does_not_exist(lab, uri):
    visitor = shared(lab, uri, ["data/one.txt", "empty"])
    assert visitor.download(ONE).status_code == 303
    absent = generate_identifier("absent")
    for below in ("", "/preview"):
        answers = [visitor.open(f"/{name}{below}") for name in (TWO, absent)]
        for answer in answers:
            assert_refused(answer, 404, "This link has no item")
        first, second = (answer.text for answer in answers)
        assert first.replace(TWO, absent) == second
    assert visitor.facts().downloads == 1


@pytest.mark.parametrize("identifier", ["0" * 39, "0" * 41, "G" * 40, ONE.upper(), "manifest.json"])
def test_what_is_no_identifier_is_no_item(lab, uri, identifier):
    visitor = shared(lab, uri)
    assert_refused(visitor.download(identifier), 404)
    assert visitor.facts().downloads == 0


def test_an_item_of_another_dataset_is_no_item_of_this_share(lab, uri):
    other = Deposit({"other.txt": b"other"})
    DtoolDserver().upload(lab.alice, lab.base_uri, other)
    visitor = shared(lab, uri)
    assert_refused(visitor.download(generate_identifier("other.txt")), 404)


# Counting -------------------------------------------------------------------------------------


def test_head_is_not_counted_and_redirects_nowhere(lab, uri):
    visitor = shared(lab, uri, max_downloads=1)
    for _ in range(3):
        answer = visitor.download(ONE, method="HEAD")
        assert (answer.status_code, answer.headers.get("Location")) == (204, None)
    assert visitor.download(generate_identifier("absent"), method="HEAD").status_code == 404
    assert visitor.facts().downloads == 0


@pytest.mark.parametrize(("most", "counted"), [(None, 1), (5, 3)])
def test_what_is_displayed_counts_where_downloads_are_limited(lab, uri, most, counted):
    visitor = shared(lab, uri, max_downloads=most)
    for disposition in ("inline", "inline", "attachment"):
        answer = visitor.download(ONE, query_string={"disposition": disposition})
        assert answer.status_code == 303
    assert visitor.facts().downloads == counted


@pytest.mark.parametrize("method", ["POST", "PUT", "DELETE", "PATCH", "OPTIONS", "TRACE", "FETCH"])
def test_no_other_method_downloads(lab, uri, method):
    visitor = shared(lab, uri)
    answer = visitor.download(ONE, method=method, headers={"X-HTTP-Method-Override": "GET"})
    assert answer.headers.get("Location") is None
    assert visitor.facts().downloads == 0


@pytest.mark.database("sqlite", "postgresql", reason="the database counts")
def test_fifty_clicks_at_once_on_seven_downloads_give_seven(make_dserver):
    first = make_dserver()
    second = make_dserver(SQLALCHEMY_DATABASE_URI=first.app.config["SQLALCHEMY_DATABASE_URI"])
    visitor = shared(first, deposit(first), max_downloads=7)
    start = threading.Barrier(CLICKS)

    def click(address: str) -> int:
        start.wait()
        url = f"{address}{visitor.path}/{ONE}"
        return requests.get(url, allow_redirects=False, timeout=60).status_code

    with serving(first.app) as one, serving(second.app) as other:
        addresses = [one, other] * (CLICKS // 2)
        with ThreadPoolExecutor(CLICKS) as pool:
            statuses = list(pool.map(click, addresses))
    assert (statuses.count(303), statuses.count(410)) == (7, CLICKS - 7)
    assert visitor.facts().downloads == 7


@pytest.mark.database("sqlite", "postgresql", reason="the database counts")
def test_whoever_is_late_in_a_race_with_the_revocation_gets_nothing(make_dserver):
    dserver = make_dserver()
    visitor = shared(dserver, deposit(dserver))
    signed = dserver.services.visits.signed
    with dserver.app.app_context():
        opened = dserver.services.visits.open(visitor.facts())
        assert signed(opened, ONE, "attachment")
        # Between opening the share and counting the download.
        dserver.services.shares.revoke(visitor.share.id, "")
        with pytest.raises(Exception, match="was revoked"):
            dserver.services.visits.download(opened, ONE)
    assert visitor.facts().downloads == 0


# Failures -------------------------------------------------------------------------------------


def test_a_store_that_is_away_is_said_so_and_nothing_is_counted(make_dserver, bucket):
    present = make_dserver()
    visitor = shared(present, deposit(present))
    settings = in_capitals(bucket.settings(f"http://127.0.0.1:{free_port()}"))
    database = present.app.config["SQLALCHEMY_DATABASE_URI"]
    absent = make_dserver(SQLALCHEMY_DATABASE_URI=database, **settings)
    visitor = replace(visitor, dserver=absent)
    assert_store_unavailable(absent, visitor.open())
    page = visitor.download(ONE, headers=HTML)
    assert (page.status_code, page.mimetype) == (502, "text/html")
    assert "Location" not in page.headers
    assert visitor.facts().downloads == 0


@pytest.fixture
def forgetful(make_dserver) -> Dserver:
    """A dserver that asks the store each time whether an object is still there."""
    return make_dserver(SIGNED_URL_CACHE_BYTES=0)


def test_an_archived_item_is_said_so_and_nothing_is_counted(forgetful, s3, bucket):
    uri = deposit(forgetful)
    visitor = shared(forgetful, uri)
    source = {"Bucket": bucket.name, "Key": f"{uri[-36:]}/data/{ONE}"}
    metadata = s3.head_object(**source)["Metadata"]
    s3.copy_object(
        **source,
        CopySource=source,
        StorageClass="GLACIER",
        Metadata=metadata,
        MetadataDirective="REPLACE",
    )
    refused = visitor.download(ONE)
    assert_refused(refused, 409, "aws s3api restore-object")
    assert visitor.download(ONE, headers=HTML).mimetype == "text/html"
    assert visitor.facts().downloads == 0


def test_a_dataset_that_a_rule_may_delete_is_said_so_and_nothing_is_counted(dserver, s3, bucket):
    visitor = shared(dserver, deposit(dserver))
    rule = {"ID": "all", "Status": "Enabled", "Filter": {"Prefix": ""}}
    put(s3, bucket, {**rule, "Expiration": {"Date": "2020-01-01T00:00:00Z"}})
    dserver.services.lifecycles.can_be_read(visitor.share.uri.base)  # reads the rules anew
    for answer in (visitor.open(), visitor.download(ONE)):
        assert_refused(answer, 410, "deposit it where it is kept longer")
        assert answer.json["errors"] == {"slug": "outlived"}
    page = visitor.download(ONE, headers=HTML)
    assert (page.status_code, page.mimetype) == (410, "text/html")
    assert visitor.facts().downloads == 0


def test_a_dataset_that_the_store_lost_is_not_available(forgetful, s3, bucket):
    visitor = shared(forgetful, deposit(forgetful))
    for found in s3.list_objects_v2(Bucket=bucket.name)["Contents"]:
        s3.delete_object(Bucket=bucket.name, Key=found["Key"])
    answer = visitor.open()
    assert_refused(answer, 410)
    assert answer.json["errors"]["reason"] == "unavailable"
    assert visitor.download(TWO).status_code == 404
    assert visitor.facts().downloads == 0


# Costs ----------------------------------------------------------------------------------------

STATEMENTS = {"unknown": 3, "open": 6, "list": 6, "download": 7}


def opened(visitor: Visitor) -> dict[str, Callable[[], Any]]:
    return {
        "unknown": Visitor(visitor.dserver, UNKNOWN).open,
        "open": visitor.open,
        "list": lambda: visitor.open(query_string={"format": "curl"}),
        "download": lambda: visitor.download(ONE),
    }


def test_costs_are_constant_and_a_warm_download_asks_no_store(placed, place_proxy):
    visitor = shared(placed, deposit(placed))
    for _ in range(2):
        for act in opened(visitor).values():
            act()
    for name, act in opened(visitor).items():
        with counted(placed, place_proxy) as cost:
            act()
        assert len(cost.queries) <= STATEMENTS[name], (name, cost.queries)
        most = {"open": 1, "list": 1}.get(name, 0)
        assert len(cost.requests) <= most, name


@pytest.mark.parametrize("headers", [HTML, {"Accept": "application/json"}])
def test_the_same_statements_find_an_unknown_a_used_up_and_a_revoked_share(dserver, proxy, headers):
    visitors = [shared(dserver, deposit(dserver), max_downloads=1) for _ in range(2)]
    visitors[0].revoke()
    visitors[1].download(ONE)
    everyone = [Visitor(dserver, UNKNOWN), *visitors]
    for below in ("", f"/{ONE}", f"/{ONE}/preview"):
        executed = []
        for visitor in everyone:
            with counted(dserver, proxy) as cost:
                assert visitor.open(below, headers=headers).status_code in (404, 410)
            # The first refusal of a minute inserts a row into the audit.
            executed.append([query for query in cost.queries if "signed_url_audit" not in query])
        assert executed[0] == executed[1] == executed[2]


# A storage broker -----------------------------------------------------------------------------


class NotedReads(dict[str, tuple[bytes, str | None]]):
    """The objects behind a broker, and which of them it has read."""

    def __init__(self, objects: dict[str, tuple[bytes, str | None]]) -> None:
        super().__init__(objects)
        self.read: list[str] = []

    def __getitem__(self, key: str) -> tuple[bytes, str | None]:
        self.read.append(key)
        return super().__getitem__(key)


@pytest.fixture
def brokered(
    dserver: Dserver, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> Iterator[Visitor]:
    """Share a dataset whose URLs are signed by a storage broker."""
    install(monkeypatch, tmp_path / "site", "tests.support.own_broker:OwnBroker")
    with own_store() as base_uri:
        with dserver.app.app_context():
            dservercore.utils.register_base_uri(base_uri)
            permissions = {
                "users_with_search_permissions": ["alice", "bob"],
                "users_with_register_permissions": ["alice"],
            }
            dservercore.utils.register_permissions(base_uri, permissions)
        one = Deposit(FILES)
        assert DtoolDserver().upload(dserver.alice, base_uri, one).status_code == 200
        address = base_uri.removeprefix("own://")
        STORES[address] = NotedReads(STORES[address])
        yield shared(dserver, f"{base_uri}/{one.uuid}")


def test_what_a_broker_has_signed_is_followed_and_a_warm_download_reads_nothing(brokered):
    assert brokered.open().json["items"].keys() == set(IDENTIFIERS)
    for relpath, content in FILES.items():
        location = brokered.download(generate_identifier(relpath)).headers["Location"]
        assert requests.get(location, timeout=30).content == content
    objects = STORES[str(brokered.share.uri.base).removeprefix("own://")]
    objects.read.clear()
    assert brokered.download(ONE).status_code == 303
    assert objects.read == []


def test_a_page_says_that_a_broker_reads_no_beginning_of_a_file(brokered):
    shown = brokered.open(f"/{ONE}/preview", headers=HTML)
    assert "does not read files of this store itself" in shown.text


@pytest.mark.parametrize(
    "url",
    [
        "javascript:alert(1)",
        "data:text/html,x",
        "//elsewhere.example.org/x",
        "/signed-urls/s/x",
        "file:///etc/passwd",
        "",
        "\r\nhttp://elsewhere.example.org/",
    ],
)
def test_a_browser_is_sent_to_urls_of_the_web_alone(brokered, monkeypatch, url):
    monkeypatch.setattr(OwnBroker, "_sign", lambda *_: url)
    refused = brokered.download(ONE)
    assert_refused(refused, 502)
    assert "Location" not in refused.headers
    assert brokered.facts().downloads == 0


def test_what_a_broker_left_unencoded_breaks_no_header(brokered, monkeypatch):
    monkeypatch.setattr(
        OwnBroker, "_sign", lambda *_: "https://store.example.org/a b\r\nSet-Cookie: a=b"
    )
    answer = brokered.download(ONE)
    assert answer.headers["Location"] == "https://store.example.org/a%20b%0D%0ASet-Cookie:%20a=b"
    assert "Set-Cookie" not in answer.headers
