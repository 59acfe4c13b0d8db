"""gunicorn's log in a container: a line for each entry, as text or JSON, without secrets."""

from __future__ import annotations

import json
import logging
import runpy
import sys
from time import process_time
from typing import Any

import pytest
from gunicorn.glogging import SafeAtoms

from dserver_signed_url_plugin import log_filter
from tests.support.compose_container import DOCKER

TOKEN = "k3q7fzn2x5mvw4ah6tyb2cjd7ersgpou"
SIGNED = [
    "https://s3.example.org/lab/key?X-Amz-Credential=SECRET%2F20260101&X-Amz-Signature=SECRET&a=1",
    "https://s3.example.org/lab/key%3FX-Amz-Security-Token%3DSECRET%26X-Amz-Date%3D1",
    "https://lab.blob.core.windows.net/c/b?sv=2021&sig=SECRET%3D&se=2026",
    "s3://AKIA:SECRET@bucket/key",
    "eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiJTRUNSRVQifQ.SECRET",
    "x?access_token=SECRET",
]
LINKS = [
    "/signed-urls/s/SECRET",
    "/signed-urls/s/SECRET/4ba003212330fa0ca692df0bb797e225c8ca521a",
    "//signed-urls//s//SECRET/",
    "/signed-urls/s%2FSECRET",
    "/lab/signed-urls/s/SECRET?format=curl",
]


