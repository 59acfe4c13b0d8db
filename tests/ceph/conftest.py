"""Here the store of every fixture is a real Ceph RGW."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.local_ceph import LocalCeph


@pytest.fixture(scope="session")
def store() -> Iterator[LocalCeph]:
    """One Ceph for all tests, from the packages that are unpacked in CEPH_ROOT."""
    root = os.environ.get("CEPH_ROOT")
    if root is None:
        pytest.skip("CEPH_ROOT names no unpacked Ceph; make test-ceph brings one.")
    with LocalCeph(Path(root).resolve()) as running:
        yield running
