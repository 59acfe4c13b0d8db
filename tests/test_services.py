"""Services: what they can be asked, and what they cannot be handed."""

from __future__ import annotations

import inspect
from collections.abc import Iterator
from typing import Any, get_args, get_type_hints

import pytest

from dserver_signed_url_plugin.config import Settings
from dserver_signed_url_plugin.permissions import ReadPermit, UploadPermit
from dserver_signed_url_plugin.services import Services
from dserver_signed_url_plugin.uris import BaseURI, DatasetURI

PERMITS, URIS = {ReadPermit, UploadPermit}, {BaseURI, DatasetURI}


def permitted() -> Iterator[Any]:
    """Every method of a service that asks for a permit."""
    for service in map(type, vars(Services(Settings())).values()):
        for _, method in inspect.getmembers(service, inspect.isfunction):
            if PERMITS & taken_by(method):
                yield method


def taken_by(method: Any) -> set[Any]:
    """The types of a method's parameters."""
    hints = [hint for name, hint in get_type_hints(method).items() if name != "return"]
    return {part for hint in hints for part in (hint, *get_args(hint)) if isinstance(part, type)}


@pytest.mark.parametrize("method", list(permitted()), ids=lambda method: method.__qualname__)
def test_whoever_brings_a_permit_brings_no_uri_that_it_is_not_for(method):
    assert not URIS & taken_by(method)


def test_the_services_that_people_use_ask_for_a_permit():
    names = {method.__qualname__ for method in permitted()}
    assert names >= {
        "Audit.page",
        "Completions.complete",
        "Downloads.dataset",
        "Downloads.item",
        "UploadStatuses.of",
        "Cancellations.cancel",
        "Uploads.begin",
    }
