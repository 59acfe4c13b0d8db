"""The demo's front page: a share that works, whoever ended the last one, and nothing from afar."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from dservercore import sql_db
from sqlalchemy import func, select

from dserver_signed_url_plugin.demo import front_page, sample
from dserver_signed_url_plugin.demo.sample_share import SampleShare
from dserver_signed_url_plugin.shares.models import Share
from tests.support.accessibility import violations
from tests.support.clients import Deposit, DtoolDserver
from tests.support.dserver import Dserver, Person, encoded
from tests.support.http_server import serving

LINK = re.compile(r'href="(http[^"]*/signed-urls/s/[^"]*)"')


@pytest.fixture(scope="session")
def described() -> bool:
    """Let a dserver describe its routes, which the documentation shows."""
    return True


@pytest.fixture
def file(tmp_path: Path) -> Path:
    """What the demo knows of its sample; there is no such file yet."""
    return tmp_path / "sample.json"


@pytest.fixture
def demo(make_dserver: Callable[..., Dserver], file: Path) -> Dserver:
    """A dserver with the demo's front page."""
    dserver = make_dserver(**settings(file))
    dserver.app.config[front_page.BASE_URI_SETTING] = dserver.base_uri
    return dserver


def settings(file: Path) -> dict[str, object]:
    """Return the settings that the demo's command makes."""
    return {
        front_page.BASE_URI_SETTING: "s3://lab",
        front_page.SAMPLE_SETTING: str(file),
        "OPENAPI_SWAGGER_UI_URL": front_page.SWAGGER_UI,
        "OPENAPI_REDOC_PATH": None,
    }


@pytest.fixture
def uri(demo: Dserver, file: Path) -> str:
    """The sample, deposited as at the demo's start."""
    local = sample.dataset()
    deposit = Deposit(dict(local.files), name=local.name, uuid=local.uuid)
    done = DtoolDserver().upload(demo.alice, demo.base_uri, deposit)
    SampleShare(file).keep(done.json["uri"])
    return str(done.json["uri"])


def links(dserver: Dserver) -> list[str]:
    """Return the links to shares on the page, as another worker makes it."""
    answer = Person(dserver.app, None).get("/")
    assert answer.status_code == 200
    return LINK.findall(answer.text)


def opened(dserver: Dserver, link: str) -> int:
    return dserver.nobody.get("/signed-urls/" + link.partition("/signed-urls/")[2]).status_code


def shares(dserver: Dserver) -> int:
    with dserver.app.app_context():
        return sql_db.session.scalar(select(func.count()).select_from(Share)) or 0


def test_all_workers_show_the_link_of_one_share(demo, uri):
    with ThreadPoolExecutor(8) as pool:
        shown = list(pool.map(lambda _: links(demo), range(8)))
    assert len({link for [link] in shown}) == 1
    assert shares(demo) == 1
    assert opened(demo, shown[0][0]) == 200


def test_a_share_that_was_revoked_is_followed_by_another(demo, uri):
    [before] = links(demo)
    [share] = demo.alice.get("/signed-urls/shares").json["shares"]
    assert demo.alice.delete(f"/signed-urls/shares/{share['id']}").status_code == 200
    assert opened(demo, before) == 410
    [after] = links(demo)
    assert after != before
    assert opened(demo, after) == 200
    assert links(demo) == [after]


def test_without_a_dataset_there_is_no_link(demo, file):
    assert links(demo) == []
    assert not file.exists()


def test_of_a_dataset_that_was_deleted_there_is_no_link(demo, uri):
    assert len(links(demo)) == 1
    assert demo.alice.delete(f"/uris/{encoded(uri)}").status_code in (200, 204)
    for _ in range(2):
        assert links(demo) == []


def test_a_dserver_that_is_no_demo_has_no_front_page(dserver):
    assert dserver.nobody.get("/").status_code == 404


def test_the_page_may_load_nothing_and_be_kept_nowhere(demo, uri):
    headers = demo.nobody.get("/").headers
    policy = headers["Content-Security-Policy"]
    assert policy.startswith("default-src 'none'; style-src 'nonce-")
    assert policy != demo.nobody.get("/").headers["Content-Security-Policy"]
    assert (headers["Cache-Control"], headers["Referrer-Policy"]) == ("no-store", "no-referrer")


@pytest.mark.parametrize("name", ["swagger-ui-bundle.js", "swagger-ui.css"])
def test_the_documentations_files_come_from_here(demo, name):
    page = demo.nobody.get("/doc/swagger")
    assert f'"/doc/swagger-ui/{name}"' in page.text
    assert "http" not in page.headers["Content-Security-Policy"]
    with demo.nobody.get(f"/doc/swagger-ui/{name}") as file:
        assert file.status_code == 200
    assert demo.nobody.get("/doc/redoc").status_code == 404


@pytest.mark.parametrize("name", ["../__init__.py", "..%2f__init__.py", "nothing.js", ""])
def test_no_other_file_is_served_with_them(demo, name):
    assert demo.nobody.get(f"/doc/swagger-ui/{name}").status_code == 404


@pytest.fixture
def address(demo: Dserver, uri: str) -> Iterator[str]:
    with serving(demo.app) as url:
        yield url


def test_a_browser_opens_the_share_from_the_page(address, new_page):
    page = new_page(viewport={"width": 390, "height": 800})
    page.goto(address)
    assert violations(page) == []
    assert page.evaluate("document.documentElement.scrollWidth") == 390
    page.get_by_role("link", name="Open the shared dataset").click()
    page.get_by_role("heading", name="growth-of-cress", exact=True).wait_for()


def test_a_browser_shows_the_documentation_with_files_from_here(address, page):
    asked: list[str] = []
    page.on("request", lambda request: asked.append(request.url))
    page.goto(f"{address}/doc/swagger")
    page.get_by_text("/signed-urls/shares/{uri}").first.wait_for()
    assert [url for url in asked if not url.startswith((address, "data:"))] == []
