"""docker-compose.yml, the Dockerfile and docker/: what can be held without a Docker engine."""

from __future__ import annotations

import os
import re
import shutil
import stat
import subprocess
import sys
from datetime import datetime, timedelta, timezone
from importlib.util import module_from_spec, spec_from_file_location
from pathlib import Path
from typing import Any

import pytest
import yaml

from dserver_signed_url_plugin.cli.durations import HOUR, fractional
from tests.support.compose_files import (
    DOCKER,
    FILES,
    ROOT,
    compose_file,
    environment,
    fill_in,
    made_env,
    read_env,
)

COMPOSE_FILES = [ROOT / "docker-compose.yml", *sorted(DOCKER.glob("*.yml"))]
SCRIPTS = sorted(DOCKER.rglob("*.sh"))
ONCE = {"keys", "migrate", "store-setup"}
SETTINGS = {"SECRET_KEY", "POSTGRES_PASSWORD", "DATABASE_PASSWORD", "MONGO_ROOT_PASSWORD"} | {
    "MONGO_PASSWORD", "STORE_ROOT_PASSWORD", "STORE_SIGNING_KEY", "GRAFANA_PASSWORD",
    "S3_ACCESS_KEY_ID", "S3_SECRET_ACCESS_KEY",
    "S3_WRITE_ACCESS_KEY_ID", "S3_WRITE_SECRET_ACCESS_KEY",
}  # fmt: skip


@pytest.fixture(scope="module")
def services(env: dict[str, str]) -> dict[str, dict[str, Any]]:
    """What Compose makes of the file with a fresh .env."""
    return compose_file(env)["services"]


