"""What every check of one base URI works with: its probe, settings, scratch objects and client."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Generic, TypeVar

from dserver_signed_url_plugin.config import Settings
from dserver_signed_url_plugin.doctor import http
from dserver_signed_url_plugin.doctor.probe import Probe
from dserver_signed_url_plugin.doctor.terms import Terms
from dserver_signed_url_plugin.storage.values import SignedRequest

ANNOUNCED = b"what was announced\n"
OTHER = b"something else\n"

StoreT_co = TypeVar("StoreT_co", bound=Probe, covariant=True)


@dataclass(frozen=True)
class Sample:
    """An object to read; ``content`` is None where the doctor did not write it."""

    key: str
    content: bytes | None


@dataclass
class CheckContext(Generic[StoreT_co]):
    """One run of the doctor.

    ``name`` is the bucket or account, ``origin`` the web page to test CORS for, ``passed`` the
    names of the checks that have passed so far.
    """

    name: str
    probe: StoreT_co
    terms: Terms
    settings: Settings
    origin: str | None = None
    sample: Sample | None = None
    passed: set[str] = field(default_factory=set)
    client: http.Client = field(default_factory=http.Client)

    def key(self, name: str) -> str:
        """Return the key of a scratch object."""
        return self.probe.scratch + name

    def put(self, request: SignedRequest, content: bytes) -> http.StoreResponse:
        """PUT to a signed URL, with its headers."""
        return self.client.send("PUT", request.url, content, request.headers)

    def read(
        self, method: str = "GET", age: int = 0, headers: Mapping[str, str] | None = None
    ) -> http.StoreResponse:
        """Read the sample through a URL that was signed ``age`` seconds ago."""
        url = self.probe.read_url(self.sample_key, method, age)
        return self.client.send(method, url, None, headers)

    @property
    def sample_key(self) -> str:
        """The key of the sample; if there is none, a key that does not exist."""
        return self.key("absent") if self.sample is None else self.sample.key
