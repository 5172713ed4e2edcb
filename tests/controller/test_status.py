"""What sidecars say → status of workloads and devices: tables, and what is written when."""

from __future__ import annotations

import json
import string
from dataclasses import replace
from typing import Any

import pytest

from contract import names
from contract.conditions import Because, Condition, Said, Truth
from controller import device_status, status
from controller.cluster import Cluster
from controller.sightings import Pod, Report, Sighting, read_pod, read_report
from controller.status import Structure
from controller.workloads import Placement
from tests.controller.fleet import DEVICES, Fleet, said
from tests.fakes.cluster import FakeCluster
from tests.fakes.injection import WORKLOADS, admit_pods

NOW = 1_800_000_000.0
OLD = status.stamp(NOW - 1000)
POD = Pod("default", "p", "u", "lab", "w", "lab", "Workload", OLD, running=True, ready=True, address="10.0.0.1:9346")


def report(truth: Truth = Truth.TRUE, because: Because = Because.IN_SYNC, *more: Said, **facts: Any) -> Report:
    return Report((Said(Condition.SYNCED, truth, because, "so it is"), *more), **{"pending_files": 0, **facts})


def heard(found: Report, ago: float = 10, **pod: Any) -> Sighting:
    return Sighting(replace(POD, **pod), found, heard=NOW - ago, asked=NOW)


FIRST = report(Truth.UNKNOWN, Because.FIRST_CYCLE, pending_files=None)
SILENT = Sighting(POD, asked=NOW, fault="no answer", tries=3, silent_since=NOW - 1000)
UNASKED = Sighting(replace(POD, address="", silent="it shares its node's network"))
STRUCTURE = Structure(Placement(("lab",)), runs=True, desired=1)


def syncing(*sightings: Sighting) -> tuple[str, str]:
    _, conditions = status.workload_status({}, STRUCTURE, sightings, NOW)
    found = next(one for one in conditions if one.type == status.SYNCING)
    return found.status, found.reason


@pytest.mark.parametrize(
    ("sightings", "expected"),
    [
        pytest.param([], ("Unknown", "NoPods"), id="no pod"),
        pytest.param([heard(report())], ("True", "InSync"), id="in sync"),
        pytest.param([heard(report(Truth.FALSE, Because.TRANSFERRING))], ("True", "Transferring"), id="under way"),
        pytest.param([heard(FIRST)], ("Unknown", "Starting"), id="a first cycle is no fault"),
        pytest.param([Sighting(POD)], ("Unknown", "Starting"), id="not asked yet"),
        pytest.param([heard(Report())], ("Unknown", "Starting"), id="an answer that says nothing"),
        pytest.param(
            [Sighting(POD, asked=NOW, fault="refused", silent_since=NOW - 10)],
            ("Unknown", "Starting"),
            id="a new pod that does not answer yet",
        ),
        pytest.param([SILENT], ("Unknown", "Offline"), id="an old pod that never answered"),
        pytest.param([UNASKED], ("Unknown", "CannotBeAsked"), id="on its node's network"),
        pytest.param([heard(report()), UNASKED], ("Unknown", "CannotBeAsked"), id="unknown is never well"),
        pytest.param(
            [heard(report()), heard(report(Truth.FALSE, Because.FILES_FAIL))], ("False", "FilesFail"), id="one fails"
        ),
        pytest.param(
            [heard(report(Truth.FALSE, Because.WAITING_FOR_STORAGE)), SILENT],
            ("False", "WaitingForStorage"),
            id="a fault is told before silence",
        ),
        pytest.param(
            [replace(heard(report(), ago=400), silent_since=NOW - 300)], ("Unknown", "Offline"), id="silent for a while"
        ),
        pytest.param(
            [replace(heard(report(), ago=100), silent_since=NOW - 40)], ("True", "InSync"), id="silent for a moment"
        ),
    ],
)
def test_syncing(sightings: list[Sighting], expected: tuple[str, str]) -> None:
    assert syncing(*sightings) == expected


