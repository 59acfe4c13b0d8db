"""The README on a page: readable, and nothing in it runs, loads or leads astray."""

from __future__ import annotations

import time
from html.parser import HTMLParser
from urllib.parse import urlsplit

import pytest

from dserver_signed_url_plugin.web import readme

ATTACKS = [
    "<script>alert(1)</script>",
    "<img src=x onerror=alert(1)>",
    "<svg/onload=alert(1)>",
    "<iframe srcdoc='<script>alert(1)</script>'></iframe>",
    "<style>*{display:none}</style>",
    "<base href=//evil.example>",
    "<meta http-equiv=refresh content='0;url=//evil.example'>",
    "<form action=//evil.example><input name=password></form>",
    "</div></section></main><h1>Log in</h1>",
    "<!-- --><script>alert(1)</script><!-- -->",
    "<![CDATA[<script>alert(1)</script>]]>",
    "[x](javascript:alert(1))",
    "[x](JaVa\tScRiPt:alert(1))",
    "[x](java&#x0A;script:alert(1))",
    "[x](&#106;avascript:alert(1))",
    "[x](&#x1;javascript:alert(1))",
    "[x](vbscript:x)",
    "[x](file:///etc/passwd)",
    "[x](data:text/html;base64,PHNjcmlwdD4=)",
    "![x](data:image/svg+xml;base64,PHN2Zz4=)",
    "[x](data:image/png;base64,xyz)",
    "[x](blob:http://x/y)",
    "[x](//evil.example)",
    "[x](/signed-urls/shares)",
    "[x](../other)",
    "[x](#files)",
    "[x](?page=2)",
    "[x](\\\\evil.example)",
    "[x](http:evil)",
    "<javascript:alert(1)>",
    '[x](http://a.example "t\\" onmouseover=\'alert(1)\'")',
    '[x](http://a.example/"onmouseover=alert(1)//)',
    "[x]\n\n[x]: javascript:alert(1) 'title'",
    "![tracker](https://evil.example/pixel.png)",
    '![x" onerror="alert(1)](https://evil.example/x.png)',
    "```html\n<script>alert(1)</script>\n```",
    '```"><script>alert(1)</script>\ncode\n```',
    "    <script>alert(1)</script>",
    "`<script>alert(1)</script>`",
    "<a href='javascript:alert(1)' id=x style='position:fixed' class=skip>x</a>",
    "| a |\n|---|\n| <script>alert(1)</script> [x](javascript:x) |",
    "a: <script>alert(1)</script>",
    "---\nowner: '</pre><script>alert(1)</script>'\n",
    "\u202egnp.exe \x1b]8;;x\x07 \x00 \ud800",
    "x" * 30_000 + "<script>alert(1)</script>",
]
TEXT = {"a", "p", "br", "hr", "strong", "em", "s", "code", "pre", "blockquote", "ul", "ol", "li"}
TAGS = TEXT | {"table", "thead", "tbody", "tr", "th", "td", "h3", "h4", "h5", "h6"}


class Seen(HTMLParser):
    """The tags, attributes and text of a fragment of HTML, and whether tags are nested properly."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.attributes: list[tuple[str, str, str | None]] = []
        self.text, self.open = "", []
        self.feed(html)
        self.close()
        assert not self.open

    def handle_starttag(self, tag, attributes):
        self.tags.append(tag)
        self.attributes += [(tag, name, value) for name, value in attributes]
        if tag not in ("br", "hr"):
            self.open.append(tag)

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, text):
        self.text += text

    def handle_comment(self, comment):
        raise AssertionError(comment)

    handle_decl = handle_pi = unknown_decl = handle_comment


@pytest.mark.parametrize("attack", ATTACKS, ids=range(len(ATTACKS)))
def test_nothing_in_a_readme_can_run_or_load(attack):
    for text in (attack, f"# Title\n\nparagraph {attack}\n\n> {attack}\n\n- {attack}\n"):
        html = str(readme.html(text))
        seen = Seen(html)
        assert set(seen.tags) <= TAGS
        for tag, name, value in seen.attributes:
            assert (tag, name) in {("a", "href"), ("a", "title"), ("a", "rel"), ("ol", "start")}
            if name == "href":
                assert urlsplit(value).scheme in ("http", "https")
                assert urlsplit(value).hostname
            if name == "rel":
                assert set(value.split()) == {"noopener", "noreferrer", "nofollow"}
        assert not set("\u202e\x1b\x00\x07\ud800") & set(html)
        html.encode()


def test_markdown_is_rendered():
    html = readme.html(
        "# Cress\n\n### Trays\n\n**48** seeds of *cress*, see [the protocol](https://a.example/p).\n\n"
        "| Tray | Light |\n|---|---|\n| A | blue |\n\n1. sow\n2. wait\n\n![leaf](x.png)\n"
    )
    for expected in (
        "<h3>Cress</h3>",
        "<h4>Trays</h4>",
        "<strong>48</strong> seeds of <em>cress</em>",
        '<a href="https://a.example/p" rel="noopener noreferrer nofollow">the protocol</a>',
        "<td>blue</td>",
        "<li>sow</li>",
        "[image: leaf]",
    ):
        assert expected in html


def test_headings_leave_no_level_out():
    html = str(readme.html("###### a\n# b\n### c\n###### d\n## e\n"))
    assert Seen(html).tags == ["h3", "h3", "h4", "h5", "h4"]


@pytest.mark.parametrize(
    "text",
    [
        "---\ndescription: *not* emphasised\nowners:\n  - name: Größe\n",
        "description: x\n\n# a comment\ntags:\n- a\n- b\n",
        '"quoted key": 1\nb-c d: |\n  text\n...\n',
    ],
)
def test_yaml_is_shown_as_it_is(text):
    html = str(readme.html(text))
    assert Seen(html).tags == ["pre"]
    assert Seen(html).text.strip() == text.removeprefix("---\n").strip()


@pytest.mark.parametrize(
    "text", ["- a\n- b", "Note: see below.\n\nThis is *text*.", "plain", "# x"]
)
def test_what_is_no_yaml_is_markdown(text):
    assert "<pre>" not in readme.html(text)


HUGE = {
    "brackets": "[" * 65_536,
    "images": "![" * 32_768,
    "emphasis": "**a_" * 16_384,
    "mixed": "*_" * 32_768,
    "quotes": "> " * 32_768,
    "lists": "".join("  " * depth + "- a\n" for depth in range(250)),
    "ticks": "".join("`" * length + " " for length in range(360)),
    "links": "[a](<b" * 10_000,
    "table": "|a" * 5_000 + "\n" + "|-" * 5_000 + "\n" + "|\n" * 5_000,
    "filled table": "|a" * 60 + "|\n" + "|-" * 60 + "|\n" + "|\n" * 9_000,
    "references": "".join(f"[{number}]: x\n" for number in range(6_000)),
    "yaml": "a:\n" * 20_000,
    "almost yaml": "a " * 30_000 + ":" * 5_000,
}


@pytest.mark.parametrize("name", HUGE)
def test_no_readme_takes_long(name):
    for text in (HUGE[name], HUGE[name][:20_000]):
        begun = time.thread_time()
        html = readme.html(text)
        assert time.thread_time() - begun < 2  # half a second on a quiet machine
        assert len(html) < 1_000_000
