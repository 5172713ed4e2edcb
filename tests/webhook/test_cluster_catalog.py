"""The catalog of a cluster: it fills, follows, and survives what happens to API servers."""

from __future__ import annotations

import tracemalloc
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.fakes.cluster import Call, FakeCluster, Refused, Severed
from tests.webhook.clusters import PATIENCE, Following, device, node, until, with_crds, workload
from webhook.catalog import DeviceFacts
from webhook.cluster_catalog import ClusterCatalog
from webhook.facts import device_facts, workload_facts
from webhook.following import Table


@pytest.fixture
def fake() -> Iterator[FakeCluster]:
    with with_crds(FakeCluster()) as cluster:
        yield cluster


@pytest.fixture
def catalog(fake: FakeCluster, tmp_path: Path) -> Iterator[ClusterCatalog]:
    with Following(fake, tmp_path) as following:
        yield following


def filled(catalog: ClusterCatalog) -> None:
    until(lambda: catalog.check().ok, "a filled catalog")


def said(caplog: pytest.LogCaptureFixture) -> str:
    return str([getattr(record, "fields", {}) for record in caplog.records])


def knows(catalog: ClusterCatalog, name: str) -> bool:
    return catalog.device("default", name) is not None


def test_it_is_ready_when_everything_was_seen_once(fake: FakeCluster, tmp_path: Path) -> None:
    fake.create(device("node-1", storage={"s3": {"configMapName": "c", "secretName": "s"}}))
    fake.create(workload("stats", data={"egress": [{"source": "a", "target": "b"}]}))
    fake.create(node("node-1", "v1.36.2"))
    following = Following(fake, tmp_path)
    check = following.catalog.check()
    assert not check.ok
    assert "edgedevices" in check.reason
    assert following.catalog.age() is None
    with following as catalog:
        filled(catalog)
        assert catalog.device("default", "node-1") == DeviceFacts("node-1", {"dc": "home"}, "c", "s")
        assert catalog.devices("default") == (catalog.device("default", "node-1"),)
        found = catalog.workload("default", "stats")
        assert found is not None
        assert found.egress[0].target == "b"
        assert catalog.namespace("default").uid
        assert catalog.native("node-1")
        age = catalog.age()
        assert age is not None
        assert 0 <= age < PATIENCE


def test_what_comes_changes_and_goes_is_followed(fake: FakeCluster, catalog: ClusterCatalog) -> None:
    filled(catalog)
    fake.create(device("node-1"))
    until(lambda: knows(catalog, "node-1"), "the new device")
    fake.patch(
        "edgedevices.management.project-flotta.io", "node-1", {"spec": {"storage": {"s3": {"configMapName": "c"}}}}
    )
    until(lambda: catalog.device("default", "node-1").config_map == "c", "the change")  # type: ignore[union-attr]
    fake.delete("edgedevices.management.project-flotta.io", "node-1")
    until(lambda: not knows(catalog, "node-1"), "the end of the device")
    assert catalog.devices("default") == ()


def test_labels_and_annotations_of_a_namespace_are_followed(fake: FakeCluster, catalog: ClusterCatalog) -> None:
    filled(catalog)
    inject = "data-sync.project-flotta.io/inject"
    fake.patch("namespaces", "default", {"metadata": {"labels": {inject: "enabled", "team": "edge"}}})
    until(lambda: (catalog.namespace("default").labels or {}).get(inject), "the label")
    assert "team" not in (catalog.namespace("default").labels or {})


def test_broken_connections_are_made_again_and_nothing_is_missed(fake: FakeCluster, catalog: ClusterCatalog) -> None:
    filled(catalog)
    for number in range(3):
        fake.sever_watches()
        fake.create(device(f"d{number}"))
        until(lambda number=number: knows(catalog, f"d{number}"), "what came while the connection was broken")  # type: ignore[misc]


def test_an_api_server_that_restarts_is_followed_again(fake: FakeCluster, catalog: ClusterCatalog) -> None:
    filled(catalog)
    fake.create(device("before"))
    until(lambda: knows(catalog, "before"), "the first device")
    fake.stop()
    fake.delete("edgedevices.management.project-flotta.io", "before")
    fake.create(device("meanwhile"))
    assert catalog.check().ok, "a catalog that is old still answers"
    assert knows(catalog, "before")
    fake.start()
    until(lambda: knows(catalog, "meanwhile") and not knows(catalog, "before"), "the news after the restart")


def test_a_version_that_is_compacted_leads_to_a_new_list(fake: FakeCluster, catalog: ClusterCatalog) -> None:
    fake.create(device("before"))
    until(lambda: knows(catalog, "before"), "the first device")
    fake.stop()
    fake.delete("edgedevices.management.project-flotta.io", "before")
    fake.create(device("meanwhile"))
    fake.compact()
    fake.start()
    until(lambda: knows(catalog, "meanwhile") and not knows(catalog, "before"), "the new list")


def test_a_list_that_breaks_between_pages_begins_again(fake: FakeCluster, tmp_path: Path) -> None:
    for number in range(1200):
        fake.create(device(f"d{number}"))
    seen = 0

    def break_off(call: Call) -> None:
        nonlocal seen
        if (call.verb, call.resource) == ("list", "edgedevices"):
            seen += 1
            if seen == 2:
                raise Severed
            if seen == 5:
                raise Refused(410, "Expired", "The provided continue parameter is too old")

    fake.api.before.append(break_off)
    with Following(fake, tmp_path) as catalog:
        filled(catalog)
        assert len(catalog.devices("default")) == 1200


