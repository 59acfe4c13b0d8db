"""The terms of one kind of store, and what its error codes mean."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from dserver_signed_url_plugin.doctor.findings import CheckResult, failed
from dserver_signed_url_plugin.storage.values import Refused

_UNAVAILABLE = (
    "The store, or a proxy in front of it, is not available at the moment.",
    "Try again later.",
)


@dataclass(frozen=True)
class Terms:
    """The terms of one kind of store; each pair says what something means, and what to do about it.

    :param location: what the store calls the location in a base URI, such as ``bucket``.
    :param endpoint: the setting of the server's endpoint.
    :param public_endpoint: the setting of the public endpoint.
    :param signature: the query parameter that holds a URL's signature.
    :param not_found: error codes for a signed request for an object that does not exist.
    :param hidden: error codes for an unsigned request by which the store denies that an object
        exists, instead of refusing access.
    :param meanings: by error code; advice may contain ``{permission}``.
    :param meanings_by_step: overrides for a check, where earlier checks have ruled out causes.
    """

    location: str
    endpoint: str
    public_endpoint: str
    signature: str
    not_found: frozenset[str]
    hidden: frozenset[str]
    not_a_store: tuple[str, str]
    public: tuple[str, str]
    wrong_md5: str
    cors_rule: str
    meanings: Mapping[str, tuple[str, str]]
    meanings_by_step: Mapping[str, Mapping[str, tuple[str, str]]] = field(default_factory=dict)

    def explain(self, refusal: Refused, step: str, permission: str) -> CheckResult:
        """Return what a refusal means at a check.

        :param permission: the one whose absence would explain an access denial.
        """
        code = refusal.code or ""
        meanings = {**self.meanings, **self.meanings_by_step.get(step, {})}
        if code in meanings:
            means, advice = meanings[code]
            advice = advice.format(permission=permission)
        elif refusal.status >= 500:
            means, advice = _UNAVAILABLE
        elif not code:
            means, advice = self.not_a_store
        else:
            means = "The store refuses the request."
            advice = "Look the error code up in the documentation or the log of the store."
        return failed(str(refusal), means, advice)
