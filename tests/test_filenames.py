"""The name and the type with which an item is served: a file's own, and nothing that does harm."""

from __future__ import annotations

import re
import string
from email.message import Message
from urllib.parse import unquote

import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from werkzeug.http import parse_options_header

from dserver_signed_url_plugin.filenames import file_name, served_as
from tests.support.stored_upload import AWKWARD

dispositions = st.sampled_from(["attachment", "inline"])
# Half of a surrogate pair is what a JSON manifest may hold.
odd = "ab.Z \t\r\n\x00\x7f\x85\"'\\/;=%*,<>:|?~äß測🧪e\u0301\u200d\u202e\u2028\ud800\uff0f\u2024¹"
devices = [f"{name}{number}" for name in ("COM", "LPT") for number in "0123456789¹²³"]
devices += ["CON", "PRN", "AUX", "NUL", "CONIN$", "CONOUT$"]
# Some begin as a device does, and some are so long that they are cut.
relpaths = st.text(max_size=80) | st.builds(
    lambda start, sign, number, end: start + sign * number + end,
    st.sampled_from(["", *devices]) | st.text(odd, max_size=40),
    st.sampled_from(odd),
    st.integers(0, 400),
    st.text(odd, max_size=40),
)


def header(relpath, disposition="attachment"):
    return served_as(relpath, disposition).content_disposition


def as_python_reads(value):
    """Return the name that Python's e-mail package finds in a header."""
    message = Message()
    message["Content-Disposition"] = value
    return message.get_filename()


def as_curl_reads(value):
    """Return the plain name, up to the next quote, as programs read that know no escapes."""
    return value.partition('filename="')[2].partition('"')[0]


@given(relpaths, dispositions)
@example("\r\nSet-Cookie: a=b", "inline")
@example('"; filename=evil.exe; x="', "attachment")
@example("\\", "attachment")
@example("." * 300 + "txt", "attachment")
def test_nothing_in_a_name_breaks_out_of_the_header(relpath, disposition):
    value = header(relpath, disposition)
    attribute_characters = re.escape(string.ascii_letters + string.digits + "-._~%")
    assert re.fullmatch(
        rf"""{disposition}; filename="[ -~]+"; filename\*=UTF-8''[{attribute_characters}]+""", value
    )
    assert value.count('"') == 2
    assert "\\" not in value


@given(relpaths)
@example('Übersicht "final" 2;.txt')
@example("raw/heights-1_a.tar.gz")
@example("aux.csv")
@example("x." * 130)
@example("x\u3000.")
def test_readers_of_the_header_find_the_name(relpath):
    name, value = file_name(relpath), header(relpath)
    assert unquote(value.partition("UTF-8''")[2], errors="strict") == name
    assert as_python_reads(f"attachment; {value.rpartition('; ')[2]}") == name
    assert parse_options_header(value) == ("attachment", {"filename": name})


@given(relpaths)
@example("CON." + "x" * 300)
@example("con" + " " * 300 + "x.txt")
@example("con" + "." * 300 + "x.txt")
@example("." + " " * 300 + "x.txt")
@example("a" * 254 + " b" * 9)
@example("." * 300 + "txt")
@example("." * 256 + "a b")
@example("x\u3000.")
def test_a_name_is_one_files_anywhere(relpath):
    for name in (file_name(relpath), as_curl_reads(header(relpath))):
        assert 0 < len(name.encode()) <= 255
        assert not name.startswith((".", " "))
        assert not name.endswith((".", " "))
        assert not set(name) & set("/\\:<>|?*\r\n\0")
        assert name.partition(".")[0].rstrip(" ").upper() not in devices
        assert file_name(name) == name


@pytest.mark.parametrize(
    "relpath", [*AWKWARD, "heights.csv", "a-b_c~1.tar.gz", "l'été.txt", "com٣.txt", "Con dios"]
)
def test_a_name_that_does_no_harm_stays_as_it_is(relpath):
    kept = relpath.rpartition("/")[2].strip()
    assert file_name(relpath) == re.sub("[<>?]", "_", kept)


@pytest.mark.parametrize("name", ["u\u0308ber.txt", "\u00fcber.txt"])
def test_letters_stay_composed_or_decomposed_as_they_came(name):
    assert file_name(name) == name
    assert as_curl_reads(header(name)) == "uber.txt"


