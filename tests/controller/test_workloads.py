"""What an EdgeWorkload's pods need, as tables; and DaemonSet and labels on the fake cluster."""

from __future__ import annotations

from typing import Any

import pytest

from contract import names
from controller import workloads
from controller.workloads import Placement

POD = {"spec": {"containers": [{"name": "app", "image": "example/app:1"}]}}


def workload(name: str = "os-stats", **spec: Any) -> dict[str, Any]:
    return {
        "apiVersion": names.API_VERSION,
        "kind": "EdgeWorkload",
        "metadata": {"name": name, "namespace": "edge", "uid": "u-1"},
        "spec": spec,
    }


def running(**spec: Any) -> dict[str, Any]:
    return workload(**{"type": "pod", "pod": POD, "deviceSelector": {"matchLabels": {"dc": "home"}}, **spec})


def device(name: str, leaving: bool = False, **labels: str) -> dict[str, Any]:
    metadata: dict[str, Any] = {"name": name, "namespace": "edge", "labels": labels}
    return {"metadata": metadata | ({"deletionTimestamp": "2026-01-01T00:00:00Z"} if leaving else {})}


FLEET = [device("b", dc="home"), device("a", dc="home"), device("c", dc="away"), device("d", leaving=True, dc="home")]


@pytest.mark.parametrize(
    ("spec", "nodes", "expected"),
    [
        pytest.param({}, {"a", "b", "x"}, Placement(("a", "b")), id="the devices that match have nodes"),
        pytest.param({}, {"a"}, Placement(("a", "b"), ("b",)), id="a device without a node is named"),
        pytest.param(
            {"deviceSelector": {}}, {"a", "b", "c"}, Placement(("a", "b", "c")), id="an empty selector is all"
        ),
        pytest.param({"deviceSelector": None, "device": "c"}, {"c"}, Placement(("c",)), id="one device by name"),
        pytest.param(
            {"deviceSelector": None, "device": "z"}, {"z"}, Placement(absent="z"), id="a node alone is no device"
        ),
        pytest.param({"deviceSelector": None, "device": "d"}, {"d"}, Placement(absent="d"), id="a device that leaves"),
        pytest.param({"deviceSelector": {"matchLabels": ["dc"]}}, {"a"}, Placement(), id="no selector matches nothing"),
        pytest.param(
            {"deviceSelector": {"matchExpressions": [{"key": "dc", "operator": "NotIn", "values": ["home"]}]}},
            {"c"},
            Placement(("c",)),
            id="by expression",
        ),
    ],
)
def test_a_workload_is_placed(spec: dict[str, Any], nodes: set[str], expected: Placement) -> None:
    found = {key: value for key, value in {**running()["spec"], **spec}.items() if value is not None}
    assert workloads.place(workload(**found), FLEET, nodes) == expected


def test_only_nodes_of_its_devices_run_it() -> None:
    assert Placement(("a", "b"), ("b",)).nodes == {"a"}


@pytest.mark.parametrize(
    ("spec", "reason", "word"),
    [
        pytest.param({"type": "ansible"}, "UnknownType", "ansible", id="another type"),
        pytest.param({"pod": {"spec": {}}}, "NoPod", "containers", id="nothing to run"),
        pytest.param({"device": "a"}, "DeviceAndSelector", "exclude", id="device and selector"),
        pytest.param({"deviceSelector": ...}, "NoDevices", "where", id="neither"),
        pytest.param(
            {"pod": {"spec": {**POD["spec"], "restartPolicy": "OnFailure"}}}, "RestartPolicy", "OnFailure", id="ends"
        ),
        pytest.param({"pod": {"spec": {**POD["spec"], "nodeName": "n"}}}, "NodeName", "nodeName", id="a node by name"),
        pytest.param({"deviceSelector": {"matchLabels": 1}}, "Selector", "matchLabels", id="no selector"),
    ],
)
def test_what_cannot_run_is_refused_with_a_reason(spec: dict[str, Any], reason: str, word: str) -> None:
    merged = {key: value for key, value in {**running()["spec"], **spec}.items() if value is not ...}
    found = workloads.refusal(workload(**merged))
    assert found is not None
    assert found.reason == reason
    assert word in found.message


@pytest.mark.parametrize("spec", [{}, {"pod": {"spec": {**POD["spec"], "restartPolicy": "Always"}}}])
def test_what_can_run_is_not_refused(spec: dict[str, Any]) -> None:
    assert workloads.refusal(running(**spec)) is None


