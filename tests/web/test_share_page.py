"""The page behind a link: what people read on it, and that it is nothing but that."""

from __future__ import annotations

import re
from datetime import timedelta
from html.parser import HTMLParser
from urllib.parse import urljoin, urlsplit

import pytest
from dtoolcore.utils import generate_identifier

from dserver_signed_url_plugin import errors
from dserver_signed_url_plugin.shares.listing import PAGE_SIZE
from dserver_signed_url_plugin.web import display, share_page
from dserver_signed_url_plugin.web.download_commands import commands
from tests.support.clients import Deposit, DtoolDserver
from tests.support.links import HTML, UNKNOWN, Visitor, shared

SCRIPT = "<script>alert(1)</script>"
FILES = {
    "images/plate 1.png": b"\x89PNG\r\n",
    "images/<img src=x onerror=alert(1)>.png": b"\x89PNG\r\n",
    "heights.csv": "day,Größe\n1,3\n".encode(),
    f'"><{SCRIPT[1:-9]}.txt': SCRIPT.encode() * 5_000,
    "gnp.\N{ARABIC LETTER BEH}\N{RIGHT-TO-LEFT OVERRIDE}exe": b"MZ",
    "drawing.svg": b"<svg onload='alert(1)'/>",
    "model.h5": bytes(1_234_567),
    "long/" + "x" * 700: b"",
}
README = f"# Cress\n\nMore {SCRIPT} *at* [the lab](https://lab.example)."


@pytest.fixture(scope="module")
def uri(lab) -> str:
    return deposited(lab, Deposit(FILES, readme=README))


@pytest.fixture
def visitor(lab, uri) -> Visitor:
    return shared(lab, uri)


def deposited(dserver, deposit: Deposit) -> str:
    assert DtoolDserver().upload(dserver.alice, dserver.base_uri, deposit).status_code == 200
    return f"{dserver.base_uri}/{deposit.uuid}"


class Page(HTMLParser):
    """A page as a browser reads it: text, elements and their attributes."""

    def __init__(self, answer) -> None:
        super().__init__()
        self.status, self.headers = answer.status_code, answer.headers
        self.html, self.url = answer.text, answer.request.url
        self.elements: list[tuple[str, dict[str, str | None]]] = []
        self.text = ""
        self._hidden = False
        assert answer.content_type == "text/html; charset=utf-8"
        self.feed(self.html)
        self.close()

    def handle_starttag(self, tag, attributes):
        self.elements.append((tag, dict(attributes)))
        self._hidden = tag in ("script", "style")

    def handle_endtag(self, tag):
        self._hidden = False

    def handle_data(self, text):
        self.text += "" if self._hidden else text

    def all(self, tag: str) -> list[dict[str, str | None]]:
        return [attributes for name, attributes in self.elements if name == tag]

    def links(self, label: str) -> list[str]:
        """Where the links lead whose accessible name begins with a label."""
        return [
            urlsplit(urljoin(self.url, each["href"])).path
            for each in self.all("a")
            if (each.get("aria-label") or "").startswith(label)
        ]


def page(visitor: Visitor, below: str = "", **query) -> Page:
    return Page(visitor.open(below, headers=HTML, query_string=query))


def preview(visitor: Visitor, relpath: str) -> Page:
    return page(visitor, f"/{generate_identifier(relpath)}/preview")


# The page -------------------------------------------------------------------------------------


def test_the_page_says_what_is_shared_and_how_long_it_can_be_downloaded(lab, uri):
    note = f"Hi Maria,\nas we said {SCRIPT}"
    visitor = shared(lab, uri, note=note, expires_in=2 * 86_400 + 3_600)
    shown = page(visitor)
    assert shown.status == 200
    for expected in ("my-dataset", note, "2 days and 1 hour", "1.4 MB", "the lab", "8"):
        assert expected in shown.text
    assert any(each.get("title") == "1,359,621 bytes" for _, each in shown.elements)
    [ends] = shown.all("time")
    assert ends["datetime"] == visitor.share.ends_at.strftime("%Y-%m-%dT%H:%M:%SZ")
    assert display.moment(visitor.share.ends_at) in shown.text
    assert "Downloads left" not in shown.text
    assert "bob" not in shown.text


def test_every_file_has_a_download_and_a_preview_where_there_is_one(visitor):
    shown = page(visitor)
    paths = {relpath: f"{visitor.path}/{generate_identifier(relpath)}" for relpath in FILES}
    assert sorted(shown.links("Download ")) == sorted(paths.values())
    without = {"model.h5", *(name for name in FILES if name.endswith("exe"))}
    previews = [f"{path}/preview" for name, path in paths.items() if name not in without]
    assert sorted(shown.links("Preview ")) == sorted(previews)


def test_names_are_text_that_reorders_nothing(visitor):
    shown = page(visitor)
    assert "\N{RIGHT-TO-LEFT OVERRIDE}" not in shown.html
    assert r"gnp.ب\u202eexe" in shown.text
    assert "images/<img src=x onerror=alert(1)>.png" in shown.text
    assert "x" * 700 in shown.text


