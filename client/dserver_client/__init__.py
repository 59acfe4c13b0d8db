"""Deposit and fetch dtool datasets through dserver, without bucket credentials."""

from __future__ import annotations

from dserver_client.client import Client
from dserver_client.errors import ClientError

__version__ = "0.1.0"
__all__ = ["Client", "ClientError"]
