"""S3: signing, listing, promoting and freezing on dtool-s3's key layout."""

from dserver_signed_url_plugin.storage.s3.storage import S3Storage

__all__ = ["S3Storage"]
