"""Whose a place in storage is: the claim that an upload leaves beside its proto-dataset.

Knows how a claim is written and compared; makes no request.
"""

from __future__ import annotations

import json

from dserver_signed_url_plugin.errors import StorageOccupied
from dserver_signed_url_plugin.storage.base import Opening


def written(opening: Opening) -> str:
    """Return the claim as it is kept."""
    return json.dumps(opening.claim)


def refuse_occupied(opening: Opening, kind: str | None, claim: str | bytes | None) -> None:
    """Go on only if what is there is this upload's, and not frozen.

    :param kind: dtool's type of what is there.
    :param claim: what is kept there as its claim, if there is any.
    :raises StorageOccupied: if it is a dataset, or has another claim, or none that can be read.
    """
    if kind == "dataset" or _read(claim) != opening.claim:
        raise StorageOccupied(
            f"Storage already holds another {'dataset' if kind == 'dataset' else 'proto-dataset'} "
            f"{opening.uuid}; use a new UUID."
        )


def _read(claim: str | bytes | None) -> object:
    try:
        return None if claim is None else json.loads(claim)
    except (ValueError, RecursionError):
        return None
