"""Requests that are refused: the caller, the rate, the route, a field, the body."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from dserver_signed_url_plugin.errors.base import SignedURLError


@dataclass(eq=False)
class NotAuthenticated(SignedURLError):
    """The request came without a valid token."""

    status, slug = 401, "not-authenticated"
    sentence = (
        "Your token {self.problem}; send a valid one in the header 'Authorization: Bearer <token>'."
    )

    problem: str = "is missing or not valid"


@dataclass(eq=False)
class UploadTokenRefused(NotAuthenticated):
    """The token of an upload is not valid, has expired, or is of another upload."""

    slug = "upload-token-refused"
    sentence = (
        "The token in the header Upload-Token {self.problem}; leave it out, and send "
        "'Authorization: Bearer <token>'."
    )

    problem: str = "is not valid"


@dataclass(eq=False)
class PermissionDenied(SignedURLError):
    """The caller lacks a permission on the base URI, or dserver does not know it."""

    status, slug = 403, "permission-denied"
    sentence = (
        "{self.username} has no {self.permission} permission on {self.base_uri}, or dserver does "
        "not know it; ask an administrator of this server."
    )

    username: str
    permission: str
    base_uri: object


@dataclass(eq=False)
class NotUploader(SignedURLError):
    """The upload belongs to another user."""

    status, slug = 403, "not-uploader"
    sentence = "Only the user who began this upload, or an admin, may {self.action} it."

    action: str


@dataclass(eq=False)
class TooManyRequests(SignedURLError):
    """A user or an address sent more requests than the rate limit allows."""

    status, slug = 429, "too-many-requests"
    sentence = (
        "{self.sender} sent more requests than this server takes (SIGNED_URL_RATE_LIMIT: "
        "{self.limit}); wait {self.retry_after} seconds."
    )

    sender: str
    limit: str
    retry_after: int = 1


class RouteNotFound(SignedURLError):
    """There is no such route."""

    status, slug = 404, "route-not-found"
    sentence = "There is no such route; dserver's OpenAPI document lists those that there are."


@dataclass(eq=False)
class MethodNotAllowed(SignedURLError):
    """The route exists, but not for this HTTP method."""

    status, slug = 405, "method-not-allowed"
    sentence = "This route does not take {self.method}; the Allow header lists what it takes."

    method: str


class RequestRefused(SignedURLError):
    """Flask, or another extension of dserver, refused the request; the status says how."""

    slug = "request-refused"
    sentence = "The request was refused: {self.reason}"

    def __init__(self, status: int, reason: str) -> None:
        super().__init__()
        self.status, self.reason = status, reason


@dataclass(eq=False)
class InvalidField(SignedURLError):
    """A field's value cannot be kept by dtool, dserver or the store (400), or is malformed (422).

    Malformed means missing, unknown, or of the wrong type.
    """

    slug = "invalid-field"
    sentence = "{self.field}: {self.reason}"

    field: str
    reason: str
    status: int = 400

    @property
    def details(self) -> Mapping[str, Any]:
        return {self.field: [self.reason]}


class LifetimeTooLong(InvalidField):
    """URLs or a share were requested for more seconds than the server grants."""

    status, slug = 422, "lifetime-too-long"

    def __init__(self, maximum: int, field: str = "expiry_seconds") -> None:
        super().__init__(field, f"must be at most {maximum} on this server.", 422)


@dataclass(eq=False)
class UnreadableBody(SignedURLError):
    """The request's body is not JSON that can be read.

    ``place`` is the field in which it stops to be JSON, or empty.
    """

    status, slug = 400, "unreadable-body"
    sentence = "The body cannot be read as JSON: {self.problem}"

    problem: str
    place: str = ""

    @property
    def details(self) -> Mapping[str, Any]:
        return {self.place: [self.problem]} if self.place else {}


@dataclass(eq=False)
class BodyTooLarge(SignedURLError):
    """The request's body is larger than the server reads."""

    status, slug = 413, "body-too-large"
    sentence = "The body is larger than the {self.limit} bytes that this server reads."

    limit: int


class LengthRequired(SignedURLError):
    """The request's body came without its length."""

    status, slug = 411, "length-required"
    sentence = "Send the body with a Content-Length, not in chunks."
