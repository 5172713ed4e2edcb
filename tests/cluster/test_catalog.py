"""The webhook's catalog beside a real API server, also one that is killed."""

from __future__ import annotations

import secrets
from collections.abc import Iterator

import pytest

from controller.cluster import Cluster, load_configuration
from controller.resources import EDGE_DEVICES
from tests.cluster.conftest import make_definitions
from tests.cluster.control_plane import ControlPlane
from tests.webhook.clusters import QUICK, device, until
from webhook.access import from_environment
from webhook.cluster import Cluster as Client
from webhook.cluster_catalog import ClusterCatalog


def following(kubeconfig: str) -> ClusterCatalog:
    return ClusterCatalog(Client(from_environment({"KUBECONFIG": kubeconfig})), pace=QUICK)


@pytest.fixture
def catalog(admin: Cluster, admin_kubeconfig: str) -> Iterator[ClusterCatalog]:
    found = following(admin_kubeconfig)
    found.start()
    yield found
    found.stop()


def fresh() -> str:
    return f"data-sync-test-{secrets.token_hex(4)}"


def remove(admin: Cluster, name: str) -> None:
    admin.patch(EDGE_DEVICES, "default", name, {"metadata": {"finalizers": None}})
    admin.delete(EDGE_DEVICES, "default", name, uid=admin.get(EDGE_DEVICES, "default", name)["metadata"]["uid"])


def test_devices_are_followed_from_the_first_list_on(admin: Cluster, catalog: ClusterCatalog) -> None:
    until(lambda: catalog.check().ok, "a filled catalog")
    assert catalog.namespace("default").uid
    assert catalog.native("")
    name = fresh()
    admin.create(EDGE_DEVICES, "default", device(name, storage={"s3": {"configMapName": "c", "secretName": "s"}}))
    until(lambda: catalog.device("default", name), "the device")
    assert catalog.device("default", name).secret == "s"  # type: ignore[union-attr]
    remove(admin, name)
    until(lambda: catalog.device("default", name) is None, "the end of the device")


def test_an_api_server_that_is_killed_is_followed_again(control_plane: ControlPlane) -> None:
    admin = Cluster(load_configuration(str(control_plane.kubeconfig)))
    make_definitions(admin)
    before, after = fresh(), fresh()
    admin.create(EDGE_DEVICES, "default", device(before))
    catalog = following(str(control_plane.kubeconfig))
    catalog.start()
    try:
        until(lambda: catalog.check().ok and catalog.device("default", before), "a filled catalog")
        control_plane.kill_api()
        assert catalog.device("default", before)
        assert catalog.check().ok
        control_plane.start_api()
        remove(admin, before)
        admin.create(EDGE_DEVICES, "default", device(after))
        until(lambda: catalog.device("default", after) and not catalog.device("default", before), "the news")
        remove(admin, after)
    finally:
        catalog.stop()
        admin.close()
