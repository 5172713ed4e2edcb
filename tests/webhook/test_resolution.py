"""Which workload, device and storage a pod gets, by which rule: every kind of pod, every rule, every refusal."""

from __future__ import annotations

import copy
from dataclasses import replace
from typing import Any

import pytest

from contract import names
from contract.storage import Credentials
from webhook.admit import process
from webhook.annotations import Mode
from webhook.catalog import EmptyCatalog, GivenCatalog
from webhook.decision import Decision, Deny, Inject, Skip
from webhook.facts import catalog_of
from webhook.injection_settings import InjectionSettings
from webhook.reasons import Reason
from webhook.resolution import Resolution

SETTINGS = InjectionSettings()
EXTERNAL = {names.S3_CONFIG_MAP: "config", names.S3_SECRET: "secret"}
S3 = {"storage": {"s3": {"configMapName": "device-config", "secretName": "device-secret"}}}


def device(name: str, spec: dict[str, Any] | None = None, **metadata: Any) -> dict[str, Any]:
    meta = {"name": name, **metadata}
    return {"apiVersion": names.API_VERSION, "kind": "EdgeDevice", "metadata": meta, "spec": spec or {}}


def workload(name: str, **spec: Any) -> dict[str, Any]:
    return {"apiVersion": names.API_VERSION, "kind": "EdgeWorkload", "metadata": {"name": name}, "spec": spec}


def namespace(**metadata: Any) -> dict[str, Any]:
    return {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "edge", **metadata}}


def node(name: str, version: str, *, unschedulable: bool = False, system: str = "linux") -> dict[str, Any]:
    info = {"kubeletVersion": version, "operatingSystem": system}
    spec = {"unschedulable": True} if unschedulable else {}
    return {
        "apiVersion": "v1", "kind": "Node", "metadata": {"name": name}, "spec": spec, "status": {"nodeInfo": info},
    }  # fmt: skip


def cluster(*manifests: dict[str, Any]) -> GivenCatalog:
    """A catalog that knows all there is."""
    given = catalog_of(manifests, "edge")
    catalog = GivenCatalog()
    catalog.namespaces, catalog.nodes = given.namespaces, given.nodes
    catalog.devices_in, catalog.workloads_in = given.devices_in, given.workloads_in
    return catalog


def pod(annotations: dict[str, str] | None = None, *, owner: str = "", **spec: Any) -> dict[str, Any]:
    kind, _, name = owner.partition("/")
    owners = [{"kind": kind, "name": name, "controller": True}] if owner else []
    return {
        "metadata": {
            "name": "web",
            "labels": {names.INJECT: names.ENABLED},
            "annotations": annotations or {},
            "ownerReferences": owners,
        },
        "spec": {"containers": [{"name": "app", "image": "a"}], **spec},
    }


def resolved(subject: dict[str, Any], *manifests: dict[str, Any], settings: InjectionSettings = SETTINGS) -> Resolution:
    decision = process(subject, "edge", cluster(*manifests), settings).decision
    assert isinstance(decision, Inject), decision
    return decision.resolution


def denied(subject: dict[str, Any], *manifests: dict[str, Any]) -> Deny:
    decision = process(subject, "edge", cluster(*manifests), SETTINGS).decision
    assert isinstance(decision, Deny), decision
    return decision


def rule(resolution: Resolution, what: str) -> str:
    return dict(resolution.rules)[what]


def by_fields(*names_: str) -> dict[str, Any]:
    terms = [{"matchFields": [{"key": "metadata.name", "operator": "In", "values": [one]}]} for one in names_]
    return {"nodeAffinity": {"requiredDuringSchedulingIgnoredDuringExecution": {"nodeSelectorTerms": terms}}}


def by_hostname(*values: str, operator: str = "In") -> dict[str, Any]:
    wanted = {"key": "kubernetes.io/hostname", "operator": operator, "values": [*values]}
    terms = [{"matchExpressions": [{"key": "disk", "operator": "Exists"}, wanted]}]
    return {"nodeAffinity": {"requiredDuringSchedulingIgnoredDuringExecution": {"nodeSelectorTerms": terms}}}


# Which device


PINNED = [
    pytest.param({"nodeName": "node-1"}, id="a static node"),
    pytest.param({"affinity": by_fields("node-1")}, id="a DaemonSet's affinity"),
    pytest.param({"affinity": by_fields("node-1", "node-1")}, id="the same node in every term"),
    pytest.param({"nodeSelector": {"kubernetes.io/hostname": "node-1"}}, id="a node selector"),
    pytest.param({"affinity": by_hostname("node-1")}, id="a host name by affinity"),
]


