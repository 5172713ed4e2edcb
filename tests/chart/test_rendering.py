"""The chart over a matrix of values, Kubernetes versions and helms: it lints, renders, and is valid."""

from __future__ import annotations

import json
from functools import cache
from pathlib import Path
from typing import Any

import kubernetes_validate
import pytest

from release.helm import NEWEST, OLDEST
from tests.chart.matrix import EVERYTHING, MATRIX, POLICIES
from tests.chart.rendered import MAJORS, Object, helm, helm_of, objects, only, pod_specs
from webhook.injection_settings import InjectionSettings

# Kinds of other projects: Kubernetes has no schema for them.
FOREIGN = ("monitoring.coreos.com/", "cert-manager.io/", "security.openshift.io/")


def validate(found: list[Object], kubernetes: str) -> None:
    for one in found:
        if not one["apiVersion"].startswith(FOREIGN):
            _validate(json.dumps(one), ".".join(kubernetes.split(".")[:2]))


@cache
def _validate(text: str, version: str) -> None:
    kubernetes_validate.validate(json.loads(text), version, strict=True)


@pytest.mark.parametrize("name", ["defaults", "everything", "cert-manager", "openshift"])
def test_it_lints_without_a_warning(name: str) -> None:
    helm().lint(MATRIX[name])


@pytest.mark.parametrize("major", MAJORS)
def test_every_helm_lints_it(major: str) -> None:
    helm_of(major).lint(EVERYTHING)


@pytest.mark.parametrize("kubernetes", [OLDEST, NEWEST])
@pytest.mark.parametrize("name", MATRIX)
def test_it_is_valid_by_kubernetes_own_schemas(name: str, kubernetes: str) -> None:
    validate(objects(MATRIX[name], kubernetes=kubernetes), kubernetes)


@pytest.mark.parametrize("kubernetes", ["1.30.0", NEWEST])
def test_the_policies_are_valid_where_they_exist(kubernetes: str) -> None:
    found = objects(EVERYTHING | POLICIES, kubernetes=kubernetes)
    validate(found, kubernetes)
    assert len([one for one in found if one["kind"] == "ValidatingAdmissionPolicy"]) == 5


def test_the_schemas_do_refuse() -> None:
    found = objects()
    only(found, "Deployment", "data-sync-webhook")["spec"]["replica"] = 1
    with pytest.raises(kubernetes_validate.ValidationError):
        validate(found, NEWEST)


@pytest.mark.parametrize("name", ["defaults", "everything", "cert-manager", "openshift"])
def test_both_helms_render_the_same(name: str) -> None:
    third, fourth = (objects(MATRIX[name], helm_of(major)) for major in MAJORS)
    assert sorted(map(json.dumps, third)) == sorted(map(json.dumps, fourth))


def test_an_old_cluster_gets_no_kind_that_it_does_not_know() -> None:
    kinds = {one["kind"] for one in objects(EVERYTHING, kubernetes=OLDEST)}
    assert not {kind for kind in kinds if kind.startswith("ValidatingAdmissionPolicy")}


@pytest.mark.parametrize("namespace", ["default", "kube-system", "data-sync", "a" * 63])
def test_everything_lands_in_the_releases_namespace(namespace: str) -> None:
    found = objects(EVERYTHING, namespace=namespace)
    assert {one["metadata"].get("namespace", namespace) for one in found} == {namespace}
    bound = [subject for one in found for subject in one.get("subjects", [])]
    assert {subject["namespace"] for subject in bound} == {namespace}
    configuration = only(found, "MutatingWebhookConfiguration", "data-sync")
    assert {hook["clientConfig"]["service"]["namespace"] for hook in configuration["webhooks"]} == {namespace}


@pytest.mark.parametrize("release", ["data-sync", "x", "a" * 53])
def test_names_are_short_enough_whatever_the_release_is_called(release: str) -> None:
    for one in objects(EVERYTHING | POLICIES, release=release):
        limit = 63 if one["kind"] in ("Service", "Pod") else 253
        assert len(one["metadata"]["name"]) <= limit
        for key, value in one["metadata"].get("labels", {}).items():
            assert len(value) <= 63, key


@pytest.mark.parametrize("name", MATRIX)
def test_a_list_that_is_merged_by_name_names_each_once(name: str) -> None:
    """Server-side apply, by which helm 4 installs, refuses a pod that names a variable twice."""
    for pod, spec in pod_specs(objects(MATRIX[name])).items():
        for container in [*spec["containers"], *spec.get("initContainers", [])]:
            for field, key in (("env", "name"), ("ports", "containerPort"), ("volumeMounts", "mountPath")):
                keys = [one[key] for one in container.get(field, [])]
                assert sorted(set(keys)) == sorted(keys), f"{pod}: {field}"
        volumes = [one["name"] for one in spec.get("volumes", [])]
        assert sorted(set(volumes)) == sorted(volumes), pod


@pytest.mark.parametrize("name", ["defaults", "everything", "host-network"])
def test_our_own_pods_are_restricted(name: str) -> None:
    specs = pod_specs(objects(MATRIX[name]))
    assert {"data-sync-webhook", "data-sync-test"} <= set(specs)
    for spec in specs.values():
        assert spec["securityContext"]["runAsNonRoot"] is True
        assert spec["securityContext"]["seccompProfile"] == {"type": "RuntimeDefault"}
        for container in spec["containers"]:
            context = container["securityContext"]
            assert context["allowPrivilegeEscalation"] is False
            assert context["readOnlyRootFilesystem"] is True
            assert context["capabilities"] == {"drop": ["ALL"]}
            assert container["resources"]["limits"]["memory"]
            assert container["resources"]["requests"]


