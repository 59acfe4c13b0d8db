"""Whether this server has a key that verifies dserver's tokens.

dserver starts without one, and takes a file that does not exist for an empty key.
"""

from __future__ import annotations

from functools import lru_cache

import jwt
from cryptography.exceptions import UnsupportedAlgorithm
from flask import Flask
from flask_jwt_extended.default_callbacks import default_decode_key_callback
from jwt.algorithms import requires_cryptography

from dserver_signed_url_plugin.errors import TokenKeyUnusable

# Each library has its own for a key that it cannot load; the last is for an unknown algorithm.
_REFUSALS = (jwt.PyJWTError, ValueError, TypeError, UnsupportedAlgorithm, NotImplementedError)


def check(app: Flask) -> None:
    """Check that there is a key, and that it can be loaded.

    :raises TokenKeyUnusable: if no token can be verified.
    """
    config = app.config
    if config.get("DISABLE_JWT_AUTHORISATION") or _has_loader(app):
        return
    algorithm = config["JWT_ALGORITHM"]
    is_public = algorithm in requires_cryptography
    names = ("JWT_PUBLIC_KEY",) if is_public else ("JWT_SECRET_KEY", "SECRET_KEY")
    key = next(filter(None, map(config.get, names)), None)
    setting = "JWT_PUBLIC_KEY, or the file of JWT_PUBLIC_KEY_FILE," if is_public else names[0]
    if key is None:
        raise TokenKeyUnusable(setting, "is missing or empty")
    try:
        _load(algorithm, key)
    except _REFUSALS as error:
        raise TokenKeyUnusable(setting, f"is no key for {algorithm}") from error


@lru_cache(maxsize=1)
def _load(algorithm: str, key: str) -> None:
    """Load a key as flask_jwt_extended does; once, and not for each request."""
    jwt.get_algorithm_by_name(algorithm).prepare_key(key)


def _has_loader(app: Flask) -> bool:
    """Return whether a plugin looks up the key of each token."""
    manager, default = app.extensions["flask-jwt-extended"], default_decode_key_callback
    return getattr(manager, "_decode_key_callback", default) is not default
