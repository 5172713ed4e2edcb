"""What the controller may do is what it does: nothing missing, nothing extra, and no Secret ever.

Every scenario on the fake cluster runs with just the rights of ``tests/controller/rights.py``, so a missing
one fails it. This story makes every call once, so that a right too many shows.
"""

from __future__ import annotations

from itertools import product
from pathlib import Path

import yaml

from contract.names import MAPPINGS
from controller.claims import manifest
from controller.resources import CLAIMS, DAEMON_SETS, EDGE_DEVICES, EDGE_WORKLOADS, JOBS, PODS
from tests.controller import rights
from tests.fakes.cluster import FakeCluster
from tests.scenarios.world import World

MANIFESTS = Path(__file__).resolve().parents[2] / "manifests"

# Asked for by no call: needed where the API server checks owner references against them.
UNCALLED = {
    ("management.project-flotta.io", "edgedevices/finalizers", "update"),
    ("management.project-flotta.io", "edgeworkloads/finalizers", "update"),
}


def run_a_workload(world: World) -> None:
    """A workload whose pod and data are edited, and that is deleted."""
    find, where = world.admin.find, world.namespace
    world.make_node("thing")
    world.make_device("thing")
    world.make_workload()
    world.until(lambda: find(DAEMON_SETS, where, "os-stats"), "there is a DaemonSet")
    world.make_pod("pod", "thing", workload="os-stats")
    pod = {"spec": {"containers": [{"name": "app", "image": "example/image:2"}]}}
    world.admin.patch(EDGE_WORKLOADS, where, "os-stats", {"spec": {"pod": pod, "data": {"egress": []}}})
    world.until(lambda: "image:2" in str(find(DAEMON_SETS, where, "os-stats")), "the DaemonSet follows")
    written = world.admin.get
    world.until(
        lambda: "stats" not in written(PODS, where, "pod")["metadata"]["annotations"][MAPPINGS], "so does the pod"
    )
    world.until(lambda: world.workload_condition("Accepted")[0] == "True", "its status is told")
    world.remove(EDGE_WORKLOADS, "os-stats")
    world.until(lambda: find(EDGE_WORKLOADS, where, "os-stats") is None, "the workload is gone")


def drain_what_a_pod_left(world: World) -> None:
    """A pod synced with the device, and went without its last word before the device goes."""
    world.make_pod("left", "thing", workload="other", node="thing")
    world.until(lambda: "directories" in str(world.device("thing")), "its directory is remembered")
    for name in ("left", "pod"):
        world.remove(PODS, name)
    world.until(lambda: world.condition("Bound", "thing")[0] == "True", "there is storage to release")
    world.remove(EDGE_DEVICES, "thing")
    world.until(lambda: list(world.admin.list(JOBS, world.namespace)), "a drain has begun")


def test_each_right_is_used_and_nothing_else_is_asked(fake: FakeCluster, world: World) -> None:
    foreign = manifest(world.namespace, "adopted", world.storage_class)
    foreign["metadata"].pop("labels")
    world.admin.create(CLAIMS, world.namespace, foreign)
    with world.controller():
        world.make_device("adopted", createOBC=True)
        world.make_device("thing")
        world.bound("adopted")
        world.bound("thing")
        world.remove(EDGE_DEVICES, "thing")
        world.gone("thing")
    with world.controller():  # tells again what was told: an Event is counted up
        world.admin.patch(EDGE_DEVICES, world.namespace, "adopted", {"status": {"conditions": None}}, "status")
        world.bound("adopted")
        run_a_workload(world)
        drain_what_a_pod_left(world)
    asked = {(call.group, call.resource, call.verb) for call in fake.api.calls if call.user == "controller"}
    assert asked == rights.granted() - UNCALLED
    assert not any(resource in ("secrets", "configmaps") for _, resource, _ in asked)


def test_the_chart_grants_what_is_needed() -> None:
    assert {row for row in rights.granted() if row not in granted_by_chart()} - UNCALLED == set()


def granted_by_chart() -> set[tuple[str, str, str]]:
    """Group, resource and verb of each rule that the rendered chart gives the controller."""
    found = set()
    for name in ("controller-clusterrole", "controller-role"):
        for rule in yaml.safe_load((MANIFESTS / f"{name}.yaml").read_text())["rules"]:
            parts = product(rule["apiGroups"], rule["resources"], rule["verbs"])
            found |= {(group, resource, verb) for group, resource, verb in parts}
    return found
