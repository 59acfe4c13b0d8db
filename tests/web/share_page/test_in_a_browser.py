"""The page of a share in Chromium: what visitors see, find, preview, save and copy."""

from __future__ import annotations

from pathlib import Path

import pytest
from playwright.sync_api import expect

from tests.support.clients import Deposit, DtoolDserver
from tests.support.http_server import serving
from tests.support.links import UNKNOWN, shared
from tests.support.share_pages import (
    FILES,
    HEIGHT,
    PICTURE,
    RELPATHS,
    TEXT,
    WIDTH,
    check_listed,
    expire,
    preview,
    revoke,
)
from tests.support.watch import Watch, origin_of

# What it shows ------------------------------------------------------------------------------


def test_it_shows_what_is_shared_and_for_how_long(page, link):
    page.goto(link)
    assert page.inner_text("h1") == "cress-heights"
    shown = page.inner_text("body")
    for text in ("For Carol.", "203", "7 days"):
        assert text in shown
    readme = page.get_by_role("region", name="README")
    expect(readme.get_by_role("heading", name="Heights of cress")).to_be_visible()
    expect(readme.get_by_role("cell", name="2 mm")).to_be_visible()
    protocol = readme.get_by_role("link", name="the protocol")
    assert protocol.get_attribute("rel") == "noopener noreferrer nofollow"


def test_its_files_are_on_pages_and_found_by_a_part_of_their_names(page, link):
    page.goto(link)
    check_listed(page, RELPATHS[:200])
    page.get_by_role("link", name="Next").click()
    check_listed(page, RELPATHS[200:])
    page.get_by_label("Filter by").fill("GRÖSSE")
    page.keyboard.press("Enter")
    check_listed(page, [TEXT])
    page.get_by_label("Filter by").fill("no such name")
    page.get_by_role("button", name="Filter").click()
    check_listed(page, [])
    page.get_by_role("link", name="Show all files").click()
    check_listed(page, RELPATHS[:200])


def test_a_preview_shows_an_image(page, link):
    page.goto(link)
    page.get_by_role("link", name=f"Preview {PICTURE}").click()
    image = page.get_by_role("img", name=PICTURE)
    expect(image).to_be_visible()
    assert image.evaluate("image => [image.naturalWidth, image.naturalHeight]") == [WIDTH, HEIGHT]
    page.get_by_role("link", name="cress-heights").click()
    assert page.url == link


def test_a_preview_shows_the_beginning_of_a_text(page, link):
    page.goto(preview(link, TEXT))
    assert page.inner_text("pre") == "Größe: 3\n"


@pytest.mark.parametrize("relpath", [TEXT, PICTURE])
def test_a_file_is_saved_under_its_name(lab, address, page, link, relpath):
    watch = Watch(page)
    page.goto(link)
    with page.expect_download() as saved:
        page.get_by_role("link", name=f"Download {relpath}").click()
    assert saved.value.suggested_filename == relpath.rpartition("/")[2]
    assert Path(saved.value.path()).read_bytes() == FILES[relpath]
    watch.check(address, lab.bucket.endpoint)


def test_files_on_azure_are_previewed_and_saved(azure_lab, page):
    deposit = Deposit({PICTURE: FILES[PICTURE], TEXT: FILES[TEXT]})
    done = DtoolDserver().upload(azure_lab.alice, azure_lab.base_uri, deposit)
    watch = Watch(page)
    with serving(azure_lab.app) as address:
        page.goto(preview(address + shared(azure_lab, done.json["uri"]).path, PICTURE))
        image = page.get_by_role("img", name=PICTURE)
        assert image.evaluate("image => image.naturalWidth") == WIDTH
        with page.expect_download() as saved:
            page.get_by_role("link", name="Download").click()
        assert Path(saved.value.path()).read_bytes() == FILES[PICTURE]
    watch.check(address, origin_of(azure_lab.place.endpoint))


def test_each_command_is_copied_with_one_click(new_page, link):
    page = new_page(permissions=["clipboard-read", "clipboard-write"])
    page.goto(link)
    commands = page.locator(".command pre").all_inner_texts()
    buttons = page.get_by_role("button", name="Copy")
    assert buttons.count() == len(commands) > 2
    for number, command in enumerate(commands):
        buttons.nth(number).click()
        expect(page.locator("#copied")).to_have_text("Copied")
        assert page.evaluate("navigator.clipboard.readText()") == command


# Links that no longer work --------------------------------------------------------------------


@pytest.mark.parametrize(
    ("end", "heading"), [(revoke, "revoked"), (expire, "expired")], ids=["revoked", "expired"]
)
def test_an_ended_link_says_so_and_gives_nothing(lab, address, uri, page, end, heading):
    visitor = shared(lab, uri)
    page.goto(address + visitor.path)
    end(visitor)
    download = page.get_by_role("link", name=f"Download {TEXT}").get_attribute("href")
    for path in (visitor.path, f"{visitor.path.rpartition('/')[0]}/{download}"):
        answer = page.goto(address + path)
        assert answer.status == 410
        expect(page.get_by_role("heading", name=heading)).to_be_visible()
        assert TEXT not in page.content()


def test_an_unknown_link_says_so(address, page):
    answer = page.goto(f"{address}/signed-urls/s/{UNKNOWN}")
    assert answer.status == 404
    expect(page.get_by_role("heading")).to_be_visible()
