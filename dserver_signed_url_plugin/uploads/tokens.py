"""Tokens of uploads, by which whoever announced an upload may go on with it.

A token stands for its user on the routes of one upload. It is signed and not kept; with the row of
the upload, or with the last of its URLs, it ends.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from datetime import datetime, timezone

from itsdangerous import BadData, URLSafeSerializer

from dserver_signed_url_plugin.errors import UploadTokenRefused
from dserver_signed_url_plugin.uploads import repository
from dserver_signed_url_plugin.uploads.models import PendingUpload
from dserver_signed_url_plugin.uris import DatasetURI

_SALT = "dserver-signed-url-plugin.upload-token"


@dataclass(frozen=True)
class TokenHolder:
    """For whom a token stands, and on which upload."""

    username: str
    uri: DatasetURI


class UploadTokens:
    """Makes and checks tokens of uploads.

    :param key: dserver's SECRET_KEY, or None if it has none: then there are no tokens.
    """

    def __init__(self, key: str | bytes | None) -> None:
        settings = {"key_derivation": "hmac", "digest_method": hashlib.sha256}
        self._serializer = (
            None if key is None else URLSafeSerializer(key, _SALT, signer_kwargs=settings)
        )

    def make(self, upload: PendingUpload, username: str, ends: datetime) -> str | None:
        """Return a token, or None if this server makes none.

        :param ends: when the URLs end that are granted with it (UTC).
        """
        if self._serializer is None or not username:
            return None
        # Another upload of the same UUID has other staged objects.
        facts = [upload.uri_text, upload.staging, username, int(ends.timestamp())]
        return str(self._serializer.dumps(facts))

    def check(self, token: str) -> TokenHolder:
        """Return for whom a token stands.

        While URLs of its upload work that were granted later, the token does, too. When the upload
        has become a dataset, it works as long as its own URLs would have.

        :raises UploadTokenRefused: if it was not made here, has ended, or is of another upload.
        """
        if self._serializer is None:
            raise UploadTokenRefused("cannot be checked by this server")
        try:
            text, staging, username, seconds = self._serializer.loads(token)
        except BadData as error:
            raise UploadTokenRefused from error
        uri, ends = DatasetURI.parse(text), datetime.fromtimestamp(seconds, timezone.utc)
        upload = repository.find(uri.uuid)
        if upload is not None:
            if upload.staging != staging:
                raise UploadTokenRefused("is of an upload that was cancelled")
            ends = max(ends, upload.urls_expire_at_utc or ends)
        if ends <= datetime.now(timezone.utc):
            raise UploadTokenRefused("has expired")
        return TokenHolder(username, uri)
