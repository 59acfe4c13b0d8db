"""Permits: values that state what a user may do at a base URI, by dserver's permissions.

Services take a permit instead of a user name, so the check cannot be forgotten.
"""

from __future__ import annotations

from dataclasses import dataclass

from dservercore import sql_db, utils_auth
from dservercore.sql_models import BaseURI as KnownBaseURI
from dservercore.sql_models import User, search_permissions

from dserver_signed_url_plugin.errors import PermissionDenied
from dserver_signed_url_plugin.uris import BaseURI

_users, _base_uris = User.__table__.c, KnownBaseURI.__table__.c
# As dservercore.utils_auth.may_search, which sends three queries. Of tables, because objects of
# models would take twice as long.
_MAY_SEARCH = (
    sql_db.select(sql_db.literal(1))
    .select_from(
        search_permissions.join(User.__table__, _users.id == search_permissions.c.user_id).join(
            KnownBaseURI.__table__, _base_uris.id == search_permissions.c.base_uri_id
        )
    )
    .where(_users.username == sql_db.bindparam("username"))
    .where(_base_uris.base_uri == sql_db.bindparam("base_uri"))
)


@dataclass(frozen=True)
class ReadPermit:
    """Permission to read the datasets of a base URI."""

    username: str
    base_uri: BaseURI


@dataclass(frozen=True)
class UploadPermit:
    """Permission to upload datasets to a base URI."""

    username: str
    base_uri: BaseURI
    is_admin: bool

    @property
    def is_operator(self) -> bool:
        """Whether the user is an operator at the command line, who has no user name."""
        return not self.username

    def may_act_for(self, uploader: str) -> bool:
        """Return whether the user may continue or cancel an upload of ``uploader``."""
        return self.is_admin or self.username == uploader


def permit_read(username: str, base_uri: BaseURI) -> ReadPermit:
    """Return a permit to read, which requires *search* permission.

    :raises PermissionDenied: also if dserver does not know the base URI or the user.
    """
    wanted = {"username": username, "base_uri": str(base_uri)}
    if not sql_db.session.scalar(_MAY_SEARCH, wanted):
        raise PermissionDenied(username, "search", base_uri)
    return ReadPermit(username, base_uri)


def permit_upload(username: str, base_uri: BaseURI) -> UploadPermit:
    """Return a permit to upload, which requires *register* permission.

    :raises PermissionDenied: also if dserver does not know the base URI or the user.
    """
    if not utils_auth.may_register(username, str(base_uri)):
        raise PermissionDenied(username, "register", base_uri)
    return UploadPermit(username, base_uri, utils_auth.has_admin_rights(username))


def permit_completion(username: str, base_uri: BaseURI) -> UploadPermit:
    """Return a permit to complete or cancel uploads: for admins, also without permission.

    :raises PermissionDenied: also if dserver does not know the base URI or the user.
    """
    if utils_auth.has_admin_rights(username):
        return UploadPermit(username, base_uri, is_admin=True)
    return permit_upload(username, base_uri)


def is_admin(username: str) -> bool:
    """Return whether a user is an administrator of dserver."""
    return bool(utils_auth.has_admin_rights(username))


def permit_operator(base_uri: BaseURI) -> UploadPermit:
    """Return a permit to upload for the operator at the command line."""
    return UploadPermit("", base_uri, is_admin=True)


def permit_operator_read(base_uri: BaseURI) -> ReadPermit:
    """Return a permit to read for the operator at the command line."""
    return ReadPermit("", base_uri)
