"""What the webhook may do is what it does: every call of a real one, against the rights the rendered chart grants.

It runs with just those rights, so a missing one keeps it from becoming ready; what it was granted and never
asked for is too much.
"""

from __future__ import annotations

from itertools import product
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.fakes.cluster import Call, FakeCluster
from tests.webhook.clusters import device, until, with_crds, workload
from tests.webhook.processes import Webhook
from tests.webhook.test_rotation import SETTINGS, configuration
from tests.webhook.test_serving_catalog import probed

MANIFESTS = Path(__file__).resolve().parents[2] / "manifests"
SECRETS = "secrets"

Right = tuple[str, str, str]  # group, resource, verb


def rules(name: str) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = yaml.safe_load((MANIFESTS / f"{name}.yaml").read_text())["rules"]
    return found


def rights(rule: dict[str, Any]) -> set[Right]:
    return set(product(rule["apiGroups"], rule["resources"], rule["verbs"]))


def allowed(call: Call) -> bool:
    """As RBAC decides: the Role counts in the webhook's own namespace, and names where a rule has them."""
    found = rules("webhook-clusterrole") + (rules("webhook-role") if call.namespace == SETTINGS.namespace else [])
    return any(
        (call.group, call.resource, call.verb) in rights(rule)
        and ("resourceNames" not in rule or call.name in rule["resourceNames"])
        for rule in found
    )


@pytest.fixture(scope="module")
def calls(tmp_path_factory: pytest.TempPathFactory) -> list[Call]:
    """Each call of a webhook that became ready, followed the cluster, and renewed its certificate."""
    tmp_path = tmp_path_factory.mktemp("webhook")
    with with_crds(FakeCluster()) as fake:
        fake.create({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": SETTINGS.namespace}})
        fake.create(configuration("pods.example"))
        fake.api.authorizer = lambda call: call.user != "webhook" or allowed(call)
        kubeconfig = str(fake.kubeconfig(tmp_path / "kubeconfig", "webhook"))
        lifetimes = {"WEBHOOK_SELF_AUTHORITY_LIFETIME": "9s", "WEBHOOK_SELF_SERVING_LIFETIME": "3s"}
        own = {"WEBHOOK_TLS_CERT": "", "WEBHOOK_TLS_KEY": "", "WEBHOOK_CATALOG": "cluster", "KUBECONFIG": kubeconfig}
        with Webhook(tmp_path, **own, **lifetimes) as webhook:
            until(lambda: probed(webhook, "/readyz") == 200, "readiness")
            fake.create(device("thing"))
            fake.create(workload("stats"))
            until(lambda: (SECRETS, "update") in asked(fake), "a new authority")
        return [call for call in fake.api.calls if call.user == "webhook"]


def asked(fake: FakeCluster) -> set[tuple[str, str]]:
    return {(call.resource, call.verb) for call in fake.api.calls}


def test_each_right_is_used_and_nothing_else_is_asked(calls: list[Call]) -> None:
    granted = {
        right for name in ("webhook-clusterrole", "webhook-role") for rule in rules(name) for right in rights(rule)
    }
    assert {(call.group, call.resource, call.verb) for call in calls} == granted


def test_of_all_secrets_it_asks_for_its_own_alone(calls: list[Call]) -> None:
    named = {(call.namespace, call.name) for call in calls if call.resource == SECRETS and call.verb != "create"}
    assert named == {(SETTINGS.namespace, SETTINGS.secret)}
