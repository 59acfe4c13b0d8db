"""What can be previewed, and what is shown of a text."""

from __future__ import annotations

import pytest

from dserver_signed_url_plugin.shares import previews
from dserver_signed_url_plugin.shares.previews import MAX_TEXT_BYTES, TextPreview


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


@pytest.mark.parametrize(
    ("content", "text", "is_cut"),
    [
        (b"", "", False),
        ("\ufeffGröße\r\n".encode(), "Größe\r\n", False),
        ("Größe".encode("latin-1"), "Gr\ufffd\ufffde", False),
        (b"a" * MAX_TEXT_BYTES, "a" * MAX_TEXT_BYTES, False),
        (b"a" * (MAX_TEXT_BYTES + 1), "a" * MAX_TEXT_BYTES, True),
        # A character is cut.
        ((b"a" + "ö".encode() * MAX_TEXT_BYTES)[: MAX_TEXT_BYTES + 1], f"a{'ö' * 32_767}", True),
        (b"GIF89a\0\1", None, False),
    ],
)
def test_the_beginning_of_a_text_is_shown(content, text, is_cut):
    assert previews.text_preview(content) == TextPreview(text, is_cut)
