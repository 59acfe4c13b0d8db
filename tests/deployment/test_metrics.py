"""Prometheus and Grafana: their configuration names what there is, and reaches nobody else."""

from __future__ import annotations

import json
import os
import re
import runpy
import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml

from dserver_signed_url_plugin.cli.pending_upload import pending_upload
from tests.support import programs
from tests.support.clients import Deposit, DtoolDserver
from tests.support.compose_files import DOCKER, FILES, ROOT, compose_file, made_env
from tests.support.documentation import code_blocks, text_of
from tests.support.links import shared

METRICS = "docker/metrics.yml"
DASHBOARD = DOCKER / "grafana/dashboards/dserver-signed-url.json"
ALERTS = DOCKER / "prometheus/alerts.yml"
RULES = [
    rule
    for group in yaml.safe_load(ALERTS.read_text(encoding="utf-8"))["groups"]
    for rule in group["rules"]
]
DASHBOARD_MODEL = json.loads(DASHBOARD.read_text(encoding="utf-8"))
PANELS = DASHBOARD_MODEL["panels"]
QUERIES = [target["expr"] for panel in PANELS for target in panel["targets"]]
QUERIES += [rule["expr"] for rule in RULES]
NAME = re.compile(r"dserver_signed_url_\w+")


@pytest.fixture(scope="module")
def env(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    return made_env(tmp_path_factory.mktemp("env") / ".env")


@pytest.fixture
def services(env: dict[str, str]) -> Any:
    return compose_file(env, [*FILES, METRICS])["services"]


@pytest.fixture
def scraped(make_dserver) -> str:
    """The metrics of a dserver with which a little has been done."""
    dserver = make_dserver(SIGNED_URL_METRICS="1")
    uri = DtoolDserver().upload(dserver.alice, dserver.base_uri, Deposit()).json["uri"]
    shared(dserver, uri).open()
    command = ["cleanup", "--older-than", "48h"]
    assert dserver.app.test_cli_runner().invoke(pending_upload, command).exit_code == 0
    return dserver.nobody.get("/signed-urls/metrics").text


def test_each_metric_of_dashboard_and_alerts_is_in_a_scrape(scraped):
    named = {name for query in QUERIES for name in NAME.findall(query)}
    assert len(named) > 10
    assert named <= set(NAME.findall(scraped))


def test_each_label_that_a_query_names_is_in_a_scrape(scraped):
    braces = [inner for query in QUERIES for inner in re.findall(r"\{([^}]*)\}", query)]
    named = {label for inner in braces for label in re.findall(r"(\w+)(?:=|!=)", inner)}
    grouped = {
        label.strip()
        for query in QUERIES
        for labels in re.findall(r"by \(([^)]*)\)", query)
        for label in labels.split(",")
    }
    known = set(re.findall(r'[{,](\w+)="', scraped)) | {"job"}
    assert named | grouped <= known


def test_the_page_says_what_to_do_about_each_alert_and_has_each_metric(scraped):
    page = text_of("docs/monitoring.rst")
    for rule in RULES:
        assert f"``{rule['alert']}``" in page
    # prometheus_client adds when each series began.
    names = set(re.findall(r"(?m)^# TYPE dserver_signed_url_(\w+)", scraped))
    names = {name for name in names if not name.endswith("_created")}
    assert [name for name in sorted(names) if f"``{name}``" not in page] == []


def test_prometheus_and_grafana_are_reached_from_this_machine_alone(services):
    ports = {name: services[name]["ports"] for name in ("prometheus", "grafana")}
    assert ports == {"prometheus": ["127.0.0.1:9090:9090"], "grafana": ["127.0.0.1:3000:3000"]}
    for name in ports:
        service = services[name]
        assert service["user"].partition(":")[0] not in {"0", "root"}
        assert service["read_only"] is True
        assert service["cap_drop"] == ["ALL"]
        assert re.search(r":v?\d+\.\d+\.\d+@sha256:[0-9a-f]{64}$", service["image"])
    # In two networks with dserver, Prometheus would ask each of them twice.
    common = set(services["prometheus"]["networks"]) & set(services["dserver"]["networks"])
    assert common == {"inside"}


def test_alerts_are_given_also_if_dserver_never_starts(services):
    assert "depends_on" not in services["prometheus"]
    assert services["grafana"]["depends_on"].keys() == {"prometheus"}


def test_metrics_are_on_if_and_only_if_the_file_is_added(services, env):
    assert services["dserver"]["environment"]["SIGNED_URL_METRICS"] == "1"
    without = compose_file(env)["services"]
    assert "SIGNED_URL_METRICS" not in without["dserver"]["environment"]
    assert not {"prometheus", "grafana"} & without.keys()


def test_grafana_finds_its_data_source_and_its_dashboard(services):
    provisioning = DOCKER / "grafana/provisioning"
    [source] = yaml.safe_load((provisioning / "datasources/prometheus.yml").read_text())[
        "datasources"
    ]
    assert (source["url"], source["isDefault"]) == ("http://prometheus:9090", True)
    [provider] = yaml.safe_load((provisioning / "dashboards/dserver.yml").read_text())["providers"]
    mounted = {
        volume.split(":")[1]: volume.split(":")[0] for volume in services["grafana"]["volumes"]
    }
    assert (ROOT / mounted[provider["options"]["path"]] / DASHBOARD.name).is_file()
    home = services["grafana"]["environment"]["GF_DASHBOARDS_DEFAULT_HOME_DASHBOARD_PATH"]
    assert home == f"{provider['options']['path']}/{DASHBOARD.name}"


def test_another_grafana_finds_a_data_source_for_each_panel():
    [variable] = DASHBOARD_MODEL["templating"]["list"]
    assert (variable["type"], variable["query"]) == ("datasource", "prometheus")
    sources = [panel["datasource"] for panel in PANELS]
    sources += [
        one["datasource"] for panel in PANELS for one in panel["targets"] if "datasource" in one
    ]
    assert {source["uid"] for source in sources} == {f"${{{variable['name']}}}"}


def test_the_page_makes_the_rules_those_of_the_prometheus_operator():
    [block] = [one for one in code_blocks("bash", "docs/monitoring.rst") if "PrometheusRule" in one]
    script = f"kubectl() {{ cat; }}\n{block}"
    made = subprocess.run(
        ["sh", "-c", script], cwd=ROOT, check=True, capture_output=True, text=True
    )
    manifest = yaml.safe_load(made.stdout)
    assert manifest["kind"] == "PrometheusRule"
    assert manifest["spec"]["groups"][0]["rules"] == RULES


def test_prometheus_takes_its_configuration_and_the_alerts_do_what_they_say():
    promtool("check", "config", DOCKER / "prometheus/prometheus.yml")
    promtool("test", "rules", Path(__file__).parent / "alerts.test.yml")


def test_each_query_of_the_dashboard_is_one(tmp_path):
    rules = [
        {"record": f"query:{number}", "expr": query.replace("$__rate_interval", "1m")}
        for number, query in enumerate(QUERIES)
    ]
    content = {"groups": [{"name": "queries", "rules": rules}]}
    (tmp_path / "queries.yml").write_text(yaml.safe_dump(content))
    promtool("check", "rules", tmp_path / "queries.yml")


def promtool(*arguments: object) -> None:
    done = programs.run(["promtool", *map(str, arguments)], ROOT)
    assert done.returncode == 0, (done.stdout + done.stderr).decode()


# The image ------------------------------------------------------------------------------------


def test_the_entrypoint_empties_the_directory_of_earlier_workers(tmp_path):
    counted, programs = tmp_path / "counted", tmp_path / "bin"
    counted.mkdir()
    programs.mkdir()
    (counted / "counter_7.db").touch()
    gunicorn = programs / "gunicorn"
    gunicorn.write_text(
        '#!/bin/sh\necho "$PROMETHEUS_MULTIPROC_DIR"; ls "$PROMETHEUS_MULTIPROC_DIR"\n'
    )
    gunicorn.chmod(0o755)
    environment = {
        "PATH": f"{programs}:{os.environ['PATH']}",
        "PROMETHEUS_MULTIPROC_DIR": str(counted),
        "FLASK_APP": "app",
    }
    command = [DOCKER / "entrypoint.sh", "serve"]
    done = subprocess.run(command, env=environment, check=True, capture_output=True, text=True)
    assert done.stdout == f"{counted}\n"


def test_gunicorn_forgets_the_breakers_of_a_worker_that_has_ended(tmp_path, monkeypatch):
    monkeypatch.setenv("PROMETHEUS_MULTIPROC_DIR", str(tmp_path))
    kept = {"counter_7.db", "gauge_livesum_8.db"}
    for name in (*kept, "gauge_livesum_7.db"):
        (tmp_path / name).touch()
    settings = runpy.run_path(str(DOCKER / "gunicorn.conf.py"))
    ended = type("Worker", (), {"pid": 7})
    settings["child_exit"](None, ended)
    assert {path.name for path in tmp_path.iterdir()} == kept
