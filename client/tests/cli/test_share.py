"""Making links, at a dserver that has none, and durations."""

from __future__ import annotations

import pytest


def test_a_dserver_without_links_says_so(run, document, uri):
    done = run("share", uri, "--expires", "7d")
    assert done.exit_code == 1
    assert "cannot create links" in done.stderr
    assert document("share", uri, code=1)["error"]["slug"] == "not-supported"


@pytest.mark.parametrize("duration", ["7", "0x1h", "1w", "-1h", "1.5h"])
def test_a_duration_has_a_unit(run, uri, duration):
    done = run("share", uri, f"--expires={duration}")
    assert done.exit_code == 2
    assert "such as 90m, 24h or 7d" in done.stderr
