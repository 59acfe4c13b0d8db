"""dtool's variables for a bucket or an account, and their validation.

Messages never show the value of a variable, because some are secret.
"""

from __future__ import annotations

import base64
import re
from collections.abc import Callable, Mapping
from typing import Any

from dserver_signed_url_plugin.addresses import blob_endpoint, web_address
from dserver_signed_url_plugin.errors import ConfigurationError

ENDPOINT = "DTOOL_S3_ENDPOINT_"
PUBLIC_ENDPOINT = "DTOOL_S3_PUBLIC_ENDPOINT_"
REGION = "DTOOL_S3_REGION_"
ACCESS_KEY_ID = "DTOOL_S3_ACCESS_KEY_ID_"
SECRET_ACCESS_KEY = "DTOOL_S3_SECRET_ACCESS_KEY_"  # noqa: S105 (a variable's name)
# A key pair that is used to sign URLs to write only.
WRITE_KEY_PAIR = ("DTOOL_S3_WRITE_ACCESS_KEY_ID_", "DTOOL_S3_WRITE_SECRET_ACCESS_KEY_")
DATASET_PREFIX = "DTOOL_S3_DATASET_PREFIX_"
BLOB_ENDPOINT = "DTOOL_AZURE_BLOB_ENDPOINT_"
PUBLIC_BLOB_ENDPOINT = "DTOOL_AZURE_PUBLIC_BLOB_ENDPOINT_"
ACCOUNT_KEY = "DTOOL_AZURE_ACCOUNT_KEY_"
# Whether an account is used by Entra ID, without its key.
ENTRA_ID = "DTOOL_AZURE_ENTRA_ID_"
ON, OFF = "1", "0"

# The regions that botocore accepts, because they become part of a host name.
_REGION = re.compile(r"(?![0-9]+$)(?!-)[a-zA-Z0-9-]{1,63}(?<!-)")
_PRINTABLE = re.compile(r"[!-~]+")  # ASCII, because it is sent in headers
_MAX_PREFIX_BYTES = 900  # a key may have 1,024; dtool and uploads need the rest

_A_URL = (
    "must be a URL such as https://s3.example.org, without user or query, its host of letters, "
    "digits, dashes and dots."
)
_ACCESS_KEY = "must be an access key, of printable ASCII without blanks."
_SECRET_KEY = "must be a secret key, without control characters."  # noqa: S105 (a sentence)
_BLOBS = (
    "must be a URL such as https://account.blob.core.windows.net, or the part after `.blob.` in "
    "it, without user or query."
)


def wrong_with(name: str, value: object) -> str | None:
    """Return why the value of a variable is invalid, as the end of a sentence, or None."""
    for start, (is_right, must) in _RULES.items():
        if name.startswith(start) and not (isinstance(value, str) and is_right(value.strip())):
            return must
    return None


def check(source: Mapping[Any, Any]) -> None:
    """Validate the variables of this module that are set.

    :raises ConfigurationError: if one is invalid; the message names it.
    """
    for name, value in source.items():
        if not isinstance(name, str) or not value or not str(value).strip():
            continue
        reason = wrong_with(name, value)
        if reason is not None:
            raise ConfigurationError(name, reason)


def _is_access_key(text: str) -> bool:
    return _PRINTABLE.fullmatch(text) is not None


def _is_base64(text: str) -> bool:
    try:
        base64.b64decode(text, validate=True)
    except ValueError:
        return False
    return True


def _is_prefix(text: str) -> bool:
    return text.isprintable() and len(text.encode()) <= _MAX_PREFIX_BYTES


def _is_web_address(text: str) -> bool:
    return web_address(text) is not None


def _is_blob_endpoint(text: str) -> bool:
    return blob_endpoint("account", text) is not None


_RULES: Mapping[str, tuple[Callable[[str], bool], str]] = {
    ENDPOINT: (_is_web_address, _A_URL),
    PUBLIC_ENDPOINT: (_is_web_address, _A_URL),
    BLOB_ENDPOINT: (_is_blob_endpoint, _BLOBS),
    PUBLIC_BLOB_ENDPOINT: (_is_blob_endpoint, _BLOBS),
    REGION: (
        lambda text: _REGION.fullmatch(text) is not None,
        "must be a region such as eu-central-1, of letters, digits and dashes.",
    ),
    **dict.fromkeys((ACCESS_KEY_ID, WRITE_KEY_PAIR[0]), (_is_access_key, _ACCESS_KEY)),
    **dict.fromkeys((SECRET_ACCESS_KEY, WRITE_KEY_PAIR[1]), (str.isprintable, _SECRET_KEY)),
    DATASET_PREFIX: (
        _is_prefix,
        f"must be printable, and at most {_MAX_PREFIX_BYTES} bytes of UTF-8.",
    ),
    ACCOUNT_KEY: (_is_base64, "must be an account's key, which is Base64."),
    ENTRA_ID: (lambda text: text in (ON, OFF), f"must be {ON} or {OFF}."),
}
