"""What docs/browsers.rst shows and says is so in Chromium, for a web page of another origin."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
import requests
from dtoolcore.utils import generate_identifier
from playwright.sync_api import Error, Page
from werkzeug import Response

from tests.support.clients import Deposit, DtoolDserver
from tests.support.cors import ORIGIN, allow_on_account, allow_on_bucket
from tests.support.documentation import code_blocks
from tests.support.dserver import Account, Bucket, Dserver
from tests.support.http_server import serving
from tests.support.links import shared

FILES = {
    "heights.csv": b"day,height\n1,2\n",
    "Größe über/Zeit #1?.bin": bytes(300_000),
    "empty.txt": b"",
    "more/1": b"1",
    "more/2": b"22",
}
WEB_PAGE = """<!doctype html><title>Deposit</title>
<input type="file" id="files" webkitdirectory><progress id="sent"></progress>
<script>%s</script>
<script>async function start(token) { %s }</script>
"""


@pytest.fixture
def directory(tmp_path: Path) -> Path:
    directory = tmp_path / "heights"
    for name, content in FILES.items():
        path = directory / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)
    return directory


@pytest.fixture
def web_page(
    make_dserver_on: Callable[..., Dserver], place: Bucket | Account, page: Page, directory: Path
) -> Iterator[tuple[Page, Dserver, str]]:
    """A page with the documented code, its directory chosen; dserver; and the page's origin."""
    dserver = make_dserver_on(place)
    with serving(dserver.app) as address, website(address, place.base_uri) as origin:
        page.goto(origin)
        page.set_input_files("#files", directory)
        yield page, dserver, origin


@contextmanager
def website(dserver: str, base_uri: str) -> Iterator[str]:
    """Serve the documented functions, and the documented call as one of its own."""
    functions, call = code_blocks("javascript", "docs/browsers.rst")
    call = call.replace("https://dserver.example.org", dserver).replace("s3://lab", base_uri)
    html = WEB_PAGE % (functions, call.replace("await deposit", "return await deposit"))
    with serving(Response(html, mimetype="text/html")) as origin:
        yield origin


def allow(request: pytest.FixtureRequest, place: Bucket | Account, origin: str) -> None:
    if isinstance(place, Bucket):
        allow_on_bucket(request.getfixturevalue("s3"), place.name, origin)
    else:
        allow_on_account(request.getfixturevalue("blobs"), origin)


def start(page: Page, dserver: Dserver, person: str) -> Any:
    return page.evaluate("token => start(token)", dserver.tokens[person])


def test_a_web_page_deposits_a_directory_and_shows_how_much_is_sent(request, place, web_page):
    page, dserver, origin = web_page
    allow(request, place, origin)
    done = start(page, dserver, "alice")
    assert (done["status"], done["name"]) == ("registered", "plant-heights")
    progress = page.eval_on_selector("#sent", "bar => [bar.value, bar.max]")
    assert progress == [sum(map(len, FILES.values()))] * 2

    answer = dserver.bob.read(done["uri"], details="true").json
    found = {
        answer["items"][identifier]["relpath"]: requests.get(url, timeout=10).content
        for identifier, url in answer["item_urls"].items()
    }
    assert found == {f"heights/{name}": content for name, content in FILES.items()}
    assert "Heights of cress" in requests.get(answer["readme_url"], timeout=10).text


def test_a_web_page_shows_why_a_deposit_is_refused(request, place, web_page):
    page, dserver, _ = web_page
    with pytest.raises(Error, match="bob has no register permission"):
        start(page, dserver, "bob")
    allow(request, place, ORIGIN)
    with pytest.raises(Error, match="No answer of the store: is there a CORS rule?"):
        start(page, dserver, "alice")


def test_a_script_follows_the_link_of_a_share_only_if_every_origin_may(dserver, s3, page):
    uri = DtoolDserver().upload(dserver.alice, dserver.base_uri, Deposit()).json["uri"]
    with serving(dserver.app) as address, serving(Response(mimetype="text/html")) as origin:
        page.goto(origin)
        link = f"{address}{shared(dserver, uri).path}"
        json = "fetch(url, {headers: {Accept: 'application/json'}}).then(answer => answer.json())"
        assert page.evaluate(f"url => {json}", link)["name"] == "my-dataset"
        text = "fetch(url).then(answer => answer.text(), String)"
        item = f"{link}/{generate_identifier('data/file1.txt')}"
        allow_on_bucket(s3, dserver.bucket.name, origin)
        assert page.evaluate(f"url => {text}", item) == "TypeError: Failed to fetch"
        allow_on_bucket(s3, dserver.bucket.name, "*")
        assert page.evaluate(f"url => {text}", item) == "content1"