@pytest.mark.parametrize("spec", PINNED)
def test_a_pod_pinned_to_a_node_has_the_device_of_that_name(spec: dict[str, Any]) -> None:
    found = resolved(pod(owner="DaemonSet/stats", **spec), device("node-1"), device("node-2"))
    assert (found.spec.device, rule(found, "device")) == ("node-1", "node")
    assert (found.storage, rule(found, "storage")) == ("claim/node-1", "device")


@pytest.mark.parametrize(
    "spec",
    [
        pytest.param({}, id="nowhere"),
        pytest.param({"affinity": by_fields("node-1", "node-2")}, id="one of two nodes"),
        pytest.param({"affinity": by_hostname("node-1", "node-2")}, id="one of two host names"),
        pytest.param({"affinity": by_hostname("node-1", operator="NotIn")}, id="not that node"),
        pytest.param(
            {"affinity": by_fields("node-1"), "nodeSelector": {"kubernetes.io/hostname": "node-2"}},
            id="two nodes at once",
        ),
        pytest.param({"affinity": {"nodeAffinity": "node-1"}}, id="no affinity at all"),
    ],
)
def test_a_pod_that_is_not_pinned_has_no_device(spec: dict[str, Any]) -> None:
    found = resolved(pod(EXTERNAL, **spec), device("node-1"), device("node-2"))
    assert (found.spec.device, rule(found, "device")) == ("", "none")


def test_the_annotation_comes_before_the_workload_and_the_node() -> None:
    manifests = (device("node-1"), device("a"), device("b"), workload("web", device="b"))
    found = resolved(pod({names.DEVICE: "a"}, nodeName="node-1"), *manifests)
    assert (found.spec.device, rule(found, "device")) == ("a", "annotation")
    found = resolved(pod(nodeName="node-1"), *manifests)
    assert (found.spec.device, rule(found, "device")) == ("b", "workload")


def test_the_node_comes_before_the_only_device_that_matches() -> None:
    manifests = (device("node-1"), device("a", labels={"dc": "home"}))
    described = workload("web", deviceSelector={"matchLabels": {"dc": "home"}})
    assert resolved(pod(nodeName="node-1"), described, *manifests).spec.device == "node-1"
    found = resolved(pod(), described, *manifests)
    assert (found.spec.device, rule(found, "device")) == ("a", "deviceSelector")


def test_of_several_devices_that_match_none_is_guessed() -> None:
    manifests = [device(name, labels={"dc": "home"}) for name in ("a", "b")]
    decision = denied(pod(), workload("web", deviceSelector={}), *manifests)
    assert decision.reason is Reason.NO_STORAGE


def test_a_device_of_another_namespace_is_none() -> None:
    assert denied(pod(nodeName="node-1"), device("node-1", namespace="other")).reason is Reason.NO_STORAGE


@pytest.mark.parametrize("settings", [SETTINGS, replace(SETTINGS, default_config_map="c", default_secret="s")])
def test_files_meant_for_a_device_that_is_not_there_never_go_to_the_default(settings: InjectionSettings) -> None:
    decision = process(pod({names.DEVICE: "camera"}), "edge", cluster(), settings).decision
    assert isinstance(decision, Deny)
    assert "EdgeDevice edge/camera does not exist" in decision.message


def test_a_device_that_is_being_deleted_takes_no_new_pods() -> None:
    going = device("node-1", deletionTimestamp="2026-11-28T12:00:00Z")
    assert "being deleted" in denied(pod(nodeName="node-1"), going).message


def test_without_a_cluster_the_device_is_a_name() -> None:
    decision = process(pod({names.DEVICE: "camera", **EXTERNAL}), "edge", EmptyCatalog(), SETTINGS).decision
    assert isinstance(decision, Inject)
    assert decision.resolution.spec.device == "camera"


def test_a_target_with_the_devices_name_needs_a_device() -> None:
    mapping = {names.EGRESS: "[{source: a, target: $(DEVICE_ID)/b}]", **EXTERNAL}
    assert denied(pod(mapping)).reason is Reason.NO_DEVICE
    assert resolved(pod(mapping, nodeName="n"), device("n")).spec.device == "n"


# Which storage