@pytest.fixture(params=["plain", "json"])
def log_format(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    monkeypatch.setenv("DSERVER_LOG_FORMAT", request.param)
    return request.param


def formatted(name: str, record: logging.LogRecord) -> str:
    """Return a line as the formatter of this name writes it."""
    settings = runpy.run_path(str(DOCKER / "gunicorn.conf.py"))
    options = settings["logconfig_dict"]["formatters"][name]
    return options["()"](options.get("format")).format(record)


def entry(message: str, error: Exception | None = None) -> logging.LogRecord:
    error_info = None if error is None else (type(error), error, None)
    return logging.LogRecord("gunicorn", logging.INFO, "", 0, "%s", (message,), error_info)


def access(path: str) -> logging.LogRecord:
    """Return what gunicorn logs of a request, after the plugin's filter."""
    atoms = SafeAtoms(
        {"h": "192.0.2.7", "m": "GET", "U": path, "s": "303", "b": "0", "B": 0, "L": "0.125000",
         "{x-request-id}o": "of-the-caller"}
    )  # fmt: skip
    line = runpy.run_path(str(DOCKER / "gunicorn.conf.py"))["access_log_format"]
    record = logging.LogRecord("gunicorn.access", logging.INFO, "", 0, line, (atoms,), None)
    assert log_filter._hide_tokens(record)
    return record


@pytest.mark.parametrize("pasted", SIGNED)
def test_a_signed_url_in_a_path_is_logged_without_its_secrets(log_format, pasted):
    path = f"/signed-urls/dataset/{pasted}"
    for said in (
        formatted("entry", entry(f'"GET {path}" 400', ValueError(pasted))),
        formatted("access", access(path)),
    ):
        assert "SECRET" not in said
        assert "/signed-urls/dataset/" in said
        assert "\n" not in said or log_format == "plain"


@pytest.mark.parametrize(
    "pasted",
    [
        "&{0}sig=SECRET",
        "&sig=x{0}SECRET",
        "{0}eyJhbGciOiJIUzI1NiJ9.eyJz{0}dWIiOiJTRUNSRVQifQ.SECRET",
        "/AKIA:x{0}SECRET@bucket",
        "/signed-urls/s/x{0}SECRET",
        "&{0!r}sig=SECRET",
    ],
)
@pytest.mark.parametrize("sign", ["\n", "\r\n", "\t", "\0", "\x1b", "\x85", "\xa0", "\u200b"])
def test_no_line_break_or_control_character_shows_a_secret(log_format, pasted, sign):
    path = f"/{pasted.format(sign)}"
    for said in (
        formatted("access", access(path)),
        formatted("entry", entry(path)),
        formatted("entry", entry("failed", ValueError(path))),
        formatted("audit", entry(json.dumps({"uri": path}))),
    ):
        assert "SECRET" not in said
        assert "dWIi" not in said


@pytest.mark.parametrize("sent", [":", "a:", "eyJ", "sig=", "\n:"])
def test_no_path_takes_long_to_be_logged(log_format, sent):
    began = process_time()
    formatted("access", access("/" + sent * (8000 // len(sent))))
    assert process_time() - began < 0.5


@pytest.mark.parametrize("path", LINKS)
def test_the_link_of_a_share_is_logged_without_its_token(log_format, path):
    for said in (
        formatted("entry", entry(f'"GET {path}" 303')),
        formatted("access", access(path)),
        formatted("audit", entry(json.dumps({"uri": path}))),
    ):
        assert "SECRET" not in said
        assert "signed-urls" in said


def test_a_line_of_the_audit_stays_json_whatever_a_client_sends():
    said = {"request_id": 'token=a"b\\c', "uri": "sig=\x9b31m\nx", "items": 3, "operator": "Jörg"}
    line = formatted("audit", entry(json.dumps(said)))
    assert json.loads(line) == {**said, "request_id": 'token=…"b\\c', "uri": "sig=…"}
    assert line.isprintable()


def test_no_line_controls_a_terminal(log_format):
    sent = "/x\x1b[2J\x1b]0;owned\x07\x9b31m\x85\u2028\udc80é"
    logged = (
        formatted("access", access(sent)),
        formatted("entry", entry(sent)),
        *formatted("entry", entry(sent, ValueError(sent))).split("\n"),
    )
    for line in logged:
        assert line.isprintable()
        assert "[2J" in line


@pytest.mark.parametrize("value", ["0", "x", "1.5", "-1", "9" * 5000])
@pytest.mark.parametrize("name", ["DSERVER_WORKERS", "DSERVER_THREADS", "DSERVER_TIMEOUT"])
def test_a_number_that_serves_nobody_is_refused_by_name(monkeypatch, name, value):
    monkeypatch.setenv(name, value)
    with pytest.raises(SystemExit, match=rf"{name} must be a whole number of at least 1, not '"):
        runpy.run_path(str(DOCKER / "gunicorn.conf.py"))


def test_a_log_format_that_is_none_is_refused_by_name(monkeypatch):
    monkeypatch.setenv("DSERVER_LOG_FORMAT", "jsno")
    with pytest.raises(SystemExit, match="DSERVER_LOG_FORMAT must be plain or json, not 'jsno'"):
        runpy.run_path(str(DOCKER / "gunicorn.conf.py"))


def test_a_json_line_of_a_request_has_its_parts_and_its_id(monkeypatch):
    monkeypatch.setenv("DSERVER_LOG_FORMAT", "json")
    said: dict[str, Any] = json.loads(formatted("access", access(f"/signed-urls/s/{TOKEN}/4ba0")))
    assert said.pop("time").endswith("+00:00")
    assert said == {
        "address": "192.0.2.7",
        "method": "GET",
        "path": "/signed-urls/s/…",
        "status": 303,
        "bytes": 0,
        "seconds": 0.125,
        "request_id": "of-the-caller",
    }


def test_a_json_line_of_an_entry_holds_the_traceback(monkeypatch):
    monkeypatch.setenv("DSERVER_LOG_FORMAT", "json")
    try:
        raise ValueError("first\nsecond")
    except ValueError:
        record = logging.LogRecord(
            "dservercore", logging.ERROR, "", 0, "it\nfailed", None, sys.exc_info()
        )
    line = formatted("entry", record)
    said = json.loads(line)
    assert "\n" not in line
    assert (said["level"], said["logger"], said["message"]) == (
        "ERROR",
        "dservercore",
        "it\nfailed",
    )
    assert said["request_id"] is None
    assert said["traceback"].endswith("ValueError: first\nsecond")
