"""EdgeWorkloads as far as no node is needed: controller with its watches, on a fake and a real API server."""

from __future__ import annotations

import json
import secrets
from typing import Any

from contract import names
from controller.resources import DAEMON_SETS, EDGE_DEVICES, EDGE_WORKLOADS, NAMESPACES, NODES, PODS
from controller.workloads import node_label
from tests.scenarios.world import World


def labelled(world: World, workload: str = "os-stats") -> set[str]:
    key = node_label(world.namespace, workload)
    return {node["metadata"]["name"] for node in world.admin.list(NODES, labels=key)}


def make_device_and_node(world: World) -> str:
    """Device and node of one name, which no other scenario has."""
    name = f"data-sync-test-{secrets.token_hex(4)}"
    world.make_node(name)
    world.make_device(name)
    return name


def test_pods_are_meant_for_the_nodes_of_its_devices(world: World) -> None:
    with world.controller():
        thing = make_device_and_node(world)
        world.make_workload(device=None, deviceSelector={"matchLabels": {"dc": "home"}})
        world.until(lambda: world.workload_condition("DevicesMatched") == ("False", "NoDevice"), "no device matches")
        found = world.admin.get(DAEMON_SETS, world.namespace, "os-stats")
        assert found["spec"]["template"]["metadata"]["labels"][names.INJECT] == names.ENABLED
        world.admin.patch(EDGE_DEVICES, world.namespace, thing, {"metadata": {"labels": {"dc": "home"}}})
        world.until(lambda: labelled(world) == {thing}, "the node is labelled")
        world.until(lambda: world.workload_condition("DevicesMatched") == ("True", "Matched"), "it is told")
        world.admin.patch(EDGE_DEVICES, world.namespace, thing, {"metadata": {"labels": {"dc": None}}})
        world.until(lambda: labelled(world) == set(), "the label is taken off")


def test_a_label_that_somebody_takes_off_comes_back(world: World) -> None:
    with world.controller():
        thing = make_device_and_node(world)
        world.make_workload(device=thing)
        world.until(lambda: labelled(world) == {thing}, "the node is labelled")
        key = node_label(world.namespace, "os-stats")
        world.admin.patch(NODES, "", thing, {"metadata": {"labels": {key: None}}})
        world.until(lambda: labelled(world) == {thing}, "the node is labelled again")


def test_a_daemon_set_that_somebody_deletes_comes_back(world: World) -> None:
    with world.controller():
        thing = make_device_and_node(world)
        world.make_workload(device=thing)
        first = world.until(lambda: world.admin.find(DAEMON_SETS, world.namespace, "os-stats"), "there is one")
        assert first is not None
        world.remove(DAEMON_SETS, "os-stats")

        def another() -> bool:
            found = world.admin.find(DAEMON_SETS, world.namespace, "os-stats")
            return found is not None and bool(found["metadata"]["uid"] != first["metadata"]["uid"])

        world.until(another, "there is another")


def test_a_new_image_is_written_and_what_the_server_fills_in_is_not(world: World) -> None:
    with world.controller():
        thing = make_device_and_node(world)
        world.make_workload(device=thing)
        world.until(lambda: world.admin.find(DAEMON_SETS, world.namespace, "os-stats"), "there is one")
        pod = {"spec": {"containers": [{"name": "app", "image": "example/image:2", "resources": REQUESTS}]}}
        world.admin.patch(EDGE_WORKLOADS, world.namespace, "os-stats", {"spec": {"pod": pod}})

        def generation() -> int:
            found = world.admin.get(DAEMON_SETS, world.namespace, "os-stats")
            [container] = found["spec"]["template"]["spec"]["containers"]
            return int(found["metadata"]["generation"]) if container["image"] == "example/image:2" else 0

        written = world.until(generation, "the new image is written")
        world.admin.patch(EDGE_WORKLOADS, world.namespace, "os-stats", {"metadata": {"annotations": {"look": "again"}}})
        world.admin.patch(EDGE_WORKLOADS, world.namespace, "os-stats", {"spec": {"data": {"egress": []}}})
        world.until(lambda: status(world).get("observedGeneration") == generation_of(world), "it was looked at again")
        assert generation() == written


REQUESTS = {"requests": {"cpu": "1000m", "memory": "0.5Gi"}}  # which the API server writes in another way


def status(world: World) -> Any:
    return world.admin.get(EDGE_WORKLOADS, world.namespace, "os-stats").get("status") or {}


def generation_of(world: World) -> int:
    return int(world.admin.get(EDGE_WORKLOADS, world.namespace, "os-stats")["metadata"]["generation"])


def test_an_edit_of_the_data_reaches_pods_however_they_came(world: World) -> None:
    def mappings() -> Any:
        found = world.admin.get(PODS, world.namespace, "pod")
        return json.loads(found["metadata"]["annotations"][names.MAPPINGS])

    with world.controller():
        world.make_device()
        world.make_pod("pod", "thing", workload="os-stats")
        world.make_workload(type=None, pod=None, device=None)
        world.until(lambda: status(world).get("pods") == {"desired": 1, "injected": 1}, "the pod is seen")
        egress = [{"source": "logs", "target": "remote/logs"}]
        world.admin.patch(EDGE_WORKLOADS, world.namespace, "os-stats", {"spec": {"data": {"egress": egress}}})
        world.until(lambda: mappings() == {"egress": egress, "ingress": []}, "the pod follows")


def test_with_the_workload_goes_what_was_made_for_it(world: World) -> None:
    with world.controller():
        thing = make_device_and_node(world)
        world.make_workload(device=thing)
        world.until(lambda: labelled(world) == {thing}, "the node is labelled")
        world.until(lambda: world.admin.find(DAEMON_SETS, world.namespace, "os-stats"), "there is a DaemonSet")
        world.remove(EDGE_WORKLOADS, "os-stats")
        world.until(lambda: world.admin.find(EDGE_WORKLOADS, world.namespace, "os-stats") is None, "it is gone")
        assert labelled(world) == set()
        assert world.admin.find(DAEMON_SETS, world.namespace, "os-stats") is None
        assert world.device(thing) is not None


def test_a_namespace_with_workloads_goes(world: World) -> None:
    other = world.make_namespace(f"{world.namespace}-b")
    world.namespace = other
    with world.controller():
        thing = make_device_and_node(world)
        world.make_workload(device=thing)
        world.until(lambda: labelled(world) == {thing}, "the node is labelled")
        world.remove(NAMESPACES, other, "")
        world.until(lambda: world.admin.find(NAMESPACES, "", other) is None, "the namespace is gone")
        world.until(lambda: labelled(world) == set(), "the label is taken off")
    world.namespace = world.home
