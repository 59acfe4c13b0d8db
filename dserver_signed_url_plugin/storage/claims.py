"""The claim: a document beside a proto-dataset that says to which upload it belongs.

Writes and compares claims; makes no request.
"""

from __future__ import annotations

import json

from dserver_signed_url_plugin.errors import StorageOccupied
from dserver_signed_url_plugin.storage.values import Claim, ProtoDataset


def to_json(claim: Claim) -> str:
    """Return the document."""
    return json.dumps(claim.facts)


def refuse_occupied(
    proto_dataset: ProtoDataset, dataset_type: str | None, stored_claim: bytes | str | None
) -> None:
    """Continue only if storage holds no frozen dataset, and nothing of another upload.

    :param dataset_type: dtool's type of what storage holds.
    :param stored_claim: the claim that storage holds, if any.
    :raises StorageOccupied: if it does.
    """
    is_dataset = dataset_type == "dataset"
    if is_dataset or not belongs_to(proto_dataset.claim, stored_claim, exists=True):
        raise StorageOccupied(proto_dataset.uuid, "dataset" if is_dataset else "proto-dataset")


def belongs_to(claim: Claim, stored: bytes | str | None, *, exists: bool) -> bool:
    """Return whether what storage holds belongs to the upload with this claim.

    :param stored: the claim that storage holds, if any.
    :param exists: whether it holds a proto-dataset, which without a claim belongs to no upload
        except to one that has written a claim before.
    """
    if stored is None:
        return claim.was_written or not exists
    try:
        return bool(json.loads(stored) == claim.facts)
    except (ValueError, RecursionError):
        return False
