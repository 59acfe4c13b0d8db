"""What `flask temp_share` has deposited: the datasets with their shares, and ending them.

Imports no web framework and no SDK.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta, timezone

from dserver_signed_url_plugin import datasets
from dserver_signed_url_plugin.audit.decisions import Decision
from dserver_signed_url_plugin.audit.service import Audit
from dserver_signed_url_plugin.datasets import RegisteredDataset
from dserver_signed_url_plugin.deposits import repository
from dserver_signed_url_plugin.deposits.repository import Deposit
from dserver_signed_url_plugin.errors import SignedURLError
from dserver_signed_url_plugin.permissions import permit_operator
from dserver_signed_url_plugin.shares.service import ShareFacts, Shares
from dserver_signed_url_plugin.storage.protocols import Inventory
from dserver_signed_url_plugin.storage.registry import Storages
from dserver_signed_url_plugin.storage.values import Freed
from dserver_signed_url_plugin.uploads import repository as upload_repository
from dserver_signed_url_plugin.uploads.complete import Completions
from dserver_signed_url_plugin.uris import DatasetURI

_PAGE = 500


@dataclass(eq=False)
class NotTemporary(SignedURLError):
    """A dataset was not deposited by `flask temp_share`, or is not registered any more."""

    status, slug = 404, "not-temporary"
    sentence = (
        "{self.uri} is no dataset that `flask temp_share create` has deposited; `flask temp_share "
        "list` lists them, and `flask share revoke` ends the shares of any other."
    )

    uri: DatasetURI


@dataclass(frozen=True)
class TemporaryDeposit:
    """A dataset that `flask temp_share` has deposited, and its active shares, newest first.

    ``dataset`` is None if dserver no longer has it, but its deletion has not been completed.
    ``created_at`` is UTC.
    """

    uri: DatasetURI
    created_at: datetime
    is_being_deleted: bool
    dataset: RegisteredDataset | None
    shares: Sequence[ShareFacts]


@dataclass(frozen=True)
class EndedDeposit:
    """What became of a deposit, or would become of it in a dry run.

    ``shares`` are those that were ended, ``freed`` what was deleted, None if nothing was to be;
    ``problem`` says why something could not be done.
    """

    deposit: TemporaryDeposit
    shares: Sequence[ShareFacts] = ()
    freed: Freed | None = None
    problem: str = ""


@dataclass(frozen=True)
class TemporaryDeposits:
    """Lists and ends deposits, for an operator at dserver's own shell."""

    storages: Storages
    completions: Completions
    shares: Shares
    audit: Audit

    def listed(self) -> Iterator[TemporaryDeposit]:
        """Yield the deposits that are registered, or whose deletion is not complete, newest first.

        At three statements per 500.
        """
        before: int | None = None
        while page := repository.page(before, _PAGE):
            yield from self._described(page)
            before = page[-1].id

    def find(self, uri: DatasetURI) -> TemporaryDeposit:
        """Return one deposit.

        :raises NotTemporary: if `flask temp_share` did not deposit it, or it is not registered.
        """
        deposit = repository.find(uri)
        found = () if deposit is None else self._described([deposit])
        for described in found:
            return described
        raise NotTemporary(uri)

    def find_share(self, share_id: str) -> TemporaryDeposit:
        """Return the deposit of which this is a share.

        :raises ShareNotFound: if there is no such share.
        :raises NotTemporary: if it is one of another dataset.
        """
        return self.find(self.shares.find(share_id).uri)

    def end(
        self, deposit: TemporaryDeposit, *, delete_storage: bool, dry_run: bool
    ) -> EndedDeposit:
        """End all shares of a deposit that work, whoever created them; safe to repeat.

        :param delete_storage: also delete the dataset, from the store and from dserver.
        """
        ended: list[ShareFacts] = []
        try:
            # Before anything is changed: not every storage can delete.
            inventory = self.storages.inventory(deposit.uri) if delete_storage else None
            for share in deposit.shares:
                ended.append(share if dry_run else self.shares.revoke(share.id, ""))
            if inventory is None:
                return EndedDeposit(deposit, ended)
            freed = Freed() if dry_run else self._deleted(deposit, inventory)
        except SignedURLError as error:
            return EndedDeposit(deposit, ended, problem=error.message)
        return EndedDeposit(deposit, ended, freed)

    def forget_unregistered(self, older_than: timedelta) -> None:
        """Forget deposits of that age whose dataset dserver does not have; they are not listed."""
        repository.forget_unregistered(datetime.now(timezone.utc) - older_than)

    def _deleted(self, deposit: TemporaryDeposit, inventory: Inventory) -> Freed:
        """Delete a dataset from the store, and then from dserver's register.

        Also if somebody has deleted it from the register since, which keeps its objects; unless a
        new upload has the UUID.
        """
        uri, dataset, freed = deposit.uri, datasets.find(deposit.uri), Freed()
        if dataset is not None:
            # A process that was killed after the registration has left a pending upload.
            self.completions.complete(permit_operator(uri.base), uri.uuid)
            # While it is registered nobody can take its UUID.
            repository.begin_deletion(uri)
        if dataset is not None or upload_repository.find(uri.uuid) is None:
            freed = inventory.delete_dataset(uri.uuid)
        if dataset is not None:
            datasets.unregister(uri)
        repository.forget(uri)
        self.audit.record(
            Decision(
                action="temp-share-delete",
                username="",
                uri=str(uri),
                items=None if dataset is None else dataset.number_of_items,
                size_in_bytes=None if dataset is None else dataset.size_in_bytes,
            )
        )
        return freed

    def _described(self, page: Sequence[Deposit]) -> Iterator[TemporaryDeposit]:
        uris = [deposit.uri_text for deposit in page]
        registered = datasets.registered(uris)
        shares = self.shares.active(uris)
        for deposit in page:
            dataset = registered.get(deposit.uri_text)
            if dataset is not None or deposit.is_being_deleted:
                yield TemporaryDeposit(
                    deposit.uri,
                    deposit.created_at,
                    deposit.is_being_deleted,
                    dataset,
                    shares.get(deposit.uri_text, ()),
                )