def test_a_start_is_no_event() -> None:
    _, conditions = status.workload_status({}, STRUCTURE, [heard(FIRST)], NOW)
    assert [one.type for one in conditions if one.warning or not one.quiet] == []


@pytest.mark.parametrize(
    ("sightings", "before", "expected"),
    [
        pytest.param([], "", "Exited", id="no pod"),
        pytest.param([Sighting(replace(POD, running=False))], "", "Deploying", id="not running yet"),
        pytest.param([heard(report())], "Deploying", "Running", id="it answers"),
        pytest.param([Sighting(POD)], "Running", "Running", id="after a restart of the controller"),
        pytest.param([Sighting(POD)], "Offline", "Offline", id="after a restart, while it was silent"),
        pytest.param([Sighting(POD)], "", "Deploying", id="not asked yet"),
        pytest.param([SILENT], "Running", "Offline", id="it never answers"),
        pytest.param(
            [replace(heard(report(), 400), silent_since=NOW - 300)], "Running", "Offline", id="silent for a while"
        ),
        pytest.param([UNASKED], "", "Running", id="nobody can ask it, and its kubelet says it is ready"),
        pytest.param([SILENT, heard(report())], "", "Running", id="one of two answers"),
    ],
)
def test_the_phase_on_a_device(sightings: list[Sighting], before: str, expected: str) -> None:
    assert device_status.phase_of(before, sightings, NOW) == expected


@pytest.mark.parametrize(
    ("count", "expected"),
    [(0, None), (1, "a"), (3, "a, b, c"), (4, "a, b, c +1"), (26, "a, b, c +23")],
)
def test_the_names_that_a_column_has_room_for(count: int, expected: str | None) -> None:
    assert device_status.names([{"name": letter} for letter in string.ascii_lowercase[:count]]) == expected


def pending(before: Any, *sightings: Sighting) -> Any:
    found, _ = status.workload_status({"pending": before} if before else {}, STRUCTURE, sightings, NOW)
    return found["pending"]


def test_pending_is_never_a_false_zero() -> None:
    unknown = {"files": None, "bytes": None}
    assert pending(None) == unknown
    assert pending(None, heard(FIRST)) == unknown
    assert pending({"files": 3, "bytes": 30}, Sighting(POD)) == {"files": 3, "bytes": 30}


def test_a_directory_that_two_pods_share_counts_once() -> None:
    holder, standby = report(pending_files=2, pending_bytes=20), report(pending_files=9, pending_bytes=90, standby=True)
    assert pending(None, heard(standby), heard(holder)) == {"files": 2, "bytes": 20}
    assert pending(None, heard(holder), heard(holder, node="other")) == {"files": 4, "bytes": 40}


def test_the_last_upload_never_goes_back() -> None:
    later, earlier = status.stamp(NOW), NOW - 500
    assert status.latest(later, [heard(report(last_upload=earlier))]) == later
    assert status.latest(None, []) is None


RISK = Said(Condition.DATA_AT_RISK, Truth.TRUE, Because.UNSENT_TOO_LONG, "3 files on this device alone")


def test_what_a_sidecar_warns_of_is_a_condition_while_it_lasts() -> None:
    [found] = status.warnings([heard(report(Truth.FALSE, Because.TRANSFERRING, RISK)), heard(report())])
    assert (found.type, found.status, found.warning) == ("DataAtRisk", "True", True)
    assert "pod p: 3 files" in found.message
    assert list(status.warnings([heard(report())])) == []


# What is read of strangers


@pytest.mark.parametrize(
    "body",
    [
        pytest.param(None, id="nothing"),
        pytest.param([1], id="a list"),
        pytest.param({"mappings": "x", "conditions": 3}, id="other shapes"),
        pytest.param({"mappings": [None, 3, {"direction": "ingress"}]}, id="mappings that are none"),
    ],
)
def test_a_strange_status_says_nothing(body: object) -> None:
    found = read_report(body)
    assert (found.said, found.last_upload, found.last_error) == ((), None, "")


