"""Events: told once, counted when repeated, bounded, and never in the way."""

from __future__ import annotations

from typing import Any

from controller.cluster import Cluster
from controller.events import Recorder
from tests.controller.test_device_reconciler import device
from tests.fakes.cluster import Call, FakeCluster, Refused


class Clock:
    now = 0.0

    def __call__(self) -> float:
        return self.now


def test_the_same_is_told_once_and_counted_when_it_is_long_ago(fake: FakeCluster, cluster: Cluster) -> None:
    clock = Clock()
    about, recorder = fake.create(device()), Recorder(cluster, clock)
    recorder.normal(about, "ClaimBound", "bound")
    recorder.normal(about, "ClaimBound", "bound")
    (event,) = fake.list("events")
    assert (event["count"], event["type"], event["reason"]) == (1, "Normal", "ClaimBound")
    assert event["involvedObject"]["uid"] == about["metadata"]["uid"]
    clock.now = 301.0
    recorder.normal(about, "ClaimBound", "bound")
    (event,) = fake.list("events")
    assert event["count"] == 2


def test_a_restart_adds_no_second_event(fake: FakeCluster, cluster: Cluster) -> None:
    about = fake.create(device())
    for _ in range(2):
        Recorder(cluster).warning(about, "ClaimFailed", "failed")
    (event,) = fake.list("events")
    assert (event["count"], event["type"]) == (2, "Warning")


def test_an_object_has_a_small_allowance_that_grows_again(fake: FakeCluster, cluster: Cluster) -> None:
    clock = Clock()
    about, recorder = fake.create(device()), Recorder(cluster, clock)
    for number in range(100):
        recorder.normal(about, "Flapping", str(number))
    assert len(fake.list("events")) == 25
    clock.now = 120.0
    for number in range(100, 110):
        recorder.normal(about, "Flapping", str(number))
    assert len(fake.list("events")) == 27


def test_an_event_that_cannot_be_written_stops_nothing(fake: FakeCluster, cluster: Cluster) -> None:
    def refuse(call: Call) -> None:
        if call.resource == "events":
            raise Refused(403, "Forbidden", "no")

    about: dict[str, Any] = fake.create(device())
    fake.api.before.append(refuse)
    Recorder(cluster).normal(about, "ClaimBound", "bound")
    assert fake.list("events") == []
