"""The local S3 store: where it listens."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from dserver_signed_url_plugin.demo.store import free_port

GIVEN_AWAY = Path("/proc/sys/net/ipv4/ip_local_port_range")


@pytest.mark.skipif(sys.platform != "linux", reason="Linux says which ports it gives away")
def test_a_free_port_is_given_to_no_other_process_before_it_is_used():
    first, last = map(int, GIVEN_AWAY.read_text().split())
    assert not {free_port() for _ in range(20)} & {*range(first, last + 1)}
