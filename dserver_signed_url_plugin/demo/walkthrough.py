"""The story of the demo: deposit, find, download, and everything that must be refused.

Plays people who hold a token and nothing else. Knows HTTP and WIRE's words; never touches the
database, the store's keys or dserver's code. Prints no signature and no token.
"""

from __future__ import annotations

import hashlib
import re
import secrets
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import datetime, timedelta, timezone
from typing import Any
from urllib.parse import quote, urlsplit
from uuid import uuid4

import requests

from dserver_signed_url_plugin.demo.info import DemoInfo
from dserver_signed_url_plugin.demo.processes import POLL_SECONDS, never

SECONDS_PER_REQUEST = 60
LONGEST_WAIT = timedelta(seconds=15)
# As S3 and as Azure call it.
SIGNATURE = re.compile(r"(\bX-Amz-Signature=|\bsig=)")

Json = dict[str, Any]


class StepFailed(Exception):
    """A step of the story did not go as it must."""


@dataclass
class DepositedFiles:
    """What alice has on her disk."""

    word: str = field(default_factory=lambda: f"kresse{secrets.token_hex(4)}")
    uuid: str = field(default_factory=lambda: str(uuid4()))
    image: bytes = field(default_factory=lambda: secrets.token_bytes(20_000))

    @property
    def name(self) -> str:
        return f"growth-of-{self.word}"

    @property
    def readme(self) -> bytes:
        return f"---\ndescription: Growth of {self.word} at 22 °C\n".encode()

    @property
    def files(self) -> dict[str, bytes]:
        return {
            "heights.csv": b"day,mm\n1,2\n2,5\n3,11\n",
            "Notizen/Größe über Zeit.txt": "Täglich um 9 Uhr gemessen.\n".encode(),
            "images/day 3.raw": self.image,
        }

    def announcement(self) -> Json:
        """Return the body that opens the upload: all that pins each URL to its bytes."""
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


