"""Compression of answers: only large ones, only for clients that accept it, and at once."""

from __future__ import annotations

import gzip
import zlib
from collections.abc import Callable, Iterator

import pytest
from backports import zstd
from flask import Flask, Response

from dserver_signed_url_plugin.web.compression import CODINGS, compress_large

LINE = b'{"url": "https://s3.example.org/"}\n'
LARGE = LINE * 200
DECODED = {"gzip": gzip.decompress, "zstd": zstd.decompress, None: bytes}


@pytest.fixture
def answered() -> Callable[..., Response]:
    """Answer a request with some headers."""
    app = Flask(__name__)
    app.after_request(compress_large)
    content: list[object] = []
    app.add_url_rule("/", "view", lambda: Response(content[0], mimetype="application/json"))

    def act(body: object = LARGE, **headers: str) -> Response:
        content[:] = [body]
        names = {name.replace("_", "-"): value for name, value in headers.items()}
        return app.test_client().get("/", headers=names)

    return act


CHOICES = {
    None: None,
    "": None,
    "br": None,
    "gzip": "gzip",
    "GZIP": "gzip",
    "gzip, deflate": "gzip",
    "gzip, deflate, br, zstd": "zstd",
    "*": "zstd",
    "*;q=0": None,
    "gzip;q=0": None,
    "gzip;q=0, *": "zstd",
    "zstd;q=0, *;q=0.5": "gzip",
    "zstd;q=0.1, gzip;q=0.9": "gzip",
    "identity": None,
    "identity, gzip;q=0.5": None,
    "identity;q=0.5, gzip": "gzip",
    "identity;q=0, gzip;q=0.001": "gzip",
}


@pytest.mark.parametrize(("accepted", "coding"), CHOICES.items())
def test_the_client_chooses_the_coding(answered, accepted, coding):
    headers = {} if accepted is None else {"Accept_Encoding": accepted}
    answer = answered(**headers)
    assert answer.headers.get("Content-Encoding") == coding
    assert DECODED[coding](answer.data) == LARGE
    assert "Accept-Encoding" in answer.headers["Vary"]
    assert coding is None or len(answer.data) < len(LARGE) / 7


def test_a_small_answer_is_not_compressed(answered):
    answer = answered(b"{}", Accept_Encoding="gzip")
    assert "Content-Encoding" not in answer.headers
    assert answer.headers["Content-Length"] == "2"


@pytest.mark.parametrize("coding", CODINGS)
def test_a_client_reads_the_first_chunk_before_the_second_is_there(answered, coding):
    read: dict[str, Callable[[bytes], bytes]] = {
        "gzip": zlib.decompressobj(16 + zlib.MAX_WBITS).decompress,
        "zstd": zstd.ZstdDecompressor().decompress,
    }
    made = []

    def chunks() -> Iterator[bytes]:
        for number in range(2000):
            made.append(number)
            yield LINE

    answer = answered(chunks(), Accept_Encoding=coding)
    sent = iter(answer.response)
    assert read[coding](next(sent)) == LINE
    assert len(made) == 1
    assert b"".join(map(read[coding], sent)) == LINE * 1999
