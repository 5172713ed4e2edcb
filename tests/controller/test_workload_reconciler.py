"""EdgeWorkloads on the fake cluster, without watches: each look is a call of ``reconcile``."""

from __future__ import annotations

import json
from typing import Any

import pytest

from contract import names
from controller.cluster import Cluster
from controller.workloads import node_label
from tests.controller.fleet import DAEMON_SETS, DEVICES, JOBS, UP, Fleet, said
from tests.fakes.cluster import FakeCluster
from tests.fakes.injection import WORKLOADS, admit_pods

LABEL = node_label("default", "os-stats")


@pytest.fixture
def fleet(fake: FakeCluster, cluster: Cluster) -> Fleet:
    admit_pods(fake)
    return Fleet(fake, cluster)


def labelled(fake: FakeCluster) -> set[str]:
    return {node["metadata"]["name"] for node in fake.list("nodes") if LABEL in (node["metadata"].get("labels") or {})}


def test_it_runs_on_the_nodes_of_its_devices(fleet: Fleet) -> None:
    fleet.device("one")
    fleet.device("two", dc="away")
    fleet.node("stranger")
    fleet.workload()
    fleet.settle()
    assert labelled(fleet.fake) == {"one"}
    assert fleet.placed() == {"one"}


def test_looking_again_changes_nothing(fleet: Fleet) -> None:
    fleet.device("one")
    fleet.workload()
    fleet.settle()
    before = fleet.fake.store.version
    fleet.settle()
    assert fleet.fake.store.version == before


def test_devices_that_come_go_and_change_touch_their_own_pods_only(fleet: Fleet) -> None:
    fleet.device("one")
    fleet.device("two")
    fleet.workload()
    fleet.settle()
    stays = {pod["spec"]["nodeName"]: pod["metadata"]["uid"] for pod in fleet.pods()}
    fleet.device("three")
    fleet.fake.patch(DEVICES, "two", {"metadata": {"labels": {"dc": "away"}}})
    fleet.settle()
    after = {pod["spec"]["nodeName"]: pod["metadata"]["uid"] for pod in fleet.pods()}
    assert set(after) == {"one", "three"}
    assert after["one"] == stays["one"]


def test_a_node_that_comes_later_gets_its_pod(fleet: Fleet) -> None:
    fleet.device("one", node=False)
    fleet.workload()
    fleet.settle()
    assert fleet.conditions(fleet.report())["DevicesMatched"] == ("False", "WithoutNode")
    fleet.node("one")
    fleet.settle()
    assert fleet.placed() == {"one"}
    assert fleet.conditions(fleet.report())["DevicesMatched"] == ("True", "Matched")


def test_a_device_that_does_not_exist_is_told_of(fleet: Fleet) -> None:
    fleet.node("one")
    fleet.workload(deviceSelector=None, device="one")
    fleet.settle()
    assert fleet.placed() == set()
    assert fleet.conditions(fleet.report())["DevicesMatched"] == ("False", "DeviceNotFound")
    assert "DeviceNotFound" in fleet.reasons("EdgeWorkload")


def test_what_cannot_run_is_told_of_and_nothing_is_made(fleet: Fleet) -> None:
    fleet.device("one")
    fleet.workload(pod={"spec": {"containers": [{"name": "a"}], "restartPolicy": "Never"}})
    fleet.settle()
    assert fleet.conditions(fleet.report())["Accepted"] == ("False", "RestartPolicy")
    assert fleet.fake.list(DAEMON_SETS) == []


def test_somebody_elses_daemon_set_is_not_touched(fleet: Fleet) -> None:
    fleet.device("one")
    pod = {"nodeSelector": {"nowhere": "x"}, "containers": []}
    spec = {"selector": {"matchLabels": {"a": "b"}}, "template": {"metadata": {"labels": {"a": "b"}}, "spec": pod}}
    fleet.fake.create({"apiVersion": "apps/v1", "kind": "DaemonSet", "metadata": {"name": "os-stats"}, "spec": spec})
    fleet.workload()
    fleet.settle()
    assert fleet.conditions(fleet.report())["Accepted"] == ("False", "NameTaken")
    assert fleet.fake.get(DAEMON_SETS, "os-stats")["spec"] == spec
    fleet.fake.delete(WORKLOADS, "os-stats")
    fleet.settle()
    assert fleet.fake.find(DAEMON_SETS, "os-stats") is not None


