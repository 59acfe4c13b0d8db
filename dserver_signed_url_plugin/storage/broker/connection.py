"""One base URI's storage broker: one instance per dataset and call, and its errors translated."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from dserver_signed_url_plugin import database
from dserver_signed_url_plugin.config import Settings
from dserver_signed_url_plugin.errors import (
    SignedURLError,
    SigningUnsupported,
    StorageAway,
    StorageUnavailable,
)
from dserver_signed_url_plugin.storage.broker.entry_points import (
    find_broker,
    make_broker,
    missing_methods,
)
from dserver_signed_url_plugin.storage.error_translation import log_failure
from dserver_signed_url_plugin.storage.waiting import in_thread
from dserver_signed_url_plugin.uris import BaseURI

# A dataset that does not exist, in whose name a broker is asked whether it can sign.
_NO_DATASET = "00000000-0000-0000-0000-000000000000"


class BrokerConnection:
    """The broker of a base URI's scheme; ``name`` is that of its class.

    :raises SigningUnsupported: if there is no such broker, or it cannot sign.
    """

    def __init__(self, base_uri: BaseURI, settings: Settings) -> None:
        self._base_uri, self._settings = base_uri, settings
        self._class = find_broker(base_uri.scheme)
        self.name = self._class.__name__
        if missing := missing_methods(self._class):
            raise SigningUnsupported(
                f"The storage broker {self.name}", f"it lacks {', '.join(missing)}"
            )
        in_thread(self._check_signing)

    @contextmanager
    def of(self, uuid: str) -> Iterator[Any]:
        """Make the broker of one dataset, and translate what it raises in the block."""
        try:
            broker = make_broker(self._class, str(self._base_uri.dataset(uuid)), self._settings)
            if not broker.supports_signing():
                raise SigningUnsupported(f"The storage broker {self.name}", "it says so itself")
            yield broker
        except (SignedURLError, *database.REFUSALS):
            # The latter are raised by check_lease(), which asks dserver's database.
            raise
        # A broker is third-party code, and dtool does not define which errors it may raise.
        except Exception as error:
            kind = type(error).__name__
            log_failure(f"Storage broker {self.name}", "call", str(self._base_uri), kind)
            passes = isinstance(error, ConnectionError | TimeoutError)
            raise (StorageAway if passes else StorageUnavailable)(
                f"The storage broker {self.name}", f"failed ({kind})"
            ) from error

    def _check_signing(self) -> None:
        with self.of(_NO_DATASET):
            pass


def item_key(broker: Any, identifier: str) -> str:
    """Return the key of an item: brokers either have this prefix or keep items at the top."""
    return str(getattr(broker, "data_key_prefix", "")) + identifier
