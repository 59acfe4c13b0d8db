"""One base URI under examination: what every examination has at hand.

Knows the scratch objects by name, and how they are asked for through signed URLs.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from dserver_signed_url_plugin.config import Settings
from dserver_signed_url_plugin.doctor import http
from dserver_signed_url_plugin.storage.examination import Examination

PINNED = b"what was announced\n"
OTHER = b"something else\n"


@dataclass(frozen=True)
class Subject:
    """An object to read; ``content`` is None where the doctor did not write it."""

    key: str
    content: bytes | None


@dataclass
class Case:
    """The storage, the settings and the web page's origin, if one was named."""

    store: Examination
    settings: Settings
    origin: str | None = None
    subject: Subject | None = None
    client: http.Client = field(default_factory=http.Client)

    def key(self, name: str) -> str:
        """Return the key of a scratch object."""
        return self.store.scratch + name

    def put(
        self,
        name: str,
        content: bytes,
        signed: Mapping[str, str] | None = None,
        sent: Mapping[str, str] | None = None,
    ) -> http.Answer:
        """PUT to a URL that signs some headers; send these, or others."""
        url = self.store.sign("PUT", self.key(name), signed)
        return self.client.ask("PUT", url, content, signed if sent is None else sent)

    def read(
        self, method: str = "GET", ago: int = 0, headers: Mapping[str, str] | None = None
    ) -> http.Answer:
        """Read the subject through a URL that was signed so many seconds ago."""
        return self.client.ask(
            method, self.store.sign(method, self.subject_key, ago=ago), None, headers
        )

    @property
    def subject_key(self) -> str:
        """The key to read; one where nothing is, if there is nothing to read."""
        return self.key("absent") if self.subject is None else self.subject.key
