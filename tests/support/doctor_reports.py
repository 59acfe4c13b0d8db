"""What `flask signed_url doctor` says of a bucket or an account, for tests."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread
from typing import Any

import pytest
from click.testing import Result
from flask import Flask

from dserver_signed_url_plugin.cli.signed_url import signed_url
from dserver_signed_url_plugin.config import Settings
from dserver_signed_url_plugin.environment import PUBLIC_BLOB_ENDPOINT, PUBLIC_ENDPOINT
from dserver_signed_url_plugin.services import Services
from tests.support.dserver import Account, Bucket, in_capitals
from tests.support.write_keys import write_key

FIT, UNUSABLE, NOT_FOR_UPLOADING, NOT_FOR_READING, NOT_EXAMINED = 0, 2, 3, 4, 5
ORIGIN = "https://data.example.org"


def forget_this_machine(monkeypatch: pytest.MonkeyPatch, home: Path) -> None:
    """Leave no setting, no credentials and no proxy of the machine that runs this."""
    for name in list(os.environ):
        if name.startswith(("AWS_", "DTOOL_")):
            monkeypatch.delenv(name)
    monkeypatch.setenv("HOME", str(home))
    monkeypatch.setenv("AWS_CONFIG_FILE", str(home / "none"))
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", str(home / "none"))
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    for name in ("no_proxy", "NO_PROXY"):
        monkeypatch.setenv(name, "127.0.0.1,localhost")


def ask(base_uri: str, settings: Mapping[str, str], *options: str) -> Result:
    """Return what the command says, asked as people type it."""
    app = Flask(__name__)
    Services(Settings.load(settings, {})).attach(app)
    return app.test_cli_runner().invoke(signed_url, ["doctor", base_uri, *options])


def settings_of(place: Bucket | Account, public: str | None = None) -> dict[str, str]:
    """Return the settings of a place, with another address for people if one is given."""
    settings = in_capitals(place.settings())
    if public is not None:
        variable = PUBLIC_ENDPOINT if isinstance(place, Bucket) else PUBLIC_BLOB_ENDPOINT
        settings[f"{variable}{place.name.upper()}"] = public
    return settings


@dataclass(frozen=True)
class Guarded(Bucket):
    """A bucket whose uploads are staged, by URLs that a key pair signs which only writes."""

    more: Mapping[str, str] = field(default_factory=dict)

    @classmethod
    def of(cls, bucket: Bucket) -> Guarded:
        more = {**write_key(bucket), f"SIGNED_URL_WRITES_{bucket.name}": "staged"}
        return cls(**vars(bucket), more=more)

    def settings(self, endpoint: str | None = None) -> dict[str, str]:
        return {**super().settings(endpoint), **self.more}


@dataclass(frozen=True)
class Examined:
    """The exit code, and each finding by its name."""

    code: int
    findings: Mapping[str, Mapping[str, str]]
    cures: Mapping[str, str] = field(default_factory=dict)

    def __getitem__(self, name: str) -> Mapping[str, str]:
        return self.findings[name]

    @property
    def failed(self) -> set[str]:
        return self._that_are("failed")

    @property
    def warned(self) -> set[str]:
        return self._that_are("warning")

    def _that_are(self, status: str) -> set[str]:
        return {name for name, found in self.findings.items() if found["status"] == status}


def examined(
    place: Bucket | Account, *options: str, settings: Mapping[str, str] | None = None
) -> Examined:
    """Examine a place; see to it that the exit code says the same as the report."""
    answer = ask(place.base_uri, settings or settings_of(place), "--json", *options)
    report = json.loads(answer.stdout)
    assert report["reading"] is (answer.exit_code < NOT_FOR_READING)
    assert report["uploading"] is (answer.exit_code < NOT_FOR_UPLOADING)
    findings = {found["name"]: found for found in report["findings"]}
    cures = {cure["title"]: cure["text"] for cure in report["cures"]}
    return Examined(answer.exit_code, findings, cures)


def keys(s3: Any, bucket: Bucket) -> list[str]:
    """Return every version of every object in the bucket, by its key."""
    listing = s3.list_object_versions(Bucket=bucket.name)
    kinds = ("Versions", "DeleteMarkers")
    return [entry["Key"] for kind in kinds for entry in listing.get(kind, ())]


def keep_versions(s3: Any, bucket: Bucket, status: str = "Enabled") -> None:
    """Switch versioning on, or suspend it."""
    s3.put_bucket_versioning(Bucket=bucket.name, VersioningConfiguration={"Status": status})


@contextmanager
def listening(handler: type[BaseHTTPRequestHandler]) -> Iterator[str]:
    """A server on this machine that is no store."""
    server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
    thread = Thread(target=server.serve_forever, args=(0.01,))
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}"
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


class WebPage(BaseHTTPRequestHandler):
    """A console, as it stands on the port beside many a store."""

    def do_GET(self) -> None:
        self.send_response(200)
        self.send_header("Content-Type", "text/html; charset=utf-8")
        self.end_headers()
        self.wfile.write(b"<!doctype html><p>Sign in")

    def log_message(self, *_: Any) -> None:
        """Say nothing."""