@pytest.mark.parametrize("number", [-1, 1e300, True, "3", None, float("nan"), float("inf")])
def test_a_strange_number_is_unknown(number: object) -> None:
    assert read_report({"mappings": [{"direction": "egress", "pending_files": number}]}).pending_files is None


def test_a_long_error_is_cut_and_on_one_line() -> None:
    problems = [{"words": "a\nb" + "x" * 1000}]
    found = read_report({"mappings": [{"direction": "egress", "problems": problems}]})
    assert len(found.last_error) == 256
    assert found.last_error.startswith("a b")


def injected(fake: FakeCluster, **spec: Any) -> Any:
    admit_pods(fake)
    fake.create({"apiVersion": "v1", "kind": "Node", "metadata": {"name": "lab"}})
    metadata = {"name": "p", "labels": {names.INJECT: names.ENABLED}}
    body = {"nodeName": "lab", "containers": [{"name": "app"}], **spec}
    return fake.create({"apiVersion": "v1", "kind": "Pod", "metadata": metadata, "spec": body})


def test_a_pod_is_read(fake: FakeCluster) -> None:
    found = read_pod(injected(fake))
    assert found is not None
    assert (found.node, found.workload, found.kind, found.address) == ("lab", "p", "Pod", "127.0.0.1:9346")


def test_a_pod_on_its_nodes_network_cannot_be_asked(fake: FakeCluster) -> None:
    found = read_pod(injected(fake, hostNetwork=True))
    assert found is not None
    assert found.address == ""
    assert "loopback" in found.silent


def test_a_drains_pod_is_none_of_the_workloads(fake: FakeCluster) -> None:
    pod = injected(fake)
    pod["metadata"]["labels"][names.DRAIN] = "w"
    assert read_pod(pod) is None


def test_a_pod_without_sidecar_is_none(fake: FakeCluster) -> None:
    pod = injected(fake)
    pod["spec"]["initContainers"] = []
    assert read_pod(pod) is None


# What is written, and when


@pytest.fixture
def fleet(fake: FakeCluster, cluster: Cluster) -> Fleet:
    admit_pods(fake)
    made = Fleet(fake, cluster)
    made.device("one")
    made.workload()
    made.settle()
    made.look()
    return made


def writes(fleet: Fleet) -> int:
    """Statuses of ours that were written so far."""
    calls = [call for call in fleet.fake.api.calls if call.user == "controller"]
    return sum(call.resource.endswith("/status") for call in calls)


def test_what_is_unchanged_is_not_written(fleet: Fleet) -> None:
    fleet.say(said(sent=fleet.now))
    fleet.now += 61
    fleet.report()
    before = writes(fleet)
    for _ in range(5):
        fleet.now += 61
        fleet.report()
    assert writes(fleet) == before


def test_mere_numbers_wait_and_what_matters_does_not(fleet: Fleet) -> None:
    fleet.say(said(pending=1))
    fleet.now += 61
    fleet.report()
    before = writes(fleet)
    fleet.say(said(pending=2))
    fleet.now += 10
    fleet.look()
    fleet.now += 10  # within the pace of the last write
    fleet.poller.ask(fleet.sightings.all()[0])
    assert fleet.statuses.reconcile("default", "os-stats") == pytest.approx(10)
    assert writes(fleet) == before
    fleet.say(said("False", "FilesFail", pending=2))
    fleet.poller.ask(fleet.sightings.all()[0])
    fleet.statuses.reconcile("default", "os-stats")
    assert fleet.conditions(fleet.fake.get(WORKLOADS, "os-stats")["status"])["Syncing"] == ("False", "FilesFail")


