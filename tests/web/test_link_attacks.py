"""Attacks on links: guesses, odd tokens and paths, forged hosts, names and notes that mean harm."""

from __future__ import annotations

import json
import logging
import re
import socket
from collections.abc import Iterator
from urllib.parse import quote, urlsplit

import pytest
import requests
from dtoolcore.utils import generate_identifier
from werkzeug.middleware.proxy_fix import ProxyFix

from dserver_signed_url_plugin.demo.store import s3_client
from dserver_signed_url_plugin.shares.tokens import token_hash
from tests.support.audit_records import rows
from tests.support.clients import Deposit, DtoolDserver
from tests.support.dserver import Dserver, encoded
from tests.support.http_server import serving
from tests.support.links import HTML, JSON, Visitor, shared
from tests.support.refusals import assert_refused

TRICKS = [
    "<script>alert(1)</script>.html",
    '"><img src=x onerror=alert(1)>.svg',
    "a\r\nSet-Cookie: x=y\r\n\r\n<b>.txt",
    "\u202egnp.exe",
    "%0d%0aLocation: https://elsewhere.example.org",
    "-o evil",
    "https://elsewhere.example.org/x",
    'x\nurl = "file:///etc/passwd"',
    "nul\0",
    "../../../etc/passwd",
]
FILES = {f"{number}.txt": b"%d" % number for number in range(len(TRICKS))}
NAMES = dict(zip(map(generate_identifier, FILES), TRICKS, strict=True))
ONE, *_ = NAMES
NOTE = "</title><script>alert(1)</script>\n\"'><a href='javascript:alert(1)'>"


@pytest.fixture(scope="module")
def uri(lab: Dserver) -> str:
    """A dataset whose manifest was written by somebody who means harm."""
    one = Deposit(FILES, readme="<script>alert(1)</script>\n")
    assert DtoolDserver().upload(lab.alice, lab.base_uri, one).status_code == 200
    s3 = s3_client(lab.bucket.endpoint, lab.bucket.access_key, lab.bucket.secret_key)
    place = {"Bucket": lab.bucket.name, "Key": f"{one.uuid}/manifest.json"}
    manifest = json.load(s3.get_object(**place)["Body"])
    for identifier, item in manifest["items"].items():
        item["relpath"] = NAMES[identifier]
    s3.put_object(**place, Body=json.dumps(manifest))
    return f"{lab.base_uri}/{one.uuid}"


@pytest.fixture
def visitor(lab: Dserver, uri: str) -> Visitor:
    return shared(lab, uri, note=NOTE)


@pytest.fixture
def served(lab: Dserver) -> Iterator[str]:
    with serving(lab.app) as address:
        yield address


# Tokens ---------------------------------------------------------------------------------------

LIKE = {
    "capitals": str.upper,
    "a dot of the sentence": "{}.".format,
    "a bracket": "{}).".format,
    "a comma": "{},".format,
    "a quotation mark": '{}"'.format,
    "a blank": "{} ".format,
    "a line break": "{}\r\n".format,
}


@pytest.mark.parametrize("change", LIKE.values(), ids=LIKE)
def test_a_link_works_as_mail_programs_and_people_change_it(visitor, change):
    changed = Visitor(visitor.dserver, quote(change(visitor.token)), visitor.share)
    answer = changed.open()
    assert answer.status_code == 200
    # Links in the answer are spelled as they should be.
    assert all(
        item["url"].startswith(f"http://localhost{visitor.path}/")
        for item in answer.json["items"].values()
    )
    assert changed.download(ONE).status_code == 303


def test_a_slash_after_a_link_is_taken_away(visitor, served):
    answer = visitor.open("/?format=urls&x=%0d%0a")
    assert (answer.status_code, answer.headers["Location"]) == (
        308,
        f"../{visitor.token}?format=urls&x=%0d%0a",
    )
    followed = requests.get(f"{served}{visitor.path}/", headers=JSON, timeout=30)
    assert followed.json()["id"] == visitor.share.id


