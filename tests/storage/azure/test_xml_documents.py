"""What a broken or hostile store sends instead of a list takes no memory, and is no list."""

from __future__ import annotations

import pytest

from dserver_signed_url_plugin.storage.azure.listing import blob_page, block_sizes, container_page
from dserver_signed_url_plugin.storage.azure.xml_documents import parsed, written

BOMB = (
    '<!DOCTYPE r [<!ENTITY a "ha">'
    + "".join(
        f'<!ENTITY {b} "{f"&{a};" * 10}">' for a, b in zip("abcdefgh", "bcdefghi", strict=True)
    )
    + "]><EnumerationResults>&i;</EnumerationResults>"
)
OUTSIDE = (
    '<!DOCTYPE r [<!ENTITY a SYSTEM "file:///etc/passwd">]>'
    "<EnumerationResults><NextMarker>&a;</NextMarker></EnumerationResults>"
)
ENTITY = (
    '<!DOCTYPE r [<!ENTITY a "ha">]>'
    "<EnumerationResults><NextMarker>&a;</NextMarker></EnumerationResults>"
)
WRONG = {
    "an entity in UTF-16 that nothing declares": ENTITY.encode("utf-16-le"),
    "an entity in UTF-16 of the other order": ENTITY.encode("utf-16-be"),
    "too many attributes": "<EnumerationResults {}/>".format(
        " ".join([f'a{number}=""' for number in range(300_000)])
    ).encode(),
    "entities": BOMB.encode(),
    "entities in UTF-16": f'<?xml version="1.0" encoding="utf-16"?>{BOMB}'.encode("utf-16"),
    "entities in UTF-7": b'<?xml version="1.0" encoding="utf-7"?>'
    + BOMB.replace("<!", "+ADwAIQ-").encode(),
    "a file": OUTSIDE.encode(),
    "too many elements": b"<EnumerationResults>" + b"<a>" * 1_000_000,
    "another document": b"<Error><Code>ServerBusy</Code></Error>",
    "a page": b"<!doctype html><html>",
    "half a document": b"<EnumerationResults><Blobs>",
    "nothing": b"",
}


@pytest.mark.parametrize("document", WRONG.values(), ids=WRONG)
@pytest.mark.parametrize("parse", [lambda text: blob_page(text, ""), container_page, block_sizes])
def test_what_is_no_list_is_refused(document, parse):
    with pytest.raises(ValueError, match="no "):
        parse(document)


def test_a_list_may_begin_with_a_byte_order_mark_as_azures_do():
    document = '\ufeff<?xml version="1.0" encoding="utf-8"?><BlockList />'.encode()
    assert block_sizes(document) == {}


def test_a_name_that_xml_cannot_hold_is_decoded():
    blob = (
        "<Blob><Name{}>tags/%EF%BF%BE</Name><Properties><Etag>0x1</Etag><Content-Length>0"
        "</Content-Length><Last-Modified>Sat, 28 Feb 2026 23:59:59 GMT</Last-Modified>"
        "<BlobType>BlockBlob</BlobType></Properties></Blob>"
    )
    blobs = blob.format(' Encoded="true"') + blob.format("")
    page = blob_page(
        f"<EnumerationResults><Blobs>{blobs}</Blobs></EnumerationResults>".encode(), ""
    )
    assert [each.name for each in page.listed] == ["tags/\ufffe", "tags/%EF%BF%BE"]


def test_what_is_written_is_escaped():
    document = written("KeyInfo", [("Start", "a<b>&c"), ("Expiry", "ü")])
    assert [element.text for element in parsed(document, "KeyInfo")] == ["a<b>&c", "ü"]
