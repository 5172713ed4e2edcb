"""Killed between any two calls: whoever comes next ends where an undisturbed controller would have.

A client that dies before its n-th call, or right after the API server carried it out, for every n; then
another controller does the rest. What is left must be the same in each case.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable
from typing import Any

import pytest

from contract.names import CLAIM_KEPT
from controller.cluster import Cluster
from controller.device_reconciler import DeviceReconciler
from controller.errors import Conflict
from controller.events import Recorder
from controller.metrics import Metrics
from controller.resources import Json
from controller.settings import StorageSettings
from tests.controller.test_device_reconciler import CLAIMS, DEVICES, device
from tests.fakes.cluster import FakeCluster

Act = Callable[[FakeCluster], None]


class Killed(BaseException):
    """The process ends here."""


class Mortal(Cluster):
    """Dies at call number ``last``: before it is sent, or after it was carried out."""

    def __init__(self, alive: Cluster, last: int, *, after: bool) -> None:
        super().__init__(alive.configuration)
        self._calls, self._last, self._after = itertools.count(1), last, after

    def request(self, method: str, path: str, query: dict[str, str] | None = None, body: Json | None = None) -> Json:
        dies = next(self._calls) == self._last
        if dies and not self._after:
            raise Killed
        try:
            return super().request(method, path, query, body)
        finally:
            if dies:
                raise Killed


def work(cluster: Cluster, policy: str) -> None:
    DeviceReconciler(cluster, Recorder(cluster), Metrics(), StorageSettings(reclaim_policy=policy)).reconcile(
        "default", "thing"
    )


def bind(fake: FakeCluster) -> None:
    """The provisioner's part: with its own finalizer, which it never takes off here."""
    fake.patch(
        CLAIMS, "thing", {"metadata": {"finalizers": ["objectbucket.io/finalizer"]}, "spec": {"bucketName": "b"}}
    )
    fake.patch(CLAIMS, "thing", {"status": {"phase": "Bound"}}, subresource="status")


def left(fake: FakeCluster) -> list[Any]:
    """What matters of everything that is there; how often an Event was told does not."""
    found: list[Any] = []
    for plural in (DEVICES, CLAIMS):
        for one in fake.list(plural):
            metadata, status = one["metadata"], one.get("status") or {}
            conditions = [(each["type"], each["status"], each["reason"]) for each in status.get("conditions") or ()]
            labels, going = metadata.get("labels"), "deletionTimestamp" in metadata
            rest = {key: value for key, value in status.items() if key != "conditions"}
            found.append(
                (plural, metadata["name"], metadata.get("finalizers"), labels, going, one["spec"], conditions, rest)
            )
    told = {(event["type"], event["reason"], event["message"]) for event in fake.list("events")}
    return [*found, *sorted(told)]


def register(fake: FakeCluster) -> None:
    fake.create(device())


def registered(fake: FakeCluster, cluster: Cluster, policy: str) -> None:
    register(fake)
    work(cluster, policy)


def bound(fake: FakeCluster, cluster: Cluster, policy: str) -> None:
    registered(fake, cluster, policy)
    bind(fake)
    work(cluster, policy)


def unregister(fake: FakeCluster) -> None:
    fake.delete(DEVICES, "thing")


def nothing(fake: FakeCluster, cluster: Cluster, policy: str) -> None:
    """Begin with an empty cluster."""


STORIES = [
    pytest.param(nothing, register, "Delete", id="registering"),
    pytest.param(registered, bind, "Delete", id="binding"),
    pytest.param(bound, unregister, "Delete", id="unregistering"),
    pytest.param(bound, unregister, "Retain", id="unregistering, kept"),
]


@pytest.mark.parametrize("after", [False, True], ids=["before a call", "after a call"])
@pytest.mark.parametrize(("begin", "act", "policy"), STORIES)
def test_a_kill_at_any_call_changes_nothing_in_the_end(
    begin: Callable[[FakeCluster, Cluster, str], None], act: Act, policy: str, after: bool, tmp_path: Any
) -> None:
    from controller.cluster import load_configuration
    from tests.fakes import definitions

    ends: list[list[Any]] = []
    for last in itertools.count(0):
        with FakeCluster() as fake:
            fake.define(*definitions.own(), definitions.object_bucket_claims())
            cluster = Cluster(load_configuration(str(fake.kubeconfig(tmp_path / "kubeconfig"))))
            begin(fake, cluster, policy)
            act(fake)
            mortal = Mortal(cluster, last, after=after)
            try:
                work(mortal, policy)
                survived = last > 0
            except Killed:
                survived = False
                work(cluster, policy)
            work(cluster, policy)
            ends.append(left(fake))
            mortal.close()
            cluster.close()
        if survived:
            break
    assert len(ends) > 4, "the story has several calls"
    assert [end for end in ends if end != ends[0]] == []


def test_kept_means_labelled(fake: FakeCluster, cluster: Cluster) -> None:
    bound(fake, cluster, "Retain")
    unregister(fake)
    work(cluster, "Retain")
    assert fake.find(DEVICES, "thing") is None
    assert fake.get(CLAIMS, "thing")["metadata"]["labels"][CLAIM_KEPT] == "true"


def test_a_claim_that_was_replaced_in_between_is_not_deleted(fake: FakeCluster, cluster: Cluster) -> None:
    """The UID precondition: between our look and our deletion, another claim took the name."""
    registered(fake, cluster, "Delete")
    unregister(fake)

    class Slow(Cluster):
        def delete(self, *arguments: Any, **options: Any) -> None:
            fake.delete(CLAIMS, "thing")
            fake.create(
                {
                    "apiVersion": "objectbucket.io/v1alpha1",
                    "kind": "ObjectBucketClaim",
                    "metadata": {"name": "thing"},
                    "spec": {},
                }
            )
            super().delete(*arguments, **options)

    slow = Slow(cluster.configuration)
    with pytest.raises(Conflict):
        work(slow, "Delete")
    assert fake.find(CLAIMS, "thing") is not None
    work(cluster, "Delete")  # looks again: that claim is not ours
    assert fake.find(CLAIMS, "thing") is not None
    assert fake.find(DEVICES, "thing") is None
    slow.close()
