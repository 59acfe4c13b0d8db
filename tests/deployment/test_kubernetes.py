"""deploy/kubernetes: what can be checked without a cluster."""

from __future__ import annotations

import re
import runpy
import shutil
import subprocess
from collections.abc import Iterator, Sequence
from copy import deepcopy
from importlib.metadata import entry_points
from pathlib import Path
from typing import Any

import click
import kubernetes_validate
import pytest
import yaml
from gunicorn.util import parse_address

from tests.support.compose_files import DOCKER, ROOT
from tests.support.documentation import code_blocks, text_of

KUBERNETES = ROOT / "deploy" / "kubernetes"
# The oldest for which the manifests are meant, and the newest that is known.
VERSIONS = ("1.30", "1.37")
# What kustomize reads, and resources whose schema is not Kubernetes' own.
FOREIGN = {"Kustomization", "Component", "ServiceMonitor"}

Manifest = dict[str, Any]


def read(*below: str) -> list[Manifest]:
    """Return the manifests of some directories or files."""
    paths = [path for name in below for path in sorted(KUBERNETES.glob(name))]
    return [one for path in paths for one in yaml.safe_load_all(path.read_text())]


def of_kind(manifests: Sequence[Manifest], kind: str) -> list[Manifest]:
    return [one for one in manifests if one["kind"] == kind]


def pods(manifests: Sequence[Manifest]) -> Iterator[Manifest]:
    """Yield the specification of each pod."""
    for one in manifests:
        if one["kind"] in ("Deployment", "Job"):
            yield one["spec"]["template"]["spec"]
        elif one["kind"] == "CronJob":
            yield one["spec"]["jobTemplate"]["spec"]["template"]["spec"]


@pytest.fixture(scope="module")
def manifests() -> list[Manifest]:
    return read("base/*.yaml", "components/*/*.yaml", "secret.example.yaml")


@pytest.fixture(scope="module")
def built() -> list[Manifest]:
    """What kustomize makes of the example."""
    for command in (["kustomize", "build"], ["kubectl", "kustomize"]):
        if shutil.which(command[0]):
            example = KUBERNETES / "overlays" / "example"
            made = subprocess.run([*command, example], check=True, capture_output=True, text=True)
            return list(yaml.safe_load_all(made.stdout))
    pytest.skip("neither kustomize nor kubectl is installed")


def check_schema(manifest: Manifest, version: str) -> None:
    kubernetes_validate.validate(manifest, version, strict=True)


@pytest.mark.parametrize("version", VERSIONS)
def test_the_manifests_follow_the_schemas_of_kubernetes(manifests, version):
    for one in manifests:
        if one["kind"] not in FOREIGN:
            check_schema(one, version)
    wrong = deepcopy(of_kind(manifests, "Deployment")[0])
    wrong["spec"]["template"]["spec"]["containers"][0]["readynessProbe"] = {}
    with pytest.raises(kubernetes_validate.ValidationError):
        check_schema(wrong, version)


def test_kustomize_makes_a_site_of_the_example(built):
    for one in built:
        assert one["metadata"]["namespace"] == "dserver"
        if one["kind"] not in FOREIGN:
            check_schema(one, VERSIONS[-1])
    images = {each["image"] for pod in pods(built) for each in pod["containers"]}
    assert images == {"registry.example.org/dserver-signed-url:0.2.0"}
    [settings] = of_kind(built, "ConfigMap")
    assert settings["data"]["DTOOL_S3_ENDPOINT_lab"] == "https://s3.example.org"
    assert settings["data"]["SIGNED_URL_METRICS"] == "1"
    [ingress] = of_kind(built, "Ingress")
    hosts = [rule["host"] for rule in ingress["spec"]["rules"]]
    assert hosts == ingress["spec"]["tls"][0]["hosts"] == ["data.example.org"]
    # Every pod has the settings under the name that they have now.
    name = settings["metadata"]["name"]
    for pod in pods(built):
        sources = [source.get("configMapRef") for source in pod["containers"][0]["envFrom"]]
        assert {"name": name} in sources


def test_every_resource_is_in_the_kustomization():
    for path in KUBERNETES.rglob("kustomization.yaml"):
        listed = set(yaml.safe_load(path.read_text()).get("resources", []))
        beside = {each.name for each in path.parent.glob("*.yaml")} - {path.name}
        assert {name for name in listed if "/" not in name} == beside


