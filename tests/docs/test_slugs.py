"""docs/http-api.rst lists every slug with its status, and says when to repeat a request."""

from __future__ import annotations

import re
from collections.abc import Iterator
from importlib import import_module
from pathlib import Path
from pkgutil import walk_packages

import pytest

import dserver_signed_url_plugin as package
from dserver_signed_url_plugin.errors import RequestRefused, SignedURLError

PAGE = (Path(__file__).parents[2] / "docs" / "http-api.rst").read_text(encoding="utf-8")
SECTION = PAGE.partition("\nSlugs\n-----\n")[2]
TABLE, _, OF_COMMANDS = SECTION.partition("\nThese occur in the operator's commands only")
CELLS = r"   \* - ``(.+)``\n     - (.+)\n     - ((?:.+\n)(?:       .+\n)*)     - (.+)\n"
ROWS = {slug: (status, advice) for slug, status, _, advice in re.findall(CELLS, TABLE)}

for module in walk_packages(package.__path__, f"{package.__name__}."):
    import_module(module.name)


def subclasses(kind: type[SignedURLError]) -> Iterator[type[SignedURLError]]:
    for subclass in kind.__subclasses__():
        yield subclass
        yield from subclasses(subclass)


# Some subclasses add a fact to an error, and keep its slug.
BY_SLUG = {kind.slug: kind for kind in subclasses(SignedURLError) if "slug" in vars(kind)}


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
