"""dtool's storage broker for ``dserver://``: what released dtool needs to work on it."""

from dserver_client.broker.storage_broker import DserverStorageBroker

__all__ = ["DserverStorageBroker"]
