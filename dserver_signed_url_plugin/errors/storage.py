"""Stores that are away, refuse, or cannot do what they are asked for."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

from dserver_signed_url_plugin.errors.base import SignedURLError


@dataclass(eq=False)
class SigningUnsupported(SignedURLError):
    """The storage of this base URI cannot make signed URLs."""

    status, slug = 501, "signing-unsupported"
    sentence = "{self.storage} cannot make signed URLs: {self.reason}."

    storage: str
    reason: str


@dataclass(eq=False)
class DiscardUnsupported(SignedURLError):
    """The storage of this base URI cannot delete a dataset or a proto-dataset."""

    status, slug = 501, "discard-unsupported"
    sentence = "{self.storage} cannot delete datasets; delete {self.uri} by the means of its store."

    storage: str
    uri: object


@dataclass(eq=False)
class StorageUnavailable(SignedURLError):
    """The store refused the server, or its answer cannot be used.

    :param retry_after: in seconds; None where it is not known to pass by itself.
    """

    status, slug = 502, "storage-unavailable"
    PAUSE: ClassVar[int] = 30  # seconds, for what passes by itself
    sentence = "{self.storage} {self.problem}; {self.advice}."

    storage: str
    problem: str
    retry_after: int | None = None

    @property
    def advice(self) -> str:
        """What the caller can do."""
        ask = "ask the server's administrator"
        return f"call again in {self.retry_after} s, or {ask}" if self.retry_after else ask


class StorageMisconfigured(StorageUnavailable):
    """The server's settings for a store are missing, wrong or outdated."""

    slug = "storage-misconfigured"
    sentence = "{self.storage} {self.problem}. The server's administrator can fix that."


@dataclass(eq=False)
class StorageAway(StorageUnavailable):
    """The store does not answer at the moment."""

    slug = "storage-away"
    sentence = "{self.storage} {self.problem}; call again in {self.retry_after} s."

    retry_after: int = 5


@dataclass(eq=False)
class DeletionPending(StorageUnavailable):
    """The store is still deleting what it held under this UUID."""

    slug = "deletion-pending"
    sentence = "{self.storage} {self.problem}; call again in {self.retry_after} s."

    retry_after: int = 30


@dataclass(eq=False)
class AssemblyPending(StorageUnavailable):
    """The store is still assembling an item of its parts."""

    slug = "assembly-pending"
    sentence = "{self.storage} {self.problem}; call again in {self.retry_after} s."

    retry_after: int = 30


@dataclass(eq=False)
class LifecycleUnsupported(SignedURLError):
    """The store has no lifecycle rules, or none that the server can reach."""

    status, slug = 501, "lifecycle-unsupported"
    sentence = "{self.advice}, and let `flask lifecycle sweep` follow."

    advice: str


@dataclass(eq=False)
class LifecycleUnsettled(SignedURLError):
    """The store's lifecycle rules are not, or do not stay, as they were written."""

    status, slug = 409, "lifecycle-unsettled"
    sentence = "{self.problem}"

    problem: str


@dataclass(eq=False)
class DatasetsAtStake(SignedURLError):
    """Registered datasets would be deleted or forgotten without confirmation."""

    status, slug = 409, "datasets-at-stake"
    sentence = "{self.number:,} registered dataset(s) of {self.base_uri} {self.danger}"

    number: int
    base_uri: object
    danger: str

    @property
    def details(self) -> Mapping[str, Any]:
        return {"registered_datasets": self.number}
