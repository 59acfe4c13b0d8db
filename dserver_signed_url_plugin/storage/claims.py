"""Whose a place in storage is: the claim that an upload leaves beside its proto-dataset.

Knows how a claim is written and compared; makes no request.
"""

from __future__ import annotations

import json

from dserver_signed_url_plugin.errors import StorageOccupied
from dserver_signed_url_plugin.storage.values import Claim, ProtoDataset


def written(opening: ProtoDataset) -> str:
    """Return the claim as it is kept."""
    return json.dumps(opening.claim.facts)


def refuse_occupied(opening: ProtoDataset, kind: str | None, claim: str | bytes | None) -> None:
    """Go on only if what is there is this upload's, and not frozen.

    :param kind: dtool's type of what is there.
    :param claim: what is kept there as its claim, if there is any.
    :raises StorageOccupied: if it is a dataset, or may not go with this upload.
    """
    if kind == "dataset" or not may_go(opening.claim, claim, is_proto_dataset=True):
        raise StorageOccupied(opening.uuid, "dataset" if kind == "dataset" else "proto-dataset")


def may_go(claim: Claim, kept: str | bytes | None, is_proto_dataset: bool) -> bool:
    """Tell whether what is there goes with the upload that has this claim.

    :param kept: what is kept there as a claim, if there is any.
    :param is_proto_dataset: whether there is one; it is somebody else's if there never was a claim.
    """
    if kept is None:
        return claim.was_left or not is_proto_dataset
    return _read(kept) == claim.facts


def _read(claim: str | bytes | None) -> object:
    try:
        return None if claim is None else json.loads(claim)
    except (ValueError, RecursionError):
        return None
