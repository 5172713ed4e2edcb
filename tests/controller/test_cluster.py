"""The client: every answer becomes a value, or an error that says what to do."""

from __future__ import annotations

from pathlib import Path

import pytest

from controller.cluster import Cluster, ConfigurationError, load_configuration
from controller.errors import (
    ClusterError,
    Conflict,
    Exists,
    Forbidden,
    Gone,
    Invalid,
    NotFound,
    Terminating,
    Unavailable,
)
from controller.resources import CLAIMS, EDGE_DEVICES, PODS, Json
from tests.controller.test_device_reconciler import CLAIMS as CLAIMS_NAME
from tests.controller.test_device_reconciler import DEVICES, device
from tests.fakes.cluster import Call, FakeCluster, Refused, Severed


@pytest.mark.parametrize(
    ("code", "reason", "expected"),
    [
        (400, "BadRequest", Invalid),
        (401, "Unauthorized", Unavailable),
        (403, "Forbidden", Forbidden),
        (404, "NotFound", NotFound),
        (409, "Conflict", Conflict),
        (409, "AlreadyExists", Exists),
        (410, "Expired", Gone),
        (422, "Invalid", Invalid),
        (429, "TooManyRequests", Unavailable),
        (500, "InternalError", Unavailable),
        (503, "ServiceUnavailable", Unavailable),
        (504, "Timeout", Unavailable),
    ],
)
def test_a_refusal_becomes_the_error_that_says_what_to_do(
    fake: FakeCluster, cluster: Cluster, code: int, reason: str, expected: type[ClusterError]
) -> None:
    def refuse(_: Call) -> None:
        raise Refused(code, reason, "because")

    fake.api.before.append(refuse)
    with pytest.raises(ClusterError, match="because") as caught:
        cluster.get(EDGE_DEVICES, "default", "thing")
    assert type(caught.value) is expected


def test_no_answer_is_unavailable(fake: FakeCluster, cluster: Cluster) -> None:
    def sever(_: Call) -> None:
        raise Severed

    fake.api.before.append(sever)
    with pytest.raises(Unavailable):
        cluster.get(EDGE_DEVICES, "default", "thing")
    fake.stop()
    with pytest.raises(Unavailable):
        cluster.get(EDGE_DEVICES, "default", "thing")


def test_a_namespace_that_ends_is_told_apart(fake: FakeCluster, cluster: Cluster) -> None:
    fake.create({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "ending"}})
    held = {"name": "held", "namespace": "ending", "finalizers": ["tests.example/hold"]}
    fake.create({"apiVersion": "v1", "kind": "ConfigMap", "metadata": held})
    fake.delete("namespaces", "ending")
    with pytest.raises(Terminating):
        cluster.create(EDGE_DEVICES, "ending", {**device(), "metadata": {"name": "thing"}})


def test_a_long_list_comes_in_pages(fake: FakeCluster, cluster: Cluster) -> None:
    for number in range(1100):
        fake.create(device(f"thing-{number:04}"))
    fake.api.calls.clear()
    assert [one["metadata"]["name"] for one in cluster.list(EDGE_DEVICES)] == [f"thing-{n:04}" for n in range(1100)]
    assert len(fake.api.calls) == 3


def test_items_of_a_list_know_their_kind(fake: FakeCluster, cluster: Cluster) -> None:
    pod: Json = {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "p"}, "spec": {"containers": []}}
    fake.create(pod)
    (found,) = cluster.list(PODS, "default")
    assert (found["apiVersion"], found["kind"]) == ("v1", "Pod")


def test_a_write_to_what_changed_or_was_replaced_is_a_conflict(fake: FakeCluster, cluster: Cluster) -> None:
    before = fake.create(device())
    fake.patch(DEVICES, "thing", {"metadata": {"labels": {"a": "b"}}})
    version = before["metadata"]["resourceVersion"]
    with pytest.raises(Conflict):
        cluster.patch(EDGE_DEVICES, "default", "thing", {"metadata": {"resourceVersion": version, "labels": {}}})
    with pytest.raises(Conflict):
        cluster.update(EDGE_DEVICES, before)
    with pytest.raises(Conflict):
        cluster.delete(EDGE_DEVICES, "default", "thing", uid="another")
    assert fake.find(DEVICES, "thing") is not None


def test_deleting_what_is_gone_is_fine(cluster: Cluster) -> None:
    cluster.delete(EDGE_DEVICES, "default", "nothing", uid="whatever")


def test_a_resource_that_is_not_there_is_told_from_one_without_objects(fake: FakeCluster, cluster: Cluster) -> None:
    assert cluster.serves(CLAIMS)
    fake.delete("customresourcedefinitions.apiextensions.k8s.io", CLAIMS_NAME)
    assert cluster.serves(CLAIMS)  # believed for a moment
    cluster.forget_served()
    assert not cluster.serves(CLAIMS)


def test_without_a_way_to_a_cluster_the_error_says_what_to_do(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match="KUBECONFIG"):
        load_configuration(str(tmp_path / "nothing"))
