"""What `flask temp_share` is given to share in tests, what became of it, and when it ends."""

from __future__ import annotations

import json
from collections.abc import Mapping
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import requests

from dserver_signed_url_plugin.cli.pending_upload import pending_upload
from tests.support.dserver import Dserver

FILES = {f"{number}.txt": b"%d" % number for number in range(6)}


def waiting(dserver: Dserver) -> list[dict[str, Any]]:
    """Return the uploads that `flask pending_upload list` shows."""
    result = dserver.app.test_cli_runner().invoke(pending_upload, ["list", "--json"])
    return json.loads(result.stdout)


def check_fetched(share: Mapping[str, Any], folder: Path) -> None:
    """Fail unless its URLs give what was in the folder."""
    contents = {
        file["relpath"]: requests.get(file["url"], timeout=30).content for file in share["files"]
    }
    assert contents == {f"{folder.name}/{name}": content for name, content in FILES.items()}


def ends(url: str) -> datetime:
    """Return when the store stops accepting a URL."""
    query = parse_qs(urlsplit(url).query)
    if "se" in query:
        return datetime.strptime(query["se"][0], "%Y-%m-%dT%H:%M:%S%z")
    signed = datetime.strptime(query["X-Amz-Date"][0], "%Y%m%dT%H%M%S%z")
    return signed + timedelta(seconds=int(query["X-Amz-Expires"][0]))