@pytest.mark.parametrize(
    "below", ["", f"/{generate_identifier('heights.csv')}/preview", "/unknown"]
)
def test_a_page_runs_and_loads_nothing_but_itself(visitor, below):
    shown = page(visitor, below, name=f'"{SCRIPT}')
    assert shown.html.count("<script") == len(shown.all("script")) <= 1
    policy = shown.headers["Content-Security-Policy"]
    [nonce] = {each["nonce"] for each in [*shown.all("script"), *shown.all("style")]}
    assert f"script-src 'nonce-{nonce}'; img-src 'none'" in policy
    assert nonce not in page(visitor, below).html
    for tag, attributes in shown.elements:
        assert tag not in ("link", "iframe", "object", "embed", "base", "img")
        assert not {
            name for name in attributes if name.startswith("on") or name in ("style", "src")
        }
    outside = {each["href"] for each in shown.all("a") if "//" in each["href"]}
    assert outside <= {"https://lab.example"}


@pytest.mark.parametrize(
    "below", ["", f"/{generate_identifier('heights.csv')}/preview", "/unknown"]
)
def test_a_page_has_a_title_a_language_and_one_heading_of_its_own(visitor, below):
    shown = page(visitor, below)
    assert shown.all("html") == [{"lang": "en"}]
    assert len(shown.all("h1")) == len(shown.all("title")) == len(shown.all("main")) == 1


def test_the_commands_have_the_link_and_are_shown_as_they_are(visitor):
    link = f"http://localhost{visitor.path}"
    shown = page(visitor)
    for command in commands(link, "my-dataset"):
        assert command.text in shown.text
        assert link in command.text


@pytest.mark.parametrize("name", ["-rf", "a b", "$(id)", "..", "'", "ok"])
def test_no_name_of_a_dataset_changes_a_command(name):
    for command in commands("https://d.example/signed-urls/s/x", name):
        words = re.sub(r"'[^']*'", "", command.text.replace("'\"'\"'", ""))
        assert not re.search(r"\$|\s\.\.|\s-rf|`", words)


def test_the_readme_is_read_once_a_minute(lab, uri, monkeypatch):
    asked = []
    monkeypatch.setattr(lab.app.retrieve, "get_readme", lambda uri: asked.append(uri) or "# Ours")
    visitor = shared(lab, uri)
    assert all("Ours" in page(visitor).text for _ in range(3))
    assert asked == [uri]


# Lists ----------------------------------------------------------------------------------------


def test_a_filter_shows_what_it_matches_and_keeps_what_was_typed(visitor):
    shown = page(visitor, name="IMAGES/")
    assert len(shown.links("Download ")) == 2
    assert "2 of 8 files with “IMAGES/” in the name." in shown.text
    assert [each["value"] for each in shown.all("input")] == ["IMAGES/"]
    assert "Cress" not in shown.text  # only the first page has the README


@pytest.mark.parametrize("part", [SCRIPT + "x", '"x', "\u202ex", "\ud800", "\x00", "a" * 3_000])
def test_a_filter_that_matches_nothing_says_so(visitor, part):
    shown = page(visitor, name=part.encode("utf-8", "replace"))
    assert shown.links("Download ") == []
    assert "No name contains" in shown.text


def test_a_list_is_shown_in_pages(lab):
    files = {f"{number:03}.png": b"" for number in range(PAGE_SIZE + 1)}
    visitor = shared(lab, deposited(lab, Deposit(files, readme=None)))
    pages = [page(visitor, page=number) for number in (1, 2, 9)]
    assert [len(each.links("Download ")) for each in pages] == [PAGE_SIZE, 1, 1]
    assert "201 files; 1 to 200 are shown." in pages[0].text
    assert "201 files; 201 to 201 are shown." in pages[1].text
    assert [leads(each, visitor) for each in pages] == [{2}, {1}, {1}]
    hrefs = {each["href"] for each in page(visitor, name=".PNG").all("a")}
    assert f"{visitor.token}?name=.PNG&page=2#files" in hrefs


def leads(shown: Page, visitor: Visitor) -> set[int]:
    """Return to which pages the links of a page lead."""
    pattern = re.compile(rf"{visitor.token}\?page=(\d+)#files")
    found = (pattern.fullmatch(each["href"]) for each in shown.all("a"))
    return {int(each[1]) for each in found if each}


def test_a_page_of_many_files_is_compressed(lab, visitor):
    answer = visitor.open(headers={**HTML, "Accept-Encoding": "gzip"})
    assert answer.headers["Content-Encoding"] == "gzip"


def test_a_share_of_one_file_has_one_button_for_it(lab, uri):
    shown = page(shared(lab, uri, ["heights.csv"]))
    [button] = [each for each in shown.all("a") if "primary" in each.get("class", "")]
    assert button["href"].endswith(generate_identifier("heights.csv"))
    assert shown.all("form") == []


