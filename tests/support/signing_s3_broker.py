"""dtool-s3 as an operator might extend it: with the signing methods of the spec, made by boto3."""

from __future__ import annotations

import base64
from typing import Any

from dtool_s3.storagebroker import S3StorageBroker
from dtoolcore.utils import generate_identifier

# Every URL that was signed here.
SIGNED: set[str] = set()


class SigningS3Broker(S3StorageBroker):
    """Signs with what dtool-s3 itself writes and reads with."""

    def supports_signing(self) -> bool:
        return True

    def _sign(self, operation: str, key: str, seconds: int, **more: Any) -> str:
        parameters = {"Bucket": self.bucket, "Key": key, **more}
        url = self.s3client.generate_presigned_url(operation, parameters, seconds)
        SIGNED.add(url)
        return str(url)

    def generate_signed_read_url(self, key: str, expiry_seconds: int = 3600) -> str:
        return self._sign("get_object", key, expiry_seconds)

    def generate_signed_write_url(self, key: str, expiry_seconds: int = 3600) -> str:
        return self._sign("put_object", key, expiry_seconds)

    def generate_signed_item_write_url(
        self, relpath: str, md5: str, expiry_seconds: int = 3600
    ) -> tuple[str, dict[str, str]]:
        content_md5 = base64.b64encode(bytes.fromhex(md5)).decode()
        metadata = {"handle": base64.b64encode(relpath.encode()).decode(), "checksum": md5}
        key = self.data_key_prefix + generate_identifier(relpath)
        url = self._sign(
            "put_object", key, expiry_seconds, ContentMD5=content_md5, Metadata=metadata
        )
        headers = {f"x-amz-meta-{name}": value for name, value in metadata.items()}
        return url, {"Content-MD5": content_md5, **headers}

    def generate_dataset_signed_urls(self, expiry_seconds: int = 3600) -> dict[str, Any]:
        def sign(key: str) -> str:
            return self.generate_signed_read_url(key, expiry_seconds)

        return {
            "admin_metadata_url": sign(self.get_admin_metadata_key()),
            "manifest_url": sign(self.get_manifest_key()),
            "readme_url": sign(self.get_readme_key()),
            "item_urls": {
                name: sign(self.data_key_prefix + name) for name in self.get_manifest()["items"]
            },
            "tags": self.list_tags(),
        }