def test_a_devices_claim_is_projected_beside_its_external_storage() -> None:
    found = resolved(pod(nodeName="node-1"), device("node-1", S3))
    assert (found.spec.claim, found.spec.config_map, found.spec.secret) == ("node-1", "device-config", "device-secret")
    assert found.storage == "claim/node-1, external/device-config+device-secret"


def test_a_device_that_declines_a_claim_has_its_external_storage_alone() -> None:
    spec = copy.deepcopy(S3)
    spec["storage"]["s3"]["createOBC"] = False  # type: ignore[assignment]
    found = resolved(pod(nodeName="node-1"), device("node-1", spec))
    assert (found.spec.claim, found.spec.config_map) == ("", "device-config")


def test_a_device_without_any_storage_leaves_the_pod_to_the_defaults() -> None:
    bare = device("node-1", {"storage": {"s3": {"createOBC": False}}})
    assert denied(pod(nodeName="node-1"), bare).reason is Reason.NO_STORAGE
    found = resolved(pod(nodeName="node-1"), bare, namespace(annotations=EXTERNAL))
    assert (found.spec.device, rule(found, "storage")) == ("node-1", "namespace")


def test_a_pods_own_names_come_before_its_devices() -> None:
    found = resolved(pod(EXTERNAL, nodeName="node-1"), device("node-1", S3))
    assert (found.storage, rule(found, "storage")) == ("external/config+secret", "annotation")
    assert found.spec.device == "node-1"


def test_the_device_comes_before_the_namespace_and_the_namespace_before_the_chart() -> None:
    settings = replace(SETTINGS, default_config_map="chart-config", default_secret="chart-secret")
    here = namespace(annotations=EXTERNAL)
    assert rule(resolved(pod(nodeName="n"), device("n"), here, settings=settings), "storage") == "device"
    found = resolved(pod(), here, settings=settings)
    assert (found.storage, rule(found, "storage")) == ("external/config+secret", "namespace")
    found = resolved(pod(), settings=settings)
    assert (found.storage, rule(found, "storage")) == ("external/chart-config+chart-secret", "default")


def test_a_default_says_whose_credentials_open_it_and_the_pod_may_say_otherwise() -> None:
    here = namespace(annotations={names.S3_CONFIG_MAP: "config", names.S3_CREDENTIALS: "chain"})
    assert resolved(pod(), here).spec.credentials is Credentials.CHAIN
    settings = replace(SETTINGS, default_config_map="c", default_secret="s")
    assert resolved(pod(), settings=settings).spec.credentials is Credentials.KEYS
    assert resolved(pod({names.S3_CREDENTIALS: "chain"}), settings=settings).spec.credentials is Credentials.CHAIN


@pytest.mark.parametrize(
    "annotations",
    [
        pytest.param({**EXTERNAL, names.S3_CREDENTIALS: "borrowed"}, id="unknown credentials"),
        pytest.param({**EXTERNAL, names.S3_SECRET: "../secret"}, id="a name that is none"),
        pytest.param({names.S3_CONFIG_MAP: "config"}, id="half of it"),
        pytest.param({names.S3_SECRET: "secret"}, id="the other half"),
    ],
)
def test_a_namespace_default_that_cannot_be_used_is_named(annotations: dict[str, str]) -> None:
    assert "the namespace's annotation" in denied(pod(), namespace(annotations=annotations)).message


def test_no_storage_is_a_skip_for_a_pod_that_did_not_ask() -> None:
    subject = pod()
    del subject["metadata"]["labels"][names.INJECT]
    catalog = cluster(namespace(labels={names.INJECT: names.ENABLED}))
    decision = process(subject, "edge", catalog, SETTINGS).decision
    assert isinstance(decision, Skip)
    assert decision.reason is Reason.NO_STORAGE
    assert names.DEVICE in decision.message


def test_the_way_to_the_claims_server_is_handed_on_with_a_claim_and_with_nothing_else() -> None:
    overrides = (("BUCKET_HOST", "s3.example.org"),)
    settings = replace(SETTINGS, claim_overrides=overrides)
    assert resolved(pod(nodeName="n"), device("n"), settings=settings).spec.claim_overrides == overrides
    assert resolved(pod(EXTERNAL), settings=settings).spec.claim_overrides == ()


# Which mappings

UP, DOWN = {"source": "stats", "target": "statistics"}, {"source": "remote", "target": "down"}


