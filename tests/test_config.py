"""Settings: defaults, where they come from, and refusals that name the variable."""

import json
from itertools import product

import pytest

from dserver_signed_url_plugin.config import Settings, chosen_life, secrets_in
from dserver_signed_url_plugin.config_sources import HostRewrite
from dserver_signed_url_plugin.errors import ConfigurationError, LifetimeTooLong

NUMBERS = {
    "SIGNED_URL_READ_EXPIRY_SECONDS": ("read_expiry", 3600),
    "SIGNED_URL_WRITE_EXPIRY_SECONDS": ("write_expiry", 14_400),
    "SIGNED_URL_MAX_READ_EXPIRY_SECONDS": ("max_read_expiry", 604_800),
    "SIGNED_URL_MAX_WRITE_EXPIRY_SECONDS": ("max_write_expiry", 604_800),
    "SIGNED_URL_MAX_ITEMS": ("max_items", 100_000),
    "SIGNED_URL_MAX_BODY_BYTES": ("max_body_bytes", 64 * 1024 * 1024),
    "SIGNED_URL_MAX_SHARE_DAYS": ("max_share_days", 90),
    "SIGNED_URL_MAX_SHARES": ("max_shares", 1000),
}
BUCKET_SETTINGS = {
    "DTOOL_S3_ENDPOINT_lab": "http://minio:9000",
    "DTOOL_S3_SECRET_ACCESS_KEY_lab": "s",
}


def either(name, value):
    """Flask's config and the environment, with the variable in one of them."""
    return [({name: value}, {}), ({}, {name: str(value)})]


@pytest.mark.parametrize("name", NUMBERS)
def test_every_number_has_a_default(name):
    attribute, default = NUMBERS[name]
    for nothing in ({}, {name: None}, {name: ""}):
        assert getattr(Settings.load(nothing, nothing), attribute) == default


@pytest.mark.parametrize("number", [5 * 1024**2 - 1, 5 * 1024**3 + 1])
def test_a_part_size_that_no_store_takes_is_refused_by_name(number):
    with pytest.raises(ConfigurationError, match="SIGNED_URL_PART_BYTES"):
        Settings.load({"SIGNED_URL_PART_BYTES": number}, {})
    for taken in (5 * 1024**2, 5 * 1024**3):
        assert Settings.load({"SIGNED_URL_PART_BYTES": taken}, {}).part_bytes == taken


@pytest.mark.parametrize("name", NUMBERS)
def test_every_number_comes_from_the_environment_or_before_it_from_flasks_config(name):
    attribute, _ = NUMBERS[name]
    # At least the defaults of what this may be the maximum of, at most what S3 allows.
    assert getattr(Settings.load({}, {name: "20000"}), attribute) == 20_000
    assert getattr(Settings.load({name: 30_000}, {name: "20000"}), attribute) == 30_000
    assert getattr(Settings.load({name: "30000"}, {name: "nonsense"}), attribute) == 30_000


@pytest.mark.parametrize(
    "value", ["0", "-1", "1.5", "an hour", "1e3", " ", 0, 60.5, True, "9" * 5000]
)
@pytest.mark.parametrize("name", NUMBERS)
def test_a_number_that_is_none_is_refused_by_name(name, value):
    for config, environ in either(name, value):
        with pytest.raises(ConfigurationError, match=name):
            Settings.load(config, environ)


def test_a_cache_of_no_bytes_is_none():
    assert Settings.load({}, {}).cache_bytes == 64 * 1024 * 1024
    assert Settings.load({"SIGNED_URL_CACHE_BYTES": 0}, {}).cache_bytes == 0


@pytest.mark.parametrize("kind", ["READ", "WRITE"])
def test_an_expiry_is_at_most_its_maximum_and_that_at_most_what_s3_allows(kind):
    expiry, maximum = f"SIGNED_URL_{kind}_EXPIRY_SECONDS", f"SIGNED_URL_MAX_{kind}_EXPIRY_SECONDS"
    Settings.load({expiry: 60, maximum: 60}, {})
    with pytest.raises(ConfigurationError, match=f"{expiry} must be at most 60.*{maximum}"):
        Settings.load({expiry: 61, maximum: 60}, {})
    with pytest.raises(ConfigurationError, match=f"{maximum} must be at most 604800"):
        Settings.load({maximum: 604_801}, {})
    with pytest.raises(ConfigurationError, match=f"{expiry} must be at most 604800"):
        Settings.load({expiry: 604_801}, {})


