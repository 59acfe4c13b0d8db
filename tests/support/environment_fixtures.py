"""What tests of settings and credentials ask for."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path

import pytest

from tests.support.doctor_reports import forget_this_machine


@pytest.fixture
def alone(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """No setting, no credentials and no metadata service of the machine that runs this."""
    forget_this_machine(monkeypatch, tmp_path)


@pytest.fixture
def environment(monkeypatch: pytest.MonkeyPatch) -> Callable[[Mapping[str, str]], None]:
    """Set variables for the time of the test."""

    def put_into(settings: Mapping[str, str]) -> None:
        for name, value in settings.items():
            monkeypatch.setenv(name, value)

    return put_into