def test_a_workload_with_data_alone_does_not_run() -> None:
    assert not workloads.runs(workload(data={"egress": []}))
    assert workloads.runs(running())


def test_the_pods_ask_for_injection_and_go_where_the_label_is() -> None:
    found = workloads.daemon_set(running())
    template = found["spec"]["template"]
    assert found["metadata"]["name"] == "os-stats"
    assert found["metadata"]["ownerReferences"][0]["uid"] == "u-1"
    assert template["metadata"]["labels"][names.INJECT] == names.ENABLED
    assert template["metadata"]["annotations"] == {names.WORKLOAD: "os-stats"}
    assert template["spec"]["nodeSelector"] == {workloads.node_label("edge", "os-stats"): "true"}
    assert template["spec"]["containers"] == POD["spec"]["containers"]
    selector = found["spec"]["selector"]["matchLabels"]
    assert selector.items() <= template["metadata"]["labels"].items()


def test_the_template_does_not_depend_on_devices() -> None:
    one, other = running(), running(deviceSelector={})
    assert workloads.daemon_set(one)["spec"] == workloads.daemon_set(other)["spec"]


def test_the_workloads_own_node_selector_stays() -> None:
    found = workloads.daemon_set(running(pod={"spec": {**POD["spec"], "nodeSelector": {"disk": "ssd"}}}))
    assert found["spec"]["template"]["spec"]["nodeSelector"]["disk"] == "ssd"


def test_how_pods_sync_is_handed_on_and_what_is_the_specs_is_not() -> None:
    given = running()
    given["metadata"]["annotations"] = {names.INTERVAL: "1m", names.EGRESS: "[]", "other": "x"}
    annotations = workloads.daemon_set(given)["spec"]["template"]["metadata"]["annotations"]
    assert annotations == {names.INTERVAL: "1m", names.WORKLOAD: "os-stats"}


def test_nothing_of_the_given_workload_is_changed() -> None:
    given = running()
    workloads.daemon_set(given)
    assert given == running()


def test_a_changed_spec_is_written_and_what_the_server_filled_in_is_not() -> None:
    wanted = workloads.daemon_set(running())
    there = workloads.daemon_set(running())
    there["spec"]["template"]["spec"]["dnsPolicy"] = "ClusterFirst"
    assert not workloads.differs(there, wanted)
    changed = running(pod={"spec": {"containers": [{"name": "app", "image": "example/app:2"}]}})
    assert workloads.differs(there, workloads.daemon_set(changed))


@pytest.mark.parametrize("part", ["label", "annotation", "selector"])
def test_what_decides_where_pods_run_and_sync_is_put_right(part: str) -> None:
    wanted, there = workloads.daemon_set(running()), workloads.daemon_set(running())
    template = there["spec"]["template"]
    if part == "label":
        template["metadata"]["labels"][names.INJECT] = names.DISABLED
    elif part == "annotation":
        template["metadata"]["annotations"] = {}
    else:
        template["spec"]["nodeSelector"] = {}
    assert workloads.differs(there, wanted)


LONG = "w" * 63


@pytest.mark.parametrize(
    ("one", "other"),
    [
        pytest.param(("a", "b"), ("a", "c"), id="two names"),
        pytest.param(("a", "b"), ("b", "a"), id="turned round"),
        pytest.param(("a-b", "c"), ("a", "b-c"), id="a dash moved"),
        pytest.param(("n" * 63, LONG), ("n" * 63, LONG[:-1] + "x"), id="equal in what is kept"),
        pytest.param(("n", LONG), ("m", LONG), id="two namespaces with a long name"),
    ],
)
def test_no_two_workloads_share_a_label(one: tuple[str, str], other: tuple[str, str]) -> None:
    assert workloads.node_label(*one) != workloads.node_label(*other)


@pytest.mark.parametrize("name", ["a", "os-stats", LONG, "a" + "-" * 61 + "b"])
@pytest.mark.parametrize("namespace", ["e", "edge", "n" * 63])
def test_a_label_is_a_valid_key(namespace: str, name: str) -> None:
    prefix, _, key = workloads.node_label(namespace, name).partition("/")
    assert prefix == names.PREFIX
    assert len(key) <= 63
    assert key[-1].isalnum()


def test_labels_are_set_where_they_lack_and_taken_off_where_they_are_too_many() -> None:
    carrying = {"stays": "true", "wrong": "false", "leaves": "true"}
    expected = {"wrong": "true", "new": "true", "leaves": None}
    assert workloads.relabelled(frozenset({"stays", "wrong", "new"}), carrying) == expected
