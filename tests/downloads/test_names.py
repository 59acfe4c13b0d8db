"""Under which name and as what an item is served: what the store's answer says, and curl does."""

from __future__ import annotations

import base64
import gzip
import hashlib
import json
import re
import subprocess
from typing import Any
from urllib.parse import urlsplit

import pytest
import requests
from dtoolcore.utils import generate_identifier
from werkzeug.http import parse_options_header

from dserver_signed_url_plugin.demo.store import s3_client
from tests.support.clients import Deposit, DserverClientJS, DtoolDserver, RelpathsOnly
from tests.support.dserver import Dserver
from tests.support.front import Front
from tests.support.programs import program
from tests.support.refusals import assert_refused
from tests.support.stored_upload import AWKWARD

AWKWARDEST = 'results/Übersicht "final" 2;.txt'
LONG = "Messung über Zeit " * 40 + ".csv"
PAGE = "pages/report.html"
HIDDEN = ".bashrc"
FILES = {name: name.encode() for name in [AWKWARDEST, LONG, PAGE, HIDDEN, "scan.png", *AWKWARD]}


def deposited(dserver: Dserver, client: DtoolDserver) -> str:
    deposit = Deposit(FILES)
    assert client.upload(dserver.alice, dserver.base_uri, deposit).status_code == 200
    return f"{dserver.base_uri}/{deposit.uuid}"


@pytest.fixture(scope="module")
def uri(lab: Dserver) -> str:
    """A dataset that no test changes."""
    return deposited(lab, DtoolDserver())


@pytest.fixture
def lab_s3(lab: Dserver) -> Any:
    """A client with the keys of the module's bucket, to change what is behind the scenes."""
    return s3_client(lab.bucket.endpoint, lab.bucket.access_key, lab.bucket.secret_key)


def item_url(dserver: Dserver, uri: str, relpath: str, **query: str) -> str:
    answer = dserver.bob.read_item(uri, generate_identifier(relpath), **query)
    assert answer.status_code == 200, answer.json
    return answer.json["url"]


def both_urls(dserver: Dserver, uri: str, relpath: str, **query: str) -> list[str]:
    """The item's URL from each of the two routes."""
    urls = dserver.bob.read(uri, **query).json["item_urls"]
    return [item_url(dserver, uri, relpath, **query), urls[generate_identifier(relpath)]]


def get(url: str) -> requests.Response:
    return requests.get(url, timeout=30)


def name_in(answer: requests.Response) -> tuple[str, str | None]:
    """The disposition, and the name that a browser gives the file."""
    disposition, options = parse_options_header(answer.headers["Content-Disposition"])
    return disposition, options.get("filename")


@pytest.mark.parametrize("client", [DtoolDserver(), DserverClientJS(), RelpathsOnly()])
def test_every_item_comes_under_its_own_name(lab, client):
    uri = deposited(lab, client)
    urls = lab.bob.read(uri).json["item_urls"]
    for relpath in FILES.keys() - {LONG, HIDDEN}:
        for url in (item_url(lab, uri, relpath), urls[generate_identifier(relpath)]):
            answer = get(url)
            assert (answer.status_code, answer.content) == (200, FILES[relpath])
            name = re.sub("[<>?]", "_", relpath.rpartition("/")[2].strip())
            assert name_in(answer) == ("attachment", name)


def test_an_overlong_name_is_cut_and_its_url_stays_short(lab, uri):
    for url in both_urls(lab, uri, LONG):
        _, name = name_in(get(url))
        assert name is not None
        assert name.startswith("Messung über Zeit Messung")
        assert name.endswith(".csv")
        assert len(name.encode()) <= 255
        assert len(url) < 4096


def test_curl_saves_an_item_under_its_name(lab, uri, tmp_path):
    for relpath, name in [
        (AWKWARDEST, "Ubersicht _final_ 2;.txt"),
        (PAGE, "report.html"),
        (HIDDEN, "_bashrc"),
    ]:
        url = item_url(lab, uri, relpath)
        subprocess.run([program("curl"), "-sSfOJ", url], cwd=tmp_path, check=True, timeout=30)
        assert (tmp_path / name).read_bytes() == FILES[relpath]
    assert len(list(tmp_path.iterdir())) == 3


