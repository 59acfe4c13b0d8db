"""Nothing that a file is called, that it holds or that its owner wrote runs behind a link."""

from __future__ import annotations

from urllib.parse import urlencode

import pytest
from playwright.sync_api import expect

from dserver_signed_url_plugin.web.display import one_line, visible
from tests.support.clients import Deposit, DtoolDserver
from tests.support.dserver import Dserver
from tests.support.links import shared
from tests.support.share_pages import check_listed
from tests.support.watch import MARK, Watch

# A browser adds the slashes, which no name of an item may have.
ELSEWHERE = "https:elsewhere.invalid"
HOSTILE = [
    f"<script>{MARK}</script>",
    f"<img src=x onerror='{MARK}'>",
    f"\"><svg onload='{MARK}'>",
    f"' autofocus onfocus='{MARK}' x='",
    f"</title></style></textarea></script><script>{MARK}</script>",
    f"javascript:{MARK}",
    f"data:text/html,<script>{MARK}</script>",
    "{{ cycler.__init__.__globals__ }}<!--",
    f"<iframe srcdoc='<script>parent.{MARK}</script>'></iframe>",
    f"<form action={ELSEWHERE}><button>Download</button></form>",
    f"<base href={ELSEWHERE}>",
    f"<link rel=stylesheet href={ELSEWHERE}/a.css><style>*{{display:none}}</style>",
    f"<meta http-equiv=refresh content='0;url={ELSEWHERE}'>",
    "\u202egnp.exe",
    "\u2066\u2067\u202d abc",
    "a\u0300" * 40,
    "%3Cscript%3E%0d%0aSet-Cookie: a=b",
    "a&lt;b&amp;c",
    "..;/..%2f",
    "x" * 200,
]
MARKDOWN = f"""# Heights of cress

[link](javascript:{MARK}) <https://elsewhere.invalid> ![image](https://elsewhere.invalid/pixel.png)
[data](data:text/html;base64,PHNjcmlwdD53aW5kb3cud2FzUnVuID0gdHJ1ZTwvc2NyaXB0Pg==)
<a href="javascript:{MARK}" onclick="{MARK}">click</a>

<details open ontoggle="{MARK}"><summary>x</summary></details>

""" + "\n\n".join(HOSTILE)

SCRIPT = f"<script>{MARK}</script>".encode()
CONTENTS = {
    "page.html": b"<!doctype html>" + SCRIPT,
    "drawing.svg": b'<svg xmlns="http://www.w3.org/2000/svg">' + SCRIPT + b"</svg>",
    "photo.png": SCRIPT,
    "notes.txt": b"</pre>" + SCRIPT + "\u202e".encode() + b"\x1b[31m\x00\r\n",
    "table.csv": SCRIPT,
}


NOTE = [text for text in HOSTILE if text.isprintable()][:12]
ITEMS = {**dict.fromkeys(HOSTILE, SCRIPT), **CONTENTS}


def hostile_link(lab: Dserver, readme: str, items: dict[str, bytes]) -> str:
    done = DtoolDserver().upload(lab.alice, lab.base_uri, Deposit(items, readme=readme))
    assert done.status_code == 200, done.json
    return shared(lab, done.json["uri"], note="\n".join(NOTE)).path


@pytest.fixture(scope="module")
def hostile(lab: Dserver, address: str) -> str:
    """A link to a dataset in which everything is hostile that somebody else has written."""
    return address + hostile_link(lab, MARKDOWN, ITEMS)


def test_hostile_texts_are_shown_and_nothing_of_them_runs(address, hostile, page):
    watch = Watch(page)
    page.goto(hostile)
    check_listed(page, [one_line(relpath) for relpath in sorted(ITEMS)])
    assert page.inner_text(".note").splitlines() == NOTE
    links = page.locator(".readme a").evaluate_all("all => all.map(link => link.protocol)")
    assert set(links) == {"https:"}
    watch.check(address)


def test_a_hostile_readme_of_yaml_is_shown_and_nothing_of_it_runs(lab, address, page):
    watch = Watch(page)
    yaml = "---\ndescription: |\n  " + "\n  ".join(HOSTILE)
    page.goto(address + hostile_link(lab, yaml, CONTENTS))
    assert page.inner_text(".readme pre") == visible(yaml).removeprefix("---\n")
    watch.check(address)


def test_hostile_files_are_previewed_and_nothing_of_them_runs(lab, address, hostile, page):
    watch = Watch(page)
    page.goto(hostile)
    previews = page.get_by_role("link", name="Preview").evaluate_all("all => all.map(a => a.href)")
    assert len(previews) > len(CONTENTS)
    for preview in previews:
        page.goto(preview)
        expect(page.get_by_role("link", name="Download")).to_be_visible()
    watch.check(address, lab.bucket.endpoint)


def test_hostile_queries_are_shown_and_nothing_of_them_runs(address, hostile, page):
    watch = Watch(page)
    for text in NOTE:
        page.goto(f"{hostile}?{urlencode({'name': text})}")
        assert page.get_by_label("Filter by").input_value() == text
    watch.check(address)
