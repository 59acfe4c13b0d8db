"""The storage of one bucket, by capability."""

from __future__ import annotations

from dserver_signed_url_plugin.config import STAGED, Settings
from dserver_signed_url_plugin.storage.protocols import Storage
from dserver_signed_url_plugin.storage.s3.connection import S3Connection
from dserver_signed_url_plugin.storage.s3.parts import S3Parts
from dserver_signed_url_plugin.storage.s3.prefixes import DatasetPrefixes
from dserver_signed_url_plugin.storage.s3.reads import S3Reads
from dserver_signed_url_plugin.storage.s3.removal import S3Removal
from dserver_signed_url_plugin.storage.s3.uploads import S3Uploads
from dserver_signed_url_plugin.uris import BaseURI


def s3_storage(base_uri: BaseURI, settings: Settings) -> Storage:
    """Return the storage of a bucket.

    :raises StorageUnavailable: if it has no usable settings or credentials.
    """
    s3 = S3Connection(base_uri.location, settings)
    prefixes = DatasetPrefixes(s3)
    is_staged = settings.writes(base_uri.location) == STAGED
    uploads, removal = S3Uploads(s3, prefixes, stages_all=is_staged), S3Removal(s3, prefixes)
    return Storage(
        reads=S3Reads(s3, prefixes),
        uploads=uploads,
        staged_items=uploads,
        parts=S3Parts(s3, prefixes),
        discards=removal,
        inventory=removal,
    )
