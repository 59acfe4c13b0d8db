"""Where tokens are kept between commands."""

from __future__ import annotations

import json
import os
import stat
import sys
from concurrent.futures import ThreadPoolExecutor

import pytest
from dserver_client.token_store import TokenStore

LAB, OTHER = "https://lab.org/lookup", "https://other.org"
KEYRING = """
import json, pathlib
from types import SimpleNamespace as _Namespace

class _Error(Exception):
    pass

errors = _Namespace(KeyringError=_Error)
_path = pathlib.Path(__file__).with_name("kept.json")

def get_keyring():
    return _Namespace(priority=PRIORITY)

def _kept():
    return json.loads(_path.read_text()) if _path.exists() else {}

def get_password(service, name):
    return _kept().get(name)

def set_password(service, name, password):
    if FULL:
        raise _Error
    _path.write_text(json.dumps({**_kept(), name: password}))

def delete_password(service, name):
    kept = _kept()
    del kept[name]
    _path.write_text(json.dumps(kept))
"""


@pytest.fixture
def install_keyring(tmp_path, monkeypatch):
    """Install a package ``keyring``."""

    def install(*, priority=5, full=False):
        directory = tmp_path / "packages"
        directory.mkdir()
        content = KEYRING.replace("PRIORITY", str(priority)).replace("FULL", str(full))
        (directory / "keyring.py").write_text(content)
        monkeypatch.syspath_prepend(directory)
        monkeypatch.delitem(sys.modules, "keyring", raising=False)
        return directory / "kept.json"

    yield install
    sys.modules.pop("keyring", None)


def test_each_dserver_has_its_own_token():
    store = TokenStore()
    assert (store.get(LAB), store.default, store.servers()) == (None, None, [])
    where = store.put(LAB, "one")
    store.put(OTHER, "two")
    assert where == str(store.path)
    again = TokenStore()
    assert (again.get(LAB), again.get(OTHER), again.default) == ("one", "two", LAB)
    assert again.put(OTHER, "three", default=True)
    assert (again.get(OTHER), again.default) == ("three", OTHER)
    assert again.remove(OTHER)
    assert not again.remove(OTHER)
    assert (again.servers(), again.default) == ([LAB], LAB)


def test_logins_at_the_same_time_are_all_kept():
    servers = [f"https://{number}.org" for number in range(12)]
    with ThreadPoolExecutor(12) as threads:
        list(threads.map(lambda server: TokenStore().put(server, "token"), servers))
    assert sorted(TokenStore().servers()) == sorted(servers)
    assert [each.name for each in TokenStore().path.parent.iterdir()] == ["tokens.json"]


@pytest.mark.skipif(os.name == "nt", reason="Windows has no modes")
def test_only_its_owner_may_read_the_file():
    store = TokenStore()
    store.put(LAB, "token")
    store.path.chmod(0o644)
    store.put(OTHER, "token")
    assert stat.S_IMODE(store.path.stat().st_mode) == 0o600
    assert stat.S_IMODE(store.path.parent.stat().st_mode) == 0o700


@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no such permissions")
def test_a_file_that_others_can_read_is_made_private_with_a_warning(caplog):
    store = TokenStore()
    store.put("https://dserver.example.org", "a.b.c")
    store.path.chmod(0o644)
    assert store.get("https://dserver.example.org") == "a.b.c"
    assert stat.S_IMODE(store.path.stat().st_mode) == 0o600
    assert f"{store.path} could be read by others" in caplog.text
    caplog.clear()
    store.get("https://dserver.example.org")
    assert caplog.text == ""


def test_a_keyring_that_is_installed_keeps_them(install_keyring):
    kept = install_keyring()
    store = TokenStore()
    assert store.put(LAB, "secret") == "the keyring"
    assert "secret" not in store.path.read_text()
    assert (store.get(LAB), store.servers()) == ("secret", [LAB])
    assert store.remove(LAB)
    assert json.loads(kept.read_text()) == {}


@pytest.mark.parametrize("options", [{"priority": 0}, {"full": True}], ids=["none", "full"])
def test_the_file_keeps_what_a_keyring_cannot(install_keyring, options):
    install_keyring(**options)
    store = TokenStore()
    assert store.put(LAB, "token") == str(store.path)
    assert store.get(LAB) == "token"
