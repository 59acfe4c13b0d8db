"""Where settings come from, and what is said of those that cannot be used."""

from __future__ import annotations

import json
import traceback
from pathlib import Path

import pytest
from dserver_client.errors import LocalFileError, UsageError
from dserver_client.settings import Settings
from dserver_client.token_store import TokenStore


@pytest.fixture
def dtool_json():
    """Write dtool.json."""

    def write(content):
        path = Path.home() / ".config" / "dtool" / "dtool.json"
        path.parent.mkdir(parents=True)
        path.write_text(content if isinstance(content, str) else json.dumps(content))

    return write


def test_nothing_is_configured():
    assert Settings.load({}) == Settings(token_is_local=True)


def test_the_environment_comes_before_dtool_json(dtool_json):
    dtool_json({"DSERVER_URL": "https://file.org", "DSERVER_USERNAME": "alice"})
    settings = Settings.load({"DSERVER_URL": "https://environment.org/lookup/"})
    assert (settings.url, settings.username) == ("https://environment.org/lookup", "alice")
    assert Settings.load({}).url == "https://file.org"
    assert Settings.load({}, url="https://argument.org").url == "https://argument.org"


@pytest.mark.parametrize(
    ("text", "url"),
    [
        ("lab.org", "https://lab.org"),
        ("lab.org:5000/lookup/", "https://lab.org:5000/lookup"),
        ("localhost:5000", "http://localhost:5000"),
        ("127.0.0.1", "http://127.0.0.1"),
        ("[::1]:5000", "http://[::1]:5000"),
        ("http://lab.org:80", "http://lab.org"),
        ("HTTPS://LAB.org:443/", "https://lab.org"),
        ("https://localhost:5000", "https://localhost:5000"),
    ],
)
def test_it_is_https_unless_it_is_this_machine_or_http_is_asked_for(text, url):
    assert Settings.load({"DSERVER_URL": text}).url == url


def test_dtool_dservers_variables_are_understood(tmp_path):
    (tmp_path / "token").touch()
    settings = Settings.load(
        {
            "DSERVER_URL": "lab.org",
            "DSERVER_PROTOCOL": "http",
            "DSERVER_TOKEN_FILE": str(tmp_path / "token"),
            "DSERVER_CACHE_DIR": str(tmp_path),
            "DSERVER_DEFAULT_BASE_URI": "s3://lab/",
            "DSERVER_DEFAULT_BASE_URI_lab_org_5000": "s3://other",
        }
    )
    assert settings.url == "http://lab.org"
    assert settings.token_file == tmp_path / "token"
    assert settings.cache_directory == tmp_path
    assert settings.default_base_uri("http://lab.org") == "s3://lab"
    assert settings.default_base_uri("https://lab.org:5000/x") == "s3://other"


@pytest.mark.parametrize("value", [False, "false", "0", "No"])
def test_verification_is_turned_off_in_the_words_of_dtool_lookup_api(dtool_json, value):
    dtool_json({"DSERVER_VERIFY_SSL": value})
    assert Settings.load({}).verify_ssl is False


@pytest.mark.parametrize(
    "name", ["DSERVER_VERIFY_SSL", "REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE", "SSL_CERT_FILE"]
)
def test_certificates_to_trust_may_be_named(tmp_path, name):
    bundle = tmp_path / "bundle.pem"
    bundle.touch()
    assert Settings.load({name: str(bundle)}).ca_bundle == bundle
    with pytest.raises(UsageError, match=f"{name} is .*no such file"):
        Settings.load({name: str(tmp_path / "missing.pem")})


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("DSERVER_URL", "ftp://lab.org"),
        ("DSERVER_URL", "https://"),
        ("DSERVER_URL", "https://alice:secret@lab.org"),
        ("DSERVER_URL", "https://lab.org:secret"),
        ("DSERVER_URL", "https://lab.org/?token=secret"),
        ("DSERVER_TOKEN_GENERATOR_URL", "secret://lab.org"),
        ("DSERVER_PROTOCOL", "gopher"),
        ("DSERVER_TOKEN", "secret secret"),
        ("DSERVER_TOKEN", "secret\nHost: other.org"),
    ],
)
def test_a_value_that_cannot_be_used_is_named_but_not_shown(name, value):
    with pytest.raises(UsageError) as raised:
        Settings.load({name: value})
    assert str(raised.value).startswith(name)
    if name != "DSERVER_TOKEN_GENERATOR_URL":
        assert "secret" not in str(raised.value)


@pytest.mark.parametrize("content", ["{", "[]", '{"DSERVER_TOKEN": "secret"'])
def test_a_damaged_dtool_json_is_named_but_not_shown(dtool_json, content):
    dtool_json(content)
    with pytest.raises(UsageError, match=r"dtool\.json") as raised:
        Settings.load({})
    assert "secret" not in "".join(traceback.format_exception(raised.value))


def test_secrets_are_in_no_repr():
    settings = Settings.load({"DSERVER_TOKEN": "secret", "DSERVER_PASSWORD": "secret"})
    assert (settings.token, settings.password) == ("secret", "secret")
    assert "secret" not in repr(settings)


def test_a_file_of_a_token_that_is_missing_is_named(tmp_path):
    with pytest.raises(UsageError, match="DSERVER_TOKEN_FILE is .*no such file"):
        Settings.load({"DSERVER_TOKEN_FILE": str(tmp_path / "missing")})


def test_a_pasted_token_may_have_the_word_bearer_before_it():
    assert Settings.load({}, token=" Bearer abc.def.ghi\n").token == "abc.def.ghi"


def test_the_last_login_is_the_default():
    TokenStore().put("https://lab.org/lookup", "token", default=True)
    TokenStore().put("https://other.org", "token")
    settings = Settings.load({"DSERVER_TOKEN": "token"})
    assert settings.url == "https://lab.org/lookup"
    assert settings.servers == ("https://lab.org/lookup", "https://other.org")
    assert settings.token_url == "https://lab.org/lookup"
    assert Settings.load({"DSERVER_URL": "https://third.org"}).url == "https://third.org"


def test_a_token_of_the_environment_is_for_the_dserver_of_the_environment():
    environ = {"DSERVER_URL": "https://lab.org", "DSERVER_TOKEN": "token"}
    assert Settings.load(environ, url="https://other.org").token_url == "https://lab.org"
    own = Settings.load(environ, url="https://other.org", token="own")
    assert (own.token, own.token_url) == ("own", "https://other.org")


def test_a_token_that_is_given_for_another_dserver_takes_no_password_with_it(tmp_path):
    (tmp_path / "token").touch()
    environ = {
        "DSERVER_URL": "https://lab.org",
        "DSERVER_TOKEN_FILE": str(tmp_path / "token"),
        "DSERVER_USERNAME": "alice",
        "DSERVER_PASSWORD": "secret",
    }
    own = Settings.load(environ, url="https://other.org", token="own")
    assert (own.token_file, own.username, own.password) == (None, None, None)
    own = Settings.load(environ, url="https://lab.org", token="own")
    assert (own.token_file, own.username) == (tmp_path / "token", "alice")


def test_a_damaged_file_of_tokens_is_named():
    store = TokenStore()
    store.put("https://lab.org", "secret")
    store.path.write_text('{"default": "secret')
    with pytest.raises(LocalFileError, match="tokens.json is damaged") as raised:
        Settings.load({})
    assert "secret" not in "".join(traceback.format_exception(raised.value))
