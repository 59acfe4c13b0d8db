"""The page of a share in Chromium: without a mouse, without scripts, on a phone, in the dark."""

from __future__ import annotations

import re

import pytest
from playwright.sync_api import Page, expect

from tests.support.accessibility import violations
from tests.support.dserver import Dserver
from tests.support.links import UNKNOWN, shared
from tests.support.share_pages import (
    BINARY,
    NOTE,
    PICTURE,
    RELPATHS,
    TEXT,
    check_listed,
    expire,
    preview,
)

PHONE = {"viewport": {"width": 320, "height": 640}, "is_mobile": True, "has_touch": True}


@pytest.fixture(scope="module")
def pages(lab: Dserver, address: str, uri: str, link: str) -> dict[str, str]:
    """The address of each kind of page."""
    several = [PICTURE, TEXT, BINARY]
    some, one = shared(lab, uri, several, note=NOTE), shared(lab, uri, [TEXT])
    limited, ended = shared(lab, uri, several, max_downloads=2), shared(lab, uri)
    expire(ended)
    return {
        "files": address + some.path,
        "one file": address + one.path,
        "limited": address + limited.path,
        "last": f"{link}?page=2",
        "filtered": f"{link}?name=x",
        "nothing found": f"{link}?name=%3Cq%3E",
        "image": preview(link, PICTURE),
        "text": preview(link, TEXT),
        "no preview": preview(link, BINARY),
        "ended": address + ended.path,
        "unknown": f"{address}/signed-urls/s/{UNKNOWN}",
        "no such file": f"{link}/{'0' * 40}",
    }


def test_every_page_is_accessible_in_light_and_in_dark(page, pages):
    found = {}
    for name, address in pages.items():
        page.goto(address)
        found[name] = violations(page)
    assert {name: broken for name, broken in found.items() if broken} == {}


def test_every_page_fits_a_phone(new_page, pages):
    page = new_page(**PHONE)
    wider = []
    for name, address in pages.items():
        page.goto(address)
        if page.evaluate("document.documentElement.scrollWidth > innerWidth"):
            wider.append(name)
    assert wider == []


@pytest.mark.parametrize("kind", ["files", "text", "ended"])
def test_a_page_is_dark_for_those_who_like_that(page, pages, kind):
    page.goto(pages[kind])
    assert brightness(page, "background-color") > 0.8 > 0.2 > brightness(page, "color")
    page.emulate_media(color_scheme="dark")
    assert brightness(page, "background-color") < 0.2 < 0.8 < brightness(page, "color")


def brightness(page: Page, style: str) -> float:
    """Return how bright a colour of the page is, from 0 to 1."""
    colour = page.evaluate(
        "style => getComputedStyle(document.body).getPropertyValue(style)", style
    )
    return sum(map(int, re.findall(r"\d+", colour)[:3])) / 3 / 255


def test_everything_but_the_copy_buttons_works_without_javascript(new_page, link):
    page = new_page(java_script_enabled=False)
    page.goto(link)
    assert page.get_by_role("button", name="Copy").count() == 0
    page.get_by_role("link", name="Next").click()
    check_listed(page, RELPATHS[200:])
    page.get_by_label("Filter by").fill("leaf")
    page.get_by_role("button", name="Filter").click()
    check_listed(page, [PICTURE])
    with page.expect_download() as saved:
        page.get_by_role("link", name=f"Download {PICTURE}").click()
    assert saved.value.suggested_filename == "leaf 1.png"
    page.get_by_role("link", name=f"Preview {PICTURE}").click()
    expect(page.get_by_role("img", name=PICTURE)).to_be_visible()


def test_the_keyboard_alone_filters_previews_saves_and_goes_back(page, link):
    page.goto(link)
    page.keyboard.press("Tab")
    assert focused(page) == "Skip to the files"
    page.keyboard.press("Enter")
    page.keyboard.press("Tab")
    page.keyboard.type("Größe")
    page.keyboard.press("Enter")
    check_listed(page, [TEXT])
    tab_to(page, f"Download {TEXT}")
    with page.expect_download():
        page.keyboard.press("Enter")
    page.keyboard.press("Shift+Tab")
    assert focused(page) == f"Preview {TEXT}"
    page.keyboard.press("Enter")
    page.wait_for_url("**/preview")
    tab_to(page, "cress-heights")
    page.keyboard.press("Enter")
    page.wait_for_url(link)


def tab_to(page: Page, name: str) -> None:
    """Press Tab until an element has the focus."""
    for _ in range(30):
        page.keyboard.press("Tab")
        if name in focused(page):
            return
    pytest.fail(f"The keyboard does not reach {name}.")


def focused(page: Page) -> str:
    """Return the name of the element with the keyboard's focus, which has to be visible."""
    name, is_marked = page.evaluate(
        """() => {
            const element = document.activeElement, style = getComputedStyle(element);
            return [element.ariaLabel || element.innerText, style.outlineStyle !== "none"];
        }"""
    )
    assert is_marked, f"{name} has the focus, and nobody can see that."
    return name