def test_a_restart_keeps_what_was_known(fleet: Fleet) -> None:
    fleet.say(said(pending=2, sent=fleet.now))
    fleet.now += 61
    before = fleet.report()
    restarted = Fleet(fleet.fake, fleet.cluster, now=fleet.now)
    restarted.settle()
    after = restarted.report()  # nobody answers
    assert (after["pending"], after["lastDataUpload"]) == (before["pending"], before["lastDataUpload"])
    entry = restarted.device_entry("one")
    assert entry is not None
    assert entry["phase"] == "Running"


def test_a_device_that_falls_silent_is_offline_and_keeps_the_rest(fleet: Fleet) -> None:
    fleet.say(said(pending=2, sent=fleet.now))
    fleet.now += 61
    fleet.report()
    fleet.answers.clear()
    fleet.now += 400
    after = fleet.report()
    entry = fleet.device_entry("one")
    assert entry is not None
    assert entry["phase"] == "Offline"
    assert entry["lastDataUpload"] == "2027-01-15T08:00:00Z"
    assert after["pending"]["files"] == 2
    assert fleet.conditions(after)["Syncing"] == ("Unknown", "Offline")


def test_a_devices_workloads_are_named_in_one_text_for_kubectls_column(fleet: Fleet) -> None:
    fleet.say(said())
    fleet.report()
    assert fleet.fake.get(DEVICES, "one")["status"]["workloadNames"] == "os-stats"


def test_a_crd_that_drops_the_text_is_not_asked_again_and_again(fleet: Fleet) -> None:
    fleet.say(said())
    fleet.report()
    fleet.now += 61
    fleet.report()  # it answers now
    fleet.fake.patch(DEVICES, "one", {"status": {"workloadNames": None}}, subresource="status")
    before = fleet.fake.get(DEVICES, "one")["metadata"]["resourceVersion"]
    fleet.now += 61
    fleet.report()
    assert fleet.fake.get(DEVICES, "one")["metadata"]["resourceVersion"] == before


def test_a_warning_is_told_at_pod_device_and_workload_once(fleet: Fleet) -> None:
    risk = {"type": "DataAtRisk", "status": "True", "reason": "UnsentTooLong", "message": "3 files"}
    answer = said("False", "Transferring", pending=3)
    fleet.say({**answer, "conditions": [*answer["conditions"], risk]})
    for _ in range(3):
        fleet.now += 61
        fleet.report()
    for kind in ("Pod", "EdgeDevice", "EdgeWorkload"):
        assert fleet.reasons(kind).count("UnsentTooLong") == 1
    assert fleet.conditions(fleet.fake.get(DEVICES, "one")["status"])["DataAtRisk"] == ("True", "UnsentTooLong")
    fleet.say(said())
    fleet.now += 61
    fleet.report()
    assert "DataAtRisk" not in fleet.conditions(fleet.fake.get(DEVICES, "one")["status"])
    assert "DataAtRisk" not in fleet.conditions(fleet.fake.get(WORKLOADS, "os-stats")["status"])


def test_a_first_sync_is_told_once_and_a_first_cycle_is_no_warning(fleet: Fleet) -> None:
    fleet = Fleet(fleet.fake, fleet.cluster, now=fleet.now_of_the_cluster())
    fleet.settle()
    fleet.look()
    fleet.say(said("Unknown", "FirstCycle"))
    fleet.now += 61
    fleet.report()
    assert [one["type"] for one in fleet.fake.list("events") if one["type"] == "Warning"] == []
    for _ in range(3):
        fleet.say(said(sent=fleet.now))
        fleet.now += 61
        fleet.report()
        fleet.say(said("False", "Transferring", pending=1, sent=fleet.now))
        fleet.now += 61
        fleet.report()
    assert fleet.reasons("Pod").count("FirstSyncDone") == 1
    for kind in ("EdgeDevice", "EdgeWorkload"):
        assert fleet.reasons(kind).count("FirstUpload") == 1


def test_the_statuses_agree_with_the_schema_of_their_definitions(fleet: Fleet) -> None:
    fleet.say(said("False", "FilesFail", pending=2, sent=fleet.now))
    fleet.now += 61
    found = json.dumps(fleet.report())
    assert "null" not in found
