"""What can go wrong, each with a sentence for the person and an exit code for scripts.

Exit codes: 1 something failed, 2 wrong use (as click's), 3 not logged in or the token has expired,
4 no permission, 5 not found, 6 a conflict on the server or with local files, 7 dserver or the store
cannot be reached or fails (try again), 8 bytes that differ from what was announced, 130 interrupted
(the same command resumes).
"""

from __future__ import annotations


class ClientError(Exception):
    """Base of all errors that this package raises on purpose.

    ``str(error)`` is a sentence for the person; it never holds a token or a signed URL.
    """

    exit_code = 1
    # A word for programs, in the output of --json; the server's own slug for its refusals.
    slug = "failed"
    # X-Request-ID of the answer, by which operators of dserver find it in their log.
    request_id: str | None = None


class UsageError(ClientError):
    """A URI, a setting or an option that cannot be meant."""

    exit_code = 2
    slug = "usage"


class NotLoggedIn(ClientError):
    """No token, or one that has expired or that dserver does not accept."""

    exit_code = 3
    slug = "not-logged-in"


class Refused(ClientError):
    """An answer of dserver that repeating the same request does not change.

    ``facts`` is the answer's ``errors`` without the slug. Where dserver gives no slug, it is
    ``http-<status>``.
    """

    def __init__(self, message: str, status: int, slug: str, facts: dict[str, object]) -> None:
        super().__init__(message)
        self.status = status
        self.slug = slug
        self.facts = facts
        self.exit_code = {401: 3, 403: 4, 404: 5, 409: 6, 410: 5, 422: 2}.get(status, 1)


class Unavailable(ClientError):
    """dserver or the store cannot be reached, or went on failing after all retries."""

    exit_code = 7
    slug = "unavailable"


class StoreRefused(ClientError):
    """The store refused a signed URL, also one that was signed anew."""

    slug = "store-refused"


class NotSupported(ClientError):
    """Something that this dserver cannot do: it has no route for it."""

    slug = "not-supported"


class LocalFileError(ClientError):
    """A local file that cannot be read or written, or whose name cannot be used."""

    slug = "local-file"

    @classmethod
    def of(cls, error: OSError, path: object) -> LocalFileError:
        """Return what the operating system says of a file, as a sentence."""
        return cls(f"{path}: {reason_of(error)}.")


class UnusableNames(LocalFileError):
    """Names that a directory cannot hold. ``items`` maps relpaths to what is wrong with each."""

    slug = "unusable-names"

    def __init__(self, message: str, items: dict[str, str]) -> None:
        super().__init__(message)
        self.items = items


class FilesExist(LocalFileError):
    """Files that are there, with another content. ``items`` maps relpaths to what they are.

    ``replaceable`` is whether overwriting replaces them; it does not replace directories.
    """

    exit_code = 6
    slug = "files-exist"

    def __init__(self, message: str, items: dict[str, str], *, replaceable: bool = False) -> None:
        super().__init__(message)
        self.items = items
        self.replaceable = replaceable


class FileChanged(LocalFileError):
    """A file that changed while it was sent."""

    exit_code = 8
    slug = "file-changed"


class VerificationFailed(ClientError):
    """Bytes that differ from the manifest.

    ``items`` maps relpaths to what differs; ``facts`` has counts, if a whole dataset was compared.
    """

    exit_code = 8
    slug = "verification-failed"

    def __init__(
        self, message: str, items: dict[str, str], facts: dict[str, object] | None = None
    ) -> None:
        super().__init__(message)
        self.items = items
        self.facts = facts or {}


class DepositRunning(ClientError):
    """Another command deposits the same source at this moment."""

    exit_code = 6
    slug = "deposit-running"


class DepositChanged(ClientError):
    """Files or a description that are not what an unfinished deposit was begun with."""

    exit_code = 6
    slug = "deposit-changed"


class DepositDiffers(ClientError):
    """A dataset that is registered, and is not what is to be deposited."""

    exit_code = 6
    slug = "deposit-differs"


def reason_of(error: OSError) -> str:
    """Return what the operating system says of an error, as the end of a sentence."""
    reason = error.strerror or str(error)
    return f"{reason[:1].lower()}{reason[1:]}"