ODD = {
    "short": lambda token: token[:-1],
    "long": lambda token: token + "a",
    "twice": lambda token: token * 2,
    "a megabyte": lambda _: "a" * 1_000_000,
    "a megabyte of dots": lambda _: "." * 1_000_000,
    "much after it": lambda token: token + "%20" * 30_000 + "a",
    "NUL": lambda token: f"{token}%00",
    "NUL alone": lambda _: "%00",
    "no UTF-8": lambda _: "%ff%fe",
    "a surrogate": lambda _: "%ed%a0%80",
    "a dot": lambda _: "%2e",
    "two dots": lambda _: "%2e%2e",
    "a traversal": lambda token: f"{token}%2f..%2f..",
    "a slash": lambda _: "%2f",
    "a backslash": lambda token: f"%5c{token}",
    "SQL": lambda _: "%27%20OR%20%271%27%3D%271",
    "a pattern": lambda _: "%25" * 32,
    "a hash": lambda _: "0" * 64,
    "digits of other scripts": lambda _: "%EF%BC%91" * 32,
    "a capital that has no lower case of its length": lambda _: quote("İ" * 32),
    "an encoded query": lambda token: f"{token}%3Fformat%3Djson",
    "a semicolon": lambda token: f"{token};a=b",
    "twice encoded": lambda token: "".join(f"%25{ord(letter):02x}" for letter in token),
    "a template": lambda _: "%7B%7B7*7%7D%7D",
    "a format": lambda _: "%25s%25n{0.__class__}",
}


@pytest.mark.parametrize("odd", ODD.values(), ids=ODD)
def test_an_odd_token_opens_nothing(visitor, odd, caplog):
    someone = Visitor(visitor.dserver, odd(visitor.token))
    for below, headers in (("", HTML), ("", JSON), (f"/{ONE}", JSON), (f"/{ONE}/preview", HTML)):
        answer = someone.open(below, headers=headers)
        assert answer.status_code in (404, 308), answer.text[:300]
        assert answer.headers["Referrer-Policy"] == "no-referrer"
    assert visitor.facts().downloads == 0
    assert visitor.token not in caplog.text


PATHS = (
    *("/../../dataset/x", "/%2e%2e/%2e%2e/upload/x", "/.git/config", "//", "/%2f", "/%00"),
    *(f"/{ONE}/../{ONE}", f"/{ONE}%2f", f"/{ONE}%00", f"/{ONE}/preview/", f"/{ONE}/Preview"),
    *(f"/{ONE}/preview/x", "/manifest.json", "/README.yml", "/..%2fREADME.yml", "/data%2fx"),
)


@pytest.mark.parametrize("path", PATHS)
def test_no_path_below_a_link_leads_anywhere_else(visitor, path):
    for method in ("GET", "HEAD"):
        answer = visitor.open(path, method=method)
        assert answer.status_code in (404, 308)
        assert "X-Amz" not in str(answer.headers)
    assert visitor.facts().downloads == 0


def test_the_id_and_the_hash_of_a_share_open_nothing(lab, visitor):
    for word in (visitor.share.id, token_hash(visitor.token), visitor.share.uri.uuid):
        assert Visitor(lab, word).open().status_code == 404


# Hosts ----------------------------------------------------------------------------------------


def test_links_name_the_public_address_whatever_host_a_client_names(make_dserver):
    dserver = make_dserver(SIGNED_URL_PUBLIC_URL="https://data.example.org/lab/")
    one = Deposit({"one.txt": b"1"})
    DtoolDserver().upload(dserver.alice, dserver.base_uri, one)
    visitor = shared(dserver, f"{dserver.base_uri}/{one.uuid}")
    forged = {
        "Host": "evil.example.org",
        "X-Forwarded-Host": "evil.example.org",
        "X-Forwarded-Proto": "gopher",
        "X-Forwarded-Prefix": "/evil",
        "X-Original-URL": "/evil",
        "Forwarded": "host=evil.example.org",
    }
    for headers in ({**JSON, **forged}, {**HTML, **forged}):
        text = visitor.open(headers=headers).text
        assert "evil" not in text
    for list_format in ("curl", "aria2", "urls"):
        text = visitor.open(headers=forged, query_string={"format": list_format}).text
        assert f"https://data.example.org/lab{visitor.path}/" in text
        assert "evil" not in text


@pytest.mark.parametrize(
    "host",
    [
        'a"b.example.org',
        "a\\b",
        "<script>",
        "a b",
        "a/b",
        "münchen.example.org",
        "a:b",
        "@x",
        "a#b",
        "a?b",
    ],
)
def test_an_odd_host_breaks_no_list_and_no_page(visitor, host):
    for query, headers in (({"format": "curl"}, {}), ({"format": "json"}, {}), ({}, HTML)):
        environ = {"HTTP_HOST": host}
        answer = visitor.open(headers=headers, query_string=query, environ_overrides=environ)
        assert answer.status_code in (200, 400), answer.text
        if query.get("format") == "curl" and answer.status_code == 200:
            urls = re.findall(r'(?m)^url = "(.*)"$', answer.text)
            assert len(urls) == answer.text.count("\nurl = ")
            assert not [url for url in urls if re.search(r'["\\\s<>]', url)]


