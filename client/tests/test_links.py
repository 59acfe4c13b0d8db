"""Links of shares, as people paste them."""

from __future__ import annotations

import pytest
from dserver_client.errors import UsageError
from dserver_client.links import is_link, parse_link, without_token
from dserver_client.settings import Settings
from dserver_client.uris import parse

TOKEN = "abcdefghijklmnopqrstuvwxyz234567"
ITEM = "0123456789abcdef0123456789abcdef01234567"
LINK = f"https://lab.org/lookup/signed-urls/s/{TOKEN}"


@pytest.mark.parametrize(
    "text",
    [
        LINK,
        f"  {LINK}\n",
        f"<{LINK}>",
        f"<{LINK}>,",
        f"({LINK}).",
        f"„{LINK}“",
        f'"{LINK}"',
        f"{LINK}/",
        f"{LINK}#files",
        f"{LINK}?format=aria2",
        f"{LINK[:50]}\n  {LINK[50:]}",
        LINK.replace(TOKEN, TOKEN.upper()),
        LINK.removeprefix("https://"),
        LINK.replace("https://lab", "HTTPS://LAB"),
    ],
)
def test_a_pasted_link_is_freed_from_what_is_around_it(text):
    assert is_link(text)
    assert parse_link(text).url == LINK


def test_the_link_of_a_file_names_an_item():
    for below in (ITEM, f"{ITEM}/preview", f"{ITEM}?disposition=inline"):
        link = parse_link(f"{LINK}/{below}")
        assert (link.url, link.identifier) == (LINK, ITEM)
    assert parse_link(f"{LINK}/preview").identifier is None


@pytest.mark.parametrize(
    "text",
    [
        LINK[:-1],
        f"{LINK}a",
        LINK.replace("2", "1"),
        "https://lab.org/signed-urls/s/",
        f"https://me:secret@lab.org/signed-urls/s/{TOKEN}",
        f"file:///signed-urls/s/{TOKEN}",
        f"{LINK} or {LINK}",
    ],
)
def test_what_is_not_a_whole_link_is_refused_without_being_repeated(text):
    with pytest.raises(UsageError) as raised:
        parse_link(text)
    assert TOKEN[:30] not in str(raised.value)
    assert "secret" not in str(raised.value)


@pytest.mark.parametrize("text", [LINK, LINK.replace("https", "dserver"), LINK[8:], f"<{LINK}>"])
def test_a_link_is_no_uri_and_is_not_repeated(text):
    with pytest.raises(UsageError, match="dserver get LINK") as raised:
        parse(text, Settings())
    assert TOKEN not in str(raised.value)


def test_a_link_is_no_address_of_a_dserver():
    with pytest.raises(UsageError) as raised:
        Settings.load({"DSERVER_URL": LINK})
    assert TOKEN not in str(raised.value)


def test_no_text_shows_the_token():
    link = parse_link(LINK)
    assert str(link) == "https://lab.org/lookup/signed-urls/s/…"
    assert TOKEN not in repr(link)
    line = f'"GET /signed-urls/s/{TOKEN}/{ITEM}?a=b HTTP/1.1" 303'
    assert without_token(line) == f'"GET /signed-urls/s/…/{ITEM}?a=b HTTP/1.1" 303'
