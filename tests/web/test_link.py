"""What the link of a share answers with: a page, JSON, or why it does not work any more."""

from __future__ import annotations

from datetime import datetime, timedelta, timezone

import dservercore.utils
import pytest
from dservercore import sql_db
from dtoolcore.utils import generate_identifier
from sqlalchemy import update

from dserver_signed_url_plugin.shares.models import Share
from tests.support.audit_records import said, written
from tests.support.clients import README, Deposit, DtoolDserver
from tests.support.dserver import Dserver
from tests.support.links import HTML, JSON, UNKNOWN, Visitor, shared
from tests.support.refusals import assert_refused

FILES = {"data/one.txt": b"first", "Größe <b>.csv": b"second,2\n", "empty": b""}
ONE, TWO, EMPTY = map(generate_identifier, FILES)
HEADERS = {
    "Referrer-Policy": "no-referrer",
    "X-Robots-Tag": "noindex, nofollow",
    "X-Content-Type-Options": "nosniff",
    "Cache-Control": "no-store",
}


def deposit(dserver: Dserver) -> str:
    one = Deposit(FILES)
    assert DtoolDserver().upload(dserver.alice, dserver.base_uri, one).status_code == 200
    return f"{dserver.base_uri}/{one.uuid}"


@pytest.fixture(scope="module")
def uri(lab) -> str:
    return deposit(lab)


@pytest.fixture
def visitor(lab, uri) -> Visitor:
    return shared(lab, uri)


def let_expire(visitor: Visitor) -> None:
    with visitor.dserver.app.app_context():
        past = datetime.now(timezone.utc) - timedelta(seconds=1)
        statement = update(Share).where(Share.id == visitor.share.id).values(ends_at=past)
        sql_db.session.execute(statement)
        sql_db.session.commit()


# JSON -----------------------------------------------------------------------------------------


def test_json_has_what_the_share_is_and_a_link_for_each_item(lab, uri):
    visitor = shared(lab, uri, max_downloads=7, note="look at <two>", expires_in=1000)
    answer = visitor.open().json
    items, left = answer.pop("items"), answer.pop("seconds_left")
    assert answer == {
        "id": visitor.share.id,
        "name": "my-dataset",
        "uuid": uri[-36:],
        "note": "look at <two>",
        "readme": README,
        "expires_timestamp": visitor.share.ends_at.strftime("%Y-%m-%dT%H:%M:%S.%fZ"),
        "max_downloads": 7,
        "downloads_left": 7,
        "number_of_items": 3,
        "size_in_bytes": sum(map(len, FILES.values())),
    }
    assert 900 < left <= 1000
    assert {item["relpath"]: item["size_in_bytes"] for item in items.values()} == {
        relpath: len(content) for relpath, content in FILES.items()
    }
    for identifier, item in items.items():
        assert item["url"] == f"http://localhost{visitor.path}/{identifier}"
        assert len(item["hash"]) == 32
    visitor.download(ONE)
    assert visitor.open().json["downloads_left"] == 6


def test_json_has_the_items_of_the_share_alone(lab, uri):
    visitor = shared(lab, uri, ["empty", "data/one.txt"])
    assert visitor.open().json["items"].keys() == {ONE, EMPTY}
    assert visitor.open().json["number_of_items"] == 2


def test_json_can_be_read_in_pages(visitor):
    pages = [visitor.open(query_string={"page": n, "page_size": 2}) for n in (1, 2, 3)]
    assert [len(page.json["items"]) for page in pages[:2]] == [2, 1]
    assert pages[0].json["items"] | pages[1].json["items"] == visitor.open().json["items"]
    assert '"total":3' in pages[0].headers["X-Pagination"].replace(" ", "")
    assert_refused(pages[2], 404, "There is no page 3")


def test_a_readme_that_dserver_cannot_read_hides_nothing_else(make_dserver, caplog):
    dserver = make_dserver()
    visitor = shared(dserver, deposit(dserver))
    dserver.app.retrieve.get_readme = lambda _: 1 / 0
    answer = visitor.open()
    assert (answer.json["readme"], len(answer.json["items"])) == (None, 3)
    assert "ZeroDivisionError" in caplog.text


# Negotiation ----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("accept", "mimetype"),
    [
        (None, "text/html"),
        ("*/*", "text/html"),
        ("text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8", "text/html"),
        ("image/png", "text/html"),
        ("", "text/html"),
        ("application/json", "application/json"),
        ("application/json, */*;q=0.5", "application/json"),
        ("application/json;q=0.5, text/html", "text/html"),
        ("nonsense;;q=x,,", "text/html"),
    ],
)
def test_browsers_and_whoever_does_not_say_get_a_page(visitor, accept, mimetype):
    for below, path in (("", visitor.path), ("/unknown", visitor.path), ("", UNKNOWN)):
        someone = Visitor(visitor.dserver, path.rpartition("/")[2])
        headers = {} if accept is None else {"Accept": accept}
        answer = someone.open(below, headers=headers)
        assert answer.mimetype == mimetype
        assert "Accept" in answer.headers["Vary"]


def test_the_format_of_the_query_wins(visitor):
    assert visitor.open(headers=HTML, query_string={"format": "json"}).is_json
    listed = visitor.open(headers=HTML, query_string={"format": "urls"})
    assert listed.content_type == "text/plain; charset=utf-8"


def test_a_program_that_asks_for_a_list_gets_no_page_if_it_is_refused(visitor):
    visitor.revoke()
    for headers in ({}, {"Accept": "*/*"}):
        refused = visitor.open(headers=headers, query_string={"format": "curl"})
        assert_refused(refused, 410, "was revoked")
    assert visitor.open(headers=HTML, query_string={"format": "curl"}).mimetype == "text/html"


