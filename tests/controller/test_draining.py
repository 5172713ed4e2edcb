"""Files that nobody looks after any more: found, sent by a Job on their node, before anything is released."""

from __future__ import annotations

import json
from typing import Any

import pytest

from contract import names
from controller.cluster import Cluster
from controller.errors import Unavailable
from tests.controller.fleet import DEVICES, JOBS, UP, Fleet
from tests.fakes.cluster import FakeCluster, Json
from tests.fakes.injection import WORKLOADS, admit_pods


@pytest.fixture
def fleet(fake: FakeCluster, cluster: Cluster) -> Fleet:
    admit_pods(fake)
    return Fleet(fake, cluster)


def end_sidecar(fleet: Fleet, pod: Json, message: str = "", code: int = 0) -> None:
    """What kubelet writes when a pod's containers have ended, and what a watch makes of it."""
    terminated = {"exitCode": code, "message": message}
    status = {"initContainerStatuses": [{"name": names.SIDECAR_CONTAINER, "state": {"terminated": terminated}}]}
    name = pod["metadata"]["name"]
    fleet.teller.pod_event(fleet.fake.patch("pods", name, {"status": status}, subresource="status"))


EVERYTHING_SENT = json.dumps({"note": "everything is sent", "pending_files": 0})


def deleted_workload(fleet: Fleet) -> None:
    """An EdgeWorkload that ran on one device, and is being deleted."""
    fleet.device("one")
    fleet.workload()
    fleet.settle()
    fleet.report()
    fleet.now = fleet.now_of_the_cluster()
    fleet.fake.delete(WORKLOADS, "os-stats")


def test_what_a_workload_leaves_is_sent_before_it_goes(fleet: Fleet) -> None:
    deleted_workload(fleet)
    fleet.settle()
    [job] = fleet.fake.list(JOBS)
    assert fleet.fake.find(WORKLOADS, "os-stats") is not None
    assert fleet.conditions(fleet.report())["Draining"] == ("True", "SendingFiles")
    fleet.end_job()
    fleet.settle()
    assert fleet.fake.find(WORKLOADS, "os-stats") is None
    assert "Drained" in fleet.reasons("EdgeWorkload")
    fleet.report()
    assert fleet.device_entry("one") is None
    assert [one["metadata"]["name"] for one in fleet.fake.list(JOBS)] == [job["metadata"]["name"]]


def test_the_job_is_admitted_to_the_same_directory_and_sends_only(fleet: Fleet) -> None:
    deleted_workload(fleet)
    fleet.settle()
    [job] = fleet.fake.list(JOBS)
    template = job["spec"]["template"]
    annotations = template["metadata"]["annotations"]
    assert template["metadata"]["labels"][names.INJECT] == names.ENABLED
    assert json.loads(annotations[names.EGRESS]) == [UP]
    assert annotations[names.INGRESS] == "[]"
    assert (annotations[names.WORKLOAD], annotations[names.OWNER_KIND]) == ("os-stats", "Workload")
    assert annotations[names.DEVICE] == "one"
    required = template["spec"]["affinity"]["nodeAffinity"]["requiredDuringSchedulingIgnoredDuringExecution"]
    assert required["nodeSelectorTerms"][0]["matchFields"][0]["values"] == ["one"]
    assert job["spec"]["activeDeadlineSeconds"] == 300


def test_pods_that_said_everything_is_sent_need_no_drain(fleet: Fleet) -> None:
    fleet.device("one")
    fleet.workload()
    fleet.settle()
    fleet.report()
    for pod in fleet.pods():
        end_sidecar(fleet, pod, EVERYTHING_SENT)
    fleet.now = fleet.now_of_the_cluster()
    fleet.fake.delete(WORKLOADS, "os-stats")
    fleet.settle()
    assert fleet.fake.list(JOBS) == []
    assert fleet.fake.find(WORKLOADS, "os-stats") is None
    fleet.report()
    assert fleet.device_entry("one") is None


@pytest.mark.parametrize(
    ("message", "code"),
    [
        pytest.param("", 0, id="an end without a word"),
        pytest.param(json.dumps({"pending_files": 3}), 0, id="files left"),
        pytest.param(json.dumps({"pending_files": 0, "errors": ["no bucket"]}), 0, id="an error"),
        pytest.param(EVERYTHING_SENT[:-3], 0, id="words that were cut"),
        pytest.param(EVERYTHING_SENT, 137, id="killed"),
    ],
)
def test_any_other_end_needs_one(fleet: Fleet, message: str, code: int) -> None:
    fleet.device("one")
    fleet.workload()
    fleet.settle()
    fleet.report()
    for pod in fleet.pods():
        end_sidecar(fleet, pod, message, code)
    fleet.now = fleet.now_of_the_cluster()
    fleet.fake.delete(WORKLOADS, "os-stats")
    fleet.settle()
    assert len(fleet.fake.list(JOBS)) == 1


def test_a_drain_that_fails_is_told_of_and_does_not_hold_the_workload(fleet: Fleet) -> None:
    deleted_workload(fleet)
    fleet.settle()
    fleet.end_job("Failed", "DeadlineExceeded")
    fleet.settle()
    assert fleet.fake.find(WORKLOADS, "os-stats") is None
    assert "DrainFailed" in fleet.reasons("EdgeWorkload")
    fleet.report()
    entry = fleet.device_entry("one")
    assert entry is not None
    assert entry["phase"] == "Exited"
    assert entry["directories"][0]["node"] == "one"


