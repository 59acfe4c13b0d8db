"""Settings, routes, commands and pages: what exists is documented, and the other way round."""

from __future__ import annotations

import ast
import re
from importlib.metadata import entry_points

import click
import pytest
from dserver_client.cli import main as dserver

from dserver_signed_url_plugin.config import Settings
from tests.support.documentation import PAGES, ROOT, text_of

PACKAGE = ROOT / "dserver_signed_url_plugin"
CLIENT = "docs/client.rst"
SETTING = re.compile(r"(?:SIGNED_URL|DTOOL)_(?:[A-Z0-9]+_?)+")


def rows(page: str) -> list[list[str]]:
    """Return the cells of every row of the list tables of a page, without their headers."""
    found = re.findall(r"(?m)^   \* - (.+(?:\n     .+)*)", text_of(page))
    cells = [[" ".join(cell.split()) for cell in row.split("\n     - ")] for row in found]
    return [row for row in cells if row[0] not in {"Variable", "In ``.env``"}]


def names_in(cell: str) -> list[str]:
    """Return the variables of a cell; of one that goes on with a bucket, only the beginning."""
    return [name.partition("<")[0] for name in re.findall(r"``(\w+(?:<\w+>)?)``", cell)]


DOCUMENTED = {name: row[1] for row in rows("docs/settings.rst") for name in names_in(row[0])}


def settings_in_the_code() -> set[str]:
    """Return every string constant of the package that is the name of a setting, or begins one."""
    trees = [ast.parse(path.read_text(encoding="utf-8")) for path in PACKAGE.rglob("*.py")]
    nodes = [node for tree in trees for node in ast.walk(tree)]
    # The constant parts of f-strings are no names.
    parts = {id(part) for node in nodes if isinstance(node, ast.JoinedStr) for part in node.values}
    constants = [node for node in nodes if isinstance(node, ast.Constant) and id(node) not in parts]
    texts = {node.value for node in constants if isinstance(node.value, str)}
    return {text for text in texts if SETTING.fullmatch(text)}


def test_every_setting_is_documented():
    names = settings_in_the_code()
    assert {"SIGNED_URL_MAX_ITEMS", "DTOOL_S3_REGION_"} <= names
    documented = tuple(DOCUMENTED)
    missing = [
        name
        for name in names
        if name not in DOCUMENTED
        and not (name.endswith("_") and any(known.startswith(name) for known in documented))
    ]
    assert missing == []


def test_every_documented_setting_exists():
    names = settings_in_the_code()
    prefixes = tuple(name for name in names if name.endswith("_"))
    assert [
        name for name in DOCUMENTED if name not in names and not name.startswith(prefixes)
    ] == []


@pytest.mark.parametrize(
    ("name", "default"),
    [(name, default) for name, default in DOCUMENTED.items() if default.isdigit()],
)
def test_a_documented_default_is_the_default(name, default):
    assert Settings.load({}, {name: default}) == Settings.load({}, {})
    assert Settings.load({}, {name: str(int(default) - 1)}) != Settings.load({}, {})


def test_every_setting_of_the_containers_is_documented_with_its_default():
    documented = {
        name: "" if default == "none" else default.strip("`")
        for names, defaults, _ in rows("docs/compose.rst")
        for name, default in zip(names_in(names), defaults.split(", "), strict=True)
    }
    assert documented == dict(re.findall(r"(?m)^#(\w+)=(.*?)\"?$", text_of("docker/make-env.sh")))
    variables = set(re.findall(r'environ.get\("(\w+)"', text_of("docker/gunicorn.conf.py")))
    # The image's own affair.
    variables -= {"DSERVER_LISTEN"}
    assert variables
    assert [name for name in variables if f"``{name}``" not in text_of("docs/compose.rst")] == []


def test_every_route_is_in_the_readme(lab):
    routes = {
        f"{method} {rule.rule.replace('<path:', '<')}"
        for rule in lab.app.url_map.iter_rules()
        if rule.rule.startswith("/signed-urls")
        for method in rule.methods - {"HEAD", "OPTIONS"}
    }
    assert set(re.findall(r"(?m)^``([A-Z]+ /signed-urls/\S+)`` ", text_of("README.rst"))) == routes