def test_each_patch_that_the_example_shows_fits(manifests):
    path = KUBERNETES / "overlays" / "example" / "kustomization.yaml"
    shown = re.sub(r"(?m)^  # (?=- target|  )", "  ", path.read_text())
    patches = yaml.safe_load(shown)["patches"]
    assert len(patches) == 5
    for patch in patches:
        [target] = [
            one for one in of_kind(manifests, patch["target"]["kind"])
            if one["metadata"]["name"] == patch["target"]["name"]
        ]  # fmt: skip
        for step in yaml.safe_load(patch["patch"]):
            parent, last = target, step["path"].rpartition("/")[2].replace("~1", "/")
            for name in step["path"].split("/")[1:-1]:
                parent = parent[int(name) if name.isdigit() else name]
            if step["op"] == "add":
                assert last == "-" or last not in parent, step
            else:
                assert last in parent or int(last) < len(parent), step


def test_the_page_shows_secrets_under_their_names_and_without_quotes(manifests):
    [block] = code_blocks("ini", "docs/kubernetes.rst")
    shown = dict(line.split("=", 1) for line in block.splitlines())
    assert shown.keys() <= of_kind(manifests, "Secret")[0]["stringData"].keys()
    assert not {value[0] for value in shown.values()} & {"'", '"'}


def test_each_bucket_of_the_example_has_its_keys_and_is_added_on_the_page(manifests):
    example = (KUBERNETES / "overlays" / "example" / "settings.env").read_text()
    buckets = set(re.findall(r"(?m)^DTOOL_S3_ENDPOINT_(\w+)=", example))
    arguments = {pod["containers"][0]["args"][-1] for pod in pods(manifests)}
    swept = {word for word in arguments if "://" in word}
    added = set(re.findall(r"flask base_uri add (\S+)", text_of("docs/kubernetes.rst")))
    assert swept < added == {f"s3://{bucket}" for bucket in buckets}
    kinds = ("ACCESS_KEY_ID", "SECRET_ACCESS_KEY")
    keys = {f"DTOOL_S3_{kind}_{bucket}" for kind in kinds for bucket in buckets}
    assert keys <= of_kind(manifests, "Secret")[0]["stringData"].keys()
    [shown] = code_blocks("ini", "docs/kubernetes.rst")
    assert keys <= {line.partition("=")[0] for line in shown.splitlines()}


def test_pods_are_unprivileged_and_write_only_where_they_must(manifests):
    user = re.findall(r"^USER (\d+):(\d+)$", (ROOT / "Dockerfile").read_text(), re.MULTILINE)
    found = list(pods(manifests))
    assert len(found) == 5
    for pod in found:
        context = pod["securityContext"]
        assert context["runAsNonRoot"] is True
        assert user == [(str(context["runAsUser"]), str(context["runAsGroup"]))]
        assert context["seccompProfile"] == {"type": "RuntimeDefault"}
        assert pod["automountServiceAccountToken"] is False
        [container] = pod["containers"]
        assert container["securityContext"] == {
            "allowPrivilegeEscalation": False,
            "readOnlyRootFilesystem": True,
            "capabilities": {"drop": ["ALL"]},
        }
        assert container["resources"].keys() == {"requests", "limits"}
        mounts = container["volumeMounts"]
        assert [each["name"] for each in mounts if "readOnly" not in each] == ["tmp"]


def test_secrets_are_named_and_never_given(manifests):
    secrets = of_kind(manifests, "Secret")
    assert {value for one in secrets for value in one["stringData"].values()} == {""}
    names = {one["metadata"]["name"] for one in secrets}
    for pod in pods(manifests):
        sources = pod["containers"][0]["envFrom"]
        named = {source["secretRef"]["name"] for source in sources if "secretRef" in source}
        named |= {each["secret"]["secretName"] for each in pod["volumes"] if "secret" in each}
        assert named == names
    settings = (KUBERNETES / "base" / "settings.env").read_text()
    keys = {Path(path).name for path in re.findall("=(/keys/.*)", settings)}
    assert keys == secrets[1]["stringData"].keys()