def test_a_redirect_does_not_depend_on_the_host(visitor):
    places = {
        urlsplit(visitor.download(ONE, headers={"Host": host}).headers["Location"]).netloc
        for host in ("localhost", "evil.example.org")
    }
    assert places == {urlsplit(visitor.dserver.bucket.endpoint).netloc}


@pytest.mark.parametrize(
    "name", ["url", "next", "redirect", "response-content-type", "X-Amz-Expires"]
)
def test_no_parameter_changes_where_a_download_goes(visitor, name):
    answer = visitor.download(ONE, query_string={name: "https://evil.example.org"})
    assert "evil" not in answer.headers["Location"]


# Names and notes --------------------------------------------------------------------------------


def test_no_name_and_no_note_breaks_a_header_or_a_line(visitor):
    answers = [visitor.open(), visitor.open(headers=HTML)]
    answers += [
        visitor.open(query_string={"format": name}) for name in ("curl", "aria2", "md5sum", "urls")
    ]
    items = answers[0].json["items"]
    answers += [visitor.download(identifier) for identifier in items]
    for answer in answers:
        assert "Set-Cookie" not in answer.headers
        for _, value in answer.headers:
            assert value.isprintable()
            assert value.isascii()
    for listed in answers[2:6]:
        for line in listed.text.splitlines():
            assert not line.startswith(("Set-Cookie", 'url = "file', "-o"))


def test_a_name_reaches_the_browser_as_one_header_of_the_store(visitor):
    for identifier, item in visitor.open().json["items"].items():
        got = requests.get(visitor.download(identifier).headers["Location"], timeout=30)
        assert got.content == b"%d" % TRICKS.index(item["relpath"])
        assert got.headers["Content-Disposition"].startswith("attachment; filename=")
        assert "Set-Cookie" not in got.headers


def test_html_is_displayed_as_text_by_the_store(visitor):
    visitor.open()  # reads the manifest, in which the item is HTML
    answer = visitor.download(ONE, query_string={"disposition": "inline"})
    got = requests.get(answer.headers["Location"], timeout=30)
    assert got.headers["Content-Type"].startswith("text/plain")


# Guessing ---------------------------------------------------------------------------------------


def test_guessing_is_slowed_down_per_address_and_disturbs_nobody_with_a_link(make_dserver):
    dserver = make_dserver(SIGNED_URL_RATE_LIMIT="5 per hour")
    one = Deposit({"one.txt": b"1"})
    DtoolDserver().upload(dserver.alice, dserver.base_uri, one)
    visitor = shared(dserver, f"{dserver.base_uri}/{one.uuid}")
    guesses = [Visitor(dserver, f"{number:032}") for number in range(8)]
    assert [guess.open().status_code for guess in guesses] == [404] * 5 + [429] * 3
    refused = guesses[0].open(headers=HTML)
    assert (refused.status_code, refused.mimetype) == (429, "text/html")
    assert 1 <= int(refused.headers["Retry-After"]) <= 3601
    assert visitor.open().status_code == 200
    elsewhere = {"REMOTE_ADDR": "192.0.2.7"}
    assert guesses[0].open(environ_overrides=elsewhere).status_code == 404
    # What can be caused at will takes no row each.
    counted = [row for row in rows(dserver) if row["outcome"] == "refused"]
    assert len(counted) <= 5


def test_guessing_is_slowed_down_although_the_query_does_not_fit(make_dserver):
    dserver = make_dserver(SIGNED_URL_RATE_LIMIT="3 per hour")
    for n, below in enumerate(("?page=x", "?format=x", f"/{ONE}?disposition=x")):
        elsewhere = {"REMOTE_ADDR": f"192.0.2.{n}"}
        guesses = [Visitor(dserver, f"{number:032}") for number in range(4)]
        answers = [guess.open(below, environ_overrides=elsewhere) for guess in guesses]
        assert [answer.status_code for answer in answers] == [404, 404, 404, 429]


