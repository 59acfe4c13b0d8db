"""One of three servers on one PostgreSQL is killed while people deposit: nothing is lost.

``python -m tests.support.server_kills 50`` kills fifty times, at random moments.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator

import pytest

from tests.support.proxy import Request
from tests.support.server_kills.killer import Moment
from tests.support.server_kills.lab import Lab
from tests.support.server_kills.losses import check

pytestmark = pytest.mark.database("postgresql", reason="several servers share a server, not a file")


@pytest.fixture
def lab(make_dserver, tmp_path, monkeypatch) -> Iterator[Lab]:
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    lab = Lab(make_dserver(), tmp_path)
    with lab.running():
        yield lab


def begins(request: Request, _number: int) -> bool:
    return request.writes("/structure.json")


def registers(request: Request, _number: int) -> bool:
    return request.writes("/dtool") and request.headers["x-amz-meta-type"] == "dataset"


MOMENTS: list[tuple[Moment, str]] = [
    (begins, "before"),
    (registers, "after"),
]


def test_nothing_is_lost_when_one_of_three_servers_is_killed(lab, s3):
    for number, (moment, when) in enumerate(MOMENTS):
        lab.round(number, moment, when)
    assert (len(lab.outcome.kills), lab.outcome.missed) == (2, 0)
    assert sum(len(kill.left) for kill in lab.outcome.kills) >= 2
    check(lab.dserver, s3, lab.outcome)
    # For `pytest -rP`.
    sys.stdout.write(lab.outcome.report())