@pytest.mark.parametrize(
    "query",
    [{"format": "bagit"}, {"page": 0}, {"page_size": 10**6}, {"format": "urls", "page": 1}],
)
def test_a_query_that_does_not_fit_is_named(visitor, query):
    assert_refused(
        visitor.open(query_string=query), 422, next(iter(query)) if len(query) == 1 else "page"
    )
    assert visitor.open(headers=HTML, query_string={"page": "x"}).status_code == 422


# The end --------------------------------------------------------------------------------------


def revoke(visitor: Visitor) -> None:
    visitor.revoke()


def take_search_permission(visitor: Visitor) -> None:
    with visitor.dserver.app.app_context():
        permissions = {
            "users_with_search_permissions": ["alice"],
            "users_with_register_permissions": ["alice"],
        }
        dservercore.utils.register_permissions(visitor.dserver.base_uri, permissions)


def delete_owner(visitor: Visitor) -> None:
    with visitor.dserver.app.app_context():
        dservercore.utils.delete_user("bob")


def delete_dataset(visitor: Visitor) -> None:
    with visitor.dserver.app.app_context():
        dservercore.utils.delete_dataset(str(visitor.share.uri))


ENDS = {
    "revoked": revoke,
    "expired": let_expire,
    "used-up": lambda visitor: visitor.download(ONE),
}
LOSSES = (take_search_permission, delete_owner, delete_dataset)


def assert_ended(visitor: Visitor, reason: str) -> None:
    for below in ("", f"/{ONE}", f"/{ONE}/preview", "/unknown"):
        answer = visitor.open(below)
        assert_refused(answer, 410, "This link")
        assert answer.json["errors"] == {"slug": "share-ended", "reason": reason}
        assert visitor.open(below, headers=HTML).status_code == 410


@pytest.mark.parametrize("reason", ENDS)
def test_a_share_that_ended_answers_410_and_says_why(lab, uri, reason):
    visitor = shared(lab, uri, max_downloads=1)
    assert visitor.open().status_code == 200
    ENDS[reason](visitor)
    assert_ended(visitor, reason)


@pytest.mark.parametrize("lose", LOSSES)
def test_a_share_ends_with_what_its_owner_may_read(make_dserver, lose):
    dserver = make_dserver()
    visitor = shared(dserver, deposit(dserver))
    assert visitor.download(ONE).status_code == 303
    lose(visitor)
    assert_ended(visitor, "unavailable")


def test_an_unknown_token_is_404(lab):
    for below in ("", f"/{ONE}", f"/{ONE}/preview"):
        answer = Visitor(lab, UNKNOWN).open(below)
        assert_refused(answer, 404)
        assert answer.json["errors"] == {"slug": "share-not-found"}


# Headers --------------------------------------------------------------------------------------


def test_every_answer_below_a_link_has_headers_that_protect_the_token(visitor):
    unknown = Visitor(visitor.dserver, UNKNOWN)
    answers = [
        someone.open(below, headers=headers, method=method)
        for someone in (visitor, unknown)
        for below in ("", "/", f"/{ONE}", f"/{ONE}/preview", "/x", "/x/y/z", "?format=md5sum")
        for headers in (HTML, JSON)
        for method in ("GET", "HEAD", "POST", "OPTIONS")
    ]
    answers.append(visitor.dserver.nobody.get("/signed-urls/s"))
    answers.append(visitor.dserver.nobody.get("/signed-urls/s/"))
    answers.append(visitor.dserver.nobody.get(f"/signed-urls//s/{visitor.token}"))
    assert {200, 204, 303, 308, 404, 405} <= {answer.status_code for answer in answers}
    for answer in answers:
        for name, value in HEADERS.items():
            assert answer.headers.getlist(name) == [value], answer.request.path
        [policy] = answer.headers.getlist("Content-Security-Policy")
        assert "default-src 'none'" in policy
        assert "frame-ancestors 'none'" in policy
        assert "unsafe" not in policy


def test_other_routes_have_no_policy_of_pages(lab):
    assert "Content-Security-Policy" not in lab.nobody.get("/signed-urls/shares").headers


# The audit ------------------------------------------------------------------------------------


def test_every_opening_and_download_is_in_the_audit_with_the_share(lab, uri, caplog):
    visitor = shared(lab, uri)
    visitor.open()
    visitor.open(query_string={"format": "curl"})
    visitor.open(headers=HTML)
    visitor.download(ONE)
    visitor.download(ONE, method="HEAD")
    visitor.download("f" * 40)
    lines = [line for line in said(caplog) if line["share"] == visitor.share.id]
    facts = [(line["action"], line["outcome"], line["reason"], line["items"]) for line in lines]
    assert facts == [
        ("share-open", "granted", None, 3),
        ("share-open", "granted", None, 3),
        ("share-open", "granted", None, 3),
        ("share-download", "granted", None, 1),
        ("share-download", "granted", None, 0),
        ("share-download", "refused", "item-not-found", None),
    ]
    assert {line["uri"] for line in lines} == {uri}
    assert {line["address"] for line in lines} == {"127.0.0.1"}
    assert {line["username"] for line in lines} == {""}
    assert visitor.token not in caplog.text


def test_refusals_that_anybody_can_cause_share_a_row(make_dserver):
    dserver = make_dserver()
    for number in range(20):
        Visitor(dserver, f"{number:032}").open()
    found = [row for row in written(dserver) if row[3] == "share-not-found"]
    assert 1 <= len(found) <= 2  # a minute may have begun in between
