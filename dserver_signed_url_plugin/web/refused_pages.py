"""What the page says to a person whose link, or one of whose files, cannot be shown."""

from __future__ import annotations

from http import HTTPStatus
from typing import NamedTuple

from dserver_signed_url_plugin.errors import (
    ItemArchived,
    ItemBeingRestored,
    ItemNotFound,
    ShareEnded,
    SignedURLError,
)
from dserver_signed_url_plugin.web import display

_ASK = "Ask the person who sent it to you for a new link."


class Words(NamedTuple):
    """A heading, what has happened, and what to do about it."""

    heading: str
    explanation: str
    advice: str


_ENDED = {
    "expired": Words("This link has expired", "It worked for a limited time, which is over.", _ASK),
    "revoked": Words(
        "This link was revoked", "The person who made it has ended it before its time.", _ASK
    ),
    "used-up": Words(
        "This link is used up",
        "It allowed a limited number of downloads, and all of them were made.",
        _ASK,
    ),
    "unavailable": Words(
        "These files are not available any more",
        "They were deleted, or the person who shared them may not read them any more.",
        "Ask the person who sent you the link whether they are kept somewhere else.",
    ),
}
_UNKNOWN_LINK = Words(
    "There is nothing behind this link",
    "Perhaps a part of it is missing: mail programs sometimes break long links into two lines.",
    "Copy the whole link into the address bar, or ask the person who sent it for a new one.",
)
_UNKNOWN_FILE = Words(
    "There is no such file",
    "The link works, but this file is not among those that it shares.",
    "Open the link without what comes after its last slash to see which files it has.",
)
_ARCHIVED = Words(
    "This file is in an archive",
    "The store has to restore it before anybody can download it, which takes hours.",
    "Ask the person who sent you the link to have it restored.",
)
_OUTLIVED = Words(
    "These files are about to be deleted",
    "A rule of the store may delete them at any moment, so they cannot be downloaded any more.",
    "Ask the person who sent you the link whether they are kept somewhere else.",
)
_BAD_REQUEST = Words(
    "This address cannot be used", "A part of it is not what the server expects.", ""
)


def words(error: SignedURLError) -> Words:
    """Return what a page says instead of an error's own message, which is meant for programs."""
    if isinstance(error, ShareEnded):
        return _ENDED[error.reason]
    if isinstance(error, ItemNotFound):
        return _UNKNOWN_FILE
    if isinstance(error, (ItemArchived, ItemBeingRestored)):
        return _ARCHIVED
    if error.status == HTTPStatus.TOO_MANY_REQUESTS:
        return Words(
            "Too many requests", "The server answers only so many at a time.", _wait(error)
        )
    if error.status >= HTTPStatus.INTERNAL_SERVER_ERROR:
        return Words(
            "The files cannot be reached now",
            "This is the server's fault, and not that of the link.",
            _wait(error),
        )
    return {HTTPStatus.NOT_FOUND: _UNKNOWN_LINK, HTTPStatus.GONE: _OUTLIVED}.get(
        HTTPStatus(error.status), _BAD_REQUEST
    )


def _wait(error: SignedURLError) -> str:
    """Return when to try again, in whole minutes."""
    minutes = -(-(error.retry_after or 60) // 60)
    return f"Try again in {display.duration(minutes * 60)}."
