"""A dserver with metrics."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import pytest
from prometheus_client.parser import text_string_to_metric_families

from tests.support.dserver import Dserver

PREFIX = "dserver_signed_url_"
Sample = tuple[str, tuple[tuple[str, str], ...]]


class Scrape:
    """What a server says of itself, by name without prefix and labels."""

    def __init__(self, text: str) -> None:
        families = list(text_string_to_metric_families(text))
        self.names = {family.name for family in families}
        self.values: Mapping[Sample, float] = {
            (sample.name.removeprefix(PREFIX), tuple(sorted(sample.labels.items()))): sample.value
            for family in families
            for sample in family.samples
        }

    def __call__(self, name: str, **labels: str) -> float:
        """Return a value; 0 if there is none."""
        return self.values.get((name, tuple(sorted(labels.items()))), 0)

    def labels(self, name: str, label: str) -> set[str]:
        """Return the values of a label, of all metrics or of those of a name."""
        found = [dict(labels) for each, labels in self.values if name in ("", each)]
        return {labels[label] for labels in found if label in labels}


@pytest.fixture
def dserver(make_dserver: Callable[..., Dserver]) -> Dserver:
    return make_dserver(SIGNED_URL_METRICS="1")


@pytest.fixture
def scrape() -> Callable[[Any], Scrape]:
    """Ask a dserver for its metrics, as Prometheus does."""

    def scraped(dserver: Dserver) -> Scrape:
        answer = dserver.nobody.get("/signed-urls/metrics")
        assert answer.status_code == 200
        assert answer.headers["Content-Type"] == "text/plain; version=0.0.4; charset=utf-8"
        return Scrape(answer.text)

    return scraped
