"""What a browser does with an item's URL: it saves it under its name, or shows it unharmed."""

from __future__ import annotations

from collections.abc import Callable
from urllib.parse import urlsplit

import pytest
from dtoolcore.utils import generate_identifier

from tests.support.browser import save
from tests.support.clients import Deposit, DtoolDserver
from tests.support.dserver import Dserver

RELPATH = 'results/Übersicht "final" 2;.txt'
PAGE = "report.html"
FILES = {
    RELPATH: "Größe: 3\n".encode(),
    PAGE: b"<p id=x>as it was</p><script>document.getElementById('x').textContent='run'</script>",
}


@pytest.fixture(params=["s3", "azure"])
def place(request: pytest.FixtureRequest, make_dserver_on: Callable[..., Dserver]) -> Dserver:
    kind = "bucket" if request.param == "s3" else "account"
    return make_dserver_on(request.getfixturevalue(kind))


def item_url(dserver: Dserver, relpath: str, **query: str) -> str:
    deposit = Deposit(FILES)
    assert DtoolDserver().upload(dserver.alice, dserver.base_uri, deposit).status_code == 200
    uri = f"{dserver.base_uri}/{deposit.uuid}"
    return dserver.bob.read_item(uri, generate_identifier(relpath), **query).json["url"]


def test_a_browser_saves_an_item_under_its_own_name(place, page):
    name, content = save(page, item_url(place, RELPATH))
    # Quotes are in no file's name that a browser makes.
    assert name == "Übersicht _final_ 2;.txt"
    assert content == FILES[RELPATH]


def test_a_browser_shows_text_and_runs_no_script_of_a_page(place, page):
    page.goto(item_url(place, RELPATH, disposition="inline"))
    assert page.inner_text("body") == "Größe: 3\n"
    page.goto(item_url(place, PAGE, disposition="inline"))
    assert page.inner_text("body") == FILES[PAGE].decode()


@pytest.mark.parametrize("host", ["LocalHost:0", "127.1:", "0x7f.1:0"])
def test_a_browser_follows_a_url_however_the_host_is_spelled(make_dserver, bucket, page, host):
    spelled = f"http://{host}{urlsplit(bucket.endpoint).port}"
    dserver = make_dserver(**{f"DTOOL_S3_PUBLIC_ENDPOINT_{bucket.name.upper()}": spelled})
    page.goto(item_url(dserver, RELPATH, disposition="inline"))
    assert "Größe: 3" in page.inner_text("body")
