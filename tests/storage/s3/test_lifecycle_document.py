"""A lifecycle document is changed without touching a byte of other people's rules."""

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dserver_signed_url_plugin.errors import StorageUnavailable
from dserver_signed_url_plugin.storage.lifecycle import Retention
from dserver_signed_url_plugin.storage.s3.lifecycle_document import EMPTY, Document

DAY = Retention(1)
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
    assert after.lacks(DAY) == ()
    assert [rule.xml for rule in after.rules][:2] == [OTHER, OLD_OTHER]
    assert after.changed(None).xml == before.xml


def test_a_change_replaces_our_own_rule_alone():
    after = document(OTHER).changed(DAY).changed(Retention(2, "tmp/", 7))
    assert [rule.name for rule in after.rules] == ["tidy", "dserver-signed-url-expire"]
    assert after.lacks(Retention(2, "tmp/", 7)) == ()
    assert after.lacks(DAY) is None
    assert after.lacks(None) is None


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
    assert Document(xml).changed(DAY).lacks(DAY) == ()


def test_a_rule_beside_rules_of_the_first_version_is_one_of_them():
    [*_, ours] = document(OLD_OTHER).changed(Retention(1, "tmp/")).rules
    assert ours.is_of_the_first_version
    [*_, ours] = document(OTHER).changed(Retention(1, "tmp/")).rules
    assert not ours.is_of_the_first_version


def test_our_rule_is_known_again_however_the_store_spells_it():
    spelled = (
        b"<Rule><Expiration><Days>1</Days></Expiration><ID>dserver-signed-url-expire</ID>"
        b"<Filter/><Status>Enabled</Status></Rule>"
    )
    assert document(spelled).lacks(DAY) == ()
    assert document(spelled.replace(b"Enabled", b"Disabled")).lacks(DAY) is None
    assert document(spelled.replace(b"<Filter/>", b"<Prefix>a</Prefix>")).lacks(DAY) is None


def test_what_a_store_leaves_out_of_our_rule_is_known():
    wanted = Retention(1, "tmp/", 7, old_version_days=1)
    [ours] = document().changed(wanted).ours
    abort = re.search(b"<Abort.*</Abort[^>]*>", ours.xml).group()
    assert document(ours.xml.replace(abort, b"")).lacks(wanted) == (
        "unfinished multipart uploads dropped after 7 days",
    )
    # Without its expiry, or with more than was wanted, it is another rule.
    expiry = b"<Expiration><Days>1</Days></Expiration>"
    assert document(ours.xml.replace(expiry, b"")).lacks(wanted) is None
    assert document(ours.xml).lacks(Retention(1, "tmp/")) is None
    assert document(ours.xml, ours.xml).lacks(wanted) is None


@pytest.mark.parametrize(
    ("left", "misdirected"),
    [
        (b"<Filter><Prefix>tmp/</Prefix></Filter>", False),
        (b"<Filter><Prefix>tm</Prefix></Filter>", True),
        (b"<Filter/>", True),
        (b"", True),
    ],
)
def test_our_rule_for_other_objects_is_known_by_what_it_does(left, misdirected):
    wanted = Retention(1, "tmp/")
    [ours] = document().changed(wanted).ours
    shown = document(ours.xml.replace(b"<Filter><Prefix>tmp/</Prefix></Filter>", left))
    assert shown.misdirects(wanted) is misdirected
    # Somebody else may have wanted another life.
    assert not shown.misdirects(Retention(2, "tmp/"))


@pytest.mark.parametrize(
    "strange",
    [
        b"<Rule/>",
        b"<Rule />\n<Rule></Rule >",
        b"<!-- </LifecycleConfiguration> <Rule> -->",
        b"<?x </LifecycleConfiguration ?>",
    ],
)
@pytest.mark.parametrize("after", [b"", b"<!-- </LifecycleConfiguration -->"])
def test_strange_spellings_stay_where_they_are(strange, after):
    spelled = EMPTY.replace(b"></", b">" + strange + OTHER + strange + b"</") + after
    changed = Document(spelled).changed(DAY)
    assert changed.lacks(DAY) == ()
    assert [rule.xml for rule in changed.rules if rule.name == "tidy"] == [OTHER]
    assert changed.changed(None).xml == spelled


def test_rules_without_anything_in_them_have_their_own_bytes():
    spelled = [b"<Rule/>", b"<Rule  />", OTHER, b"<Rule></Rule >", b"<Rule/>"]
    assert [rule.xml for rule in document(*spelled).rules] == spelled


def test_a_change_keeps_what_aws_has_in_a_header():
    before = Document(EMPTY, "varies_by_storage_class")
    assert before.changed(DAY).changed(None).transition_minimum == "varies_by_storage_class"


def test_the_document_of_the_recipe_is_shown_as_the_recipe_shows_it():
    shown = str(Document(RECIPE))
    assert shown.replace("<Prefix />", "<Prefix/>").encode() + b"\n" == RECIPE


@given(st.text(st.characters(exclude_categories=["Cs", "Cc"]), max_size=50))
def test_any_printable_prefix_comes_back(prefix):
    after = document(OTHER).changed(Retention(1, prefix))
    assert after.rules[1].prefix == prefix
    assert after.lacks(Retention(1, prefix)) == ()


@given(st.lists(st.sampled_from([OTHER, OLD_OTHER]), max_size=4), st.integers(1, 2**31 - 1))
def test_setting_twice_is_setting_once(others, days):
    once = document(*others).changed(Retention(days))
    assert once.changed(Retention(days)).xml == once.xml
    assert [rule.xml for rule in once.rules][:-1] == others


@pytest.mark.parametrize(
    ("xml", "said"),
    [
        (b"", "no XML"),
        (b"<LifecycleConfiguration><Rule></LifecycleConfiguration>", "no XML"),
        (b"<Error><Code>x</Code></Error>", "no lifecycle document"),
        (RECIPE.decode().encode("utf-16"), "no XML in UTF-8"),
        (RECIPE.replace(b"After", b"\xfc"), "no XML in UTF-8"),
        (
            b'<!DOCTYPE a [<!ENTITY e "Enabled">]><LifecycleConfiguration><Rule><Status>&e;'
            b"</Status></Rule></LifecycleConfiguration>",
            "document type",
        ),
    ],
    ids=["nothing", "broken", "another", "utf-16", "latin-1", "entities"],
)
def test_what_is_no_lifecycle_document_is_refused_with_a_sentence(xml, said):
    with pytest.raises(StorageUnavailable, match=said):
        Document(xml)
