"""The walkthrough of the demo: deposit, find and download a dataset, and see what is refused.

Acts as users who have a token and nothing else: every step is an HTTP request to dserver or to the
store. Prints no signature and no token.
"""

from __future__ import annotations

import hashlib
import re
import secrets
import time
from collections.abc import Callable, Iterator
from datetime import datetime, timedelta, timezone
from urllib.parse import quote, urlsplit
from uuid import uuid4

import requests

from dserver_signed_url_plugin.demo.depositing import (
    REQUEST_TIMEOUT,
    Json,
    LocalDataset,
    session,
)
from dserver_signed_url_plugin.demo.info import DemoInfo
from dserver_signed_url_plugin.demo.processes import POLL_SECONDS, never

MAX_EXPIRY_WAIT = timedelta(seconds=15)
# The query parameter of the signature, in S3 and in Azure.
SIGNATURE = re.compile(r"(\bX-Amz-Signature=|\bsig=)")


class StepFailed(Exception):
    """A step of the walkthrough had another result than expected."""


def generated(word: str) -> LocalDataset:
    """Return the dataset that alice deposits, which no other run has: its README has the word."""
    files = {
        "heights.csv": b"day,mm\n1,2\n2,5\n3,11\n",
        # Characters that have to be encoded in URLs.
        "Notizen/Größe über Zeit.txt": "Täglich um 9 Uhr gemessen.\n".encode(),
        "images/day 3.raw": secrets.token_bytes(20_000),
    }
    readme = f"---\ndescription: Growth of {word} at 22 °C\n".encode()
    return LocalDataset(str(uuid4()), f"growth-of-{word}", readme, files)