def test_a_share_of_no_file_says_so(lab):
    shown = page(shared(lab, deposited(lab, Deposit({}, readme=None))))
    assert "This dataset has no files." in shown.text
    assert "README" not in shown.text


# Previews -------------------------------------------------------------------------------------


def test_an_image_is_shown_from_its_store_alone(lab, visitor):
    shown = preview(visitor, "images/plate 1.png")
    [image] = shown.all("img")
    path = urlsplit(urljoin(shown.url, image["src"]))
    assert path.path == f"{visitor.path}/{generate_identifier('images/plate 1.png')}"
    assert path.query == "disposition=inline"
    assert image["alt"] == "Preview of images/plate 1.png"
    policy = shown.headers["Content-Security-Policy"]
    assert f"img-src 'self' {lab.bucket.endpoint};" in policy
    answer = visitor.open(path.path.removeprefix(visitor.path), query_string=path.query)
    assert answer.headers["Location"].startswith(f"{lab.bucket.endpoint}/")


def test_a_text_is_shown_as_text(visitor):
    shown = preview(visitor, "heights.csv")
    assert "day,Größe\n1,3\n" in shown.text
    assert visitor.path in [urlsplit(urljoin(shown.url, a["href"])).path for a in shown.all("a")]
    assert "<svg onload='alert(1)'/>" in preview(visitor, "drawing.svg").text


def test_the_beginning_of_a_long_text_is_shown(visitor):
    [name] = [name for name in FILES if name.startswith('"')]
    shown = preview(visitor, name)
    assert SCRIPT * 2_600 in shown.text
    assert "The first 65.5 kB are shown" in shown.text


def test_of_other_files_there_is_no_preview(visitor):
    shown = preview(visitor, "model.h5")
    assert shown.status == 200
    assert "There is no preview of this kind of file." in shown.text


def test_a_preview_is_no_way_around_the_number_of_downloads(lab, uri):
    visitor = shared(lab, uri, max_downloads=3)
    shown = page(visitor)
    assert shown.links("Preview ") == []
    assert "Fewer downloads are left than there are files" in shown.text
    assert "A preview is a download" in preview(visitor, "heights.csv").text
    assert preview(visitor, "images/plate 1.png").all("img") == []
    assert visitor.facts().downloads == 0


def test_only_files_of_the_share_have_a_preview(lab, uri):
    shown = preview(shared(lab, uri, ["model.h5"]), "heights.csv")
    assert (shown.status, "There is no such file" in shown.text) == (404, True)


# What does not work ---------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("error", "expected"),
    [
        (errors.ShareNotFound(), "nothing behind this link"),
        (errors.ShareEnded("expired"), "has expired"),
        (errors.ShareEnded("revoked"), "was revoked"),
        (errors.ShareEnded("used-up"), "is used up"),
        (errors.ShareEnded("unavailable"), "not available any more"),
        (errors.ItemNotFound("x"), "no such file"),
        (errors.ItemArchived("Item x", SCRIPT), "in an archive"),
        (errors.DatasetExpiring("s3://x"), "about to be deleted"),
        (errors.TooManyRequests("You", "1/s", 90), "Try again in 2 minutes"),
        (errors.StorageAway("s3://secret-bucket", "does not answer"), "cannot be reached now"),
        (errors.InternalError(), "cannot be reached now"),
        (errors.InvalidField("page", SCRIPT), "cannot be used"),
    ],
)
def test_a_page_says_what_is_wrong_and_what_to_do(lab, error, expected):
    answer = share_page.gone(error)
    text = answer.get_data(as_text=True)
    assert answer.status_code == error.status
    assert expected in text
    assert SCRIPT not in text
    assert "s3://" not in text


def test_an_unknown_link_is_a_page(lab):
    shown = page(Visitor(lab, UNKNOWN))
    assert (shown.status, "nothing behind this link" in shown.text) == (404, True)


# Words ----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("size", "text"),
    [
        (0, "0 bytes"),
        (1, "1 byte"),
        (999, "999 bytes"),
        (1_000, "1.0 kB"),
        (999_950, "1.0 MB"),
        (5 * 10**12, "5.0 TB"),
        (9 * 10**18, "9000.0 PB"),
    ],
)
def test_sizes_are_rounded(size, text):
    assert display.size(size) == text


@pytest.mark.parametrize(
    ("time", "text"),
    [
        (timedelta(0), "less than a minute"),
        (timedelta(seconds=59), "less than a minute"),
        (timedelta(seconds=61), "1 minute"),
        (timedelta(minutes=119), "1 hour and 59 minutes"),
        (timedelta(days=1), "1 day"),
        (timedelta(days=7) - timedelta(seconds=9), "7 days"),
        (timedelta(days=9, hours=5), "9 days and 5 hours"),
        (timedelta(days=30) - timedelta(hours=5), "30 days"),
    ],
)
def test_durations_are_rounded(time, text):
    assert display.duration(int(time.total_seconds())) == text
