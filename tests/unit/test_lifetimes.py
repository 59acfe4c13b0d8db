"""How long a signed URL lives that somebody asked for."""

import pytest

from dserver_signed_url_plugin.errors import LifetimeTooLong
from dserver_signed_url_plugin.lifetimes import chosen


@pytest.mark.parametrize(("asked", "granted"), [(None, 60), (1, 1), (61, 61), (100, 100)])
def test_what_was_asked_for_is_granted_or_else_the_default(asked, granted):
    assert chosen(asked, default=60, maximum=100) == granted


def test_more_than_the_maximum_is_refused_naming_it():
    with pytest.raises(LifetimeTooLong, match="at most 100") as refusal:
        chosen(101, default=60, maximum=100)
    assert refusal.value.status == 422
    assert refusal.value.facts.keys() == {"expiry_seconds"}