# SIGNED_URL_HOST_REWRITE ---------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "internal", "external"),
    [
        ("minio:9000|s3.example.org", "minio:9000", "s3.example.org"),
        ("http://minio:9000|https://s3.example.org", "http://minio:9000", "https://s3.example.org"),
        (" minio:9000 | s3.example.org:8443/ ", "minio:9000", "s3.example.org:8443"),
        ("minio|[::1]:9000", "minio", "[::1]:9000"),
    ],
)
def test_a_host_rewrite_reads_internal_bar_external(text, internal, external):
    for config, environ in either("SIGNED_URL_HOST_REWRITE", text):
        assert Settings.load(config, environ).host_rewrite == HostRewrite(internal, external)


@pytest.mark.parametrize(
    "text",
    [
        "minio:9000",
        "minio:9000|",
        "|s3.example.org",
        "|",
        "a|b|c",
        "minio|https://",
        "minio|:9000",
        "minio|[::1",
        "minio|s3.example.org:port",
        "minio|s3.example.org:99999",
        "minio|ftp://s3.example.org",
        "minio|s3_public.example.org",
        "minio|my..host",
        "my..host|s3.example.org",
        "mi nio|s3.example.org",
    ],
)
def test_a_host_rewrite_that_cannot_be_used_is_refused_by_name(text):
    with pytest.raises(ConfigurationError, match="SIGNED_URL_HOST_REWRITE"):
        Settings.load({"SIGNED_URL_HOST_REWRITE": text}, {})


@pytest.mark.parametrize(
    ("text", "address"),
    [
        ("https://dserver.example.org", "https://dserver.example.org"),
        (" HTTPS://DServer.example.org:443/ ", "https://dserver.example.org"),
        ("http://127.0.0.1:5000", "http://127.0.0.1:5000"),
        ("https://example.org/dserver/", "https://example.org/dserver"),
        ("", None),
    ],
)
def test_the_public_address_is_kept_in_normal_form(text, address):
    for config, environ in either("SIGNED_URL_PUBLIC_URL", text):
        assert Settings.load(config, environ).public_url == address


@pytest.mark.parametrize(
    "text",
    [
        "dserver.example.org",
        "ftp://dserver.example.org",
        "https://user:word@dserver.example.org",
        "https://dserver.example.org/?a=b",
        "https://dserver.example.org/#a",
        "https://",
        "https://my host",
    ],
)
def test_a_public_address_that_cannot_be_used_is_refused_by_name_alone(text):
    with pytest.raises(ConfigurationError, match="SIGNED_URL_PUBLIC_URL") as refused:
        Settings.load({"SIGNED_URL_PUBLIC_URL": text}, {})
    assert "word" not in str(refused.value)


@pytest.mark.parametrize(
    ("name", "most"),
    [
        ("SIGNED_URL_MAX_PENDING", 10**17),
        ("SIGNED_URL_MAX_PENDING_BYTES", 10**17),
        ("SIGNED_URL_MAX_SHARES", 10**17),
        ("SIGNED_URL_MAX_BODY_BYTES", 10**17),
        ("SIGNED_URL_CACHE_BYTES", 10**17),
        ("SIGNED_URL_STORAGE_SECONDS", 3600),
        ("SIGNED_URL_AUDIT_DAYS", 36_500),
    ],
)
def test_a_number_that_no_database_or_clock_takes_is_refused_by_name(name, most):
    Settings.load({name: most}, {})
    with pytest.raises(ConfigurationError, match=f"{name} must be at most {most}"):
        Settings.load({}, {name: str(most + 1)})


def test_shares_of_more_days_than_dates_hold_are_refused_by_name():
    with pytest.raises(ConfigurationError, match="SIGNED_URL_MAX_SHARE_DAYS"):
        Settings.load({"SIGNED_URL_MAX_SHARE_DAYS": 36_501}, {})


@pytest.mark.parametrize("number", ["-1", "11", "yes", "127.0.0.1"])
def test_a_number_of_proxies_that_nobody_has_is_refused_by_name(number):
    with pytest.raises(ConfigurationError, match="SIGNED_URL_PROXIES"):
        Settings.load({"SIGNED_URL_PROXIES": number}, {})
    assert Settings.load({}, {}).proxies == 0
    assert Settings.load({}, {"SIGNED_URL_PROXIES": "2"}).proxies == 2


def test_no_host_is_rewritten_unless_asked_for():
    assert Settings.load({}, {"SIGNED_URL_HOST_REWRITE": ""}).host_rewrite is None


