"""One base URI under examination: what every examination has at hand.

Knows the scratch objects by name, and how they are asked for through signed URLs.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Generic, TypeVar

from dserver_signed_url_plugin.config import Settings
from dserver_signed_url_plugin.doctor import http
from dserver_signed_url_plugin.doctor.probe import Probe
from dserver_signed_url_plugin.doctor.terms import Terms
from dserver_signed_url_plugin.storage.values import SignedRequest

PINNED = b"what was announced\n"
OTHER = b"something else\n"

StoreT_co = TypeVar("StoreT_co", bound=Probe, covariant=True)


@dataclass(frozen=True)
class Subject:
    """An object to read; ``content`` is None where the doctor did not write it."""

    key: str
    content: bytes | None


@dataclass
class CheckContext(Generic[StoreT_co]):
    """The name of the bucket or account, its storage and the words for it, and what was asked for.

    ``proved`` are the names of the examinations that succeeded.
    """

    name: str
    store: StoreT_co
    words: Terms
    settings: Settings
    origin: str | None = None
    subject: Subject | None = None
    proved: set[str] = field(default_factory=set)
    client: http.Client = field(default_factory=http.Client)

    def key(self, name: str) -> str:
        """Return the key of a scratch object."""
        return self.store.scratch + name

    def put(self, request: SignedRequest, content: bytes) -> http.StoreResponse:
        """PUT as is signed, and with the headers that go with it."""
        return self.client.ask("PUT", request.url, content, request.headers)

    def read(
        self, method: str = "GET", ago: int = 0, headers: Mapping[str, str] | None = None
    ) -> http.StoreResponse:
        """Read the subject through a URL that was signed so many seconds ago."""
        url = self.store.read_url(self.subject_key, method, ago)
        return self.client.ask(method, url, None, headers)

    @property
    def subject_key(self) -> str:
        """The key to read; one where nothing is, if there is nothing to read."""
        return self.key("absent") if self.subject is None else self.subject.key
