"""What the requests of an address are counted by."""

from __future__ import annotations

import pytest

from dserver_signed_url_plugin.client_networks import network_of


@pytest.mark.parametrize(
    ("address", "network"),
    [
        ("192.0.2.1", "192.0.2.1"),
        ("192.0.2.1:49152", "192.0.2.1"),
        ("::ffff:192.0.2.1", "192.0.2.1"),
        ("2001:db8::1", "2001:db8::/64"),
        ("2001:db8:0:0:ffff::2", "2001:db8::/64"),
        ("[2001:db8::3]:443", "2001:db8::/64"),
        ("[2001:db8:0:1::3]", "2001:db8:0:1::/64"),
        ("fe80::1%eth0", "fe80::/64"),
    ],
)
def test_an_address_counts_as_its_network_whatever_its_port_is(address, network):
    assert network_of(address) == network


@pytest.mark.parametrize("address", [None, "", "unknown", "_hidden", "1.2.3.4.5:6", "[]:1"])
def test_whoever_has_no_address_counts_as_one(address):
    assert network_of(address) == "an unknown address"
