"""Formats what `flask temp_share` has deposited: text for people, ASCII JSON for scripts."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import Any

from dserver_signed_url_plugin.cli import share_output
from dserver_signed_url_plugin.cli.output import extent_text, json_list, printable, time_text
from dserver_signed_url_plugin.deposits.temporary import EndedDeposit, TemporaryDeposit
from dserver_signed_url_plugin.quantities import counted
from dserver_signed_url_plugin.times import timestamp


def lines(deposits: Iterable[TemporaryDeposit]) -> Iterator[str]:
    """Yield the lines of `list`: each deposit, and below it the shares whose links work."""
    is_empty = True
    for deposit in deposits:
        is_empty = False
        yield line(deposit)
        for share in deposit.shares:
            yield f"  {share_output.use(share)}"
        if not deposit.shares:
            yield "  no link works"
    if is_empty:
        yield "Nothing that `flask temp_share create` has deposited is left."


def line(deposit: TemporaryDeposit) -> str:
    """Return a deposit in one line."""
    words = [str(deposit.uri)]
    words += [] if deposit.dataset is None else [printable(deposit.dataset.name)]
    words += [_size(deposit), f"deposited {time_text(deposit.created_at)}"]
    if deposit.is_being_deleted:
        words.append("its deletion was interrupted: `flask temp_share end` completes it")
    return "  ".join(filter(None, words))


def json_lines(deposits: Iterable[TemporaryDeposit]) -> Iterator[str]:
    """Yield the lines of `list --json`."""
    return json_list(map(_facts, deposits))


def ended(one: EndedDeposit, *, dry_run: bool) -> str:
    """Return the line of `end` for one deposit."""
    would = "would be " if dry_run else ""
    done = [f"{counted(len(one.shares), 'link')} {would}revoked"]
    if one.freed is not None:
        done.append(f"{would}deleted: {_size(one.deposit) or _left(one)}")
    if one.freed is not None and one.freed.old_versions_remain:
        done.append("the bucket keeps old versions until a lifecycle rule deletes them")
    return f"{one.deposit.uri}: {'; '.join(done)}"


def ended_json(results: Sequence[EndedDeposit], *, dry_run: bool) -> dict[str, Any]:
    """Return what `end --json` prints."""
    deposits = [
        {
            "uri": str(one.deposit.uri),
            "ended_shares": [share.id for share in one.shares],
            "deleted": one.freed is not None and not dry_run,
            "old_versions_remain": one.freed is not None and one.freed.old_versions_remain,
            "problem": one.problem or None,
        }
        for one in results
    ]
    return {"dry_run": dry_run, "deposits": deposits}


def _size(deposit: TemporaryDeposit) -> str:
    dataset = deposit.dataset
    if dataset is None or dataset.size_in_bytes is None:
        return ""
    return extent_text(dataset.number_of_items or 0, "item", dataset.size_in_bytes)


def _left(one: EndedDeposit) -> str:
    """Return what was left of a dataset that dserver no longer knew."""
    freed = one.freed
    if freed is None or not freed.objects:
        return "nothing was left"
    return extent_text(freed.objects, "object", freed.size_in_bytes)


def _facts(deposit: TemporaryDeposit) -> dict[str, Any]:
    dataset = deposit.dataset
    return {
        "uri": str(deposit.uri),
        "name": None if dataset is None else dataset.name,
        "number_of_items": None if dataset is None else dataset.number_of_items,
        "size_in_bytes": None if dataset is None else dataset.size_in_bytes,
        "deposited_timestamp": timestamp(deposit.created_at),
        "is_being_deleted": deposit.is_being_deleted,
        "shares": [share.as_json() for share in deposit.shares],
    }