def test_visits_are_limited_per_address_and_share(make_dserver):
    dserver = make_dserver(SIGNED_URL_RATE_LIMIT="4 per hour")
    one = Deposit({"one.txt": b"1"})
    DtoolDserver().upload(dserver.alice, dserver.base_uri, one)
    first, second = (shared(dserver, f"{dserver.base_uri}/{one.uuid}") for _ in range(2))
    identifier = generate_identifier("one.txt")
    statuses = [first.open().status_code, first.open(headers=HTML).status_code]
    statuses += [first.download(identifier).status_code for _ in range(4)]
    assert statuses == [200, 200, 303, 303, 429, 429]
    assert_refused(first.open(), 429, "SIGNED_URL_RATE_LIMIT", "seconds")
    assert first.facts().downloads == 2
    assert [second.open("?page=x").status_code for _ in range(5)] == [422] * 4 + [429]
    elsewhere = {"REMOTE_ADDR": "192.0.2.7"}
    assert first.open(environ_overrides=elsewhere).status_code == 200


# Logs -----------------------------------------------------------------------------------------


def test_no_token_is_in_the_log_of_flask_run(visitor, served, caplog):
    for name in ("", "flask_cors"):
        caplog.set_level(logging.DEBUG, logger=name)
    for path in (
        visitor.path,
        f"{visitor.path}/",
        f"{visitor.path}/{ONE}",
        f"/{visitor.path}",
        f"{visitor.path}/x/y",
        visitor.path.replace("/s/", "/%73/"),
        visitor.path.replace("/s/", "/s%2F"),
        visitor.path.replace("/s/", "//s//"),
        f"/signed-urls/dataset/{encoded('https://dserver.example.org' + visitor.path)}",
        f"/signed-urls/dataset/x?link={visitor.path}",
        visitor.path.replace("/s/", "/"),
        f"/signed-urls/{visitor.token.upper()}.",
    ):
        requests.get(f"{served}{path}", timeout=30, allow_redirects=False)
        requests.post(f"{served}{path}", timeout=30, allow_redirects=False)
    where = urlsplit(served)
    with socket.create_connection((str(where.hostname), int(where.port or 0)), 10) as connection:
        connection.sendall(f"GET {visitor.path} HTTP/9.9\r\n\r\n".encode())
        connection.recv(65536)
    logged = [line for line in caplog.records if line.name != "urllib3.connectionpool"]
    text = "\n".join(f"{line.getMessage()} {line.exc_text or ''}" for line in logged)
    assert "/signed-urls/s/…" in text
    assert visitor.token not in text.lower()


def test_no_token_is_in_the_audit(lab, visitor):
    lab.bob.get(f"/signed-urls/dataset/{encoded('https://dserver.example.org' + visitor.path)}")
    for place in ("dataset/", "audit/", "shares?uri="):
        lab.bob.get(f"/signed-urls/{place}{visitor.token}")
    visitor.open()
    Visitor(lab, visitor.token[:-1] + "z").open()
    assert visitor.token[:-1] not in str(rows(lab))


def test_what_fails_unexpectedly_is_a_page_and_logged_without_the_token(make_dserver, caplog):
    dserver = make_dserver(TESTING=False, PROPAGATE_EXCEPTIONS=False)
    one = Deposit({"one.txt": b"1"})
    DtoolDserver().upload(dserver.alice, dserver.base_uri, one)
    visitor = shared(dserver, f"{dserver.base_uri}/{one.uuid}")
    dserver.services.visits = None
    for headers in (HTML, JSON):
        answer = visitor.open(headers=headers)
        assert answer.status_code == 500
        assert answer.headers["Referrer-Policy"] == "no-referrer"
        # Nothing was looked up.
        assert "link is fine" not in answer.text
    assert "Exception on /signed-urls/s/…" in caplog.text
    assert visitor.token not in caplog.text


# Proxies --------------------------------------------------------------------------------------


def test_behind_a_proxy_with_a_prefix_links_have_the_prefix(lab, visitor):
    fixed = ProxyFix(lab.app, x_proto=1, x_host=1, x_prefix=1)
    headers = {
        **JSON,
        "X-Forwarded-Proto": "https",
        "X-Forwarded-Host": "data.example.org",
        "X-Forwarded-Prefix": "/lab",
    }
    with serving(fixed) as address:
        answer = requests.get(f"{address}{visitor.path}", headers=headers, timeout=30)
    urls = [item["url"] for item in answer.json()["items"].values()]
    assert all(url.startswith(f"https://data.example.org/lab{visitor.path}/") for url in urls)
