"""A lab that had another index: dserver's own command fills this one from the store."""

from __future__ import annotations

from pathlib import Path

import pytest
from dserver_sql_index.tables import datasets, tags, texts
from dservercore import sql_db
from dservercore.cli import base_uri_cli
from dtoolcore import DataSetCreator
from sqlalchemy import delete, select

from tests.support.clients import Deposit, DtoolDserver
from tests.support.dserver import Dserver, encoded


@pytest.mark.usefixtures("dtool_reads")
def test_flask_base_uri_index_fills_an_empty_index(dserver: Dserver):
    deposit = Deposit(readme="description: quokkas\n", more={"tags": ["cute"]})
    uri = DtoolDserver().upload(dserver.alice, dserver.base_uri, deposit).json["uri"]
    paths = {kind: f"/{kind}/{encoded(uri)}" for kind in ("readmes", "manifests", "tags")}
    before = {kind: dserver.bob.get(path).json for kind, path in paths.items()}
    with dserver.app.app_context():
        for table in (tags, texts, datasets):
            sql_db.session.execute(delete(table))
        sql_db.session.commit()
    assert dserver.bob.get(paths["readmes"]).status_code == 404
    assert dserver.bob.post("/uris", {"free_text": "quokkas"}).json == []

    result = dserver.app.test_cli_runner().invoke(base_uri_cli, ["index", dserver.base_uri])
    assert (result.exit_code, result.output) == (0, f"Registered: {uri}\n")
    for query in ({"free_text": "quokkas"}, {"tags": ["cute"]}):
        assert [found["uri"] for found in dserver.bob.post("/uris", query).json] == [uri]
    assert {kind: dserver.bob.get(path).json for kind, path in paths.items()} == before


@pytest.mark.parametrize("base_uri", ["file://{0}", "{0}"])
def test_flask_base_uri_index_finds_datasets_in_a_directory(
    dserver: Dserver, tmp_path: Path, base_uri: str
):
    base_uri = base_uri.format(tmp_path)
    with DataSetCreator("dataset", base_uri) as creator:
        creator.put_annotation("kind", "quokkas")
    for command in ("add", "index"):
        result = dserver.app.test_cli_runner().invoke(base_uri_cli, [command, base_uri])
        assert (result.exit_code, "Failed" in result.output) == (0, False)
    with dserver.app.app_context():
        assert sql_db.session.scalars(select(datasets.c.uri)).all() == [creator.uri]
