"""Finding dtool's storage broker of a scheme by its entry point, and making it."""

from __future__ import annotations

from importlib.metadata import entry_points
from typing import Any

from dserver_signed_url_plugin.config import Settings
from dserver_signed_url_plugin.errors import SigningUnsupported

_METHODS = (
    "supports_signing",
    "generate_signed_read_url",
    "generate_signed_write_url",
    "generate_dataset_signed_urls",
)
_OWN_KEY = "dataset_registration_key"


def find_broker(scheme: str) -> Any:
    """Return the broker class of a scheme: the one that dtool takes, or else one that can sign.

    A subclass that signs is installed beside its parent, under the same scheme, and of such two
    dtool takes the one that it happens to find last.

    :raises SigningUnsupported: if there is none.
    """
    loaded = [entry_point.load() for entry_point in entry_points(group="dtool.storage_brokers")]
    found = [each for each in loaded if each.key == scheme]
    if not found:
        raise SigningUnsupported(f"Storage of {scheme}://", "dserver has no storage broker for it")
    return next((each for each in reversed(found) if not missing_methods(each)), found[-1])


def missing_methods(broker_class: Any) -> list[str]:
    """Return which of the methods that sign a broker class lacks."""
    return [method for method in _METHODS if not hasattr(broker_class, method)]


def make_broker(broker_class: Any, uri: str, settings: Settings) -> Any:
    """Return a broker that describes its own dataset, also if others are made at the same time."""
    broker = broker_class(uri, settings.config_path)
    # All brokers of dtool-s3 share one dict, into which each writes its dataset's key.
    key = getattr(broker, _OWN_KEY, None)
    if key is not None:
        broker._structure_parameters = {**broker._structure_parameters, _OWN_KEY: key}
    return broker
