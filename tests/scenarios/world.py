"""Where a scenario takes place: a cluster, an administrator's client, a claim provisioner, and controllers.

The same for the fake cluster and a real one, so that each scenario is told once. Waiting is for a condition,
with a bound that a busy machine keeps too.
"""

from __future__ import annotations

import json
import secrets
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, TypeVar

from contract.spec import OWNER, Owner
from controller.assembly import assemble
from controller.cluster import Cluster, load_configuration
from controller.errors import Forbidden, NotFound
from controller.resources import (
    CLAIMS,
    EDGE_DEVICES,
    EDGE_WORKLOADS,
    EVENTS,
    NAMESPACES,
    NODES,
    PODS,
    STORAGE_CLASSES,
    Json,
    Resource,
)
from controller.running import Controller
from controller.settings import Settings, StorageSettings
from runtime.shutdown import Shutdown
from tests.fakes.provisioner import Provisioner

T = TypeVar("T")

PATIENCE = 90.0  # seconds until a condition that never comes fails its test


@dataclass
class World:
    """See the module. ``kubeconfig`` gives a user's; ``namespace`` is the scenario's own."""

    admin: Cluster
    kubeconfig: Callable[[str], Path]
    provisioner: Provisioner
    namespace: str = field(default_factory=lambda: f"data-sync-test-{secrets.token_hex(4)}")
    home: str = ""  # where the controller lives
    nodes: list[str] = field(default_factory=list)  # made here
    storage_class: str = field(default_factory=lambda: f"data-sync-test-{secrets.token_hex(4)}")

    def __post_init__(self) -> None:
        self.home = self.home or self.namespace

    def settings(self, **storage: Any) -> Settings:
        """Settings of a controller in this world."""
        return Settings(
            storage=StorageSettings(storage_class=self.storage_class, **storage),
            metrics_listen="127.0.0.1:0",
            lease_namespace=self.home,
            resync_interval=3600.0,  # what happens here is heard of, not found by looking at everything
        )

    @contextmanager
    def controller(self, settings: Settings | None = None, identity: str = "") -> Iterator[Controller]:
        """A controller that runs until the block is left."""
        cluster = Cluster(load_configuration(str(self.kubeconfig("controller"))))
        found = assemble(replace(settings or self.settings(), identity=identity), cluster)
        shutdown = Shutdown(grace=10)
        thread = threading.Thread(target=found.run, args=(shutdown,), name="controller")
        thread.start()
        try:
            yield found
        finally:
            shutdown.request()
            thread.join(PATIENCE)
            cluster.close()
            assert not thread.is_alive()

    def make_namespace(self, name: str = "") -> str:
        name = name or self.namespace
        body = {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name}}
        self.admin.create(NAMESPACES, "", body)
        return name

    def make_class(self, policy: str = "Delete", **parameters: str) -> None:
        """The storage class of the claims."""
        body = {
            "apiVersion": STORAGE_CLASSES.api_version,
            "kind": STORAGE_CLASSES.kind,
            "metadata": {"name": self.storage_class},
            "provisioner": "tests.example/bucket",
            "reclaimPolicy": policy,
            **({"parameters": parameters} if parameters else {}),
        }
        self.admin.create(STORAGE_CLASSES, "", body)

    def make_device(self, name: str = "thing", **s3: Any) -> Json:
        return self.admin.create(EDGE_DEVICES, self.namespace, device(name, self.namespace, **s3))

    def make_node(self, name: str) -> None:
        """A node's object; nothing runs there."""
        self.admin.create(NODES, "", {"apiVersion": "v1", "kind": "Node", "metadata": {"name": name}})
        self.nodes.append(name)

    def make_workload(self, name: str = "os-stats", **spec: Any) -> Json:
        """A workload for the device ``thing``, unless ``spec`` says otherwise.

        No node has the label that its pod wants beside ours: without kubelets pods would never end.
        """
        nowhere = {"data-sync-test": "nowhere"}
        pod = {"spec": {"containers": [{"name": "app", "image": "example/image:1"}], "nodeSelector": nowhere}}
        data = {"egress": [{"source": "stats", "target": "statistics"}]}
        chosen = {"type": "pod", "device": "thing", "pod": pod, "data": data, **spec}
        body = {
            "apiVersion": EDGE_WORKLOADS.api_version,
            "kind": EDGE_WORKLOADS.kind,
            "metadata": {"name": name},
            "spec": {key: value for key, value in chosen.items() if value is not None},
        }
        return self.admin.create(EDGE_WORKLOADS, self.namespace, body)

    def workload_condition(self, kind: str, name: str = "os-stats") -> tuple[str, str]:
        """Status and reason of a workload's condition; empty while there is none."""
        found = self.admin.find(EDGE_WORKLOADS, self.namespace, name) or {}
        listed = (found.get("status") or {}).get("conditions") or []
        return next(((one["status"], one["reason"]) for one in listed if one["type"] == kind), ("", ""))

    def make_pod(self, name: str, device: str, **more: Any) -> Json:
        """A pod as the webhook leaves it: injected, for ``device``; it never runs by itself."""
        body = injected_pod(name, self.namespace, device, **more)
        created = self.until(lambda: self._admitted(body), "the namespace has its service account")
        assert created is not None
        return created

    def _admitted(self, body: Json) -> Json | None:
        try:
            return self.admin.create(PODS, self.namespace, body)
        except Forbidden:
            return None  # a real cluster makes a namespace's service account a moment later

    def remove(self, resource: Resource, name: str, namespace: str | None = None) -> None:
        """Ask for an object to be deleted, as ``kubectl delete --wait=false`` does."""
        where = self.namespace if namespace is None else namespace
        found = self.admin.get(resource, where, name)
        self.admin.delete(resource, where, name, uid=found["metadata"]["uid"])

    def device(self, name: str = "thing") -> Json | None:
        return self.admin.find(EDGE_DEVICES, self.namespace, name)

    def claim(self, name: str = "thing") -> Json | None:
        return self.admin.find(CLAIMS, self.namespace, name)

    def condition(self, kind: str, name: str = "thing") -> tuple[str, str]:
        """Status and reason of a device's condition; empty while there is none."""
        found = ((self.device(name) or {}).get("status") or {}).get("conditions") or []
        return next(((one["status"], one["reason"]) for one in found if one["type"] == kind), ("", ""))

    def reasons(self, name: str = "thing") -> list[str]:
        """Reasons of the device's Events, in no order."""
        events = self.admin.list(EVENTS, self.namespace)
        return [event["reason"] for event in events if event["involvedObject"]["name"] == name]

    def bound(self, name: str = "thing") -> str:
        """Wait until the device's claim is bound; its bucket."""
        self.until(lambda: self.condition("Bound", name) == ("True", "ClaimBound"), f"{name} is bound")
        claim = self.claim(name)
        assert claim is not None
        return str(claim["spec"]["bucketName"])

    def gone(self, name: str = "thing") -> None:
        """Wait until device and claim are gone."""
        self.until(lambda: self.device(name) is None, f"device {name} is gone")
        self.until(lambda: self.claim(name) is None, f"claim {name} is gone")

    def until(self, check: Callable[[], T], what: str, seconds: float = PATIENCE) -> T:
        """Wait until ``check`` is true, and return what it returned."""
        deadline = time.monotonic() + seconds
        while not (found := check()):
            assert time.monotonic() < deadline, f"not in {seconds:.0f} s: {what}; {self._told()}"
            time.sleep(0.05)
        return found

    def clean(self) -> None:
        """Take away what a scenario left, so that a real cluster is as before."""
        for node in self.nodes:
            if (found := self.admin.find(NODES, "", node)) is not None:
                self.admin.delete(NODES, "", node, uid=found["metadata"]["uid"])
        for resource in (EDGE_DEVICES, EDGE_WORKLOADS, CLAIMS):
            try:
                for one in list(self.admin.list(resource, self.namespace)):
                    name = one["metadata"]["name"]
                    if resource is not CLAIMS:
                        self.admin.patch(resource, self.namespace, name, {"metadata": {"finalizers": None}})
                    self.admin.delete(resource, self.namespace, name, uid=one["metadata"]["uid"])
            except NotFound:
                continue
        for resource, name in ((NAMESPACES, self.namespace), (STORAGE_CLASSES, self.storage_class)):
            if (found := self.admin.find(resource, "", name)) is not None:
                self.admin.delete(resource, "", name, uid=found["metadata"]["uid"])

    def _told(self) -> str:
        found = {one["metadata"]["name"]: one.get("status") for one in self.admin.list(EDGE_DEVICES, self.namespace)}
        return f"devices: {found}"


