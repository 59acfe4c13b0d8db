"""A client that does one thing after another with requests, as the public one does.

It computes the MD5 of what it sends, and checks nothing of what it fetches.
Started by ``python -m benchmarks.client.sequential put DIRECTORY BASE_URI``, or with ``get URI
DIRECTORY``.
"""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import Any
from urllib.parse import quote

import requests

from benchmarks.client.announcement import announcement


def put(directory: Path, base_uri: str) -> None:
    """Deposit the files of a directory, and print the URI."""
    grant = _dserver("POST", f"upload/{quote(base_uri, safe='')}", announcement(directory))
    for item in grant["upload_urls"]["items"].values():
        with open(directory / item["relpath"], "rb") as file:
            requests.put(item["url"], data=file, headers=item["headers"]).raise_for_status()
    _dserver("POST", "upload-complete", {"uri": grant["uri"]})
    print(grant["uri"])


def get(uri: str, directory: Path) -> None:
    """Fetch the items of a dataset, by their relpaths."""
    granted = _dserver("GET", f"dataset/{quote(uri, safe='')}")
    manifest = requests.get(granted["manifest_url"]).json()
    for identifier, url in granted["item_urls"].items():
        path = directory / manifest["items"][identifier]["relpath"]
        path.parent.mkdir(parents=True, exist_ok=True)
        with requests.get(url, stream=True) as answer, open(path, "wb") as file:
            answer.raise_for_status()
            for block in answer.iter_content(2**16):
                file.write(block)


def _dserver(method: str, path: str, body: Any = None) -> Any:
    answer = requests.request(
        method,
        f"{os.environ['DSERVER_URL']}/signed-urls/{path}",
        json=body,
        headers={"Authorization": f"Bearer {os.environ['DSERVER_TOKEN']}"},
    )
    answer.raise_for_status()
    return answer.json()


if __name__ == "__main__":
    if sys.argv[1] == "put":
        put(Path(sys.argv[2]), sys.argv[3])
    else:
        get(sys.argv[2], Path(sys.argv[3]))
