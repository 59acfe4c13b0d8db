"""What an examination of a kind of store consists of: steps in their order, and its words.

Knows no step, and performs none.
"""

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
    """One examination: what its failure spoils, what must succeed before, what the key needs.

    What is ``tried`` may name the addresses ``{inside}`` and ``{outside}``, and ``{scratch}``.
    What ``pins`` is left out where no URL is pinned.
    """

    name: str
    tried: str
    examine: Callable[[CheckContext[StoreT]], CheckResult]
    spoils: Purpose | None
    after: tuple[str, ...] = ()
    needs: str = ""
    pins: bool = False


def no_cures(case: CheckContext[StoreT], failed: Collection[str]) -> Iterable[Fix]:
    """Have nothing to paste."""
    return ()


@dataclass(frozen=True)
class CheckPlan(Generic[StoreT]):
    """All steps for one kind of store; ``removal`` is the last, whatever happens before.

    ``cures`` are told which findings failed.
    """

    words: Terms
    steps: Sequence[Step[StoreT]]
    removal: Step[StoreT]
    cures: Callable[[CheckContext[StoreT], Collection[str]], Iterable[Fix]] = no_cures