@pytest.mark.parametrize(
    ("relpath", "saved_as", "shown_as"),
    [
        (AWKWARDEST, "text/plain", "text/plain; charset=utf-8"),
        (PAGE, "text/html", "text/plain; charset=utf-8"),
        ("scan.png", "image/png", "image/png"),
        ("データ/測定.csv", "text/csv", "text/plain; charset=utf-8"),
        ("%2e%2e/encoded%20twice", "application/octet-stream", "application/octet-stream"),
    ],
)
def test_an_item_is_saved_or_shown_as_was_asked_for(lab, uri, relpath, saved_as, shown_as):
    for asked, kind in (("attachment", saved_as), ("inline", shown_as)):
        for url in both_urls(lab, uri, relpath, disposition=asked):
            answer = get(url)
            assert name_in(answer) == (asked, relpath.rpartition("/")[2])
            assert answer.headers["Content-Type"] == kind


@pytest.mark.parametrize("disposition", ["", "form-data", "INLINE", "inline; filename=x", "\r\n"])
def test_there_are_two_dispositions(lab, uri, disposition):
    item = generate_identifier(PAGE)
    for answer in (
        lab.bob.read(uri, disposition=disposition),
        lab.bob.read_item(uri, item, disposition=disposition),
    ):
        assert_refused(answer, 422, "disposition")


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("report.html", "setup.exe"),
        ("disposition=attachment", "disposition=inline"),
        ("text%2Fhtml", "text%2Fplain"),
        ("response-content-encoding=identity&", ""),
        ("response-content-type", "response-cache-control"),
    ],
)
def test_a_name_that_was_changed_is_refused(lab, uri, old, new):
    for url in both_urls(lab, uri, PAGE):
        assert old in url
        assert get(url.replace(old, new)).status_code == 403


def test_a_name_passes_the_proxy_of_compose(lab, uri, tmp_path):
    url = urlsplit(item_url(lab, uri, AWKWARDEST))
    with Front(tmp_path, store=url.netloc) as front:
        answer = requests.get(
            f"{front.store_endpoint}{url.path}?{url.query}",
            headers={"Host": url.netloc},
            timeout=30,
        )
    assert name_in(answer) == ("attachment", 'Übersicht "final" 2;.txt')


def test_what_an_uploader_says_of_the_bytes_changes_nothing_on_their_way(lab):
    content = gzip.compress(b"not what was announced")
    deposit = Deposit({"packed.csv": content})
    client = DtoolDserver()
    grant = client.begin(lab.alice, lab.base_uri, deposit)
    for item in grant["upload_urls"]["items"].values():
        said = {**item["headers"], "Content-Encoding": "gzip", "Content-Type": "text/html"}
        assert requests.put(item["url"], content, headers=said, timeout=30).status_code == 200
    assert lab.alice.complete(grant["uri"]).status_code == 200
    for url in both_urls(lab, grant["uri"], "packed.csv"):
        answer = get(url)
        assert hashlib.md5(answer.content).digest() == hashlib.md5(content).digest()
        assert answer.headers["Content-Type"] == "text/csv"


@pytest.mark.parametrize(
    "metadata",
    [
        # As dtool-s3 wrote it before 0.14.
        {"handle": "pages/report.html"},
        {},
        {"handle": "no base64!"},
        {"handle": base64.b64encode(b"\xff\xfe").decode()},
        {"handle": base64.b64encode(b"another.exe").decode()},
    ],
)
def test_an_item_whose_object_lost_its_metadata_keeps_its_name(lab, lab_s3, metadata):
    uri = deposited(lab, DtoolDserver())
    key = f"{uri.rpartition('/')[2]}/data/{generate_identifier(PAGE)}"
    lab_s3.put_object(Bucket=lab.bucket.name, Key=key, Body=FILES[PAGE], Metadata=metadata)
    for url in both_urls(lab, uri, PAGE):
        answer = get(url)
        assert (name_in(answer), answer.content) == (("attachment", "report.html"), FILES[PAGE])


@pytest.mark.parametrize("entry", [{}, {"relpath": None}, {"relpath": 7}, [], None, "text"])
def test_an_item_without_a_relpath_in_the_manifest_comes_under_its_identifier(lab, lab_s3, entry):
    uri = deposited(lab, DtoolDserver())
    identifier = generate_identifier(PAGE)
    manifest = json.dumps({"items": {identifier: entry}})
    key = f"{uri.rpartition('/')[2]}/manifest.json"
    lab_s3.put_object(Bucket=lab.bucket.name, Key=key, Body=manifest.encode())
    [url] = lab.bob.read(uri).json["item_urls"].values()
    assert name_in(get(url)) == ("attachment", identifier)