def test_openshift_assigns_the_users_of_our_pods() -> None:
    for name, spec in pod_specs(objects(MATRIX["openshift"])).items():
        if name != "data-sync-test":
            assert "runAsUser" not in spec["securityContext"]


def references(found: list[Object]) -> set[str]:
    return {container["image"] for spec in pod_specs(found).values() for container in spec["containers"]}


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        pytest.param({}, "flotta-data-sync-webhook:0.1.0", id="the version of the chart"),
        pytest.param(
            {"image": {"registry": "r.example/x/"}}, "r.example/x/flotta-data-sync-webhook:0.1.0", id="a registry"
        ),
        pytest.param(
            {"image": {"registry": "r.example"}, "webhook": {"image": {"repository": "quay.io/me/hook", "tag": "9"}}},
            "quay.io/me/hook:9",
            id="a repository with a host of its own",
        ),
        pytest.param(
            {"image": {"registry": "r.example"}, "webhook": {"image": {"repository": "me/hook"}}},
            "r.example/me/hook:0.1.0",
            id="a repository with a path",
        ),
        pytest.param(
            {"webhook": {"image": {"tag": "9", "digest": "sha256:" + "0" * 64}}},
            "flotta-data-sync-webhook@sha256:" + "0" * 64,
            id="a digest wins over the tag",
        ),
    ],
)
def test_images_are_named_as_asked(values: dict[str, Any], expected: str) -> None:
    assert expected in references(objects(values))


def test_a_changed_value_reaches_the_programs() -> None:
    found = objects({"export": {"root": "/data"}, "sidecar": {"image": {"repository": "s", "tag": "2"}}})
    (container,) = pod_specs(found)["data-sync-webhook"]["containers"]
    variables = {item["name"]: item.get("value") for item in container["env"]}
    assert (variables["WEBHOOK_EXPORT_ROOT"], variables["WEBHOOK_SIDECAR_IMAGE"]) == ("/data", "s:2")


def test_what_is_said_of_storage_reaches_the_webhook_as_it_is_meant() -> None:
    claims = {
        "endpoint": "https://s3.example.org:8443",
        "region": "eu-1",
        "addressing": "virtual",
        "caBundle": "-----BEGIN CERTIFICATE-----\nAA==\n-----END CERTIFICATE-----\n",
    }
    default = {"configMap": "bucket", "secret": "keys"}
    (container,) = pod_specs(objects({"storage": {"obc": claims, "default": default}}))["data-sync-webhook"][
        "containers"
    ]
    found = InjectionSettings.from_env({item["name"]: item.get("value", "") for item in container["env"]})
    assert dict(found.claim_overrides) == {
        "BUCKET_HOST": "s3.example.org",
        "BUCKET_PORT": "8443",
        "BUCKET_SCHEME": "https",
        "BUCKET_REGION": "eu-1",
        "BUCKET_ADDRESSING": "virtual",
        "tls.crt": claims["caBundle"].strip(),
    }
    assert (found.default_config_map, found.default_secret) == ("bucket", "keys")


def test_the_webhook_knows_whom_the_chart_gave_its_sccs() -> None:
    accounts = [{"namespace": "edge", "name": "reader"}, {"namespace": "edge", "name": "writer"}]
    found = objects({"openshift": {"scc": {"create": True, "serviceAccounts": accounts}}})
    (container,) = pod_specs(found)["data-sync-webhook"]["containers"]
    settings = InjectionSettings.from_env({item["name"]: item.get("value", "") for item in container["env"]})
    assert settings.scc in {one["metadata"]["name"] for one in found if one["kind"] == "SecurityContextConstraints"}
    assert settings.scc_accounts == {"edge/reader", "edge/writer"}


def test_notes_say_what_to_do_next(tmp_path: Path) -> None:
    command = ["install", "data-sync", "charts/data-sync", "--namespace", "edge"]
    notes = helm_of("v4").run(*command, "--dry-run=client").partition("NOTES:")[2]
    for words in (
        "helm test data-sync -n edge",
        "BUCKET_NAME",
        "inject: enabled",
        "pods are created without data-sync",
    ):
        assert words in notes


def test_monitoring_carries_alerts_and_dashboards() -> None:
    found = objects(EVERYTHING)
    rule = only(found, "PrometheusRule", "data-sync")
    alerts = [one for group in rule["spec"]["groups"] for one in group["rules"] if "alert" in one]
    assert alerts
    for alert in alerts:
        assert alert["annotations"]["runbook_url"].endswith(f"OPERATIONS.md#{alert['alert'].lower()}")
    names = {one["metadata"]["name"] for one in found if one["kind"] == "PodMonitor"}
    assert names == {"data-sync-webhook", "data-sync-controller", "data-sync-sidecar"}


def test_crds_are_kept_and_can_be_left_out() -> None:
    for one in objects():
        if one["kind"] == "CustomResourceDefinition":
            assert one["metadata"]["annotations"]["helm.sh/resource-policy"] == "keep"
    assert "CustomResourceDefinition" not in {one["kind"] for one in objects(MATRIX["webhook-alone"])}
