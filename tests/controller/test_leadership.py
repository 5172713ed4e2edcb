"""The Lease, with the clock in hand: one leads, another takes over, and never two by their own clocks."""

from __future__ import annotations

from collections.abc import Callable

from controller.cluster import Cluster
from controller.leadership import DURATION, Leadership
from tests.fakes.cluster import FakeCluster, Refused


class Clock:
    now = 1000.0

    def __call__(self) -> float:
        return self.now


def leadership(cluster: Cluster, name: str, clock: Clock, on_start: Callable[[], None] = lambda: None) -> Leadership:
    return Leadership(cluster, "default", "lease", name, on_start, clock)


def test_the_first_leads_and_the_second_waits(cluster: Cluster) -> None:
    clock = Clock()
    one, two = leadership(cluster, "one", clock), leadership(cluster, "two", clock)
    assert one.attempt()
    assert not two.attempt()
    clock.now += DURATION - 1
    assert one.attempt()
    clock.now += DURATION - 1
    assert not two.attempt()


def test_a_leader_that_is_silent_is_followed_after_it_has_stopped(cluster: Cluster) -> None:
    clock = Clock()
    started: list[str] = []
    one, two = leadership(cluster, "one", clock), leadership(cluster, "two", clock, lambda: started.append("two"))
    one.attempt()
    two.attempt()
    clock.now += DURATION - 0.1
    assert not one.leading
    assert not two.attempt()
    clock.now += 0.2
    assert two.attempt()
    assert started == ["two"]
    assert not one.attempt()


def test_a_leader_that_ends_lets_another_begin_at_once(cluster: Cluster, fake: FakeCluster) -> None:
    clock = Clock()
    one, two = leadership(cluster, "one", clock), leadership(cluster, "two", clock)
    one.attempt()
    one.stop()
    assert not one.leading
    assert two.attempt()
    lease = fake.get("leases.coordination.k8s.io", "lease")
    assert (lease["spec"]["holderIdentity"], lease["spec"]["leaseTransitions"]) == ("two", 1)


def test_a_replica_that_comes_back_under_its_name_leads_on(cluster: Cluster) -> None:
    clock = Clock()
    leadership(cluster, "one", clock).attempt()
    assert leadership(cluster, "one", clock).attempt()


def test_a_leader_without_an_api_server_stops_leading(cluster: Cluster, fake: FakeCluster) -> None:
    clock = Clock()
    one = leadership(cluster, "one", clock)
    one.attempt()

    def refuse(_: object) -> None:
        raise Refused(500, "InternalError", "etcd is away")

    fake.api.before.append(refuse)
    clock.now += 9
    assert one.attempt()  # still within its time
    clock.now += 2
    assert not one.attempt()
    fake.api.before.clear()
    assert one.attempt()


def test_of_two_that_take_it_at_once_one_gets_it(cluster: Cluster, fake: FakeCluster) -> None:
    clock = Clock()
    one, two = leadership(cluster, "one", clock), leadership(cluster, "two", clock)
    raced: list[bool] = []

    def race(call: object) -> None:
        if getattr(call, "verb", "") == "create" and not raced:
            raced.append(True)
            assert two.attempt()

    fake.api.before.append(race)
    assert not one.attempt()
    assert two.leading
