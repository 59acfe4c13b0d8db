"""Deposits of the demo, over HTTP, as somebody who has a token and nothing else."""

from __future__ import annotations

import hashlib
import time
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import quote

import requests

from dserver_signed_url_plugin.demo.info import DemoInfo

REQUEST_TIMEOUT = 60  # seconds

Json = dict[str, Any]


@dataclass(frozen=True)
class LocalDataset:
    """A dataset that is to be deposited: its README, and the content of each file by relpath."""

    uuid: str
    name: str
    readme: bytes
    files: Mapping[str, bytes]

    def announcement(self) -> Json:
        """Return the request body that begins the upload, with size and MD5 of every file."""
        now = time.time()
        items = [
            {
                "relpath": relpath,
                "size_in_bytes": len(content),
                "hash": hashlib.md5(content, usedforsecurity=False).hexdigest(),
                "utc_timestamp": now,
            }
            for relpath, content in self.files.items()
        ]
        return {
            "uuid": self.uuid,
            "name": self.name,
            "items": items,
            "hash_function": "md5sum_hexdigest",
        }


def session() -> requests.Session:
    """Return a session that ignores ~/.netrc and proxies."""
    made = requests.Session()
    made.trust_env = False
    return made


def deposit(info: DemoInfo, dataset: LocalDataset) -> str:
    """Deposit a dataset as alice; return its URI.

    :raises requests.RequestException: if dserver or the store refuses a step, or does not respond.
    """
    with session() as http:
        path = f"upload/{quote(info['base_uri'], safe='')}"
        begun = _alice(http, info, path, dataset.announcement())
        urls = begun["upload_urls"]
        for item in urls["items"].values():
            _put(http, item["url"], dataset.files[item["relpath"]], item["headers"])
        _put(http, urls["readme"], dataset.readme, {"Content-Type": "text/plain; charset=utf-8"})
        _alice(http, info, "upload-complete", {"uri": begun["uri"]})
    return str(begun["uri"])


def _alice(http: requests.Session, info: DemoInfo, path: str, body: Json) -> Json:
    response = http.post(
        f"{info['base_url']}/signed-urls/{path}",
        json=body,
        headers={"Authorization": f"Bearer {info['tokens']['alice']}"},
        timeout=REQUEST_TIMEOUT,
    )
    response.raise_for_status()
    return dict(response.json())


def _put(http: requests.Session, url: str, content: bytes, headers: Mapping[str, str]) -> None:
    response = http.put(url, data=content, headers=headers, timeout=REQUEST_TIMEOUT)
    response.raise_for_status()