def device(name: str, namespace: str, **s3: Any) -> Json:
    """A device's manifest; ``s3`` is its ``spec.storage.s3``."""
    return {
        "apiVersion": EDGE_DEVICES.api_version,
        "kind": EDGE_DEVICES.kind,
        "metadata": {"name": name, "namespace": namespace},
        "spec": {"storage": {"s3": s3}} if s3 else {},
    }


def injected_pod(name: str, namespace: str, device: str, workload: str = "", node: str = "") -> Json:
    """A pod with the sidecar, and the annotations that name its device, workload and mappings."""
    status = {"device": device, **({"workload": workload} if workload else {})}
    egress = [{"source": "stats", "target": "statistics"}]
    owner = Owner(namespace, "", "Workload", workload)
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {
            "name": name,
            "namespace": namespace,
            "annotations": {
                "data-sync.project-flotta.io/status": json.dumps(status),
                "data-sync.project-flotta.io/mappings": json.dumps({"egress": egress, "ingress": []}),
            },
        },
        "spec": {
            # No such scheduler: the pod stays pending, wherever it is.
            "schedulerName": "nobody",
            **({"nodeName": node} if node else {}),
            "containers": [
                {"name": name, "image": "example/image:1", "env": [{"name": OWNER, "value": owner.to_json()}]}
                for name in ("app", "data-sync")
            ],
        },
    }
