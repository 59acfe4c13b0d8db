"""Where datasets are, as it is remembered: a cache that threads share."""

from __future__ import annotations

from uuid import uuid4

from dserver_signed_url_plugin.storage.s3.layout import Layout
from dserver_signed_url_plugin.storage.s3.prefixes import DatasetPrefixes


class Empty:
    """A bucket in which nothing is registered."""

    dataset_prefix = "new/"

    def get(self, key):
        return None


class Interrupted(str):
    """A UUID; somebody else takes a turn when it is looked up for the second time."""

    lookups = 0

    def __hash__(self):
        self.lookups += 1
        if self.lookups == 2:
            self.meanwhile()
        return super().__hash__()


def test_a_place_may_be_forgotten_while_it_is_asked_for():
    places, uuid = DatasetPrefixes(Empty()), str(uuid4())
    places.remember(Layout("old/", uuid))
    asked = Interrupted(uuid)
    asked.meanwhile = lambda: places.forget(uuid)
    assert places.of(asked).prefix == "old/"
    assert places.of(asked).prefix == "new/"
