"""People who deposit through one address, whatever happens to the servers behind it."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import requests
from dserver_client.client import Client
from dserver_client.errors import ClientError

from tests.support.clients import README, Deposit, DtoolDserver
from tests.support.dserver import encoded

SECONDS = 90
ATTEMPTS = 5
# Statuses of what passes by itself.
_PASSING = (502, 503, 504)

Act = Callable[[Deposit], None]


class GaveUp(Exception):
    """Somebody stopped at the first answer that was not what they wanted."""


@dataclass
class Answer:
    """An answer, with the names of Flask's test client."""

    status_code: int
    json: Any = None
    passes: bool = True


@dataclass
class Person:
    """Somebody who sends plain requests, and repeats them or gives up."""

    url: str
    token: str = field(repr=False)
    gives_up: bool = False

    def begin(self, base_uri: str, plan: Mapping[str, Any]) -> Answer:
        return self._post(f"upload/{encoded(base_uri)}", plan)

    def complete(self, uri: str) -> Answer:
        return self._post("upload-complete", {"uri": uri})

    def _post(self, path: str, body: Mapping[str, Any]) -> Answer:
        deadline = time.monotonic() + SECONDS
        while (answer := self._once(path, body)).passes:
            if self.gives_up or time.monotonic() > deadline:
                raise GaveUp(answer)
            # Less than Retry-After says, so that a deposit is registered as soon as it can be.
            time.sleep(0.25)
        return answer

    def _once(self, path: str, body: Mapping[str, Any]) -> Answer:
        headers = {"Authorization": f"Bearer {self.token}"}
        address = f"{self.url}/signed-urls/{path}"
        try:
            answer = requests.post(address, json=body, headers=headers, timeout=SECONDS)
        except requests.ConnectionError:
            return Answer(0)
        passes = answer.status_code in _PASSING or "Retry-After" in answer.headers
        is_json = answer.headers.get("Content-Type", "").startswith("application/json")
        return Answer(answer.status_code, answer.json() if is_json else answer.text, passes)


def plainly(client: DtoolDserver, person: Person, base_uri: str) -> Act:
    """Deposit with plain requests, as one of the public clients does.

    What an earlier attempt has begun, or even registered before its answer was lost, is resumed.
    """

    def act(deposit: Deposit) -> None:
        begun = person.begin(base_uri, client.plan(deposit))
        if begun.status_code == 200:
            client.put(begun.json, deposit)
        else:
            assert begun.json["errors"]["slug"] == "already-registered", begun
        completed = person.complete(f"{base_uri}/{deposit.uuid}")
        assert completed.status_code == 200, completed

    return act


def with_client(person: Person, base_uri: str, directory: Path) -> Act:
    """Deposit as ``dserver put`` does, and again if it gives up."""

    def act(deposit: Deposit) -> None:
        source = directory / deposit.uuid
        source.mkdir()
        for relpath, content in deposit.files.items():
            (source / relpath).write_bytes(content)
        for attempt in range(ATTEMPTS):
            with Client(person.url, person.token) as client:
                try:
                    made = client.deposit(source, base_uri, name="mine", readme=README)
                except ClientError:
                    if attempt == ATTEMPTS - 1:
                        raise
                else:
                    deposit.uuid = made.uuid
                    return

    return act
