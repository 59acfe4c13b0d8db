"""A lifecycle document is changed in our rule, and in nothing else that it holds."""

from xml.etree import ElementTree

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dserver_signed_url_plugin.errors import StorageUnavailable
from dserver_signed_url_plugin.storage.lifecycle import Retention
from dserver_signed_url_plugin.storage.s3.lifecycle_document import Document

DAY = Retention(1)
EMPTY = (
    b'<LifecycleConfiguration xmlns="http://s3.amazonaws.com/doc/2006-03-01/">'
    b"</LifecycleConfiguration>"
)
OTHER = (
    b"<Rule>\n  <Filter><Prefix>\xc3\xbcber &lt;x&gt;/</Prefix></Filter>"
    b"<ID>tidy</ID><Status>Enabled</Status>"
    b'<v:Unheard xmlns:v="urn:v" xmlns:unused="urn:u" of="v:before"/>\t</Rule>'
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
    return Document.parse(EMPTY.replace(b"></", b">" + space + space.join(rules) + b"\n</"))


def ours(wanted):
    [rule] = Document().changed(wanted).ours
    return ElementTree.tostring(rule.element).replace(b" />", b"/>")


def test_other_rules_keep_every_element_attribute_and_namespace():
    before = document(OTHER, OLD_OTHER)
    after = before.changed(DAY)
    assert after.says(DAY)
    for rule in (OTHER, OLD_OTHER):
        assert rule in after.xml
    assert after.changed(None).xml == before.xml


def test_a_change_replaces_our_own_rule_alone():
    after = document(OTHER).changed(DAY).changed(Retention(2, "tmp/", 7))
    assert [rule.name for rule in after.rules] == ["tidy", "dserver-signed-url-expire"]
    assert after.says(Retention(2, "tmp/", 7))
    assert not after.says(DAY)
    assert not after.says(None)


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
    assert Document.parse(Document.parse(xml).changed(DAY).xml).says(DAY)


def test_a_rule_beside_rules_of_the_first_version_is_one_of_them():
    [*_, ours] = document(OLD_OTHER).changed(Retention(1, "tmp/")).rules
    assert ours.is_of_the_first_version
    [*_, ours] = document(OTHER).changed(Retention(1, "tmp/")).rules
    assert not ours.is_of_the_first_version


def test_our_rule_is_known_again_however_the_store_spells_it():
    spelled = (
        b"<Rule><AbortIncompleteMultipartUpload><DaysAfterInitiation>7</DaysAfterInitiation>"
        b"</AbortIncompleteMultipartUpload><Expiration><Days>1</Days></Expiration>"
        b"<ID>dserver-signed-url-expire</ID><Filter/><Status>Enabled</Status></Rule>"
    )
    wanted = Retention(1, abort_incomplete_days=7)
    assert document(spelled).says(wanted)
    assert not document(spelled.replace(b"Enabled", b"Disabled")).says(wanted)
    assert not document(spelled.replace(b"<Filter/>", b"<Prefix>a</Prefix>")).says(wanted)
    assert not document(spelled, spelled).says(wanted)
    assert not document(spelled).says(DAY)


def test_what_is_lost_of_the_others_is_known_and_put_back_with_our_former_rule():
    nameless = b"<Rule><Prefix>x/</Prefix><Status>Enabled</Status><Odd/></Rule>"
    before = document(OTHER, nameless, ours(DAY))
    assert not before.lost(before)
    named = nameless.replace(b"<Rule>", b"<Rule><ID>7</ID>")
    assert not document(named, OTHER).lost(before)
    shown = document(OLD_OTHER, ours(Retention(2)))
    assert [rule.name for rule in shown.lost(before)] == ["tidy", ""]
    restored = shown.restored(before)
    assert restored.says(DAY)
    assert not restored.lost(before)
    assert not restored.lost(shown)


def test_a_rule_of_others_that_is_changed_counts_as_lost_and_is_put_back_once():
    tagged = (
        b"<Rule><ID>tidy</ID><Filter><And><Prefix>x/</Prefix><Tag><Key>b</Key><Value>1</Value></Tag>"
        b"<Tag><Key>a</Key><Value>2</Value></Tag></And></Filter><Status>Enabled</Status></Rule>"
    )
    before = document(tagged, OLD_OTHER)
    shown = document(
        tagged[: tagged.index(b"<Filter>")] + b"<Status>Enabled</Status></Rule>", OLD_OTHER
    )
    assert [rule.name for rule in shown.lost(before)] == ["tidy"]
    restored = shown.restored(before)
    assert restored.has_all_of(before)
    assert not shown.has_all_of(before)
    assert restored.xml.count(b"<ID>tidy</ID>") == 1
    assert not before.lost(document(OLD_OTHER, tagged))


@pytest.mark.parametrize("strange", [b"<Rule/>", b"<Rule />\n<Rule></Rule >", b"<?x y?>"])
def test_strange_spellings_change_no_other_rule(strange):
    after = document(strange, OTHER, strange).changed(DAY)
    assert after.says(DAY)
    assert OTHER in after.xml


def test_a_change_keeps_what_aws_has_in_a_header():
    before = Document.parse(EMPTY, "varies_by_storage_class")
    assert before.changed(DAY).changed(None).transition_minimum == "varies_by_storage_class"


def test_the_document_of_the_recipe_is_shown_as_the_recipe_shows_it():
    shown = str(Document.parse(RECIPE))
    assert shown.replace("<Prefix />", "<Prefix/>").encode() + b"\n" == RECIPE


def test_a_document_is_shown_in_a_way_that_every_terminal_hands_on():
    shown = str(document(OTHER)).encode("ascii")
    assert [rule.prefix for rule in Document.parse(shown).rules] == ["über <x>/"]


@given(st.text(st.characters(exclude_categories=["Cs", "Cc"]), max_size=50))
def test_any_printable_prefix_comes_back(prefix):
    after = Document.parse(document(OTHER).changed(Retention(1, prefix)).xml)
    assert after.rules[1].prefix == prefix
    assert after.says(Retention(1, prefix))


@given(st.lists(st.sampled_from([OTHER, OLD_OTHER]), max_size=4), st.integers(1, 2**31 - 1))
def test_setting_twice_is_setting_once(others, days):
    once = document(*others).changed(Retention(days))
    assert once.changed(Retention(days)).xml == once.xml
    assert len(once.rules) == len(others) + 1


@pytest.mark.parametrize(
    ("xml", "said"),
    [
        (b"", "no XML"),
        (b"<LifecycleConfiguration><Rule></LifecycleConfiguration>", "no XML"),
        (b"<Error><Code>x</Code></Error>", "no lifecycle document"),
        (RECIPE.replace(b"After", b"\xfc"), "no XML"),
        (b'<?xml version="1.0" encoding="shift_jis"?>' + EMPTY, "no XML"),
        (b'<?xml version="1.0" encoding="unheard"?>' + EMPTY, "no XML"),
        (
            b'<!DOCTYPE a [<!ENTITY e "Enabled">]><LifecycleConfiguration><Rule><Status>&e;'
            b"</Status></Rule></LifecycleConfiguration>",
            "document type",
        ),
    ],
    ids=["nothing", "broken", "another", "latin-1", "shift-jis", "unheard", "entities"],
)
def test_what_is_no_lifecycle_document_is_refused_with_a_sentence(xml, said):
    with pytest.raises(StorageUnavailable, match=said):
        Document.parse(xml)
