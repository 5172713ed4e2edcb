"""What a watch tells of → what is looked at; noise wakes nobody."""

from __future__ import annotations

from typing import Any

import pytest

from contract import names
from controller.concerns import Concerns
from controller.resources import Key
from controller.workloads import node_label

WORKLOAD = ("edge", "w")
MARK = Key("EdgeWorkload", *WORKLOAD)


@pytest.fixture
def concerns() -> Concerns:
    return Concerns(lambda: {WORKLOAD: frozenset({"one"}), ("other", "x"): frozenset({"two"})})


def device(name: str = "one", *, gone: bool = False, ending: bool = False, **labels: str) -> dict[str, Any]:
    metadata: dict[str, Any] = {"name": name, "namespace": "edge", "labels": labels}
    if ending:
        metadata["deletionTimestamp"] = "2026-01-01T00:00:00Z"
    return {"kind": "EdgeDevice", "metadata": metadata, "gone": gone}


def node(labels: dict[str, str] | None = None, *, name: str = "one", gone: bool = False) -> dict[str, Any]:
    return {"kind": "Node", "metadata": {"name": name, "labels": labels or {}}, "gone": gone}


def test_a_device_that_comes_wakes_its_namespaces_workloads(concerns: Concerns) -> None:
    assert concerns.device(device()) == (Key("EdgeDevice", "edge", "one"), MARK)


@pytest.mark.parametrize(
    ("after", "wakes"),
    [
        pytest.param(device(), False, id="its status"),
        pytest.param(device(dc="home"), True, id="its labels"),
        pytest.param(device(ending=True), True, id="its deletion"),
        pytest.param(device(gone=True), True, id="its end"),
    ],
)
def test_of_a_known_device_only_news_wakes_workloads(concerns: Concerns, after: dict[str, Any], wakes: bool) -> None:
    concerns.device(device())
    assert (MARK in concerns.device(after)) is wakes


def test_a_drain_asked_of_a_device_is_seen(concerns: Concerns) -> None:
    asked = device()
    asked["metadata"]["annotations"] = {names.DRAIN: "requested"}
    assert Key("EdgeDeviceStatus", "edge", "one") in concerns.device(asked)


LABEL = {node_label(*WORKLOAD): "true"}


@pytest.mark.parametrize(
    ("before", "after", "wakes"),
    [
        pytest.param(None, node(), True, id="it comes"),
        pytest.param(node(LABEL), node({**LABEL, "zone": "a"}), False, id="other labels"),
        pytest.param(node(LABEL), node(), True, id="our label is taken off"),
        pytest.param(node(LABEL), node(gone=True), True, id="it goes"),
        pytest.param(None, node(name="stranger"), False, id="it is no device of anybody"),
    ],
)
def test_a_node_wakes_the_workloads_meant_for_it(
    concerns: Concerns, before: dict[str, Any] | None, after: dict[str, Any], wakes: bool
) -> None:
    if before is not None:
        concerns.node(before)
    assert concerns.node(after) == ((MARK,) if wakes else ())


def test_a_daemon_set_wakes_its_workload(concerns: Concerns) -> None:
    owners = [{"kind": "EdgeWorkload", "name": "w", "uid": "u"}]
    assert concerns.owner({"metadata": {"namespace": "edge", "ownerReferences": owners}}) == (MARK,)


def test_a_drain_wakes_workload_and_device(concerns: Concerns) -> None:
    annotations = {names.WORKLOAD: "w", names.DEVICE: "one"}
    found = concerns.owner({"metadata": {"namespace": "edge", "annotations": annotations}})
    assert set(found) == {MARK, Key("EdgeDevice", "edge", "one"), Key("EdgeDeviceStatus", "edge", "one")}