def test_a_name_that_is_no_setting_is_logged_as_ignored(caplog):
    known = {"SIGNED_URL_WRITES_lab-1": "staged", "SIGNED_URL_STORAGE_AZURE": "broker"}
    known |= {name: str(default) for name, (_, default) in NUMBERS.items()}
    for config, environ in either("SIGNED_URL_READ_EXPIRI_SECONDS", "3"):
        Settings.load({**config, "SIGNED_URL_WRITES_b": None}, {**known, **environ, "OTHER": "1"})
        [message] = caplog.messages
        assert message.startswith("SIGNED_URL_READ_EXPIRI_SECONDS is ignored")
        caplog.clear()


# SIGNED_URL_WRITES_<bucket> ------------------------------------------------------------------


def test_items_are_pinned_unless_a_bucket_says_otherwise():
    for config, environ in either("SIGNED_URL_WRITES_lab", "staged"):
        settings = Settings.load(config, environ)
        assert (settings.writes("lab"), settings.writes("other")) == ("staged", "pinned")
    for nothing in ("", None):
        assert Settings.load({"SIGNED_URL_WRITES_lab": nothing}, {}).writes("lab") == "pinned"


@pytest.mark.parametrize("name", ["SIGNED_URL_WRITES_lab-1", "SIGNED_URL_WRITES_LAB-1"])
def test_a_buckets_writes_may_stand_in_capitals(name):
    for config, environ in either(name, "staged"):
        assert Settings.load(config, environ).writes("lab-1") == "staged"


def test_flasks_config_replaces_the_environments_writes_however_they_are_spelled():
    for theirs, ours in product(["lab", "LAB"], repeat=2):
        environ, config = {f"SIGNED_URL_WRITES_{theirs}": "pinned"}, {}
        config[f"SIGNED_URL_WRITES_{ours}"] = "staged"
        assert Settings.load(config, environ).writes("lab") == "staged"


@pytest.mark.parametrize("value", ["Staged", "stage", "true", 1, "pinned, staged"])
def test_writes_that_are_neither_pinned_nor_staged_are_refused_by_name(value):
    for config, environ in either("SIGNED_URL_WRITES_lab", value):
        with pytest.raises(ConfigurationError, match="SIGNED_URL_WRITES_lab must be pinned or sta"):
            Settings.load(config, environ)


# SIGNED_URL_STORAGE_<scheme> -----------------------------------------------------------------


def test_the_plugin_signs_itself_unless_a_broker_is_wanted():
    for scheme in ("s3", "azure"):
        for name in (f"SIGNED_URL_STORAGE_{scheme}", f"SIGNED_URL_STORAGE_{scheme.upper()}"):
            for config, environ in either(name, "broker"):
                assert Settings.load(config, environ).brokered == {scheme}
            assert Settings.load({name: ""}, {name: " "}).brokered == frozenset()


@pytest.mark.parametrize("value", ["Broker", "plugin", "true", 1])
@pytest.mark.parametrize("name", ["SIGNED_URL_STORAGE_s3", "SIGNED_URL_STORAGE_AZURE"])
def test_a_storage_that_is_no_broker_is_refused_by_name(name, value):
    for config, environ in either(name, value):
        with pytest.raises(ConfigurationError, match=f"{name} must be broker"):
            Settings.load(config, environ)


def test_staged_writes_are_refused_where_a_broker_is_to_sign():
    writes = {"SIGNED_URL_WRITES_lab": "staged"}
    with pytest.raises(ConfigurationError, match="SIGNED_URL_WRITES_lab.*SIGNED_URL_STORAGE_s3"):
        Settings.load({"SIGNED_URL_STORAGE_S3": "broker"}, writes)
    Settings.load({"SIGNED_URL_STORAGE_AZURE": "broker"}, writes)
    Settings.load({"SIGNED_URL_STORAGE_S3": "broker"}, {"SIGNED_URL_WRITES_lab": "pinned"})


# DTOOL_* -------------------------------------------------------------------------------------

