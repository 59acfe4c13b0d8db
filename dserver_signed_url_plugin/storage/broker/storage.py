"""The storage of one base URI by way of dtool's storage broker for its scheme."""

from __future__ import annotations

from dserver_signed_url_plugin.config import Settings
from dserver_signed_url_plugin.storage.broker.connection import BrokerConnection
from dserver_signed_url_plugin.storage.broker.reads import BrokerReads
from dserver_signed_url_plugin.storage.broker.uploads import BrokerUploads
from dserver_signed_url_plugin.storage.protocols import Storage
from dserver_signed_url_plugin.uris import BaseURI


def broker_storage(base_uri: BaseURI, settings: Settings) -> Storage:
    """Return the storage of a base URI, which can neither delete uploads nor be searched.

    :raises SigningUnsupported: if there is no such broker, or it cannot sign.
    """
    broker = BrokerConnection(base_uri, settings)
    return Storage(
        reads=BrokerReads(broker),
        uploads=BrokerUploads(broker),
        signed_by=f"the storage broker {broker.name}",
    )
