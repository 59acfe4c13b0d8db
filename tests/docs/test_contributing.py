"""CONTRIBUTING names every module, and no file that does not exist."""

from __future__ import annotations

import re

import pytest

from tests.support.documentation import ROOT, text_of

PACKAGE = ROOT / "dserver_signed_url_plugin"
CLIENT = ROOT / "client" / "dserver_client"
CONTRIBUTING = text_of("CONTRIBUTING.rst")


@pytest.mark.parametrize("package", [PACKAGE, CLIENT], ids=["package", "client"])
def test_every_module_has_its_place(package):
    modules = {path.stem for path in package.iterdir() if path.suffix == ".py" or path.is_dir()}
    named = set(re.findall(r"``(\w+)``", CONTRIBUTING))
    assert modules - {"__init__", "__pycache__"} - named == set()


def test_every_file_exists():
    paths = re.findall(r"``((?:\w+/)*[\w-]+\.(?:py|rst|toml|txt))``", CONTRIBUTING)
    assert "uploads/complete.py" in paths
    places = (ROOT, PACKAGE)
    assert [path for path in paths if not any((place / path).exists() for place in places)] == []