ENDPOINTS = ["DTOOL_S3_ENDPOINT_lab", "DTOOL_S3_PUBLIC_ENDPOINT_lab"]
BLOB_ENDPOINTS = ["DTOOL_AZURE_BLOB_ENDPOINT_lab", "DTOOL_AZURE_PUBLIC_BLOB_ENDPOINT_lab"]
KEYS = ["DTOOL_S3_ACCESS_KEY_ID_lab", "DTOOL_S3_WRITE_ACCESS_KEY_ID_lab"]
SECRETS = ["DTOOL_S3_SECRET_ACCESS_KEY_lab", "DTOOL_S3_WRITE_SECRET_ACCESS_KEY_lab"]
REGIONS = ["DTOOL_S3_REGION_lab"]
PREFIXES = ["DTOOL_S3_DATASET_PREFIX_lab"]
ACCOUNT_KEYS = ["DTOOL_AZURE_ACCOUNT_KEY_lab"]
UNKNOWN_TO_BOTO = ["http://minio_server:9000", "http://-minio", "http://minio-:9000"]
BARE = ["s3.example.org", "minio:9000", "geheim"]
NO_URLS = [
    "//s3.example.org",
    "ftp://s3.example.org",
    "https://",
    "https://[::1",
    "https://h:port",
    "https://h:99999",
    "https://a b",
    "https://user:geheim@s3.example.org",
    "https://geheim@s3.example.org",
    "https://:@s3.example.org",
    "https://s3.example.org?token=geheim",
    "https://s3.example.org/path?token=geheim",
    "https://s3.example.org#geheim",
    "http://my..host",
    "http://my\nhost",
    "http://1.2.3.4.5",
]
NO_DOMAINS = ["lab/geheim", "geheim@core.example.org", "core.example.org?geheim", "a b", "h:port"]


@pytest.mark.parametrize(
    ("name", "value"),
    [
        *product(ENDPOINTS, BARE + NO_URLS + UNKNOWN_TO_BOTO),
        *product(KEYS, ["ge heim", "gehéim", "geheim\x00"]),
        *product(SECRETS, ["geheim\x00", "ge\nheim", "geheim\udcff"]),
        *product(REGIONS, ["eu_geheim", "geheim!", "12", "-geheim", "g" * 64]),
        *product(PREFIXES, ["geheim\x00", "ge\nheim/", "g" * 901]),
        *product(ACCOUNT_KEYS, ["geheim!", "geheimx", "gehéim="]),
        *product(BLOB_ENDPOINTS, NO_URLS + NO_DOMAINS),
    ],
)
@pytest.mark.parametrize("where", ["config", "environ", "file"])
def test_a_variable_of_dtools_that_cannot_be_used_is_refused_by_name_alone(
    tmp_path, name, value, where
):
    sources = {"config": {}, "environ": {}}
    if where == "file":
        path = tmp_path / "dtool.json"
        path.write_text(json.dumps({name: value}))
        sources["environ"] = {"DTOOL_CONFIG_PATH": str(path)}
    else:
        sources[where] = {name: value}
    with pytest.raises(ConfigurationError, match=name) as refusal:
        Settings.load(**sources)
    assert "geheim" not in str(refusal.value)


@pytest.mark.parametrize("name", ENDPOINTS)
@pytest.mark.parametrize(
    "value", ["https://s3.example.org", "http://localhost:9000/", "http://[::1]:9000", ""]
)
def test_an_endpoint_is_a_url_or_empty(name, value):
    assert Settings.load({name: value}, {}).dtool[name] == value
    assert Settings.load({name.upper(): value}, {}).dtool_setting(name) == (value or None)
    Settings.load({}, {name: value})


@pytest.mark.parametrize(
    ("name", "value"),
    [
        *product(KEYS, ["AK/+=_.-"]),
        *product(SECRETS, ["a Größe of /+= kinds"]),
        *product(REGIONS, ["eu-central-1", "RegionOne", "fr-par"]),
        *product(PREFIXES, ["u/Größe/", "g" * 900]),
        *product(ACCOUNT_KEYS, ["c2VjcmV0LWtleQ=="]),
    ],
)
def test_blanks_around_a_variable_of_dtools_are_none_of_it(name, value):
    assert Settings.load({name: f"\t{value} \n"}, {name: f"{value}\n"}).dtool[name] == value
    assert Settings.load({name: " \n"}, {name: " \n"}).dtool_setting(name) is None


@pytest.mark.parametrize("name", BLOB_ENDPOINTS)
@pytest.mark.parametrize(
    "value", ["https://10.0.0.4", "http://127.0.0.1:10000/lab/", "core.chinacloudapi.cn", ""]
)
def test_an_endpoint_of_blobs_may_be_a_bare_domain_too(name, value):
    assert Settings.load({name: value}, {}).dtool[name] == value
    Settings.load({}, {name: value})


