"""What an examination of a kind of store consists of: steps in their order, and its words.

Knows no step, and performs none.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Sequence
from dataclasses import dataclass
from typing import Generic, TypeVar

from dserver_signed_url_plugin.doctor.case import Case
from dserver_signed_url_plugin.doctor.findings import Cure, Outcome, Use
from dserver_signed_url_plugin.doctor.words import Words
from dserver_signed_url_plugin.storage.examination import Examination

StoreT = TypeVar("StoreT", bound=Examination)


@dataclass(frozen=True)
class Step(Generic[StoreT]):
    """One examination: what its failure spoils, what must succeed before, what the key needs.

    What is ``tried`` may name the addresses ``{inside}`` and ``{outside}``, and ``{scratch}``.
    What ``pins`` is left out where no URL is pinned.
    """

    name: str
    tried: str
    examine: Callable[[Case[StoreT]], Outcome]
    spoils: Use | None
    after: tuple[str, ...] = ()
    needs: str = ""
    pins: bool = False


def no_cures(case: Case[StoreT], failed: Collection[str]) -> Iterable[Cure]:
    """Have nothing to paste."""
    return ()


@dataclass(frozen=True)
class Checkup(Generic[StoreT]):
    """All steps for one kind of store; ``removal`` is the last, whatever happens before.

    ``cures`` are told which findings failed.
    """

    words: Words
    steps: Sequence[Step[StoreT]]
    removal: Step[StoreT]
    cures: Callable[[Case[StoreT], Collection[str]], Iterable[Cure]] = no_cures