def test_without_crds_it_is_ready_and_empty_and_looks_again(tmp_path: Path) -> None:
    with FakeCluster() as fake, Following(fake, tmp_path) as catalog:
        filled(catalog)
        assert catalog.devices("default") == ()
        with_crds(fake)
        fake.create(device("node-1"))
        until(lambda: knows(catalog, "node-1"), "the device of the CRD that came late")


def test_rights_that_are_missing_keep_it_from_being_ready_until_they_come(
    fake: FakeCluster, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    fake.api.authorizer = lambda call: call.resource != "nodes"
    with Following(fake, tmp_path) as catalog:
        until(lambda: "cannot list resource" in said(caplog), "a line in the log that names what is missing")
        until(lambda: catalog.check().reason.endswith("all nodes"), "all but the nodes")
        fake.api.authorizer = None
        filled(catalog)


def test_its_age_grows_while_the_cluster_is_away(fake: FakeCluster, tmp_path: Path) -> None:
    now = [1000.0]
    following = Following(fake, tmp_path)
    following.catalog = ClusterCatalog(
        following.catalog._cluster, pace=None, clock=lambda: now[0]
    )  # its own pace: nothing is heard again soon
    with following as catalog:
        filled(catalog)
        fake.stop()

        def older() -> bool:
            now[0] += 100  # again and again: what was on its way when the cluster went still counts as heard
            return (catalog.age() or 0) >= 100

        until(older, "an age that grows")


def test_it_asks_for_what_the_chart_grants_and_nothing_else(fake: FakeCluster, catalog: ClusterCatalog) -> None:
    filled(catalog)
    until(lambda: len({call.resource for call in fake.api.calls if call.verb == "watch"}) == 4, "four watches")
    asked = {(call.group, call.resource, call.verb) for call in fake.api.calls if call.user == "webhook"}
    group = "management.project-flotta.io"
    kinds = [(group, "edgedevices"), (group, "edgeworkloads"), ("", "namespaces"), ("", "nodes")]
    assert asked == {(*kind, verb) for kind in kinds for verb in ("list", "watch")}


def test_a_node_that_becomes_old_or_goes_decides_at_once(fake: FakeCluster, catalog: ClusterCatalog) -> None:
    filled(catalog)
    fake.create(node("a", "v1.36.2"))
    assert catalog.native("")
    fake.create(node("b", "v1.28.9"))
    until(lambda: not catalog.native(""), "the old node")
    fake.patch("nodes", "b", {"spec": {"unschedulable": True}}, namespace="")
    until(lambda: catalog.native(""), "the old node being cordoned")
    assert not catalog.native("b")
    fake.patch("nodes", "b", {"spec": {"unschedulable": None}}, namespace="")
    until(lambda: not catalog.native(""), "the old node again")
    fake.delete("nodes", "b", namespace="")
    until(lambda: catalog.native(""), "the end of the old node")


def test_openshift_is_recognised_by_its_api(fake: FakeCluster, catalog: ClusterCatalog) -> None:
    filled(catalog)
    assert not catalog.sccs
    fake.define(
        {
            "apiVersion": "apiextensions.k8s.io/v1",
            "kind": "CustomResourceDefinition",
            "metadata": {"name": "securitycontextconstraints.security.openshift.io"},
            "spec": {
                "group": "security.openshift.io",
                "names": {"kind": "SecurityContextConstraints", "plural": "securitycontextconstraints"},
                "scope": "Cluster",
                "versions": [{"name": "v1", "served": True, "storage": True}],
            },
        }
    )
    fake.sever_watches()
    until(lambda: catalog.sccs, "OpenShift being seen")


def test_an_object_that_makes_no_sense_stops_nobody_else(fake: FakeCluster, catalog: ClusterCatalog) -> None:
    filled(catalog)
    fake.create({**workload("broken"), "spec": {"data": "everything", "deviceSelector": 3}})
    fake.create({**device("odd"), "spec": {"storage": ["s3"]}})
    fake.create(device("node-1"))
    until(lambda: knows(catalog, "node-1") and catalog.workload("default", "broken"), "all three")
    assert catalog.workload("default", "broken").faults  # type: ignore[union-attr]
    assert catalog.device("default", "odd") == DeviceFacts("odd", {"dc": "home"})


def test_ten_thousand_devices_and_a_thousand_workloads_need_little_memory() -> None:
    big = {"status": {"hardware": {"disks": [{"path": f"/dev/sd{n}", "serial": "x" * 40} for n in range(20)]}}}
    tracemalloc.start()
    devices: Table[object] = Table()
    workloads: Table[object] = Table()
    for number in range(10_000):
        raw = {**device(f"device-{number}", storage={"s3": {"configMapName": f"c{number}"}}), **big}
        raw["metadata"]["labels"] = {f"label-{n}": f"value-{number}-{n}" for n in range(5)}
        devices.put("edge", f"device-{number}", device_facts(raw))
    mappings = [{"source": f"stats/{n}", "target": f"statistics/{n}"} for n in range(5)]
    for number in range(1_000):
        workloads.put("edge", f"w{number}", workload_facts(workload(f"w{number}", data={"egress": mappings})))
    used, _ = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert (len(devices), len(workloads)) == (10_000, 1_000)
    assert used < 32 * 1024 * 1024
