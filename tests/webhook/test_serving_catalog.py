"""The real webhook beside a cluster in memory: ready when it knows the cluster, and deciding by what it knows."""

from __future__ import annotations

import base64
import json
import subprocess
import sys
from pathlib import Path
from typing import Any

from contract import names
from tests.fakes.cluster import FakeCluster, Severed
from tests.webhook.clusters import device, until, with_crds, workload
from tests.webhook.processes import Webhook, review

POD = {
    "metadata": {"name": "stats", "labels": {names.INJECT: names.ENABLED}},
    "spec": {"nodeName": "node-1", "containers": [{"name": "app", "image": "a"}]},
}


def probed(webhook: Webhook, path: str) -> int:
    """The status at ``path``; 0 while nobody listens there yet."""
    try:
        return webhook.get(path)[0]
    except ConnectionRefusedError:
        return 0


def admitted(webhook: Webhook) -> Any:
    code, body = webhook.post(json.dumps(review(POD, namespace="default")).encode())
    assert code == 200
    return body["response"]


def status_of(response: Any) -> Any:
    patch = json.loads(base64.b64decode(response["patch"]))
    (status,) = [
        operation["value"][names.STATUS] for operation in patch if operation["path"] == "/metadata/annotations"
    ]
    return json.loads(status)


def test_devices_and_workloads_decide_and_a_cluster_that_is_away_keeps_nobody_waiting(tmp_path: Path) -> None:
    with with_crds(FakeCluster()) as fake:
        config = fake.kubeconfig(tmp_path / "kubeconfig", "webhook")
        with Webhook(tmp_path, WEBHOOK_CATALOG="cluster", KUBECONFIG=str(config)) as webhook:
            until(lambda: probed(webhook, "/readyz") == 200, "readiness")
            assert admitted(webhook)["allowed"] is False
            fake.create(device("node-1"))
            fake.create(workload("stats", data={"egress": [{"source": "stats", "target": "statistics"}]}))
            until(lambda: "patch" in admitted(webhook), "the device being known")
            until(lambda: status_of(admitted(webhook))["rules"]["mappings"] == "workload", "the workload being known")
            told = status_of(admitted(webhook))
            assert (told["device"], told["storage"]) == ("node-1", "claim/node-1")
            assert told["rules"] | {"mode": ""} == {
                "device": "node", "mappings": "workload", "mode": "", "storage": "device", "workload": "name",
            }  # fmt: skip
            fake.stop()
            assert status_of(admitted(webhook)) == told
            assert webhook.get("/readyz")[0] == 200
            assert "\ndata_sync_catalog_age_seconds " in webhook.get("/metrics")[1]
            assert webhook.stop() == 0


def test_before_the_cluster_is_known_reviews_are_left_to_the_failure_policy(tmp_path: Path) -> None:
    def refuse(_: object) -> None:
        raise Severed

    with with_crds(FakeCluster()) as fake:
        fake.api.before.append(refuse)
        config = fake.kubeconfig(tmp_path / "kubeconfig", "webhook")
        with Webhook(tmp_path, WEBHOOK_CATALOG="cluster", KUBECONFIG=str(config)) as webhook:
            until(lambda: probed(webhook, "/livez") == 200, "the endpoints")
            code, why = webhook.get("/readyz")
            assert code == 503
            assert "edgedevices" in why
            assert "data_sync_catalog_age_seconds" not in webhook.get("/metrics")[1]
            code, body = webhook.post(json.dumps(review(POD, namespace="default")).encode())
            assert code == 503
            assert "does not yet know the cluster" in body["error"]
            fake.api.before.clear()
            until(lambda: probed(webhook, "/readyz") == 200, "readiness")
            assert admitted(webhook)["allowed"] is False


def test_without_a_way_to_the_cluster_the_start_ends_and_says_what_to_set(tmp_path: Path) -> None:
    webhook = Webhook(tmp_path, WEBHOOK_CATALOG="cluster")
    done = subprocess.run(
        [sys.executable, "-m", "webhook"], check=False, env=webhook.env, capture_output=True, text=True, timeout=60
    )
    assert done.returncode == 2
    assert "WEBHOOK_CATALOG" in done.stderr
    assert "KUBECONFIG" in done.stderr