def test_a_changed_pod_is_rolled_out(fleet: Fleet) -> None:
    fleet.device("one")
    fleet.workload()
    fleet.settle()
    pod = {"spec": {"containers": [{"name": "app", "image": "example/app:2"}]}}
    fleet.fake.patch(WORKLOADS, "os-stats", {"spec": {"pod": pod}})
    fleet.settle()
    assert [pod["spec"]["containers"][0]["image"] for pod in fleet.pods()] == ["example/app:2"]


def test_somebodys_edit_of_where_it_runs_is_put_right(fleet: Fleet) -> None:
    fleet.device("one")
    fleet.workload()
    fleet.settle()
    fleet.fake.patch("nodes", "one", {"metadata": {"labels": {LABEL: None}}})
    fleet.settle()
    assert fleet.placed() == {"one"}


def mappings(fleet: Fleet) -> list[Any]:
    return [json.loads(pod["metadata"]["annotations"][names.MAPPINGS]) for pod in fleet.pods()]


def test_an_edit_of_the_data_reaches_pods_that_run(fleet: Fleet) -> None:
    fleet.device("one")
    fleet.workload()
    fleet.settle()
    uids = {pod["metadata"]["uid"] for pod in fleet.pods()}
    fleet.fake.patch(WORKLOADS, "os-stats", {"spec": {"data": {"egress": [{"source": "a", "target": "b"}]}}})
    fleet.settle()
    assert mappings(fleet) == [{"egress": [{"source": "a", "target": "b"}], "ingress": []}]
    assert {pod["metadata"]["uid"] for pod in fleet.pods()} == uids


def test_an_edit_reaches_pods_that_others_run_too(fleet: Fleet) -> None:
    fleet.node("one")
    fleet.workload(type=None, pod=None, deviceSelector=None)
    fleet.pod("plain", "one", workload="os-stats", device="one")
    fleet.pod("stranger", "one", workload="other", device="one")
    fleet.fake.patch(WORKLOADS, "os-stats", {"spec": {"data": {"egress": []}}})
    fleet.settle()
    assert mappings(fleet) == [{"egress": [], "ingress": []}] * 2


def test_data_that_cannot_work_keeps_the_last_good_mappings(fleet: Fleet) -> None:
    fleet.device("one")
    fleet.workload()
    fleet.settle()
    fleet.fake.patch(WORKLOADS, "os-stats", {"spec": {"data": {"egress": [{"source": "..", "target": "b"}]}}})
    fleet.settle()
    assert mappings(fleet) == [{"egress": [UP], "ingress": []}]
    assert fleet.conditions(fleet.report())["MappingsValid"] == ("False", "Invalid")
    assert "Invalid" in fleet.reasons("EdgeWorkload")


def test_a_pods_own_annotation_that_clashes_is_told_at_the_pod(fleet: Fleet) -> None:
    fleet.node("one")
    fleet.workload(type=None, pod=None, deviceSelector=None, data={})
    fleet.pod("plain", "one", workload="os-stats", egress=json.dumps([UP]))
    fleet.fake.patch(WORKLOADS, "os-stats", {"spec": {"data": {"ingress": [{"source": "x", "target": "stats"}]}}})
    fleet.settle()
    assert mappings(fleet) == [{"egress": [UP], "ingress": []}]
    assert fleet.reasons("Pod") == ["MappingsInvalid"]


# Leaving


def test_with_the_workload_go_its_pods_labels_and_finalizer(fleet: Fleet) -> None:
    fleet.device("one")
    fleet.workload(data={})
    fleet.settle()
    fleet.look()
    fleet.fake.delete(WORKLOADS, "os-stats")
    fleet.settle()
    assert fleet.fake.find(WORKLOADS, "os-stats") is None
    assert fleet.fake.list(DAEMON_SETS) == []
    assert fleet.pods() == []
    assert labelled(fleet.fake) == set()
    assert fleet.fake.find(DEVICES, "one") is not None


