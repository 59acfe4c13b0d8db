"""docs/http-api.rst lists every slug with its status, and says when to repeat a request."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from dserver_signed_url_plugin import errors
from dserver_signed_url_plugin.errors import RequestRefused, SignedURLError

PAGE = (Path(__file__).parents[2] / "docs" / "http-api.rst").read_text(encoding="utf-8")
SECTION = PAGE.partition("\nSlugs\n-----\n")[2]
TABLE, _, OF_COMMANDS = SECTION.partition("\nThese occur in the operator's commands only")
CELLS = r"   \* - ``(.+)``\n     - (.+)\n     - ((?:.+\n)(?:       .+\n)*)     - (.+)\n"
ROWS = {slug: (status, advice) for slug, status, _, advice in re.findall(CELLS, TABLE)}

CLASSES = [getattr(errors, name) for name in errors.__all__]
BY_SLUG = {kind.slug: kind for kind in CLASSES if kind is not SignedURLError}


def test_every_slug_is_documented_once():
    documented = [*re.findall(r"\* - ``(.+)``", TABLE), *re.findall("``(.+?)``", OF_COMMANDS)]
    assert sorted(documented) == sorted(BY_SLUG)


@pytest.mark.parametrize("slug", sorted(ROWS.keys() - {RequestRefused.slug}))
def test_a_slug_is_documented_with_its_status(slug):
    assert str(BY_SLUG[slug].status) in ROWS[slug][0].split(", ")


@pytest.mark.parametrize("slug", ROWS)
def test_a_request_may_be_repeated_exactly_where_the_answer_says_when(slug):
    kind = BY_SLUG[slug]
    says_when = kind.retry_after is not None or "retry_after" in kind.__annotations__
    assert ("``Retry-After``" in ROWS[slug][1]) == says_when
