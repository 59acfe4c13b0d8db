"""The checks for one kind of store: the steps in order, and the terms of that store."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Sequence
from dataclasses import dataclass
from typing import Generic, TypeVar

from dserver_signed_url_plugin.doctor.context import CheckContext
from dserver_signed_url_plugin.doctor.findings import CheckResult, Fix, Purpose
from dserver_signed_url_plugin.doctor.probe import Probe
from dserver_signed_url_plugin.doctor.terms import Terms

StoreT = TypeVar("StoreT", bound=Probe)


@dataclass(frozen=True)
class Step(Generic[StoreT]):
    """One check.

    :param tried: what is done, for the report; may contain ``{endpoint}``, ``{public_endpoint}``
        and ``{scratch}``.
    :param required_for: the purpose that a failure rules out; None if a failure is only a warning.
    :param after: names of the checks that must have passed.
    :param permission: what the key needs, for advice if the store denies access.
    :param pinned_only: whether to leave the check out where all uploads are staged.
    """

    name: str
    tried: str
    check: Callable[[CheckContext[StoreT]], CheckResult]
    required_for: Purpose | None
    after: tuple[str, ...] = ()
    permission: str = ""
    pinned_only: bool = False


def no_fixes(context: CheckContext[StoreT], failed: Collection[str]) -> Iterable[Fix]:
    """Return no fixes."""
    return ()


@dataclass(frozen=True)
class CheckPlan(Generic[StoreT]):
    """All steps for one kind of store.

    :param removal: the last step, which is always performed.
    :param fixes: returns fixes, given the names of the checks that failed.
    """

    terms: Terms
    steps: Sequence[Step[StoreT]]
    removal: Step[StoreT]
    fixes: Callable[[CheckContext[StoreT], Collection[str]], Iterable[Fix]] = no_fixes
