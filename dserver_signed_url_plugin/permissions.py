"""Who may do what: (username, URI) → a permit, or PermissionDenied.

A permit is a value that services ask for, so that no check can be forgotten. Knows dserver's
permissions; never sees a request.
"""

from __future__ import annotations

from dataclasses import dataclass

from dservercore import utils_auth

from dserver_signed_url_plugin.errors import PermissionDenied
from dserver_signed_url_plugin.uris import BaseURI


@dataclass(frozen=True)
class ReadPermit:
    """This person may read the datasets of this base URI."""

    username: str
    base_uri: BaseURI


@dataclass(frozen=True)
class UploadPermit:
    """This person may deposit datasets at this base URI."""

    username: str
    base_uri: BaseURI
    is_admin: bool

    @property
    def is_operators(self) -> bool:
        """Whether it is for whoever has dserver's own shell, who has no name here."""
        return not self.username

    def may_act_for(self, uploader: str) -> bool:
        """Tell whether an upload that uploader began is this person's to go on with."""
        return self.is_admin or self.username == uploader


def permit_read(username: str, base_uri: BaseURI) -> ReadPermit:
    """Permit what needs *search* permission.

    :raises PermissionDenied: also where dserver does not know the base URI or the person.
    """
    if not utils_auth.may_search(username, str(base_uri)):
        raise PermissionDenied(username, "search", base_uri)
    return ReadPermit(username, base_uri)


def permit_upload(username: str, base_uri: BaseURI) -> UploadPermit:
    """Permit what needs *register* permission.

    :raises PermissionDenied: also where dserver does not know the base URI or the person.
    """
    if not utils_auth.may_register(username, str(base_uri)):
        raise PermissionDenied(username, "register", base_uri)
    return UploadPermit(username, base_uri, utils_auth.has_admin_rights(username))


def permit_completion(username: str, base_uri: BaseURI) -> UploadPermit:
    """Permit to finish an upload: *register* permission, or to be an admin.

    :raises PermissionDenied: also where dserver does not know the base URI or the person.
    """
    if utils_auth.has_admin_rights(username):
        return UploadPermit(username, base_uri, is_admin=True)
    return permit_upload(username, base_uri)


def permit_operator(base_uri: BaseURI) -> UploadPermit:
    """Permit what whoever has dserver's own shell may do."""
    return UploadPermit("", base_uri, is_admin=True)


def permit_operator_read(base_uri: BaseURI) -> ReadPermit:
    """Permit to read what whoever has dserver's own shell may."""
    return ReadPermit("", base_uri)
