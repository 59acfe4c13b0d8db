"""Storage brokers of dtool that sign URLs, by the methods that the specification asks of them."""

from dserver_signed_url_plugin.storage.broker.storage import broker_storage

__all__ = ["broker_storage"]
