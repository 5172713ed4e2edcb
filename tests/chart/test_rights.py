"""RBAC: what each program asks for and nothing more; no Secret is readable but the webhook's own, by name."""

from __future__ import annotations

from typing import Any

import pytest

from controller.__main__ import main as controller
from tests.chart.matrix import EVERYTHING, MATRIX, POLICIES
from tests.chart.rendered import Object, objects, only, pod_specs
from tests.controller import rights

# What the webhook's catalog watches, and its certificates; see webhook/catalog.py and webhook/rotation.py.
WEBHOOK = {
    ("management.project-flotta.io", "edgedevices"): {"list", "watch"},
    ("management.project-flotta.io", "edgeworkloads"): {"list", "watch"},
    ("", "namespaces"): {"list", "watch"},
    ("", "nodes"): {"list", "watch"},
    ("admissionregistration.k8s.io", "mutatingwebhookconfigurations"): {"get", "patch"},
}


def granted(role: Object) -> dict[tuple[str, str], set[str]]:
    found: dict[tuple[str, str], set[str]] = {}
    for rule in role["rules"]:
        for group in rule["apiGroups"]:
            for resource in rule["resources"]:
                found.setdefault((group, resource), set()).update(rule["verbs"])
    return found


def named(role: Object, resource: str) -> list[tuple[list[str], list[str]]]:
    """Verbs and names of each rule about ``resource``."""
    return [(rule["verbs"], rule.get("resourceNames", [])) for rule in role["rules"] if resource in rule["resources"]]


def test_the_controller_may_do_what_it_does_and_no_more() -> None:
    found = objects()
    cluster = granted(only(found, "ClusterRole", "data-sync-controller"))
    assert cluster == {key: set(verbs) for key, verbs in rights.CLUSTER.items()}
    own = granted(only(found, "Role", "data-sync-controller"))
    assert own == {key: set(verbs) for key, verbs in rights.OWN_NAMESPACE.items()}


def test_the_webhook_may_do_what_it_does_and_no_more() -> None:
    assert granted(only(objects(), "ClusterRole", "data-sync-webhook")) == WEBHOOK


def test_the_webhook_reads_its_own_secret_and_configuration_by_name() -> None:
    found = objects()
    assert named(only(found, "Role", "data-sync-webhook"), "secrets") == [
        (["get", "update"], ["data-sync-webhook-ca"]),
        (["create"], []),  # RBAC knows no name of what is not there yet; policy-webhook does
    ]
    role = only(found, "ClusterRole", "data-sync-webhook")
    assert named(role, "mutatingwebhookconfigurations") == [(["get", "patch"], ["data-sync"])]


@pytest.mark.parametrize("name", MATRIX)
def test_no_other_role_names_secrets_or_everything(name: str) -> None:
    for role in objects(MATRIX[name]):
        for rule in role.get("rules", []) if role["kind"] in ("ClusterRole", "Role") else []:
            assert "*" not in [*rule["apiGroups"], *rule["resources"], *rule["verbs"]]
            assert "secrets" not in rule["resources"] or role["metadata"]["name"].endswith("-webhook")


@pytest.mark.parametrize("name", ["provided", "cert-manager"])
def test_with_certificates_from_elsewhere_it_reads_no_secret_at_all(name: str) -> None:
    found = objects(MATRIX[name])
    kinds = {(one["kind"], one["metadata"]["name"]) for one in found}
    assert not {("Role", "data-sync-webhook"), ("Secret", "data-sync-webhook-ca")} & kinds
    assert "mutatingwebhookconfigurations" not in str(only(found, "ClusterRole", "data-sync-webhook"))


def test_programs_have_accounts_of_their_own_and_nobody_gets_a_token_unasked() -> None:
    found = objects(EVERYTHING | POLICIES)
    accounts = {one["metadata"]["name"] for one in found if one["kind"] == "ServiceAccount"}
    assert {"data-sync-webhook", "data-sync-controller"} <= accounts
    assert all(one["automountServiceAccountToken"] is False for one in found if one["kind"] == "ServiceAccount")
    bindings: list[Any] = [one for one in found if one["kind"].endswith("RoleBinding")]
    assert {subject["name"] for one in bindings for subject in one["subjects"]} <= accounts


def test_only_repair_may_evict_and_only_when_it_is_told_to_restart() -> None:
    for values, expected in (
        ({}, set()),
        ({"repair": {"enabled": True}}, set()),
        ({"repair": {"enabled": True, "restart": True}}, {"data-sync-repair"}),
    ):
        roles = [one for one in objects(values) if one["kind"] == "ClusterRole"]
        evicting = {one["metadata"]["name"] for one in roles if ("", "pods/eviction") in granted(one)}
        deleting = {one["metadata"]["name"] for one in roles if "delete" in granted(one).get(("", "pods"), ())}
        assert (evicting, deleting) == (expected, set())


def test_the_jobs_run_commands_that_the_controller_has(capsys: pytest.CaptureFixture[str]) -> None:
    for name, spec in pod_specs(objects(EVERYTHING)).items():
        (container,) = spec["containers"]
        if container["command"][:3] == ["python", "-m", "controller"]:
            with pytest.raises(SystemExit) as ended:
                controller([*container["command"][3:], "--help"])
            assert ended.value.code == 0, name


def test_what_runs_after_an_uninstall_ends_by_itself_and_leaves_nothing() -> None:
    hooks = [one for one in objects() if one["metadata"]["name"] == "data-sync-let-go"]
    assert {one["kind"] for one in hooks} == {"ServiceAccount", "ClusterRole", "ClusterRoleBinding", "Job"}
    for one in hooks:
        annotations = one["metadata"]["annotations"]
        assert annotations["helm.sh/hook"] == "post-delete"
        assert {"hook-succeeded", "hook-failed"} <= set(annotations["helm.sh/hook-delete-policy"].split(","))
    job = only(hooks, "Job", "data-sync-let-go")
    assert job["spec"]["activeDeadlineSeconds"] <= 120
    (variable,) = [
        one["value"]
        for spec in pod_specs(objects()).values()
        for container in spec["containers"]
        for one in container.get("env", [])
        if one["name"] == "CONTROLLER_LEASE_NAME"
    ]
    lease = job["spec"]["template"]["spec"]["containers"][0]["command"][-1]
    assert lease == f"{job['metadata']['namespace']}/{variable}"
