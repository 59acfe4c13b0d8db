"""What can be previewed, and the beginning of a text as the store gives it."""

from __future__ import annotations

import time

import pytest

from dserver_signed_url_plugin.errors import ItemArchived, StorageAway
from dserver_signed_url_plugin.shares import previews
from dserver_signed_url_plugin.shares.previews import MAX_TEXT_BYTES, TextPreview
from tests.support.answering_server import Answer, Answering
from tests.support.silent_servers import Manner, SilentStore


@pytest.mark.parametrize(
    ("kind", "names"),
    {
        "image": ["a.png", "b/A.JPEG", "a.webp", "a.gif", "a.avif", "a.bmp"],
        "text": [
            "a.csv",
            "README",
            "x.y/z",
            "a.JSON",
            "a.ipynb",
            "a.yml",
            "a.fasta",
            "a.py",
            "a.log",
        ],
        None: ["a.pdf", "a.h5", "a.bin", "a.zip", "a.tif", "a.mp4", "a.png.gz"],
        # Their scripts would run if they were shown as what they are.
        "text ": ["a.svg", "a.html", "a.xml", "a.js"],
    }.items(),
)
def test_what_is_shown_follows_from_the_name(kind, names):
    assert {previews.kind_of(name) for name in names} == {kind and kind.strip()}


def beginning(*answers: Answer) -> TextPreview:
    with Answering(list(answers)) as server:
        found = previews.beginning(f"{server.endpoint}/x?signature=secret")
        assert server.requests[0].headers["Range"] == f"bytes=0-{MAX_TEXT_BYTES}"
        return found


@pytest.mark.parametrize("status", [200, 206])
@pytest.mark.parametrize(
    ("content", "text", "is_cut"),
    [
        (b"", "", False),
        ("\ufeffGröße\r\n".encode(), "Größe\r\n", False),
        ("Größe".encode("latin-1"), "Gr\ufffd\ufffde", False),
        (b"a" * MAX_TEXT_BYTES, "a" * MAX_TEXT_BYTES, False),
        (b"a" * (MAX_TEXT_BYTES + 1), "a" * MAX_TEXT_BYTES, True),
        # A store may ignore the range; a character is cut.
        (b"a" + "ö".encode() * MAX_TEXT_BYTES, "a" + "ö" * (MAX_TEXT_BYTES // 2 - 1), True),
        (b"GIF89a\0\1", None, False),
    ],
)
def test_the_beginning_of_a_text_is_read(status, content, text, is_cut):
    assert beginning(Answer(status, content)) == TextPreview(text, is_cut)


def test_an_empty_file_has_no_range():
    assert beginning(Answer(416)) == TextPreview("", is_cut=False)


@pytest.mark.parametrize("code", ["InvalidObjectState", "BlobArchived"])
def test_what_is_archived_is_said(code):
    with pytest.raises(ItemArchived):
        beginning(Answer(403, f"<Error><Code>{code}</Code></Error>".encode()))


@pytest.mark.parametrize(
    "answer", [Answer(500), Answer(403), Answer(301, headers={"Location": "http://x/"}), Answer(0)]
)
def test_a_refusal_names_no_signature(answer):
    with pytest.raises(StorageAway) as raised:
        beginning(answer)
    assert "secret" not in str(raised.value)


@pytest.mark.parametrize("manner", Manner)
def test_a_slow_store_is_not_waited_for(manner):
    store = SilentStore(manner)
    begun = time.monotonic()
    try:
        with pytest.raises(StorageAway):
            previews.beginning(f"{store.endpoint}/x", seconds=0.3)
    finally:
        store.close()
    assert time.monotonic() - begun < 5