def test_every_command_group_is_in_the_reference():
    groups = {
        f"{entry.value}"
        for group in ("flask.commands", "console_scripts")
        for entry in entry_points(group=group)
        if entry.module.startswith(PACKAGE.name)
    }
    assert len(groups) == 6
    assert set(re.findall(r"\.\. click:: (\S+)", text_of("docs/cli.rst"))) == groups


def commands(command: click.Command, name: str):
    """Yield every command below one, with its full name."""
    if isinstance(command, click.Group):
        for child, below in command.commands.items():
            yield from commands(below, f"{name} {child}")
    else:
        yield name, command


GROUPS = {
    entry.name: entry.load()
    for entry in entry_points(group="flask.commands")
    if entry.module.startswith(PACKAGE.name)
}
FLASK_COMMANDS = dict(
    found for name, group in GROUPS.items() for found in commands(group, f"flask {name}")
)


@pytest.mark.parametrize("name", FLASK_COMMANDS)
def test_help_says_what_a_command_and_each_option_does(name):
    command = FLASK_COMMANDS[name]
    assert command.help
    options = [option for option in command.params if isinstance(option, click.Option)]
    assert [option.name for option in options if not option.help] == []


def test_every_command_line_in_the_documentation_exists():
    text = "".join(page.read_text(encoding="utf-8") for page in PAGES)
    lines = re.findall(rf"flask ({'|'.join(GROUPS)}) ([a-z]+)([^`#|\n]*)", text)
    assert len(lines) > 20
    for group, name, rest in lines:
        command = FLASK_COMMANDS[f"flask {group} {name}"]
        options = {option for param in command.params for option in param.opts}
        used = set(re.findall(r"(?<= )--[a-z-]+", rest))
        assert used <= options | {"--help"}, (group, name)


def test_the_client_is_in_the_reference_with_all_its_options():
    assert re.findall(r"\.\. click:: (\S+)", text_of(CLIENT)) == ["dserver_client.cli:main"]
    assert {"login", "put", "get", "doctor"} <= set(dserver.commands)


@pytest.mark.parametrize("name", dserver.commands)
def test_help_says_what_a_command_of_the_client_does_and_the_page_shows_it(name):
    command = dserver.commands[name]
    assert command.help
    options = [option for option in command.params if isinstance(option, click.Option)]
    assert [option.name for option in options if not option.help] == []
    assert f"dserver {name}" in text_of(CLIENT)


def test_every_line_of_the_client_in_the_documentation_exists():
    text = "".join(
        page.read_text(encoding="utf-8") for page in (*PAGES, ROOT / "client/README.rst")
    )
    lines = re.findall(r"dserver ([a-z]+)(?= |`|$)([^`#|\n]*)", text)
    lines = [(name, rest) for name, rest in lines if name in dserver.commands]
    assert len(lines) > 20
    for name, rest in lines:
        options = {option for param in dserver.commands[name].params for option in param.opts}
        assert set(re.findall(r"(?<= )--[a-z-]+", rest)) <= options | {"--help"}, (name, rest)


def test_the_page_of_the_client_has_every_exit_code_of_its_help():
    in_help = re.findall(r"(?m)^ +([0-9]+)  [a-z]", dserver.epilog)
    assert re.findall(r"(?m)^([0-9]+) +[A-Za-z]", text_of(CLIENT, "In scripts")) == in_help


def test_every_setting_of_the_client_is_documented():
    code = text_of("client/dserver_client/settings.py")
    documented = set(re.findall(r"``(\w+)``", text_of("docs/client-settings.rst", "Variables")))
    assert set(re.findall(r"\"(DSERVER_[A-Z_]+)\"", code)) <= documented


def test_every_page_is_in_the_table_of_contents_and_linked_from_the_readme():
    pages = {path.stem for path in (ROOT / "docs").glob("*.rst")} - {"index"}
    listed = set(re.findall(r"(?m)^   ([a-z-]+)$", text_of("docs/index.rst")))
    assert listed == pages
    linked = set(re.findall(r"<docs/([a-z-]+)\.rst>", text_of("README.rst")))
    # GitHub renders no include: the README links to the files that these pages show.
    assert pages - linked == {"changelog", "contributing", "index-in-sql"}