@pytest.mark.parametrize(
    ("relpath", "name"),
    [
        ("", "unnamed"),
        ("dir/", "unnamed"),
        ("..", "unnamed"),
        (" . . ", "unnamed"),
        ("a/../..", "unnamed"),
        (".bashrc", "_bashrc"),
        ("...x", "_x"),
        pytest.param("." * 300 + "txt", "_txt", id="300 dots"),
        ("x. .", "x"),
        ("a\\b.txt", "a_b.txt"),
        ("con", "_con"),
        ("LPT1.tar.gz", "_LPT1.tar.gz"),
        ("COM¹.txt", "_COM¹.txt"),
        ("CON .txt", "_CON .txt"),
        ("conout$", "_conout$"),
        ("a:b<c>d|e?f*g.txt", "a_b_c_d_e_f_g.txt"),
        ("a\x00b\r\nc\x7f\x85d", "a_b__c__d"),
        ("photo\u202egpj.exe", "photo_gpj.exe"),
        ("zero\u200bwidth\ufeff", "zero_width_"),
        ("line\u2028break", "line_break"),
        ("half \ud83e.txt", "half _.txt"),
    ],
)
def test_what_would_do_harm_is_replaced(relpath, name):
    assert file_name(relpath) == name


@pytest.mark.parametrize(
    ("name", "plain"),
    [
        ('Übersicht "final" 2;.txt', "Ubersicht _final_ 2;.txt"),
        ("Größe über Zeit.txt", "Gro_e uber Zeit.txt"),
        ("測定.csv", "__.csv"),
        ("100%41.txt", "100_41.txt"),
        # These have ASCII in them once they are taken apart.
        ("\uff0fetc\uff0fpasswd", "_etc_passwd"),
        ("\u2024bashrc", "_bashrc"),
        ("\uff23\uff2f\uff2e", "_CON"),
        ("say \uff02hi\uff02 \uff05", "say _hi_ _"),
    ],
)
def test_who_reads_ascii_only_gets_something_close(name, plain):
    assert file_name(name) == name
    assert as_curl_reads(header(name)) == plain


@pytest.mark.parametrize("letter", ["x", "ü", "測", "🧪"])
@pytest.mark.parametrize("ending", [".csv", ".gz", ""])
def test_an_overlong_name_is_cut_between_characters_and_keeps_its_ending(letter, ending):
    name = file_name(f"a{letter * 400}{ending}")
    assert 252 <= len(name.encode()) <= 255
    assert re.fullmatch(rf"a{letter}+{re.escape(ending)}", name)
    assert as_curl_reads(header(name)).endswith(ending)


def test_what_follows_a_dot_far_from_the_end_is_no_ending():
    assert file_name("a." + "b" * 400) == "a." + "b" * 253


@pytest.mark.parametrize(
    ("name", "content_type"),
    [
        ("heights.csv", "text/csv"),
        ("HEIGHTS.CSV", "text/csv"),
        ("notes.md", "text/markdown"),
        ("README.yml", "application/yaml"),
        ("tree.json", "application/json"),
        ("scan.tiff", "image/tiff"),
        ("paper.pdf", "application/pdf"),
        ("page.html", "text/html"),
        ("table.parquet", "application/vnd.apache.parquet"),
        ("README", "application/octet-stream"),
        ("reads.fastq", "application/octet-stream"),
        ("data:text/html,x", "application/octet-stream"),
        # Compressed bytes are what is saved, not what is in them.
        ("heights.csv.gz", "application/gzip"),
        ("all.tar.gz", "application/gzip"),
        ("all.tgz", "application/gzip"),
        ("drawing.svgz", "application/octet-stream"),
        ("all.tar.xz", "application/x-xz"),
    ],
)
def test_the_type_is_guessed_from_the_name(name, content_type):
    assert served_as(f"dir.html/{name}", "attachment").content_type == content_type


@pytest.mark.parametrize("name", ["a.png", "a.tiff", "a.pdf", "a.json", "a.mp4", "a.wav"])
def test_what_a_browser_can_show_is_shown_as_what_it_is(name):
    assert served_as(name, "inline").content_type == served_as(name, "attachment").content_type


RUNS = ["html", "htm", "HTML", "svg", "xml", "xsl", "rdf", "js", "mjs", "css", "xul"]


@pytest.mark.parametrize("ending", [*RUNS, "txt", "csv", "md", "yaml", "py", "log", "toml"])
def test_text_is_shown_as_text_and_never_run(ending):
    assert served_as(f"a.{ending}", "inline").content_type == "text/plain; charset=utf-8"


@pytest.mark.parametrize(
    "name", ["a.xhtml", "a.mhtml", "a.eml", "a.swf", "a.svgz", "a.zip", "html"]
)
def test_what_else_there_is_a_browser_can_only_save(name):
    assert served_as(name, "inline").content_type in (
        "application/octet-stream",
        "text/plain; charset=utf-8",
    )
