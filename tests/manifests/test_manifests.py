"""Plain manifests: valid by Kubernetes' own schemas, in agreement with the programs, and usable as they are."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import kubernetes_validate
import pytest

from contract import names
from contract.storage import storage_from
from runtime import VERSION
from webhook.admit import process
from webhook.catalog import NamespaceFacts
from webhook.commands import inject_manifests
from webhook.decision import Inject
from webhook.manifests import load
from webhook.settings import InjectionSettings, Settings

ROOT = Path(__file__).parent.parent.parent
MANIFESTS = ROOT / "manifests"
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


def test_the_kustomization_lists_every_manifest_and_no_sample() -> None:
    listed = set(document("kustomization.yaml")["resources"])
    assert listed == {file for file in FILES if "/" not in file} - {"kustomization.yaml"}


def test_all_that_is_installed_lives_in_the_kustomizations_namespace() -> None:
    namespace = document("kustomization.yaml")["namespace"]
    found = {document(file)["metadata"].get("namespace", namespace) for file in FILES if "/" not in file
             and file != "kustomization.yaml"}  # fmt: skip
    assert found == {namespace}
    assert document("namespace.yaml")["metadata"]["name"] == namespace


def container() -> Any:
    (only,) = document("deployment.yaml")["spec"]["template"]["spec"]["containers"]
    return only


def test_the_deployments_variables_are_settings_the_webhook_starts_with() -> None:
    variables = {item["name"]: item["value"] for item in container()["env"]}
    settings = Settings.from_env(variables)
    mount = next(item for item in container()["volumeMounts"] if item["name"] == "tls")
    assert {Path(settings.tls_cert).parent, Path(settings.tls_key).parent} == {Path(mount["mountPath"])}
    ports = {item["name"]: item["containerPort"] for item in container()["ports"]}
    assert settings.listen.endswith(f":{ports['https']}")
    assert settings.metrics_listen.endswith(f":{ports['metrics']}")
    assert settings.injection.sidecar_image == InjectionSettings().sidecar_image


def test_the_images_carry_this_version() -> None:
    assert container()["image"].endswith(f":{VERSION}")


def test_the_webhooks_own_pod_is_restricted() -> None:
    pod = document("deployment.yaml")["spec"]["template"]["spec"]
    context = container()["securityContext"]
    assert pod["securityContext"]["runAsNonRoot"] is True
    assert pod["securityContext"]["seccompProfile"] == {"type": "RuntimeDefault"}
    assert context["allowPrivilegeEscalation"] is False
    assert context["readOnlyRootFilesystem"] is True
    assert context["capabilities"] == {"drop": ["ALL"]}
    assert {key for volume in pod["volumes"] for key in volume} == {"name", "secret", "emptyDir"}


def test_service_and_configuration_lead_to_the_deployment() -> None:
    labels = document("deployment.yaml")["spec"]["template"]["metadata"]["labels"]
    service = document("service.yaml")
    assert service["spec"]["selector"].items() <= labels.items()
    (port,) = service["spec"]["ports"]
    assert port["targetPort"] in [item["name"] for item in container()["ports"]]
    (webhook,) = document("mutatingwebhookconfiguration.yaml")["webhooks"]
    reference = webhook["clientConfig"]["service"]
    assert (reference["name"], reference["namespace"]) == (
        service["metadata"]["name"],
        service["metadata"]["namespace"],
    )
    assert (reference["port"], reference["path"]) == (port["port"], "/mutate")


def test_the_webhook_being_down_never_locks_a_cluster() -> None:
    (webhook,) = document("mutatingwebhookconfiguration.yaml")["webhooks"]
    assert (webhook["failurePolicy"], webhook["timeoutSeconds"]) == ("Ignore", 5)
    assert webhook["rules"] == [
        {
            "apiGroups": [""],
            "apiVersions": ["v1"],
            "operations": ["CREATE"],
            "resources": ["pods"],
            "scope": "Namespaced",
        }
    ]
    assert webhook["reinvocationPolicy"] == "IfNeeded"
    assert "caBundle" not in webhook["clientConfig"]


def selected(pod_labels: dict[str, str]) -> bool:
    (webhook,) = document("mutatingwebhookconfiguration.yaml")["webhooks"]
    return all(
        (rule["key"] in pod_labels)
        if rule["operator"] == "Exists"
        else pod_labels.get(rule["key"]) not in rule["values"]  # NotIn
        for rule in webhook["objectSelector"]["matchExpressions"]
    )


@pytest.mark.parametrize(
    ("labels", "expected"),
    [
        pytest.param({names.INJECT: "enabled"}, True, id="a pod that asks"),
        pytest.param({names.INJECT: "true"}, True, id="a pod that asks with a misspelt value, to be told"),
        pytest.param({names.INJECT: "disabled"}, False, id="a pod that declines"),
        pytest.param({}, False, id="a pod that says nothing"),
        pytest.param({names.INJECT: "enabled", PART_OF: "flotta-data-sync"}, False, id="our own pod"),
    ],
)
def test_who_is_sent_to_the_webhook(labels: dict[str, str], expected: bool) -> None:
    assert selected(labels) is expected


def test_the_sample_pod_is_injected_and_stays_valid() -> None:
    pod = document("samples/pod-os-stats.yaml")
    outcome = process(pod, pod["metadata"]["namespace"], NamespaceFacts(), InjectionSettings())
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
