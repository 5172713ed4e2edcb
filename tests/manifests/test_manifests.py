"""Plain manifests: valid by Kubernetes' own schemas, in agreement with the programs, and usable as they are."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import kubernetes_validate
import pytest

import controller.settings
import webhook.injection_settings
import webhook.settings
from contract import names
from contract.storage import storage_from
from controller.settings import Settings as ControllerSettings
from runtime import VERSION
from webhook.admit import process
from webhook.catalog import EmptyCatalog
from webhook.commands import inject_manifests
from webhook.decision import Inject
from webhook.injection_settings import InjectionSettings
from webhook.manifests import load
from webhook.settings import SelfCertificates, Settings

ROOT = Path(__file__).parent.parent.parent
MANIFESTS = ROOT / "manifests"
OWN_NAMESPACE = "data-sync"
GOLDEN = ROOT / "tests" / "golden"
# Kubernetes has no schema for these; whatever else has none is a mistake.
CUSTOM_KINDS = {"EdgeDevice", "EdgeWorkload", "Kustomization"}
PART_OF = "app.kubernetes.io/part-of"
FILES = sorted(str(path.relative_to(MANIFESTS)) for path in MANIFESTS.rglob("*.yaml"))
INJECTED = sorted(path.parent.name for path in GOLDEN.glob("*/expected.yaml") if load(path.read_text()))


def documents(file: str) -> list[Any]:
    return load((MANIFESTS / file).read_text())


def document(file: str) -> Any:
    (only,) = documents(file)
    return only


def validate(resource: Any) -> None:
    kubernetes_validate.validate(resource, kubernetes_validate.latest_version(), strict=True)


@pytest.mark.parametrize("file", FILES)
def test_a_manifest_is_valid_under_the_strict_schema(file: str) -> None:
    assert documents(file)
    for resource in documents(file):
        if resource["kind"] not in CUSTOM_KINDS:
            validate(resource)


@pytest.mark.parametrize("case", INJECTED)
def test_an_injected_pod_is_valid_under_the_strict_schema(case: str) -> None:
    for resource in load((GOLDEN / case / "expected.yaml").read_text()):
        validate(resource)


def test_the_schema_check_does_refuse() -> None:
    pod = document("samples/pod-os-stats.yaml")
    pod["spec"]["containers"][0]["volumMounts"] = []
    with pytest.raises(kubernetes_validate.ValidationError):
        validate(pod)


@pytest.mark.parametrize("directory", [".", "policies"])
def test_the_kustomization_lists_every_manifest_beside_it(directory: str) -> None:
    listed = set(document(f"{directory}/kustomization.yaml")["resources"])
    assert listed == {path.name for path in (MANIFESTS / directory).glob("*.yaml")} - {"kustomization.yaml"}


def test_all_that_is_installed_lives_in_the_kustomizations_namespace() -> None:
    assert document("kustomization.yaml")["namespace"] == OWN_NAMESPACE
    installed = [one for file in FILES if "/" not in file for one in documents(file)]
    assert {one["metadata"].get("namespace", OWN_NAMESPACE) for one in installed if "metadata" in one} == {
        OWN_NAMESPACE
    }
    assert document("namespace.yaml")["metadata"]["name"] == OWN_NAMESPACE


def test_nothing_says_that_helm_manages_it() -> None:
    assert [file for file in FILES if "managed-by" in (MANIFESTS / file).read_text()] == []


def container(component: str = "webhook") -> Any:
    (only,) = document(f"{component}-deployment.yaml")["spec"]["template"]["spec"]["containers"]
    return only


def variables(component: str) -> dict[str, str]:
    """What the program is started with; fields of the pod stand for themselves."""
    return {item["name"]: item.get("value", "from-the-pod") for item in container(component)["env"]}


def ports(component: str) -> dict[str, int]:
    return {item["name"]: item["containerPort"] for item in container(component)["ports"]}


def test_the_webhooks_variables_are_settings_it_starts_with() -> None:
    settings = Settings.from_env({**variables("webhook"), "WEBHOOK_CATALOG": "none"})
    assert settings.listen.endswith(f":{ports('webhook')['https']}")
    assert settings.metrics_listen.endswith(f":{ports('webhook')['metrics']}")
    assert settings.injection == InjectionSettings()
    assert replace(settings.self_certificates, namespace=OWN_NAMESPACE) == SelfCertificates()


def test_the_controllers_variables_are_settings_it_starts_with() -> None:
    settings = ControllerSettings.from_env(variables("controller"))
    assert settings.metrics_listen.endswith(f":{ports('controller')['metrics']}")
    assert settings.lease_name == "data-sync-controller"
    assert (settings.storage, settings.drain) == (ControllerSettings().storage, ControllerSettings().drain)


@pytest.mark.parametrize("component", ["webhook", "controller"])
def test_every_variable_is_one_that_the_program_reads(component: str) -> None:
    modules = {"webhook": (webhook.settings, webhook.injection_settings), "controller": (controller.settings,)}
    known = [item for module in modules[component] for item in vars(module).items()]
    read = {value for name, value in known if name.isupper() and isinstance(value, str)}
    assert set(variables(component)) - read == set()


def test_the_images_carry_this_version() -> None:
    assert container()["image"].endswith(f":{VERSION}")


def hooks() -> list[Any]:
    found: list[Any] = document("webhook-mutatingwebhookconfiguration.yaml")["webhooks"]
    return found


def test_service_and_configuration_lead_to_the_deployment() -> None:
    labels = document("webhook-deployment.yaml")["spec"]["template"]["metadata"]["labels"]
    service = document("webhook-service.yaml")
    assert service["spec"]["selector"].items() <= labels.items()
    targets = {port["name"]: port for port in service["spec"]["ports"]}
    assert {port["targetPort"] for port in targets.values()} <= set(ports("webhook"))
    for hook in hooks():
        assert hook["clientConfig"]["service"] == {
            "name": service["metadata"]["name"],
            "namespace": service["metadata"]["namespace"],
            "port": targets["https"]["port"],
            "path": "/mutate",
        }


def test_the_webhook_being_down_never_locks_a_cluster() -> None:
    for hook in hooks():
        assert (hook["failurePolicy"], hook["timeoutSeconds"]) == ("Ignore", 5)
        assert (hook["reinvocationPolicy"], hook["sideEffects"]) == ("IfNeeded", "NoneOnDryRun")
        assert hook["rules"] == RULES
        assert "caBundle" not in hook["clientConfig"]


RULES = [
    {
        "apiGroups": [""],
        "apiVersions": ["v1"],
        "operations": ["CREATE"],
        "resources": ["pods"],
        "scope": "Namespaced",
    }
]


def matches(selector: Any, labels: dict[str, str]) -> bool:
    """Whether a label selector selects ``labels``."""
    return all(
        {
            "Exists": rule["key"] in labels,
            "DoesNotExist": rule["key"] not in labels,
            "In": labels.get(rule["key"]) in rule.get("values", ()),
            "NotIn": labels.get(rule["key"]) not in rule.get("values", ()),
        }[rule["operator"]]
        for rule in selector["matchExpressions"]
    )


NAMESPACE_NAME = "kubernetes.io/metadata.name"
OURS = {PART_OF: "flotta-data-sync"}


@pytest.mark.parametrize(
    ("pod", "namespace", "expected"),
    [
        pytest.param({names.INJECT: "enabled"}, {}, ["pods"], id="a pod that asks"),
        pytest.param({names.INJECT: "true"}, {}, ["pods"], id="a pod that asks with a misspelt value, to be told"),
        pytest.param({names.INJECT: "disabled"}, {}, [], id="a pod that declines"),
        pytest.param({}, {}, [], id="a pod that says nothing"),
        pytest.param({names.INJECT: "enabled"} | OURS, {}, [], id="our own pod"),
        pytest.param({}, {names.INJECT: "enabled"}, ["namespaces"], id="a pod in a namespace that asks"),
        pytest.param({}, {names.INJECT: "yes"}, ["namespaces"], id="in a namespace with a misspelt value, to be told"),
        pytest.param({}, {names.INJECT: "disabled"}, [], id="a pod in a namespace that declines"),
        pytest.param({names.INJECT: "disabled"}, {names.INJECT: "enabled"}, [], id="the pod's word wins"),
        pytest.param({names.INJECT: "enabled"}, {names.INJECT: "enabled"}, ["pods"], id="both ask: one call"),
        pytest.param(OURS, {names.INJECT: "enabled"}, [], id="our own pod in a namespace that asks"),
        pytest.param({names.INJECT: "enabled"}, {NAMESPACE_NAME: "kube-system"}, [], id="kube-system"),
        pytest.param({names.INJECT: "enabled"}, {NAMESPACE_NAME: "default"}, ["pods"], id="any other namespace"),
    ],
)
def test_who_is_sent_to_the_webhook(pod: dict[str, str], namespace: dict[str, str], expected: list[str]) -> None:
    called = [
        hook["name"].partition(".")[0]
        for hook in hooks()
        if matches(hook["objectSelector"], pod) and matches(hook["namespaceSelector"], namespace)
    ]
    assert called == expected


def test_the_sample_pod_is_injected_and_stays_valid() -> None:
    pod = document("samples/pod-os-stats.yaml")
    outcome = process(pod, pod["metadata"]["namespace"], EmptyCatalog(), InjectionSettings())
    assert isinstance(outcome.decision, Inject)
    assert outcome.decision.warnings == ()
    validate(outcome.pod)


def test_the_sample_pod_for_podman_is_a_valid_pod() -> None:
    text = (MANIFESTS / "samples/pod-os-stats.yaml").read_text()
    result = inject_manifests(text, InjectionSettings(), for_podman=True)
    for pod in load(result.text):
        validate(pod)


def test_the_sample_storage_is_what_the_sample_pod_names_and_can_be_opened() -> None:
    import base64

    config, secret = document("samples/configmap.yaml"), document("samples/secret.yaml")
    annotations = document("samples/pod-os-stats.yaml")["metadata"]["annotations"]
    assert config["metadata"]["name"] == annotations[names.S3_CONFIG_MAP]
    assert secret["metadata"]["name"] == annotations[names.S3_SECRET]
    keys = {key: base64.b64decode(value, validate=True).decode() for key, value in secret["data"].items()}
    assert storage_from({**config["data"], **keys}).endpoint == "https://play.min.io"


def test_the_sample_workload_carries_the_documentations_mappings() -> None:
    data = document("samples/edgeworkload-os-stats.yaml")["spec"]["data"]
    assert data == {"egress": [{"source": "stats", "target": "statistics"}]}
