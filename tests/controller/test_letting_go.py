"""After an uninstall nothing of ours keeps a device from being deleted; others' finalizers and claims stay."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from contract.names import DEVICE_FINALIZER
from controller.__main__ import main
from tests.fakes import definitions
from tests.fakes.cluster import Call, FakeCluster, Json

DEVICES = "edgedevices.management.project-flotta.io"


def device(name: str, *finalizers: str) -> Json:
    return {
        "apiVersion": "management.project-flotta.io/v1alpha1",
        "kind": "EdgeDevice",
        "metadata": {"name": name, "namespace": "default", "finalizers": list(finalizers)},
        "spec": {},
    }


@pytest.fixture
def cluster() -> Iterator[FakeCluster]:
    with FakeCluster() as cluster:
        cluster.define(*definitions.own())
        yield cluster


def let_go(cluster: FakeCluster, directory: Path, *options: str) -> int:
    return main(["--kubeconfig", str(cluster.kubeconfig(directory / "kubeconfig")), "let-go", *options])


def finalizers(cluster: FakeCluster, name: str) -> list[str]:
    found: list[str] = cluster.get(DEVICES, name)["metadata"].get("finalizers") or []
    return found


def test_ours_go_and_others_stay(cluster: FakeCluster, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    cluster.create(device("a", DEVICE_FINALIZER, "theirs.example/x"))
    cluster.create(device("b", DEVICE_FINALIZER))
    cluster.create(device("c"))
    assert let_go(cluster, tmp_path) == 0
    assert [finalizers(cluster, name) for name in ("a", "b", "c")] == [["theirs.example/x"], [], []]
    assert "off 2 devices" in capsys.readouterr().out
    assert let_go(cluster, tmp_path) == 0


def test_one_that_is_being_deleted_goes(cluster: FakeCluster, tmp_path: Path) -> None:
    cluster.create(device("a", DEVICE_FINALIZER))
    cluster.delete(DEVICES, "a")
    assert let_go(cluster, tmp_path) == 0
    assert cluster.find(DEVICES, "a") is None


def test_one_that_changes_meanwhile_is_read_again(cluster: FakeCluster, tmp_path: Path) -> None:
    cluster.create(device("a", DEVICE_FINALIZER))
    changed: list[int] = []

    def change(call: Call) -> None:
        if call.verb == "patch" and not changed:
            changed.append(1)
            cluster.patch(DEVICES, "a", {"metadata": {"labels": {"x": "y"}}})

    cluster.api.before.append(change)
    assert let_go(cluster, tmp_path) == 0
    assert (finalizers(cluster, "a"), len(changed)) == ([], 1)


def test_without_the_crds_there_is_nothing_to_do(tmp_path: Path) -> None:
    with FakeCluster() as cluster:
        assert let_go(cluster, tmp_path) == 0


def test_the_lease_goes_and_others_stay(cluster: FakeCluster, tmp_path: Path) -> None:
    leases = "leases.coordination.k8s.io"
    for name in ("data-sync-controller", "another"):
        lease = {"apiVersion": "coordination.k8s.io/v1", "kind": "Lease", "spec": {}}
        cluster.create({**lease, "metadata": {"name": name, "namespace": "default"}})
    for _ in range(2):  # the second time it is gone
        assert let_go(cluster, tmp_path, "--lease", "default/data-sync-controller") == 0
    assert cluster.find(leases, "data-sync-controller") is None
    assert cluster.find(leases, "another") is not None
