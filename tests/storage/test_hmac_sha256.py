from __future__ import annotations

import hmac

from hypothesis import given
from hypothesis import strategies as st

from dserver_signed_url_plugin.storage.hmac_sha256 import HMACSHA256


@given(st.binary(max_size=130), st.binary(max_size=130), st.lists(st.binary(max_size=130)))
def test_every_message_has_the_code_that_python_computes(key, beginning, rests):
    prepared = HMACSHA256(key, beginning)
    for rest in rests:
        assert prepared.digest(rest) == hmac.digest(key, beginning + rest, "sha256")


def test_the_key_is_not_shown():
    assert "the-key" not in f"{HMACSHA256(b'the-key')!r}"