def test_dtools_settings_in_flasks_config_are_found_exactly_or_in_capitals():
    settings = Settings.load({"DTOOL_A_lab": "exact", "DTOOL_B_LAB": "capitals"}, {})
    assert settings.dtool_setting("DTOOL_A_lab") == "exact"
    assert settings.dtool_setting("DTOOL_B_lab") == "capitals"
    assert settings.dtool_setting("DTOOL_C_lab") is None


def test_nothing_but_dtools_settings_is_collected():
    config = {**BUCKET_SETTINGS, "SECRET_KEY": "flask's", "DTOOL_S3_NONE_lab": None, 5: "odd"}
    assert Settings.load(config, {"DTOOL_S3_ACCESS_KEY_ID_other": "x"}).dtool == BUCKET_SETTINGS


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (None, "readable"),
        (b"{", "readable"),
        (b"\xff", "readable"),
        (b"[]", "one JSON object"),
        (b"3", "one JSON object"),
    ],
)
def test_a_broken_dtool_config_path_is_refused_by_name(tmp_path, content, reason):
    path = tmp_path / "dtool.json"
    if content is not None:
        path.write_bytes(content)
    for config, environ in either("DTOOL_CONFIG_PATH", path):
        with pytest.raises(ConfigurationError, match=f"DTOOL_CONFIG_PATH must name a.*{reason}"):
            Settings.load(config, environ)


@pytest.fixture
def dtools_file(tmp_path, monkeypatch):
    """The file in which dtool itself looks for its settings."""
    path = tmp_path / ".config" / "dtool" / "dtool.json"
    path.parent.mkdir(parents=True)
    monkeypatch.setenv("HOME", str(tmp_path))
    return path


def test_what_dtools_own_file_says_is_looked_at_when_dserver_starts(dtools_file):
    dtools_file.write_text(json.dumps({"DTOOL_S3_ENDPOINT_lab": "http://minio_server:9000"}))
    with pytest.raises(ConfigurationError, match="DTOOL_S3_ENDPOINT_lab must be a URL"):
        Settings.load({}, {})


@pytest.mark.parametrize("content", ["{", "[]", "{}", json.dumps({"DTOOL_S3_REGION_lab": ""})])
def test_dtools_own_file_may_say_nothing(dtools_file, content):
    Settings.load({}, {})
    dtools_file.write_text(content)
    Settings.load({}, {})


def test_a_directory_is_no_dtool_config_path(tmp_path):
    with pytest.raises(ConfigurationError, match="DTOOL_CONFIG_PATH"):
        Settings.load({}, {"DTOOL_CONFIG_PATH": str(tmp_path)})


def test_a_dtool_config_path_is_kept(tmp_path):
    path = tmp_path / "dtool.json"
    path.write_text("{}")
    assert Settings.load({"DTOOL_CONFIG_PATH": path}, {}).config_path == str(path)


# Secrets -------------------------------------------------------------------------------------


def test_names_of_secrets_are_known():
    config = {
        "DTOOL_S3_ENDPOINT_lab": "http://minio:9000",
        "DTOOL_S3_ACCESS_KEY_ID_lab": "a",
        "DTOOL_S3_SECRET_ACCESS_KEY_lab": "s",
        "DTOOL_S3_SECRET_ACCESS_KEY_LAB": "s",
        "DTOOL_S3_WRITE_ACCESS_KEY_ID_lab": "a",
        "DTOOL_S3_WRITE_SECRET_ACCESS_KEY_LAB": "s",
        "DTOOL_AZURE_ACCOUNT_KEY_lab": "k",
        "DTOOL_DSERVER_TOKEN": "t",
        "JWT_SECRET_KEY": "dserver's own",
        "SIGNED_URL_MAX_ITEMS": 5,
    }
    assert secrets_in(config) == [name for name, value in config.items() if value in {*"askt"}]


def test_settings_do_not_show_the_secrets_they_hold():
    settings = Settings.load({"DTOOL_S3_SECRET_ACCESS_KEY_lab": "the-secret-key"}, {})
    assert "the-secret-key" not in repr(settings)


@pytest.mark.parametrize(("asked", "granted"), [(None, 60), (1, 1), (61, 61), (100, 100)])
def test_what_was_asked_for_is_granted_or_else_the_default(asked, granted):
    assert chosen_life(asked, default=60, maximum=100) == granted


def test_more_than_the_maximum_is_refused_naming_it():
    with pytest.raises(LifetimeTooLong, match="at most 100") as refusal:
        chosen_life(101, default=60, maximum=100)
    assert refusal.value.status == 422
    assert refusal.value.details.keys() == {"expiry_seconds"}
