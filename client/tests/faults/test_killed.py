"""Killed at a random moment, client and dserver go on: nothing is lost, and nothing is there twice.

``python -m client.tests.faults 100`` kills a hundred times.
"""

from __future__ import annotations

from client.tests.faults.kills import laboratory, some_files, survive

KILLS = 2
SEED = 3


def test_what_was_killed_goes_on(tmp_path, store, jwt_settings):
    with laboratory(tmp_path, store, jwt_settings) as lab:
        outcome = survive(lab, tmp_path, KILLS, SEED, some_files())
    assert outcome.killed.total() == KILLS
    assert outcome.sent_twice == []