def test_a_node_that_is_gone_is_told_of_and_not_waited_for(fleet: Fleet) -> None:
    deleted_workload(fleet)
    fleet.fake.delete("nodes", "one")
    fleet.settle()
    assert fleet.fake.list(JOBS) == []
    assert fleet.fake.find(WORKLOADS, "os-stats") is None
    assert "DrainFailed" in fleet.reasons("EdgeWorkload")


# A plain pod's directory on a device's storage


def left_by_a_plain_pod(fleet: Fleet, **annotations: str) -> None:
    """A pod of somebody's StatefulSet synced with the device, was seen, and is gone, without its last words."""
    fleet.device("one")
    fleet.pod("plain-0", "one", owner="plain", device="one", egress=json.dumps([UP]), **annotations)
    fleet.report()
    fleet.fake.store.finish_pod("default", "plain-0")


def test_a_plain_pods_directory_is_remembered_by_the_device(fleet: Fleet) -> None:
    left_by_a_plain_pod(fleet, **{"s3-credentials": "keys"})
    fleet.report()
    entry = fleet.device_entry("one", "plain")
    assert entry is not None
    assert entry["phase"] == "Exited"
    [kept] = entry["directories"]
    assert (kept["node"], kept["kind"]) == ("one", "StatefulSet")
    assert kept["annotations"] == {names.EGRESS: json.dumps([UP]), names.S3_CREDENTIALS: "keys"}


def release(fleet: Fleet) -> tuple[str, ...]:
    """What releasing the device's storage still waits for."""
    device = fleet.fake.get(DEVICES, "one")
    drained = fleet.drainer.carry_out(fleet.drainer.of_device(device, device["metadata"]["uid"]))
    return tuple(map(str, drained.waiting))


def test_it_is_sent_before_the_device_releases_its_storage_also_after_a_restart(fleet: Fleet) -> None:
    left_by_a_plain_pod(fleet)
    restarted = Fleet(fleet.fake, fleet.cluster)
    with pytest.raises(Unavailable):
        release(restarted)  # it is not known yet which pods there are
    restarted.look()
    assert release(restarted) == ("plain on one",)
    assert release(restarted) == ("plain on one",)
    [job] = fleet.fake.list(JOBS)
    assert job["spec"]["template"]["metadata"]["annotations"][names.OWNER_KIND] == "StatefulSet"
    restarted.end_job()
    assert release(restarted) == ()
    restarted.report()
    assert restarted.device_entry("one", "plain") is None


def test_a_directory_in_use_is_not_drained(fleet: Fleet) -> None:
    left_by_a_plain_pod(fleet)
    fleet.pod("plain-0", "one", owner="plain", device="one", egress=json.dumps([UP]))
    fleet.look()
    assert release(fleet) == ()
    assert fleet.fake.list(JOBS) == []


@pytest.mark.parametrize(
    "annotations",
    [
        pytest.param({"volume": "emptyDir"}, id="a volume that died with the pod"),
        pytest.param({"egress": "[]"}, id="nothing that is sent"),
    ],
)
def test_nothing_is_remembered_where_nothing_is_left(fleet: Fleet, annotations: dict[str, Any]) -> None:
    fleet.device("one")
    fleet.pod("plain-0", "one", owner="plain", **{"device": "one", "egress": json.dumps([UP]), **annotations})
    fleet.report()
    entry = fleet.device_entry("one", "plain")
    assert entry is not None
    assert "directories" not in entry


def test_directories_of_single_pods_are_told_of(fleet: Fleet) -> None:
    left_by_a_plain_pod(fleet, **{"export-scope": "pod"})
    fleet.look()
    device = fleet.fake.get(DEVICES, "one")
    drained = fleet.drainer.carry_out(fleet.drainer.of_device(device, "r"))
    assert drained.waiting == []
    assert "export-scope: pod" in drained.failed[0][1]


def test_a_fleet_is_not_drained_in_one_breath(fleet: Fleet) -> None:
    fleet.device("one")
    for number in range(12):
        fleet.pod(f"p-{number}", "one", owner=f"p-{number}", device="one", egress=json.dumps([UP]))
    fleet.report()
    for number in range(12):
        fleet.fake.store.finish_pod("default", f"p-{number}")
    fleet.look()
    assert len(release(fleet)) == 12
    assert len(fleet.fake.list(JOBS)) == 10


# Asked for by annotation


@pytest.mark.parametrize("kind", [WORKLOADS, DEVICES])
@pytest.mark.parametrize(("end", "answer"), [("Complete", "sent"), ("Failed", "failed")])
def test_asked_for_by_annotation(fleet: Fleet, kind: str, end: str, answer: str) -> None:
    left_by_a_plain_pod(fleet)
    fleet.fake.create(
        {"apiVersion": names.API_VERSION, "kind": "EdgeWorkload", "metadata": {"name": "plain"}, "spec": {}}
    )
    name = "plain" if kind == WORKLOADS else "one"

    def work() -> float | None:
        fleet.look()
        work = fleet.workloads if kind == WORKLOADS else fleet.devices
        return work.reconcile("default", name)

    def said() -> str:
        return str(fleet.fake.get(kind, name)["metadata"]["annotations"][names.DRAIN])

    fleet.fake.patch(kind, name, {"metadata": {"annotations": {names.DRAIN: "requested"}}})
    assert work() == 0.0
    assert said().startswith("running ")
    assert work() == 5.0
    fleet.end_job(end)
    work()
    assert said().startswith(f"{answer} ")
    work()
    assert len(fleet.fake.list(JOBS)) == 1
    fleet.now += 60
    fleet.fake.patch(kind, name, {"metadata": {"annotations": {names.DRAIN: "requested"}}})
    work()
    work()
    again = 1 if end == "Complete" else 2  # what was sent needs no second time
    assert len(fleet.fake.list(JOBS)) == again