@pytest.fixture(scope="module")
def env(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    return made_env(tmp_path_factory.mktemp("env") / ".env")


# The file --------------------------------------------------------------------------------------


def check_schema(*paths: Path) -> subprocess.CompletedProcess[str]:
    """Hold a file to the Compose specification's own schema, which check-jsonschema carries."""
    command = [sys.executable, "-m", "check_jsonschema", "--builtin-schema", "vendor.compose-spec"]
    return subprocess.run([*command, *paths], capture_output=True, text=True, check=False)


def test_compose_files_are_what_the_specification_says(tmp_path):
    assert len(COMPOSE_FILES) >= 4
    checked = check_schema(*COMPOSE_FILES)
    assert checked.returncode == 0, checked.stdout

    content = compose_file()
    content["services"]["dserver"]["port"] = ["5000:5000"]
    (tmp_path / "wrong.yml").write_text(yaml.safe_dump(content))
    assert check_schema(tmp_path / "wrong.yml").returncode != 0


def test_what_services_name_is_there(services):
    content = compose_file()
    for service in services.values():
        for volume in service.get("volumes", []):
            source = volume.split(":")[0]
            assert (ROOT / source).exists() if source[0] == "." else source in content["volumes"]
        assert set(service.get("networks", [])) <= content["networks"].keys()
        assert set(service.get("depends_on", {})) <= services.keys()


def test_every_image_is_pinned_by_version_and_digest(services, env):
    with_mongo = compose_file({**env, "INDEX": "mongo"}, [*FILES, "docker/mongo.yml"])["services"]
    images = {one["image"] for one in [*services.values(), *with_mongo.values()]}
    ours = {image for image in images if image.startswith("dserver-signed-url:")}
    assert ours == {"dserver-signed-url:0.2.0-sql", "dserver-signed-url:0.2.0-mongo"}
    bases = re.findall(r"^FROM (\S+)", (ROOT / "Dockerfile").read_text(), re.MULTILINE)
    assert len(set(bases)) == 1
    for image in (images - ours) | set(bases):
        assert re.fullmatch(r"[\w/]+:[\w.-]*\d+\.\d+[\w.-]*@sha256:[0-9a-f]{64}", image), image


def test_dependabot_finds_every_file_that_pins_something():
    path = ROOT / ".github" / "dependabot.yml"
    command = [sys.executable, "-m", "check_jsonschema", "--builtin-schema", "vendor.dependabot"]
    checked = subprocess.run([*command, path], capture_output=True, text=True, check=False)
    assert checked.returncode == 0, checked.stdout
    updates = yaml.safe_load(path.read_text())["updates"]
    found = {
        (update["package-ecosystem"], directory)
        for update in updates
        for directory in update.get("directories", [update.get("directory")])
    }
    assert {("docker", "/"), ("docker-compose", "/"), ("docker-compose", "/docker")} <= found
    assert {("pip", "/"), ("pip", "/index"), ("pip", "/docker")} <= found
    # It looks at no other names of Compose files.
    name = re.compile(r"(docker-)?compose(-\w+)?(\.[\w-]+)?\.ya?ml")
    for file in COMPOSE_FILES:
        assert name.search(file.name) or not re.search(
            r"^ +image: (?!dserver-)", file.read_text(), re.M
        )


def test_nobody_starts_before_what_it_needs(services):
    for name, service in services.items():
        for needed, how in service.get("depends_on", {}).items():
            if needed in ONCE:
                assert how["condition"] == "service_completed_successfully", name
            else:
                assert how["condition"] == "service_healthy", name
                assert "test" in services[needed]["healthcheck"], needed
    assert services["dserver"]["depends_on"].keys() >= ONCE
    once = {name for name, service in services.items() if service["restart"] == "no"}
    assert once == ONCE | {"doctor", "flask"}


def test_only_the_front_is_reached_and_from_this_machine_alone(services):
    published = {name: one["ports"] for name, one in services.items() if "ports" in one}
    assert published == {"front": ["127.0.0.1:5000:5000", "127.0.0.1:9000:9000"]}
    assert compose_file()["networks"]["inside"]["internal"] is True
    # These may ask stores elsewhere.
    outside = {"dserver", "cleanup", "flask"}
    assert all({"inside", "outside"} <= set(services[name]["networks"]) for name in outside)
    in_networks = {name for name, service in services.items() if "network_mode" not in service}
    for name in in_networks - published.keys() - outside:
        assert "outside" not in services[name]["networks"], name


def test_every_container_has_limits_and_its_log_is_rotated(services):
    for name, service in services.items():
        assert re.fullmatch(r"\d+[mg]", service["mem_limit"]), name
        assert service["pids_limit"] == 1024, name
        assert service["logging"]["options"] == {"max-size": "20m", "max-file": "5"}, name


def test_dserver_can_be_scaled(services):
    assert "ports" not in services["dserver"]
    assert not any("container_name" in service for service in services.values())
    # For start_interval, Docker Engine 25 would be needed.
    assert not any("start_interval" in one.get("healthcheck", {}) for one in services.values())


def test_a_container_has_no_capabilities_and_writes_only_where_it_must(services):
    for name, service in services.items():
        assert service["read_only"] is True, name
        assert service["cap_drop"] == ["ALL"], name
        assert service["security_opt"] == ["no-new-privileges:true"], name
    user = re.findall(r"^USER (\d+):(\d+)$", (ROOT / "Dockerfile").read_text(), re.MULTILINE)
    assert user == [("10001", "10001")]


def test_dserver_signs_for_the_host_and_asks_the_store_by_its_name(services, env):
    assert dtool(services["dserver"], "ENDPOINT_dtool") == "http://store:8333"
    assert dtool(services["dserver"], "PUBLIC_ENDPOINT_dtool") == "http://localhost:9000"
    for service in ("dserver", "cleanup"):
        assert dtool(services[service], "ACCESS_KEY_ID_dtool") == env["S3_ACCESS_KEY_ID"]
        assert dtool(services[service], "SECRET_ACCESS_KEY_dtool") == env["S3_SECRET_ACCESS_KEY"]
        for name in ("WRITE_ACCESS_KEY_ID", "WRITE_SECRET_ACCESS_KEY"):
            assert dtool(services[service], f"{name}_dtool") == env[f"S3_{name}"]
    elsewhere = compose_file({**env, "S3_PORT": "9100", "BUCKET": "my-lab"})["services"]
    assert dtool(elsewhere["dserver"], "PUBLIC_ENDPOINT_my-lab") == "http://localhost:9100"
    assert "127.0.0.1:9100:9100" in elsewhere["front"]["ports"]
    assert environment(elsewhere["front"])["STORE_LISTEN"] == "9100"
    public = compose_file({**env, "S3_PUBLIC_ENDPOINT": "https://s3.example.org"})["services"]
    assert dtool(public["dserver"], "PUBLIC_ENDPOINT_dtool") == "https://s3.example.org"


def test_links_to_shares_have_dservers_address_for_people(services, env):
    def link_of(**changed: str) -> str:
        service = compose_file({**env, **changed})["services"]["dserver"]
        return environment(service)["SIGNED_URL_PUBLIC_URL"]

    assert link_of() == "http://localhost:5000"
    assert link_of(DSERVER_PORT="5001") == "http://localhost:5001"
    assert (
        link_of(DSERVER_PUBLIC_URL="https://dserver.example.org") == "https://dserver.example.org"
    )


def dtool(service: dict[str, Any], name: str) -> str:
    return environment(service)[f"DTOOL_S3_{name}"]


@pytest.mark.parametrize("index", ["sql", "mongo"])
@pytest.mark.parametrize("store", [True, False])
def test_one_service_builds_the_image_and_the_others_wait_for_it(env, index, store):
    """Compose builds services at the same time: the second image of a name can be an error."""
    files = [*FILES[: 1 + store], *(["docker/mongo.yml"] if index == "mongo" else [])]
    services = compose_file({**env, "INDEX": index}, files)["services"]
    assert [name for name, one in services.items() if "build" in one] == ["keys"]
    assert services["keys"]["build"] == {"context": ".", "args": {"INDEX": index}}
    image = f"dserver-signed-url:0.2.0-{index}"
    ours = {name for name, one in services.items() if one["image"].startswith("dserver-signed")}
    assert ours >= {"keys", "migrate", "dserver", "cleanup", "flask", "doctor"}
    assert ("store-setup" in ours) == store
    for name in ours - {"keys"}:
        assert services[name]["image"] == image
        waits = services[name]["depends_on"]
        assert "migrate" in waits or (name == "migrate" and "keys" in waits), name


def test_mongodb_replaces_the_index_in_postgresql_if_its_file_is_added(env):
    files = [*FILES, "docker/mongo.yml"]
    services = compose_file({**env, "INDEX": "mongo"}, files)["services"]
    uri = f"mongodb://dserver:{env['MONGO_PASSWORD']}@mongo:27017/dserver"
    for name in ("migrate", "dserver", "cleanup", "flask", "doctor", "store-setup"):
        found = environment(services[name])
        for part in ("SEARCH", "RETRIEVE"):
            assert found[f"{part}_MONGO_URI"] == uri
            assert found[f"{part}_MONGO_DB"] == "dserver"
            assert found[f"{part}_MONGO_COLLECTION"] == "datasets"
    assert services["migrate"]["depends_on"]["mongo"] == {"condition": "service_healthy"}
    with pytest.raises(AssertionError, match="Set INDEX=mongo in .env, too"):
        compose_file(env, files)
    assert environment(compose_file(env)["services"]["dserver"])["SEARCH_MONGO_URI"] == ""


def test_the_private_key_is_where_tokens_are_made_and_nowhere_else(services):
    holders = {
        name: volume
        for name, service in services.items()
        for volume in service.get("volumes", [])
        if volume.startswith("keys:")
    }
    assert holders == {"keys": "keys:/keys", "dserver": "keys:/keys:ro"}
    assert services["keys"]["network_mode"] == "none"


# Secrets ---------------------------------------------------------------------------------------


def test_every_secret_comes_from_the_env_file(env):
    assert env.keys() == SETTINGS | {"COMPOSE_FILE"}
    text = "".join(
        path.read_text() for path in [ROOT / "docker-compose.yml", *DOCKER.glob("*.yml")]
    )
    assert set(re.findall(r"\$\{(\w+):\?", text)) == SETTINGS | {"DSERVER_HOST", "INDEX"}
    for line in text.splitlines():
        # The store's administrator has a name that is no secret.
        if re.search(r"PASSWORD|SECRET|ACCESS_KEY", line) and not line.endswith("=root"):
            assert re.search(r"\$\{\w+:\?", line), line
    with pytest.raises(AssertionError, match="must be set"):
        compose_file({})
    assert fill_in("${A:-${B:-b}} $${A} ${C:-}", {}) == "b ${A} "


# What docker/make-env.sh of version 0.1.0 wrote.
SETTINGS_0_1_0 = (
    "POSTGRES_PASSWORD", "MONGO_PASSWORD", "MINIO_ROOT_PASSWORD", "SECRET_KEY",
    "S3_ACCESS_KEY_ID", "S3_SECRET_ACCESS_KEY",
    "S3_WRITE_ACCESS_KEY_ID", "S3_WRITE_SECRET_ACCESS_KEY",
)  # fmt: skip


def steps_from_0_1_0() -> str:
    """Return the part of docs/upgrade.rst about the way there."""
    text = (ROOT / "docs" / "upgrade.rst").read_text()
    return text.split("From 0.1.0 to 0.2.0 with Docker Compose")[1].split("*To go back*")[0]


@pytest.mark.parametrize("index", ["sql", "mongo"])
def test_an_env_file_of_0_1_0_gets_what_it_lacks_as_the_documentation_says(tmp_path, env, index):
    old = {name: f"old-{name}" for name in SETTINGS_0_1_0}
    with pytest.raises(AssertionError, match="An older .env lacks it. Add it as docs/upgrade.rst"):
        compose_file(old)

    path = tmp_path / ".env"
    # An editor may have left the last line without its end.
    path.write_text("\n".join(["# Of 0.1.0", *(f"{name}={value}" for name, value in old.items())]))
    (tmp_path / "docker").symlink_to(DOCKER)
    [command] = re.findall(
        r"^ +(docker/make-env\.sh new\.env.*)$", steps_from_0_1_0(), re.MULTILINE
    )
    subprocess.run(["sh", "-c", command], cwd=tmp_path, check=True, stdout=subprocess.DEVNULL)
    made = read_env(path)
    assert made.keys() == env.keys() | old.keys()
    assert made | old == made
    assert sorted(each.name for each in tmp_path.iterdir()) == [".env", "docker"]
    # Whatever is asked of Compose, it fills in the variables of all services.
    files = made["COMPOSE_FILE"].split(":") + (["docker/mongo.yml"] if index == "mongo" else [])
    compose_file({**made, "INDEX": index}, files)


def test_each_step_from_0_1_0_comes_after_what_it_needs():
    found = [
        steps_from_0_1_0().find(step)
        for step in (
            "docker compose stop proxy s3 dserver cleanup",
            "git pull",
            "docker/make-env.sh new.env",
            "docker/backup.sh /backups",
            "/docker-entrypoint-initdb.d/dserver-role.sh",
            "/docker-entrypoint-initdb.d/dserver-user.js",
            ":doc:`stores`",
            "docker compose up --detach --build",
            "flask base_uri index s3://dtool",
            "--remove-orphans",
        )
    ]
    assert -1 not in found
    assert found == sorted(found)


def test_the_env_file_is_private_fresh_and_kept(tmp_path, env):
    path = tmp_path / ".env"
    again = made_env(path)
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert all(again[name] != env[name] for name in SETTINGS)
    assert all(re.fullmatch(r"\w{19,64}", again[name]) for name in SETTINGS)
    before = path.read_bytes()
    refused = subprocess.run(
        [DOCKER / "make-env.sh", path], capture_output=True, text=True, check=False
    )
    assert (refused.returncode, path.read_bytes()) == (1, before)
    assert "kept" in refused.stderr
    assert not any(secret in refused.stdout + refused.stderr for secret in again.values())


def test_no_secret_is_committed_or_part_of_the_image():
    assert ".env" in (ROOT / ".gitignore").read_text().splitlines()
    ignored = (ROOT / ".dockerignore").read_text().splitlines()
    excluded = [line for line in ignored if line and line[0] not in "#!"]
    assert excluded == ["*", "**/__pycache__", "**/tests"]
    assert not any(".env" in line or "key" in line for line in ignored if line.startswith("!"))
    copied = re.findall(
        r"^COPY ((?:[^\\\n]|\\\n)+)", (ROOT / "Dockerfile").read_text(), re.MULTILINE
    )
    sources = [part for line in copied if "--from" not in line for part in line.split()[:-1]]
    for source in (part.replace("${INDEX}", "sql") for part in sources if part != "\\"):
        assert (ROOT / source).exists(), source
        assert f"!{source.split('/')[0]}" in ignored, source


# Scripts ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("script", SCRIPTS, ids=lambda script: script.name)
def test_a_script_is_shell_without_surprises(script):
    shellcheck = Path(sys.executable).with_name("shellcheck")
    for command in (["sh", "-n"], [shellcheck]):
        checked = subprocess.run([*command, script], capture_output=True, text=True, check=False)
        assert checked.returncode == 0, checked.stdout + checked.stderr
    assert os.access(script, os.X_OK)


def test_the_dockerfile_passes_hadolint():
    hadolint = Path(sys.executable).with_name("hadolint")
    command = [hadolint, ROOT / "Dockerfile"]
    checked = subprocess.run(command, capture_output=True, text=True, check=False)
    assert checked.returncode == 0, checked.stdout


@pytest.mark.parametrize(("mode", "refused"), [(0o755, False), (0o700, True), (0o750, True)])
def test_a_checkout_that_containers_cannot_read_is_refused(tmp_path, mode, refused):
    docker = tmp_path / "docker"
    (docker / "front").mkdir(parents=True)
    shutil.copy(DOCKER / "make-env.sh", docker)
    (docker / "front").chmod(mode)
    done = subprocess.run([docker / "make-env.sh"], capture_output=True, text=True, check=False)
    assert ((tmp_path / ".env").exists(), done.returncode) == (not refused, int(refused))
    assert (f"chmod -R go+rX {docker}" in done.stderr) == refused


# The schedule of the clean-up --------------------------------------------------------------------


@pytest.fixture(scope="module")
def schedules() -> Any:
    spec = spec_from_file_location("cleanup_schedule", DOCKER / "cleanup_schedule.py")
    assert spec is not None
    assert spec.loader is not None
    module = module_from_spec(spec)
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    return module


@pytest.mark.parametrize(
    ("at", "every", "now", "due"),
    [
        (None, None, "2026-03-01 01:59:59", "2026-03-01 02:00:00"),
        (None, None, "2026-03-01 02:00:00", "2026-03-02 02:00:00"),
        (None, None, "2026-12-31 13:00:00", "2027-01-01 02:00:00"),
        ("", "", "2026-03-01 13:00:00", "2026-03-02 02:00:00"),
        ("00:15", "6", "2026-03-01 13:00:00", "2026-03-01 18:15:00"),
        (None, "0.5", "2026-03-01 13:00:00", "2026-03-01 13:30:00"),
        (None, "90m", "2026-03-01 13:00:00", "2026-03-01 14:00:00"),
    ],
)
def test_a_clean_up_is_due_at_its_hours(schedules, at, every, now, due):
    said = {"CLEANUP_AT": at, "CLEANUP_EVERY_HOURS": every}
    variables = {name: value for name, value in said.items() if value is not None}
    moment = datetime.fromisoformat(now).replace(tzinfo=timezone.utc)
    found = schedules.Schedule.read(variables).next_run(moment)
    assert found == datetime.fromisoformat(due).replace(tzinfo=timezone.utc)


def test_the_clean_up_is_that_of_both_recipes(schedules, services):
    schedule = schedules.Schedule.read(environment(services["cleanup"]))
    assert (schedule.first, schedule.every) == (timedelta(hours=2), timedelta(hours=24))
    said = [" ".join(command[1:]) for command in schedule.commands().values()]
    assert said == [
        "-m flask pending_upload cleanup --delete-storage --older-than 48",
        "-m flask share cleanup",
        "-m flask lifecycle sweep s3://tempstore",
    ]


def test_the_clean_up_unregisters_what_ephemeral_buckets_have_deleted(schedules):
    uris = {"EPHEMERAL_BASE_URIS": " s3://tempstore  azure://labtemp "}
    commands = schedules.Schedule.read(uris).commands()
    assert list(commands) == ["uploads", "shares", "s3://tempstore", "azure://labtemp"]
    assert " ".join(commands["azure://labtemp"][1:]) == "-m flask lifecycle sweep azure://labtemp"


@pytest.mark.parametrize("text", ["48h", "7d", "0.001", "1e3", "8760000"])
def test_the_clean_up_hands_on_a_duration_that_its_command_takes(schedules, text):
    schedule = schedules.Schedule.read({"CLEANUP_OLDER_THAN_HOURS": text})
    assert schedule.commands()["uploads"][-1] == text
    assert fractional(HOUR)(text) == schedules._hours(text)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("CLEANUP_AT", "2am"),
        ("CLEANUP_AT", "24:00"),
        ("CLEANUP_EVERY_HOURS", "0"),
        ("CLEANUP_EVERY_HOURS", "daily"),
        ("CLEANUP_OLDER_THAN_HOURS", "-1"),
        ("CLEANUP_OLDER_THAN_HOURS", "inf"),
        ("CLEANUP_OLDER_THAN_HOURS", "1.5h"),
        ("CLEANUP_OLDER_THAN_HOURS", "9999999999d"),
        ("EPHEMERAL_BASE_URIS", "s3://tempstore, tempstore"),
        ("EPHEMERAL_BASE_URIS", "--even-if-all"),
        ("EPHEMERAL_BASE_URIS", "s3://tempstore/"),
        ("EPHEMERAL_BASE_URIS", "s3://tempstore,s3://lab"),
    ],
)
def test_a_wrong_setting_ends_the_schedule_with_its_name(name, value):
    command = [sys.executable, DOCKER / "cleanup_schedule.py"]
    ended = subprocess.run(
        command, env={name: value}, capture_output=True, text=True, check=False, timeout=30
    )
    assert ended.returncode == 2
    assert name in ended.stdout
    assert ended.stderr == ""
