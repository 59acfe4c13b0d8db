"""What one kind of store calls its things, and what its own words for trouble mean.

Knows no store by name. A code that the store's words do not explain is passed on as it is.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from dserver_signed_url_plugin.doctor.findings import CheckResult, failed
from dserver_signed_url_plugin.storage.values import Refused

_BUSY = ("The store, or a proxy before it, is not well at the moment.", "Try again later.")


@dataclass(frozen=True)
class Terms:
    """The words of one kind of store; a pair says what something means, and what to do about it.

    ``signature`` is the parameter of a URL that holds it; ``absent`` are the codes for a signed
    request for nothing, and ``hidden`` those for an unsigned one for something, where that is not
    refused but denied. Advice may name what the key ``{needs}``. ``at`` goes before
    ``meanings``: at an examination that it names, earlier ones have proved what is not the reason.
    """

    place: str
    endpoint: str
    public_endpoint: str
    signature: str
    absent: frozenset[str]
    hidden: frozenset[str]
    not_a_store: tuple[str, str]
    public: tuple[str, str]
    wrong_md5: str
    cors_rule: str
    meanings: Mapping[str, tuple[str, str]]
    at: Mapping[str, Mapping[str, tuple[str, str]]] = field(default_factory=dict)

    def explained(self, refusal: Refused, step: str, needs: str) -> CheckResult:
        """Say what a refusal means at an examination.

        :param needs: the permission without which the store would refuse just so.
        """
        code = refusal.code or ""
        meanings = {**self.meanings, **self.at.get(step, {})}
        if code in meanings:
            means, advice = meanings[code]
            advice = advice.format(needs=needs)
        elif refusal.status >= 500:
            means, advice = _BUSY
        elif not code:
            means, advice = self.not_a_store
        else:
            means = "The store refuses it."
            advice = "Look the word up in the documentation or the log of the store."
        return failed(str(refusal), means, advice)