@pytest.mark.parametrize(
    ("owner", "spec"),
    [
        pytest.param("", {}, id="a bare pod"),
        pytest.param("ReplicaSet/web-7d9f", {}, id="a Deployment"),
        pytest.param("StatefulSet/web", {}, id="a StatefulSet"),
        pytest.param("DaemonSet/web", {}, id="a DaemonSet"),
        pytest.param("Job/web", {"restartPolicy": "Never"}, id="a Job"),
        pytest.param("Job/web-29211840", {"restartPolicy": "Never"}, id="a CronJob"),
        pytest.param("Gadget/web", {}, id="a controller unknown to us"),
    ],
)
def test_the_edge_workload_of_the_workloads_name_supplies_mappings(owner: str, spec: dict[str, Any]) -> None:
    subject = pod(EXTERNAL, owner=owner, **spec)
    subject["metadata"]["labels"]["pod-template-hash"] = "7d9f"
    found = resolved(subject, workload("web", data={"egress": [UP], "ingress": [DOWN]}))
    assert [mapping.target for mapping in found.spec.mappings] == ["statistics", "down"]
    assert rule(found, "mappings") == "workload"


def test_a_pod_without_a_name_yet_finds_its_workload_too() -> None:
    subject = pod(EXTERNAL)
    subject["metadata"] |= {"name": "", "generateName": "web-"}
    assert resolved(subject, workload("web", data={"egress": [UP]})).spec.egress[0].target == "statistics"


def test_annotations_override_each_its_own_direction() -> None:
    described = workload("web", data={"egress": [UP], "ingress": [DOWN]})
    found = resolved(pod({**EXTERNAL, names.EGRESS: "[{source: a, target: b}]"}), described)
    assert [mapping.target for mapping in found.spec.mappings] == ["b", "down"]
    assert rule(found, "mappings") == "annotation+workload"
    found = resolved(pod({**EXTERNAL, names.EGRESS: "[]", names.INGRESS: "[]"}), described)
    assert (found.spec.mappings, rule(found, "mappings")) == ((), "annotation")


def test_an_annotation_that_overlaps_the_workloads_mapping_is_denied() -> None:
    decision = denied(
        pod({**EXTERNAL, names.EGRESS: "[{source: down/x, target: b}]"}), workload("web", data={"ingress": [DOWN]})
    )
    assert decision.reason is Reason.INVALID_WORKLOAD
    assert "EdgeWorkload web" in decision.message


def test_a_workload_that_no_crd_has_checked_is_denied_by_name() -> None:
    broken = workload("web", data={"egress": [{"source": "../x", "target": "y"}]}, deviceSelector="all")
    message = denied(pod(EXTERNAL), broken).message
    assert "EdgeWorkload web: spec.data.egress: item 1" in message
    assert "spec.deviceSelector" in message


def test_a_workload_that_cannot_be_used_is_no_matter_where_annotations_say_all() -> None:
    broken = workload("web", data={"egress": [{"source": "../x", "target": "y"}]})
    annotations = {**EXTERNAL, names.EGRESS: "[{source: a, target: b}]", names.INGRESS: "[]"}
    assert resolved(pod(annotations), broken).spec.egress[0].target == "b"


# Each its own device's storage


def test_a_daemonsets_pods_have_each_their_own_devices_storage_and_share_no_key() -> None:
    described = workload("os-stats", deviceSelector={}, data={"egress": [UP]})
    devices = [device("node-1"), device("node-2", S3)]
    annotations = {names.WORKLOAD: "os-stats"}
    for name in ("node-1", "node-2"):
        subject = pod(annotations, owner="DaemonSet/os-stats-x", affinity=by_fields(name))
        decision = process(subject, "edge", cluster(described, *devices), SETTINGS).decision
        assert isinstance(decision, Inject)
        assert (decision.resolution.workload, decision.resolution.spec.claim) == ("os-stats", name)
        assert decision.warnings == ()


def test_a_workload_for_one_device_shares_no_key_either() -> None:
    subject = pod({names.WORKLOAD: "web"}, owner="DaemonSet/web-x", affinity=by_fields("node-1"))
    described = workload("web", device="node-1", data={"egress": [UP]})
    decision = process(subject, "edge", cluster(described, device("node-1")), SETTINGS).decision
    assert isinstance(decision, Inject)
    assert decision.warnings == ()


