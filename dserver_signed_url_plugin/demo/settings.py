"""The data directory of a demo: database, key pair, logs, and the settings of its dserver."""

from __future__ import annotations

import json
import secrets
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    PublicFormat,
    load_pem_private_key,
)
from sqlalchemy import URL

from dserver_signed_url_plugin.demo.info import write_private


@dataclass(frozen=True)
class DataDirectory:
    """The paths of everything that a demo keeps."""

    path: Path

    @classmethod
    def create(cls, path: Path) -> DataDirectory:
        """Create the directory unless it exists, accessible to its owner only."""
        path.mkdir(mode=0o700, parents=True, exist_ok=True)
        return cls(path.resolve())

    @property
    def objects(self) -> Path:
        """Where the local S3 store keeps its objects."""
        return self.path / "objects"

    @property
    def blobs(self) -> Path:
        """Where the local Azure store keeps its blobs."""
        return self.path / "blobs"

    @property
    def settings(self) -> Path:
        """Flask's settings: written at each start, and read by gunicorn's workers."""
        return self.path / "settings.json"

    @property
    def sample(self) -> Path:
        """What is known of the sample dataset and its share."""
        return self.path / "sample.json"

    @property
    def info(self) -> Path:
        """The default path of the info file."""
        return self.path / "info.json"

    def log(self, name: str) -> Path:
        """Create the log file of a child process, private to its owner, and return its path."""
        path = self.path / f"{name}.log"
        path.touch(mode=0o600)
        return path

    def write_settings(self, **more: Any) -> dict[str, Any]:
        """Write the settings file, and return its content.

        :param more: settings that differ from one start to the next.
        """
        private_key, public_key = self._key_pair()
        settings = {
            "SQLALCHEMY_DATABASE_URI": self._database(),
            "SECRET_KEY": secrets.token_hex(32),
            "JWT_ALGORITHM": "RS256",
            "JWT_PRIVATE_KEY": private_key,
            "JWT_PUBLIC_KEY": public_key,
            # The walkthrough shows permissions: no environment variable may turn them off.
            "DISABLE_JWT_AUTHORISATION": False,
            **more,
        }
        write_private(self.settings, json.dumps(settings))
        return settings

    def _database(self) -> str:
        url = URL.create("sqlite", database=str(self.path / "dserver.sqlite"))
        return url.render_as_string(hide_password=False)

    def _key_pair(self) -> tuple[str, str]:
        """Return the private and the public key in PEM format, generated at the first start."""
        path = self.path / "jwt_key.pem"
        if not path.exists():
            fresh = rsa.generate_private_key(public_exponent=65537, key_size=2048)
            pem = fresh.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
            write_private(path, pem.decode())
        private = path.read_bytes()
        public_key = load_pem_private_key(private, password=None).public_key()
        public = public_key.public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
        return private.decode(), public.decode()
