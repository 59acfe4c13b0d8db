"""Deposit and fetch dtool datasets through dserver, without bucket credentials."""

__version__ = "0.1.0"
