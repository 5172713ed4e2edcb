"""One device on the fake cluster, without watches: each look is a call of ``reconcile``."""

from __future__ import annotations

from typing import Any

from contract.names import DEVICE_FINALIZER
from controller.cluster import Cluster
from controller.device_reconciler import DeviceReconciler
from controller.events import Recorder
from controller.metrics import Metrics
from controller.settings import StorageSettings
from tests.fakes.cluster import FakeCluster

DEVICES, CLAIMS = "edgedevices.management.project-flotta.io", "objectbucketclaims.objectbucket.io"


def device(name: str = "thing", **s3: Any) -> dict[str, Any]:
    spec = {"storage": {"s3": s3}} if s3 else {}
    return {
        "apiVersion": "management.project-flotta.io/v1alpha1",
        "kind": "EdgeDevice",
        "metadata": {"name": name, "namespace": "default"},
        "spec": spec,
    }


def reconciler(cluster: Cluster, **settings: Any) -> DeviceReconciler:
    return DeviceReconciler(cluster, Recorder(cluster), Metrics(), StorageSettings(**settings))


def conditions(fake: FakeCluster, name: str = "thing") -> dict[str, tuple[str, str]]:
    status = fake.get(DEVICES, name)["status"]
    return {one["type"]: (one["status"], one["reason"]) for one in status["conditions"]}


def test_registering_a_device_makes_its_claim_once(fake: FakeCluster, cluster: Cluster) -> None:
    fake.create(device())
    work = reconciler(cluster)
    work.reconcile("default", "thing")
    work.reconcile("default", "thing")
    claim = fake.get(CLAIMS, "thing")
    assert claim["spec"] == {"storageClassName": "openshift-storage.noobaa.io", "generateBucketName": "thing"}
    assert fake.get(DEVICES, "thing")["metadata"]["finalizers"] == [DEVICE_FINALIZER]
    assert fake.get(DEVICES, "thing")["status"]["dataObc"] == "thing"
    assert conditions(fake)["Bound"] == ("False", "Provisioning")
    assert [event["reason"] for event in fake.list("events")] == ["Provisioning"]


def test_unregistering_takes_claim_and_finalizer(fake: FakeCluster, cluster: Cluster) -> None:
    fake.create(device())
    work = reconciler(cluster)
    work.reconcile("default", "thing")
    fake.delete(DEVICES, "thing")
    work.reconcile("default", "thing")
    assert fake.find(DEVICES, "thing") is None
    assert fake.find(CLAIMS, "thing") is None