class Walkthrough:
    """One telling, against a running demo."""

    def __init__(self, info: DemoInfo) -> None:
        self.info = info
        self.deposit = DepositedFiles()
        self.uri = f"{info['base_uri']}/{self.deposit.uuid}"
        self._http = requests.Session()
        # Neither ~/.netrc nor a proxy may put itself between a person and the demo.
        self._http.trust_env = False
        self._upload: Json = {}
        self._urls: Json = {}

    def tell(
        self, say: Callable[[str], None] = print, stop_requested: Callable[[], bool] = never
    ) -> bool:
        """Say one line per step; return whether every step held."""
        with self._http:
            for title, step in self._steps():
                if stop_requested():
                    return False
                try:
                    say(f"✓ {title}: {step()}")
                except StepFailed as reason:
                    say(f"✗ {title}: {reason}")
                    return False
                except (requests.RequestException, KeyError, ValueError, TypeError) as surprise:
                    # Their words may hold a whole URL, signature included.
                    say(f"✗ {title}: unexpected answer or none ({type(surprise).__name__}).")
                    return False
        return True

    def _steps(self) -> Iterator[tuple[str, Callable[[], str]]]:
        yield "alice announces a dataset", self._announce
        yield "alice puts three files into the store", self._put_items
        yield "alice puts the README into the store", self._put_readme
        yield "alice completes the dataset", self._complete
        yield "bob finds it", self._find
        yield "bob asks for signed URLs", self._ask
        yield "bob downloads the files", self._download_items
        yield "bob downloads the README", self._download_readme
        yield "dave, who may nothing, is refused by dserver", self._refuse_dave
        yield "the store refuses a changed signature", self._refuse_changed_signature
        yield "the store refuses the signature of another object", self._refuse_changed_key
        yield "the store refuses an expired URL", self._refuse_expired

    def _announce(self) -> str:
        path = f"upload/{quote(self.info['base_uri'], safe='')}"
        self._upload = self._ask_dserver("alice", "POST", path, self.deposit.announcement())
        _check(self._upload["uri"] == self.uri, "dserver answered with another URI")
        announced = {item["relpath"] for item in self._upload["upload_urls"]["items"].values()}
        _check(announced == set(self.deposit.files), "dserver answered with other items")
        return f"{self.deposit.name}, {self.uri}"

    def _put_items(self) -> str:
        files = self.deposit.files
        items = list(self._upload["upload_urls"]["items"].values())
        for item in items:
            content = files[item["relpath"]]
            answer = self._store("PUT", item["url"], data=content, headers=item["headers"])
            _check_stored(answer)
        return f"{len(items)} times {answer.status_code}, PUT {shortened(items[0]['url'])}"

    def _put_readme(self) -> str:
        url = self._upload["upload_urls"]["readme"]
        headers = {"Content-Type": "text/plain; charset=utf-8"}
        _check_stored(self._store("PUT", url, data=self.deposit.readme, headers=headers))
        return f"PUT {shortened(url)}"

    def _complete(self) -> str:
        answer = self._ask_dserver("alice", "POST", "upload-complete", {"uri": self.uri})
        _check(answer["status"] == "registered", f"status is {answer['status']!r}")
        return "every size and MD5 agrees; frozen and registered"

    def _find(self) -> str:
        answer = self._dserver("bob", "POST", "/uris", {"free_text": self.deposit.word})
        _check_status(answer, 200)
        found = [dataset["uri"] for dataset in answer.json()]
        _check(found == [self.uri], f"found {len(found)} datasets instead of this one")
        return f'searching for "{self.deposit.word}"'

    def _ask(self) -> str:
        self._urls = self._ask_dserver("bob", "GET", f"dataset/{quote(self.uri, safe='')}")
        expected = {_identifier(relpath) for relpath in self.deposit.files}
        _check(set(self._urls["item_urls"]) == expected, "the items are others")
        return f"{len(expected)} files, valid until {self._urls['expiry_timestamp']}"

    def _download_items(self) -> str:
        for relpath, content in self.deposit.files.items():
            answer = self._store("GET", self._item_url(relpath))
            _check_status(answer, 200)
            _check(answer.content == content, f"the bytes of {relpath} differ")
        return "every byte of " + ", ".join(self.deposit.files) + " is equal"

    def _download_readme(self) -> str:
        answer = self._store("GET", self._urls["readme_url"])
        _check_status(answer, 200)
        _check(answer.content == self.deposit.readme, "the bytes differ")
        return f"equal, GET {shortened(self._urls['readme_url'])}"

    def _refuse_dave(self) -> str:
        path = f"/signed-urls/dataset/{quote(self.uri, safe='')}"
        answer = self._dserver("dave", "GET", path)
        _check_status(answer, 403)
        return f"403, {answer.json()['message']!r}"

    def _refuse_changed_signature(self) -> str:
        url = self._item_url("heights.csv")
        before, name, signature = SIGNATURE.split(url)
        changed = "1" if signature.startswith("0") else "0"
        return self._refused_by_store(before + name + changed + signature[1:])

    def _refuse_changed_key(self) -> str:
        mine, other = "heights.csv", "images/day 3.raw"
        url = self._item_url(mine)
        return self._refused_by_store(url.replace(_identifier(mine), _identifier(other)))

    def _refuse_expired(self) -> str:
        identifier = _identifier("heights.csv")
        path = f"item/{quote(self.uri, safe='')}/{identifier}?expiry_seconds=1"
        answer = self._ask_dserver("bob", "GET", path)
        expiry = datetime.strptime(answer["expiry_timestamp"], "%Y-%m-%dT%H:%M:%S.%f%z")
        dead = expiry + timedelta(seconds=1)
        _check(dead < _now() + LONGEST_WAIT, "dserver granted more than the second asked for")
        while _now() <= dead:
            time.sleep(POLL_SECONDS)
        return self._refused_by_store(answer["url"])

    def _refused_by_store(self, url: str) -> str:
        _check(url not in self._urls["item_urls"].values(), "the URL was not changed")
        answer = self._store("GET", url)
        _check_status(answer, 403)
        return f"403, GET {shortened(url)}"

    def continuation(self) -> tuple[str, str]:
        """Return dserver's addresses of the dataset and of its file that a terminal can show."""
        uri = quote(self.uri, safe="")
        routes = f"{self.info['base_url']}/signed-urls"
        return f"{routes}/dataset/{uri}", f"{routes}/item/{uri}/{_identifier('heights.csv')}"

    def _item_url(self, relpath: str) -> str:
        return str(self._urls["item_urls"][_identifier(relpath)])

    def _ask_dserver(self, person: str, method: str, path: str, body: Json | None = None) -> Json:
        answer = self._dserver(person, method, f"/signed-urls/{path}", body)
        _check_status(answer, 200)
        return dict(answer.json())

    def _dserver(
        self, person: str, method: str, path: str, body: Json | None = None
    ) -> requests.Response:
        return self._http.request(
            method,
            self.info["base_url"] + path,
            json=body,
            headers={"Authorization": f"Bearer {self.info['tokens'][person]}"},
            timeout=SECONDS_PER_REQUEST,
        )

    def _store(
        self,
        method: str,
        url: str,
        data: bytes | None = None,
        headers: dict[str, str] | None = None,
    ) -> requests.Response:
        return self._http.request(
            method, url, data=data, headers=headers, timeout=SECONDS_PER_REQUEST
        )


def run(info: DemoInfo) -> bool:
    """Tell the story; return whether every step held."""
    return Walkthrough(info).tell()


def shortened(url: str) -> str:
    """Return a URL that is recognisable, and useless to whoever reads over a shoulder."""
    parts = urlsplit(url)
    path = "/".join(word if len(word) < 16 else f"{word[:6]}…" for word in parts.path.split("/"))
    return f"{parts.scheme}://{parts.netloc}{path}" + ("?…" if parts.query else "")


def _identifier(relpath: str) -> str:
    """Return dtool's name for an item."""
    return hashlib.sha1(relpath.encode(), usedforsecurity=False).hexdigest()


def _now() -> datetime:
    return datetime.now(timezone.utc)


def _check(holds: bool, otherwise: str) -> None:
    if not holds:
        raise StepFailed(f"{otherwise}.")


def _check_stored(answer: requests.Response) -> None:
    # S3 says that all went well, Azure that something new exists.
    _check_status(answer, 200, 201)


def _check_status(answer: requests.Response, *expected: int) -> None:
    if answer.status_code in expected:
        return
    try:
        message = f" {answer.json().get('message', '')!r}"
    except (ValueError, AttributeError):
        message = ""
    raise StepFailed(f"answered {answer.status_code} instead of {expected[0]}.{message}")
