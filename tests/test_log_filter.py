"""Tokens of shares do not get into the logs of web servers and of Flask."""

from __future__ import annotations

import logging
from collections.abc import Iterator

import pytest

from dserver_signed_url_plugin import log_filter

TOKEN = "k3q7fzn2x5mvw4ah6tyb2cjd7ersgpou"
LINES = [
    f'127.0.0.1 - - "GET /signed-urls/s/{TOKEN} HTTP/1.1" 200 -',
    f'"GET //signed-urls//s//{TOKEN}/4ba0?x=1 HTTP/1.1" 303 -',
    f'"GET /lab/Signed-URLs/S/{TOKEN.upper()} HTTP/1.1"',
    f'"GET /signed-urls/s%2f{TOKEN}%2f HTTP/1.1"',
    f'"GET /signed-urls/%73/{TOKEN} HTTP/1.1"',
    f"Exception on /signed-urls/s/{TOKEN} [GET]",
    f'"GET /x HTTP/1.1" 404 "https://dserver.example.org/signed-urls/s/{TOKEN}" "curl"',
    f'"GET /signed-urls/s/{TOKEN[:20]} HTTP/1.1" of a link that was cut',
]
HARMLESS = [
    '"GET /signed-urls/dataset/s3%3A%2F%2Flab%2F550e8400-e29b-41d4-a716-446655440000 HTTP/1.1" 200',
    '"GET /signed-urls/shares HTTP/1.1" 200 100%',
    "ede3a6a522453056ed5b4c13a30e7877ced123ee d86d125d1c161ceddc99598430097137",
]


@pytest.fixture(params=["werkzeug", "gunicorn.access", "gunicorn.error", "waitress", "an-app"])
def logger(request: pytest.FixtureRequest) -> Iterator[logging.Logger]:
    log_filter.install("an-app")
    log_filter.install("an-app")
    found = logging.getLogger(request.param)
    assert len(found.filters) == 1
    yield found
    logging.getLogger("an-app").filters.clear()


def emitted(logger: logging.Logger, message: str, *args: object) -> str:
    record = logger.makeRecord(logger.name, logging.INFO, "", 0, message, args, None)
    assert logger.filter(record)
    return record.getMessage()


@pytest.mark.parametrize("line", LINES)
def test_a_token_is_hidden_in_the_text_and_in_what_is_filled_in(logger, line):
    for logged in (
        emitted(logger, line),
        emitted(logger, "%s", line),
        emitted(logger, "%(r)s", {"r": line}),
    ):
        assert TOKEN[:20] not in logged.lower()
        assert "…" in logged


@pytest.mark.parametrize("line", HARMLESS)
def test_other_lines_are_left_as_they_are(logger, line):
    assert emitted(logger, "%s", line) == line


def test_a_line_that_cannot_be_formatted_raises_nothing_where_it_is_logged(logger):
    record = logger.makeRecord(logger.name, logging.INFO, "", 0, "%d requests", ("many",), None)
    assert logger.filter(record)
