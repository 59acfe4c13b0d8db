"""S3: signing, listing, promoting and freezing on dtool-s3's key layout."""

from dserver_signed_url_plugin.storage.s3.storage import s3_storage

__all__ = ["s3_storage"]
