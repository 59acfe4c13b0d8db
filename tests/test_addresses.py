"""Addresses of stores: how the URL Standard spells them, and which are none."""

from __future__ import annotations

import botocore.utils
import pytest
from hypothesis import given
from hypothesis import strategies as st

from dserver_signed_url_plugin.addresses import blob_endpoint, has_host, web_address

SPELLED = {
    "http://LocalHost:9000": "http://localhost:9000",
    "HTTP://localhost:0900": "http://localhost:900",
    "http://127.1": "http://127.0.0.1",
    "http://0x7f.1:9000": "http://127.0.0.1:9000",
    "http://0177.0.0.1": "http://127.0.0.1",
    "http://2130706433": "http://127.0.0.1",
    "http://[0:0:0:0:0:0:0:1]:9000": "http://[::1]:9000",
    "http://[2001:DB8:0::0001]": "http://[2001:db8::1]",
    "https://s3.example.org:443/": "https://s3.example.org",
    "http://s3.example.org:80": "http://s3.example.org",
    "http://s3.example.org:443": "http://s3.example.org:443",
    "https://s3.example.org:": "https://s3.example.org",
    "https://S3.Example.org.:8443": "https://s3.example.org:8443",
    "https://bücher.example": "https://xn--bcher-kva.example",
    "https://faß.example": "https://xn--fa-hia.example",
    "https://\uff53\uff13.example": "https://s3.example",
    "https://example.org/a/../s3/": "https://example.org/s3",
    "https://example.org/S3": "https://example.org/S3",
}
NONE = [
    "http://minio_server:9000",
    "http://my..host",
    "http://.host",
    "http://host..",
    "http://-host",
    "http://host-.example",
    f"http://{'a' * 64}.example",
    f"http://{'.'.join(['a' * 60] * 5)}",
    "http://1.2.3.4.5",
    "http://1.2.3.256",
    "http://host:0",
    "http://host:65536",
    "http://[::1",
    "http://[fe80::1%25eth0]",
    "http://my host",
    "http://my\nhost",
    "http://my\thost",
    "http:/host",
    "http:host",
    "http:///host",
    "http:\\\\host",
    "http://ho\\st",
    "http://ho%00st",
    "http://host/?",
    "http://host#",
    "http://@host",
    "ftp://host",
    "host",
    "",
]


@pytest.mark.parametrize("text", SPELLED)
def test_an_address_has_the_url_standards_spelling(text):
    assert web_address(text) == SPELLED[text]
    assert web_address(SPELLED[text]) == SPELLED[text]


@pytest.mark.parametrize("text", NONE)
def test_what_is_no_address_has_no_spelling(text):
    assert web_address(text) is None


@given(st.from_regex(r"https?://[a-zA-Z0-9._:\[\]-]{1,20}", fullmatch=True))
def test_boto_takes_every_address_and_a_spelling_is_final(text):
    address = web_address(text)
    if address is not None:
        assert botocore.utils.is_valid_uri(address)
        assert web_address(address) == address


def test_an_underscore_is_for_hosts_that_boto_does_not_see():
    address = "http://azurite_server:10000"
    assert web_address(address) is None
    assert web_address(address, underscores=True) == address == blob_endpoint("lab", address)
    assert web_address("http://azurite_..server", underscores=True) is None


@pytest.mark.parametrize(
    ("setting", "endpoint"),
    [
        (None, "https://lab.blob.core.windows.net"),
        ("Core.ChinaCloudAPI.cn:443", "https://lab.blob.core.chinacloudapi.cn"),
        ("HTTP://127.1:010000/lab/", "http://127.0.0.1:10000/lab"),
        ("core/windows", None),
        ("core windows", None),
    ],
)
def test_an_accounts_endpoint_is_a_url_or_its_host_in_a_domain(setting, endpoint):
    assert blob_endpoint("lab", setting) == endpoint


@pytest.mark.parametrize(
    ("address", "host", "is_there"),
    [
        ("http://minio:9000", "minio:9000", True),
        ("http://minio:9000", "MinIO:09000", True),
        ("http://minio:9000", "minio", True),
        ("http://minio:9000", "minio:80", False),
        ("http://minio", "minio:80", True),
        ("https://minio", "minio:443", True),
        ("https://minio", "minio:80", False),
        ("http://127.0.0.1:9000", "127.1:9000", True),
        ("http://minio:9000", "minio2:9000", False),
    ],
)
def test_a_host_is_recognised_however_it_is_spelled(address, host, is_there):
    assert has_host(address, host) is is_there
