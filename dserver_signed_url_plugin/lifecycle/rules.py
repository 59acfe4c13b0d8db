"""Lifecycle rules of base URIs: which objects a store deletes by itself, and our one rule there.

Our rule may not delete registered datasets unless the operator confirms it. Independent of the
store's vendor.
"""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime, timezone

from dserver_signed_url_plugin import datasets
from dserver_signed_url_plugin.errors import (
    DatasetsAtStake,
    LifecycleUnsupported,
    StorageUnavailable,
)
from dserver_signed_url_plugin.storage.lifecycle import (
    Change,
    LifecycleRules,
    Retention,
    Rule,
)
from dserver_signed_url_plugin.storage.registry import Storages
from dserver_signed_url_plugin.uris import BaseURI, DatasetURI

__all__ = ["Change", "Lifecycles", "Retention", "RetentionChange", "Rule"]


@dataclass(frozen=True)
class RetentionChange:
    """How the rules changed, and how many registered datasets ours will delete."""

    change: Change
    registered_datasets: int


class Lifecycles:
    """Reads and changes lifecycle rules of base URIs that dserver knows.

    `rules`, `document`, `set` and `remove` may raise InvalidField, which names the command that
    adds a base URI, LifecycleUnsupported and StorageUnavailable; the others raise none of them.
    """

    def __init__(self, storages: Storages) -> None:
        self._storages = storages

    def rules(self, base_uri: BaseURI) -> Sequence[Rule]:
        """Return every rule, ours and others."""
        return self._known(base_uri).rules()

    def document(self, base_uri: BaseURI) -> str:
        """Return all rules as the document that the store keeps."""
        return self._known(base_uri).document()

    def ends(self, uri: DatasetURI, identifier: str | None = None) -> datetime | None:
        """Return the time (UTC) from which the store may delete a dataset's objects.

        None if no rule does, or if the rules cannot be read.

        :param identifier: consider only this item.
        """
        with suppress(LifecycleUnsupported, StorageUnavailable):
            return self._storages.lifecycle(uri.base).ends(uri.uuid, identifier)
        return None

    def had_time(self, uri: DatasetURI, written: datetime) -> bool:
        """Return whether a known rule has deleted by now what was written at a time (UTC)."""
        with suppress(LifecycleUnsupported, StorageUnavailable):
            ends = self._storages.lifecycle(uri.base).would_end(uri.uuid, written)
            return ends is not None and ends <= datetime.now(timezone.utc)
        return False

    def parts_end(self, uri: DatasetURI, begun: datetime) -> datetime | None:
        """Return the time (UTC) from which the store may delete the parts of an item.

        None if no rule does, or if the rules cannot be read.

        :param begun: when the item was begun (UTC).
        """
        with suppress(LifecycleUnsupported, StorageUnavailable):
            return self._storages.lifecycle(uri.base).parts_end(uri.uuid, begun)
        return None

    def can_be_read(self, base_uri: BaseURI) -> bool:
        """Return whether the rules can be read, or the store has no rules that could be."""
        try:
            self._storages.lifecycle(base_uri).rules()
        except LifecycleUnsupported:
            return True
        except StorageUnavailable:
            return False
        return True

    def set(
        self, base_uri: BaseURI, lifetime: Retention, *, ephemeral: bool, dry_run: bool
    ) -> RetentionChange:
        """Let the store delete objects, or the parts of unfinished ones, of a certain age.

        :param ephemeral: proceed even if that deletes registered datasets.
        :raises DatasetsAtStake: if it does, and ``ephemeral`` is False.
        :raises LifecycleUnsettled: if the store does not keep the rule.
        """
        lifecycle = self._known(base_uri)
        uuids = [dataset.uuid for dataset in datasets.below(base_uri)]
        deletes = lifetime.days is not None
        number = len(lifecycle.reached(lifetime.prefix, uuids)) if deletes else 0
        if number and not ephemeral:
            raise DatasetsAtStake(
                number,
                base_uri,
                "would be deleted by this rule: choose a --prefix that no "
                "dataset has, or use --ephemeral to proceed.",
            )
        return RetentionChange(_changed(lifecycle, lifetime, dry_run=dry_run), number)

    def remove(self, base_uri: BaseURI, *, dry_run: bool) -> Change:
        """Remove our rule, and no other.

        :raises LifecycleUnsettled: if the store keeps it.
        """
        return _changed(self._known(base_uri), None, dry_run=dry_run)

    def _known(self, base_uri: BaseURI) -> LifecycleRules:
        datasets.check_known(base_uri)
        return self._storages.lifecycle(base_uri)


def _changed(lifecycle: LifecycleRules, wanted: Retention | None, *, dry_run: bool) -> Change:
    return lifecycle.planned(wanted) if dry_run else lifecycle.change(wanted)
