"""A lifecycle document is changed without touching a byte of other people's rules."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dserver_signed_url_plugin.errors import StorageUnavailable
from dserver_signed_url_plugin.storage.lifecycle import Lifetime
from dserver_signed_url_plugin.storage.s3.lifecycle_document import EMPTY, Document

DAY = Lifetime(1)
OTHER = (
    b"<Rule>\n  <Filter ><Prefix>\xc3\xbcber &lt;x&gt;/</Prefix></Filter>"
    b"<!-- theirs --><ID>tidy</ID><Status>Enabled</Status>"
    b'<Unheard of="before"/>\t</Rule  >'
)
OLD_OTHER = (
    b"<Rule><ID>Delete-After-1-Day</ID><Prefix/><Status>Enabled</Status>"
    b"<Expiration><Days>1</Days></Expiration></Rule>"
)
RECIPE = b"""<?xml version="1.0"?>
<LifecycleConfiguration xmlns="http://s3.amazonaws.com/doc/2006-03-01/">
  <Rule>
    <ID>Delete-After-1-Day</ID>
    <Prefix/>
    <Status>Enabled</Status>
    <Expiration>
      <Days>1</Days>
    </Expiration>
  </Rule>
</LifecycleConfiguration>
"""


def document(*rules):
    space = b"\n  "
    return Document(EMPTY.replace(b"></", b">" + space + space.join(rules) + b"\n</"))


def test_other_rules_keep_every_byte_and_their_place():
    before = document(OTHER, OLD_OTHER)
    after = before.changed(DAY)
    assert after.has(DAY)
    assert [rule.xml for rule in after.rules][:2] == [OTHER, OLD_OTHER]
    assert after.changed(None).xml == before.xml


def test_a_change_replaces_our_own_rule_alone():
    after = document(OTHER).changed(DAY).changed(Lifetime(2, "tmp/", 7))
    assert [rule.name for rule in after.rules] == ["tidy", "dserver-signed-url-expire"]
    assert after.has(Lifetime(2, "tmp/", 7))
    assert not after.has(DAY)
    assert not after.has(None)


@pytest.mark.parametrize(
    "xml",
    [
        EMPTY,
        b"<LifecycleConfiguration />",
        b"<LifecycleConfiguration>\n</LifecycleConfiguration>",
        EMPTY + b"<!-- </LifecycleConfiguration> -->",
    ],
)
def test_a_document_without_rules_gets_one(xml):
    assert Document(xml).changed(DAY).has(DAY)


def test_a_rule_beside_rules_of_the_first_version_is_one_of_them():
    [*_, ours] = document(OLD_OTHER).changed(Lifetime(1, "tmp/")).rules
    assert ours.is_of_the_first_version
    [*_, ours] = document(OTHER).changed(Lifetime(1, "tmp/")).rules
    assert not ours.is_of_the_first_version


def test_our_rule_is_known_again_however_the_store_spells_it():
    spelled = (
        b"<Rule><Expiration><Days>1</Days></Expiration><ID>dserver-signed-url-expire</ID>"
        b"<Filter/><Status>Enabled</Status></Rule>"
    )
    assert document(spelled).has(DAY)
    assert not document(spelled.replace(b"Enabled", b"Disabled")).has(DAY)
    assert not document(spelled.replace(b"<Filter/>", b"<Prefix>a</Prefix>")).has(DAY)


def test_the_document_of_the_recipe_is_shown_as_the_recipe_shows_it():
    shown = str(Document(RECIPE))
    assert shown.replace("<Prefix />", "<Prefix/>").encode() + b"\n" == RECIPE


@given(st.text(st.characters(exclude_categories=["Cs", "Cc"]), max_size=50))
def test_any_printable_prefix_comes_back(prefix):
    after = document(OTHER).changed(Lifetime(1, prefix))
    assert after.rules[1].prefix == prefix
    assert after.has(Lifetime(1, prefix))


@given(st.lists(st.sampled_from([OTHER, OLD_OTHER]), max_size=4), st.integers(1, 2**31 - 1))
def test_setting_twice_is_setting_once(others, days):
    once = document(*others).changed(Lifetime(days))
    assert once.changed(Lifetime(days)).xml == once.xml
    assert [rule.xml for rule in once.rules][:-1] == others


@pytest.mark.parametrize(
    ("xml", "said"),
    [
        (b"", "no XML"),
        (b"<LifecycleConfiguration><Rule></LifecycleConfiguration>", "no XML"),
        (b"<Error><Code>x</Code></Error>", "no lifecycle document"),
        (
            b'<!DOCTYPE a [<!ENTITY e "Enabled">]><LifecycleConfiguration><Rule><Status>&e;'
            b"</Status></Rule></LifecycleConfiguration>",
            "document type",
        ),
    ],
    ids=["nothing", "broken", "another", "entities"],
)
def test_what_is_no_lifecycle_document_is_refused_with_a_sentence(xml, said):
    with pytest.raises(StorageUnavailable, match=said):
        Document(xml)