@pytest.mark.parametrize("owner", ["ReplicaSet/web", "DaemonSet/web", "StatefulSet/web"])
def test_replicas_that_share_a_bucket_are_warned_of(owner: str) -> None:
    subject = pod({**EXTERNAL, names.WORKLOAD: "web"}, owner=owner)
    decision = process(subject, "edge", cluster(workload("web", data={"egress": [UP]})), SETTINGS).decision
    assert isinstance(decision, Inject)
    assert any("statistics" in warning for warning in decision.warnings)


# Which mode


@pytest.mark.parametrize(
    ("nodes", "expected"),
    [
        pytest.param([], Mode.NATIVE, id="no node yet"),
        pytest.param([node("a", "v1.29.0"), node("b", "v1.36.2+k3s1")], Mode.NATIVE, id="all new enough"),
        pytest.param([node("a", "v1.36.2"), node("b", "v1.28.9-gke.1")], Mode.CLASSIC, id="one is too old"),
        pytest.param([node("a", "v1.36.2"), node("b", "dev")], Mode.CLASSIC, id="one says nothing"),
        pytest.param(
            [node("a", "v1.36.2"), node("b", "v1.28.9", unschedulable=True)], Mode.NATIVE, id="the old one is cordoned"
        ),
        pytest.param([node("a", "v1.36.2"), node("b", "v1.28.9", system="windows")], Mode.NATIVE, id="Windows is old"),
    ],
)
def test_auto_is_native_where_every_node_can(nodes: list[dict[str, Any]], expected: Mode) -> None:
    found = resolved(pod(EXTERNAL), *nodes)
    assert (found.mode, rule(found, "mode")) == (expected, "cluster")


def test_a_pod_pinned_to_an_old_node_is_classic_though_nothing_else_goes_there() -> None:
    nodes = (node("new", "v1.36.2"), node("old", "v1.28.9", unschedulable=True))
    assert resolved(pod(EXTERNAL, nodeName="old"), *nodes).mode is Mode.CLASSIC
    assert resolved(pod(EXTERNAL, nodeName="new"), *nodes).mode is Mode.NATIVE


def test_an_old_api_server_makes_every_pod_classic() -> None:
    catalog = cluster(node("a", "v1.36.2"))
    catalog.server = (1, 28)
    decision = process(pod(EXTERNAL), "edge", catalog, SETTINGS).decision
    assert isinstance(decision, Inject)
    assert decision.resolution.mode is Mode.CLASSIC


@pytest.mark.parametrize(
    ("subject", "reason"),
    [
        pytest.param(pod(EXTERNAL, restartPolicy="Never"), Reason.RESTART_POLICY, id="a Job"),
        pytest.param(pod({**EXTERNAL, names.WAIT_FOR_INGRESS: "true"}), Reason.GATE_NEEDS_NATIVE, id="a gate"),
    ],
)
def test_what_needs_a_native_sidecar_is_told_why_there_is_none(subject: dict[str, Any], reason: Reason) -> None:
    decision = denied(subject, node("old", "v1.28.9"))
    assert decision.reason is reason
    assert "older than Kubernetes 1.29" in decision.message


# OpenShift


def on_openshift(subject: dict[str, Any], settings: InjectionSettings = SETTINGS) -> Decision:
    catalog = cluster()
    catalog.sccs = True
    return process(subject, "edge", catalog, settings).decision


def test_where_sccs_rule_and_none_was_made_for_us_the_pod_is_told_what_is_missing() -> None:
    decision = on_openshift(pod(EXTERNAL))
    assert isinstance(decision, Deny)
    assert decision.reason is Reason.SCC
    assert "openshift.scc.create" in decision.message


def test_a_service_account_that_may_not_have_the_scc_is_warned_of_and_one_that_has_it_is_not() -> None:
    settings = replace(SETTINGS, scc="data-sync-workload", scc_accounts=frozenset({"edge/reader"}))
    decision = on_openshift(pod(EXTERNAL), settings)
    assert isinstance(decision, Inject)
    assert any("edge/default" in warning and "data-sync-workload" in warning for warning in decision.warnings)
    decision = on_openshift(pod(EXTERNAL, serviceAccountName="reader"), settings)
    assert isinstance(decision, Inject)
    assert not any("data-sync-workload" in warning for warning in decision.warnings)


def test_a_pod_that_needs_nothing_special_is_left_to_openshift() -> None:
    subject = pod({**EXTERNAL, names.VOLUME: "emptyDir"}, securityContext={"runAsUser": 1000})
    assert isinstance(on_openshift(subject), Inject)
