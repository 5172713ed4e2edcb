"""A cluster in memory for the webhook's catalog, and waiting for what it comes to know."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from tests.fakes import definitions
from tests.fakes.cluster import FakeCluster
from webhook.access import from_environment
from webhook.cluster import Cluster
from webhook.cluster_catalog import ClusterCatalog
from webhook.following import Pace

QUICK = Pace(shortest=0.01, longest=0.2, absent=0.1, watch=(5, 10))
PATIENCE = 60.0  # seconds


def until(condition: Callable[[], Any], what: str) -> None:
    """Wait for ``condition``, for a long time if need be."""
    end = time.monotonic() + PATIENCE
    while not condition():
        assert time.monotonic() < end, f"waited in vain for {what}"
        time.sleep(0.01)


def client(fake: FakeCluster, directory: Path, user: str = "webhook") -> Cluster:
    return Cluster(from_environment({"KUBECONFIG": str(fake.kubeconfig(directory / f"{user}.kubeconfig", user))}))


def with_crds(fake: FakeCluster) -> FakeCluster:
    fake.define(*definitions.own())
    return fake


class Following:
    """A started catalog; leaving the context ends it."""

    def __init__(self, fake: FakeCluster, directory: Path, pace: Pace = QUICK) -> None:
        self.catalog = ClusterCatalog(client(fake, directory), pace=pace)

    def __enter__(self) -> ClusterCatalog:
        self.catalog.start()
        return self.catalog

    def __exit__(self, *_: object) -> None:
        self.catalog.stop()


def device(name: str, namespace: str = "default", **spec: Any) -> dict[str, Any]:
    return {
        "apiVersion": "management.project-flotta.io/v1alpha1",
        "kind": "EdgeDevice",
        "metadata": {"name": name, "namespace": namespace, "labels": {"dc": "home"}},
        "spec": spec,
    }


def workload(name: str, namespace: str = "default", **spec: Any) -> dict[str, Any]:
    return {
        "apiVersion": "management.project-flotta.io/v1alpha1",
        "kind": "EdgeWorkload",
        "metadata": {"name": name, "namespace": namespace},
        "spec": spec,
    }


def node(name: str, version: str) -> dict[str, Any]:
    status = {"nodeInfo": {"kubeletVersion": version}}
    return {"apiVersion": "v1", "kind": "Node", "metadata": {"name": name}, "spec": {}, "status": status}