def test_every_command_is_one_of_the_image(manifests):
    entrypoint = (DOCKER / "entrypoint.sh").read_text()
    own = set(re.findall(r"^    (\w+)\)$", entrypoint, re.MULTILINE))
    seen = set()
    for pod in pods(manifests):
        arguments = pod["containers"][0]["args"]
        seen.add(arguments[0])
        if arguments[0] not in own:
            assert arguments[0] == "flask"
            check_flask_command(arguments[1:])
    assert seen == {"serve", "migrate", "flask"}


def check_flask_command(arguments: Sequence[str]) -> None:
    """Fail unless there is such a command, with these options and arguments."""
    name, subcommand, *rest = arguments
    group = entry_points(group="flask.commands")[name].load()
    command = group.get_command(click.Context(group), subcommand)
    assert command is not None, arguments
    command.make_context(subcommand, rest)


def test_a_wrong_command_is_noticed():
    with pytest.raises(click.UsageError):
        check_flask_command(["share", "cleanup", "--delete-storage"])


def test_selectors_and_ports_name_what_is_there(manifests):
    [deployment] = of_kind(manifests, "Deployment")
    template = deployment["spec"]["template"]
    labels = template["metadata"]["labels"].items()
    [container] = template["spec"]["containers"]
    ports = {port["name"] for port in container["ports"]}
    services = {one["metadata"]["name"]: one["spec"] for one in of_kind(manifests, "Service")}
    assert labels >= services["dserver"]["selector"].items()
    assert {port["targetPort"] for port in services["dserver"]["ports"]} <= ports
    assert not labels >= services["dserver-hidden"]["selector"].items()
    for kind in ("PodDisruptionBudget", "Deployment"):
        [one] = of_kind(manifests, kind)
        assert labels >= one["spec"]["selector"]["matchLabels"].items()
    [ingress] = of_kind(manifests, "Ingress")
    for path in ingress["spec"]["rules"][0]["http"]["paths"]:
        service = services[path["backend"]["service"]["name"]]
        assert path["backend"]["service"]["port"]["name"] in {p["name"] for p in service["ports"]}


def test_people_reach_neither_metrics_nor_readiness(manifests):
    [ingress] = of_kind(manifests, "Ingress")
    [rule] = ingress["spec"]["rules"]
    served = {each["path"]: each["backend"]["service"]["name"] for each in rule["http"]["paths"]}
    [container] = of_kind(manifests, "Deployment")[0]["spec"]["template"]["spec"]["containers"]
    [monitor] = of_kind(manifests, "ServiceMonitor")
    hidden = {
        container["readinessProbe"]["httpGet"]["path"],
        monitor["spec"]["endpoints"][0]["path"],
    }
    assert served == {"/": "dserver", **dict.fromkeys(hidden, "dserver-hidden")}


def test_the_page_says_how_gunicorn_listens_by_ipv6(monkeypatch):
    [value] = re.findall(r"DSERVER_LISTEN=([^`]+)`", text_of("docs/kubernetes.rst"))
    monkeypatch.setenv("DSERVER_LISTEN", value)
    settings = runpy.run_path(str(DOCKER / "gunicorn.conf.py"))
    assert parse_address(settings["bind"]) == ("::", 5000)


def test_requests_end_before_a_pod_is_killed(manifests):
    pod = of_kind(manifests, "Deployment")[0]["spec"]["template"]["spec"]
    before = int(pod["containers"][0]["lifecycle"]["preStop"]["exec"]["command"][1])
    gunicorn = runpy.run_path(str(DOCKER / "gunicorn.conf.py"))
    assert pod["terminationGracePeriodSeconds"] > before + gunicorn["graceful_timeout"]


def test_a_pod_whose_threads_are_all_at_work_is_not_killed(manifests):
    [container] = of_kind(manifests, "Deployment")[0]["spec"]["template"]["spec"]["containers"]
    # A route would wait for a thread; the kernel accepts connections without one.
    assert container["livenessProbe"]["tcpSocket"] == {"port": "http"}
    ready = container["readinessProbe"]
    assert ready["periodSeconds"] * ready["failureThreshold"] >= 30


def test_cleanups_do_not_run_beside_themselves(manifests):
    jobs = of_kind(manifests, "CronJob")
    assert len(jobs) == 3
    assert {one["spec"]["concurrencyPolicy"] for one in jobs} == {"Forbid"}
    assert {one["spec"]["timeZone"] for one in jobs} == {"Etc/UTC"}