def test_it_waits_for_pods_that_still_send(fleet: Fleet) -> None:
    fleet.device("one")
    fleet.workload(data={})
    fleet.settle()
    fleet.look()
    fleet.fake.store.hold_pods = True
    fleet.now = fleet.now_of_the_cluster()
    fleet.fake.delete(WORKLOADS, "os-stats")
    assert fleet.workloads.reconcile("default", "os-stats") == 2.0
    assert fleet.conditions(fleet.report())["Draining"] == ("True", "PodsEnding")
    [pod] = fleet.pods()
    fleet.fake.store.finish_pod("default", pod["metadata"]["name"])
    fleet.settle()
    assert fleet.fake.find(WORKLOADS, "os-stats") is None


def test_it_waits_no_longer_than_its_limit(fleet: Fleet) -> None:
    fleet.device("one")
    fleet.workload()
    fleet.settle()
    fleet.look()
    fleet.fake.store.hold_pods = True
    fleet.now = fleet.now_of_the_cluster()
    fleet.fake.delete(WORKLOADS, "os-stats")
    fleet.settle()
    assert fleet.fake.find(WORKLOADS, "os-stats") is not None
    fleet.now += fleet.release_limit + 5
    fleet.settle()
    assert fleet.fake.find(WORKLOADS, "os-stats") is None


def test_an_ending_namespace_is_not_held_up(fleet: Fleet) -> None:
    fleet.device("one")
    fleet.workload()
    fleet.settle()
    fleet.look()
    fleet.fake.store.hold_pods = True
    fleet.fake.delete("namespaces", "default")
    fleet.settle()
    assert fleet.fake.find(WORKLOADS, "os-stats") is None
    assert labelled(fleet.fake) == set()
    assert fleet.fake.list(JOBS) == []


def test_labels_of_a_workload_that_went_unseen_are_taken_off(fleet: Fleet) -> None:
    fleet.device("one")
    fleet.workload()
    fleet.settle()
    fleet.fake.patch(WORKLOADS, "os-stats", {"metadata": {"finalizers": None}})
    fleet.fake.delete(WORKLOADS, "os-stats")
    fleet.settle()
    assert labelled(fleet.fake) == set()


def test_a_pod_taken_out_of_the_spec_ends(fleet: Fleet) -> None:
    fleet.device("one")
    fleet.workload()
    fleet.settle()
    fleet.fake.patch(WORKLOADS, "os-stats", {"spec": {"type": None, "pod": None, "deviceSelector": None}})
    fleet.settle()
    assert fleet.pods() == []
    assert "finalizers" not in fleet.fake.get(WORKLOADS, "os-stats")["metadata"]


def test_a_device_that_leaves_loses_its_pod(fleet: Fleet) -> None:
    fleet.device("one")
    fleet.device("two")
    fleet.workload()
    fleet.settle()
    fleet.fake.patch(DEVICES, "one", {"metadata": {"finalizers": [names.DEVICE_FINALIZER]}})
    fleet.fake.delete(DEVICES, "one")
    fleet.settle()
    assert fleet.placed() == {"two"}


def test_status_of_a_workload_that_runs(fleet: Fleet) -> None:
    fleet.device("one")
    fleet.device("two")
    fleet.workload()
    fleet.settle()
    fleet.look()
    fleet.say(said(pending=2, sent=fleet.now))
    fleet.now += 61
    fleet.settle()
    status = fleet.report()
    assert status["devices"] == {"matched": 2, "ready": 2}
    assert status["pods"] == {"desired": 2, "injected": 2}
    assert status["pending"] == {"files": 4, "bytes": 40}
    assert status["lastDataUpload"] == "2027-01-15T08:00:00Z"
    assert fleet.conditions(status)["Ready"] == ("True", "InSync")
