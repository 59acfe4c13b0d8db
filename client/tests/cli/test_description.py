"""What is said about a dataset, by a template and by options."""

from __future__ import annotations

import pytest
from dserver_client.cli.description import Description, read_template
from dserver_client.errors import LocalFileError, UsageError

TEMPLATE = """
name: growth
readme: {description: Größe, day: 2026-11-25}
tags: [cress, 2026]
annotations: {project: cress, temperature: 22, begun: 2026-11-25}
ignore: ["*.tmp"]
"""


@pytest.fixture
def template(tmp_path):
    def write(text: str):
        path = tmp_path / "template.yml"
        path.write_text(text, encoding="utf-8")
        return path

    return write


def options(**given):
    nothing = {"name": None, "readme": None, "tags": (), "annotations": (), "ignore": ()}
    return {**nothing, **given}


def test_a_template_holds_all_that_is_said(template):
    assert read_template(template(TEMPLATE)) == Description(
        name="growth",
        readme="---\ndescription: Größe\nday: 2026-11-25\n",
        tags=["cress", "2026"],
        annotations={"project": "cress", "temperature": 22, "begun": "2026-11-25"},
        ignore=["*.tmp"],
    )


def test_a_readme_that_should_be_yaml_is_refused_with_its_line(template):
    broken = template("a: [")
    with pytest.raises(UsageError, match="template.yml, line "):
        Description().with_options(**options(readme=broken))


def test_an_empty_name_is_refused():
    with pytest.raises(UsageError, match="--name is empty"):
        Description().with_options(**options(name=""))


def test_a_template_may_be_empty(template):
    assert read_template(template("")) == Description()


def test_a_readme_may_be_text_or_a_file_beside_the_template(template, tmp_path):
    assert read_template(template("readme: Mine")).readme == "Mine"
    (tmp_path / "about.md").write_text("# Mine\n")
    assert read_template(template("readme_file: about.md")).readme == "# Mine\n"


def test_options_replace_name_and_readme_and_are_added_to_the_rest(template, tmp_path):
    readme = tmp_path / "README.yml"
    readme.write_bytes(b"\xef\xbb\xbfdescription: theirs\n")
    described = read_template(template(TEMPLATE)).with_options(
        **options(
            name="other",
            readme=readme,
            tags=("cress", "new"),
            annotations=("project=other", "formula=a=b"),
            ignore=("*.bak",),
        )
    )
    assert described.name == "other"
    assert described.readme == "description: theirs\n"
    assert described.tags == ["cress", "2026", "new"]
    assert described.annotations["project"] == "other"
    assert described.annotations["formula"] == "a=b"
    assert described.ignore == ["*.tmp", "*.bak"]


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("name: [1, 2]", "'name' is text"),
        ("tags: cress", "'tags' is a list of texts"),
        ("tags: [yes]", "'tags' is a list of texts"),
        ("annotations: [a]", "'annotations' is a mapping"),
        ("readme: 5", "'readme' is text"),
        ("title: mine", "title is unknown; a template has name, readme"),
        ("- a", "a template is a YAML mapping"),
        ("a: b: c", "line 1: mapping values are not allowed here"),
        ("readme: a\nreadme_file: b", "not both"),
    ],
)
def test_a_template_that_cannot_be_meant_is_refused_with_the_reason(template, text, reason):
    with pytest.raises(UsageError, match=reason):
        read_template(template(text))


def test_files_that_cannot_be_read_are_named(template, tmp_path):
    with pytest.raises(LocalFileError, match=r"missing\.md: no such file or directory"):
        read_template(template("readme_file: missing.md"))
    path = tmp_path / "latin.md"
    path.write_bytes(b"\xff\xfe\xfa")
    with pytest.raises(LocalFileError, match="not text in UTF-8"):
        Description().with_options(**options(readme=path))


@pytest.mark.parametrize("text", ["project", "=cress"])
def test_an_annotation_is_a_key_with_a_value(text):
    with pytest.raises(UsageError, match="KEY=VALUE"):
        Description().with_options(**options(annotations=(text,)))