class Walkthrough:
    """One run of all steps against a running demo."""

    def __init__(self, info: DemoInfo) -> None:
        self.info = info
        self.word = f"cress{secrets.token_hex(4)}"
        self.local = generated(self.word)
        self.uri = f"{info['base_uri']}/{self.local.uuid}"
        self._http = session()
        self._upload: Json = {}
        self._share: Json = {}
        self._urls: Json = {}

    def run(self, echo: Callable[[str], None], stop_requested: Callable[[], bool] = never) -> bool:
        """Run the steps in order, with a line for each; return whether all of them succeeded."""
        with self._http:
            for title, step in self._steps():
                if stop_requested():
                    return False
                try:
                    echo(f"✓ {title}: {step()}")
                except StepFailed as reason:
                    echo(f"✗ {title}: {reason}")
                    return False
                except (requests.RequestException, KeyError, ValueError, TypeError) as error:
                    # The message of the error may contain a signed URL.
                    echo(f"✗ {title}: no valid response ({type(error).__name__}).")
                    return False
        return True

    def example_urls(self) -> tuple[str, str]:
        """Return the URLs of two routes of dserver: the dataset, and one of its text files."""
        uri = quote(self.uri, safe="")
        routes = f"{self.info['base_url']}/signed-urls"
        return f"{routes}/dataset/{uri}", f"{routes}/item/{uri}/{_identifier('heights.csv')}"

    def _steps(self) -> Iterator[tuple[str, Callable[[], str]]]:
        yield "alice begins an upload", self._begin_upload
        yield "alice uploads three files to the store", self._put_items
        yield "alice uploads the README to the store", self._put_readme
        yield "alice completes the upload", self._complete
        yield "bob searches for the dataset", self._search
        yield "bob requests signed URLs", self._request_urls
        yield "bob downloads the files", self._download_items
        yield "bob downloads the README", self._download_readme
        yield "alice shares the dataset by a link", self._create_share
        yield "a guest without an account downloads a file by it", self._download_by_link
        yield "the link leads nowhere once alice has revoked it", self._revoke_share
        yield "dserver refuses dave, who has no permission", self._refuse_dave
        yield "the store refuses a URL whose signature was changed", self._refuse_changed_signature
        yield "the store refuses a URL that was changed to another object", self._refuse_changed_key
        yield "the store refuses a URL that has expired", self._refuse_expired

    def _begin_upload(self) -> str:
        path = f"upload/{quote(self.info['base_uri'], safe='')}"
        self._upload = self._signed_urls("alice", "POST", path, self.local.announcement())
        _check_equal(self._upload["uri"], self.uri, "the response has another URI")
        relpaths = {item["relpath"] for item in self._upload["upload_urls"]["items"].values()}
        _check_equal(relpaths, set(self.local.files), "the response has other items")
        return f"{self.local.name}, {self.uri}"

    def _put_items(self) -> str:
        items = list(self._upload["upload_urls"]["items"].values())
        for item in items:
            content = self.local.files[item["relpath"]]
            response = self._store("PUT", item["url"], data=content, headers=item["headers"])
            _check_stored(response)
        return f"{len(items)} files, PUT {abbreviated(items[0]['url'])}"

    def _put_readme(self) -> str:
        url = self._upload["upload_urls"]["readme"]
        headers = {"Content-Type": "text/plain; charset=utf-8"}
        response = self._store("PUT", url, data=self.local.readme, headers=headers)
        _check_stored(response)
        return f"PUT {abbreviated(url)}"

    def _complete(self) -> str:
        completed = self._signed_urls("alice", "POST", "upload-complete", {"uri": self.uri})
        _check_equal(completed["status"], "registered", f"the status is {completed['status']!r}")
        return "sizes and MD5 sums verified, dataset frozen and registered"

    def _search(self) -> str:
        response = self._dserver("bob", "POST", "/uris", {"free_text": self.word})
        _check_status(response, 200)
        found = [dataset["uri"] for dataset in response.json()]
        _check_equal(found, [self.uri], f"found {len(found)} datasets instead of this one")
        return f'"{self.word}" finds {self.uri}'

    def _request_urls(self) -> str:
        self._urls = self._signed_urls("bob", "GET", f"dataset/{quote(self.uri, safe='')}")
        expected = {_identifier(relpath) for relpath in self.local.files}
        _check_equal(set(self._urls["item_urls"]), expected, "the response has other items")
        return f"{len(expected)} files, valid until {self._urls['expiry_timestamp']}"

    def _download_items(self) -> str:
        for relpath, content in self.local.files.items():
            response = self._store("GET", self._item_url(relpath))
            _check_status(response, 200)
            _check_equal(response.content, content, f"the content of {relpath} differs")
        return ", ".join(self.local.files) + ", all identical to alice's"

    def _download_readme(self) -> str:
        response = self._store("GET", self._urls["readme_url"])
        _check_status(response, 200)
        _check_equal(response.content, self.local.readme, "the content differs")
        return f"identical to alice's, GET {abbreviated(self._urls['readme_url'])}"

    def _create_share(self) -> str:
        path = f"/signed-urls/shares/{quote(self.uri, safe='')}"
        response = self._dserver("alice", "POST", path, {"expires_in": 600})
        _check_status(response, 201)
        self._share = dict(response.json())
        page = self._store("GET", self._share["link"], headers={"Accept": "text/html"})
        _check_status(page, 200)
        shown, _, _ = self._share["link"].rpartition("/")
        return f"valid until {self._share['expires_timestamp']}, GET {shown}/…"

    def _download_by_link(self) -> str:
        opened = self._store("GET", self._share["link"], headers={"Accept": "application/json"})
        _check_status(opened, 200)
        [item] = [
            each for each in opened.json()["items"].values() if each["relpath"] == "heights.csv"
        ]
        response = self._store("GET", item["url"])
        _check_status(response, 200)
        _check_equal(response.content, self.local.files["heights.csv"], "the content differs")
        _check_equal(len(response.history), 1, "dserver did not redirect to the store")
        return f"303, GET {abbreviated(response.url)}"

    def _revoke_share(self) -> str:
        revoked = self._dserver("alice", "DELETE", f"/signed-urls/shares/{self._share['id']}")
        _check_status(revoked, 200)
        response = self._store("GET", self._share["link"], headers={"Accept": "application/json"})
        _check_status(response, 410)
        return f"410, {response.json()['message']!r}"

    def _refuse_dave(self) -> str:
        path = f"/signed-urls/dataset/{quote(self.uri, safe='')}"
        response = self._dserver("dave", "GET", path)
        _check_status(response, 403)
        return f"403, {response.json()['message']!r}"

    def _refuse_changed_signature(self) -> str:
        url = self._item_url("heights.csv")
        before, name, signature = SIGNATURE.split(url)
        changed = "1" if signature.startswith("0") else "0"
        return self._refused_by_store(before + name + changed + signature[1:])

    def _refuse_changed_key(self) -> str:
        signed, other = _identifier("heights.csv"), _identifier("images/day 3.raw")
        return self._refused_by_store(self._item_url("heights.csv").replace(signed, other))

    def _refuse_expired(self) -> str:
        identifier = _identifier("heights.csv")
        path = f"item/{quote(self.uri, safe='')}/{identifier}?expiry_seconds=1"
        signed = self._signed_urls("bob", "GET", path)
        expiry = datetime.strptime(signed["expiry_timestamp"], "%Y-%m-%dT%H:%M:%S.%f%z")
        expired = expiry + timedelta(seconds=1)
        if expired > _now() + MAX_EXPIRY_WAIT:
            raise StepFailed("the URL is valid for longer than requested.")
        while _now() <= expired:
            time.sleep(POLL_SECONDS)
        return self._refused_by_store(signed["url"])

    def _refused_by_store(self, url: str) -> str:
        if url in self._urls["item_urls"].values():
            raise StepFailed("the URL was not changed.")
        response = self._store("GET", url)
        _check_status(response, 403)
        return f"403, GET {abbreviated(url)}"

    def _item_url(self, relpath: str) -> str:
        return str(self._urls["item_urls"][_identifier(relpath)])

    def _signed_urls(self, user: str, method: str, path: str, body: Json | None = None) -> Json:
        """Return the response of a route of this plugin, which must be 200."""
        response = self._dserver(user, method, f"/signed-urls/{path}", body)
        _check_status(response, 200)
        return dict(response.json())

    def _dserver(
        self, user: str, method: str, path: str, body: Json | None = None
    ) -> requests.Response:
        return self._http.request(
            method,
            self.info["base_url"] + path,
            json=body,
            headers={"Authorization": f"Bearer {self.info['tokens'][user]}"},
            timeout=REQUEST_TIMEOUT,
        )

    def _store(
        self,
        method: str,
        url: str,
        data: bytes | None = None,
        headers: dict[str, str] | None = None,
    ) -> requests.Response:
        return self._http.request(method, url, data=data, headers=headers, timeout=REQUEST_TIMEOUT)


def abbreviated(url: str) -> str:
    """Return a URL for display, with long path segments cut and without its query string."""
    parts = urlsplit(url)
    path = "/".join(word if len(word) < 16 else f"{word[:6]}…" for word in parts.path.split("/"))
    return f"{parts.scheme}://{parts.netloc}{path}" + ("?…" if parts.query else "")


def _identifier(relpath: str) -> str:
    """Return dtool's identifier of an item: the SHA-1 of its relpath, in hexadecimal."""
    return hashlib.sha1(relpath.encode(), usedforsecurity=False).hexdigest()


def _now() -> datetime:
    return datetime.now(timezone.utc)


def _check_equal(actual: object, expected: object, failure: str) -> None:
    if actual != expected:
        raise StepFailed(f"{failure}.")


def _check_stored(response: requests.Response) -> None:
    # S3 responds with 200 OK, Azure with 201 Created.
    _check_status(response, 200, 201)


def _check_status(response: requests.Response, *expected: int) -> None:
    if response.status_code in expected:
        return
    try:
        message = f" {response.json().get('message', '')!r}"
    except (ValueError, AttributeError):
        message = ""
    raise StepFailed(f"status {response.status_code} instead of {expected[0]}.{message}")
