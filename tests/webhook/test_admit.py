"""From review to answer: what is not a pod's creation, odd pods, owners, and forged injections."""

from __future__ import annotations

import json
from typing import Any

import pytest

from contract import names
from tests.webhook.processes import review
from webhook.admit import admit, process
from webhook.catalog import EmptyCatalog, NamespaceFacts
from webhook.decision import Deny, Inject, Skip
from webhook.injection_settings import InjectionSettings
from webhook.reasons import SENTENCES, Reason
from webhook.review import Answer, Review, decode

SETTINGS = InjectionSettings()
ASKING = {
    "labels": {names.INJECT: names.ENABLED},
    "annotations": {names.S3_CONFIG_MAP: "c", names.S3_SECRET: "s", names.EGRESS: "[{source: a, target: b}]"},
}


def make(metadata: dict[str, Any] | None = None, **spec: Any) -> dict[str, Any]:
    return {
        "metadata": {"name": "web", **ASKING, **(metadata or {})},
        "spec": {"containers": [{"name": "app", "image": "a"}], **spec},
    }


def answer(pod: Any, **changes: Any) -> Answer:
    decoded = decode(json.dumps(review(pod, **changes)).encode())
    assert isinstance(decoded, Review)
    return admit(decoded, EmptyCatalog(), SETTINGS)


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        pytest.param(
            {"kind": {"group": "apps", "version": "v1", "kind": "Deployment"}}, Reason.OTHER_KIND, id="a Deployment"
        ),
        pytest.param({"subResource": "ephemeralcontainers"}, Reason.OTHER_KIND, id="a debug container"),
        pytest.param({"operation": "UPDATE"}, Reason.OTHER_OPERATION, id="an update"),
    ],
)
def test_what_is_no_creation_of_a_pod_is_admitted_unchanged(changes: dict[str, Any], reason: Reason) -> None:
    said = answer(make(), **changes)
    assert (said.allowed, said.reason, said.patch) == (True, reason, [])


def test_another_kind_is_named_in_a_warning() -> None:
    kind = {"group": "apps", "version": "v1", "kind": "Deployment"}
    assert "apps/v1/Deployment" in answer(make(), kind=kind).warnings[0]


def test_a_dry_run_is_answered_like_any_other() -> None:
    assert answer(make(), dryRun=True) == answer(make(), dryRun=False)


@pytest.mark.parametrize(
    "pod",
    [
        pytest.param({}, id="an empty object"),
        pytest.param({"metadata": [], "spec": 1}, id="the wrong types at the top"),
        pytest.param({"metadata": {"labels": ["x"]}}, id="a list of labels"),
        pytest.param({"metadata": {"labels": {names.INJECT: True}}}, id="a label that is no text"),
        pytest.param({"metadata": {"name": 7}}, id="a number for a name"),
        pytest.param({"metadata": {"ownerReferences": {}}}, id="owners that are no list"),
        pytest.param(make(containers=[]), id="no containers"),
        pytest.param(make(containers=["x"]), id="a text for a container"),
        pytest.param(make(volumes={"a": 1}), id="volumes that are no list"),
        pytest.param(make(securityContext="root"), id="a text for a security context"),
        pytest.param(make(initContainers=[{"name": "i", "env": "x"}]), id="a text for an environment"),
        pytest.param(make(terminationGracePeriodSeconds="30"), id="a text for a grace period"),
    ],
)
def test_a_pod_that_is_none_is_denied_and_not_tripped_over(pod: Any) -> None:
    said = answer(pod)
    assert (said.allowed, said.reason) == (False, Reason.INVALID_POD)


def within(facts: NamespaceFacts) -> EmptyCatalog:
    catalog = EmptyCatalog()
    catalog.namespaces["edge"] = facts
    return catalog


def injected(pod: dict[str, Any], facts: NamespaceFacts | None = None) -> Inject:
    decision = process(pod, "edge", within(facts or NamespaceFacts()), SETTINGS).decision
    assert isinstance(decision, Inject), decision
    return decision


def owned(kind: str, name: str, *, controller: bool = True, template_hash: str = "") -> dict[str, Any]:
    reference = {"kind": kind, "name": name, "controller": controller}
    labels = {"pod-template-hash": template_hash} if template_hash else {}
    return {"labels": {**ASKING["labels"], **labels}, "ownerReferences": [reference]}


NAMED = {"annotations": {**ASKING["annotations"], names.WORKLOAD: "named"}}


@pytest.mark.parametrize(
    ("metadata", "kind", "name"),
    [
        pytest.param(owned("ReplicaSet", "web-5d4f", template_hash="5d4f"), "Deployment", "web", id="a Deployment"),
        pytest.param(owned("ReplicaSet", "web-5d4f"), "ReplicaSet", "web-5d4f", id="a ReplicaSet of its own"),
        pytest.param(owned("ReplicaSet", "web-5d4f", template_hash="d4f"), "ReplicaSet", "web-5d4f", id="another hash"),
        pytest.param(owned("Job", "report-29384000"), "CronJob", "report", id="a CronJob"),
        pytest.param(owned("Job", "report-7"), "Job", "report-7", id="a Job with a number"),
        pytest.param(owned("StatefulSet", "db"), "StatefulSet", "db", id="a StatefulSet"),
        pytest.param(owned("Node", "n", controller=False), "Pod", "web", id="an owner that does not control"),
        pytest.param({"name": "", "generateName": "job-"}, "Pod", "job", id="a name still to be made"),
        pytest.param(NAMED, "Workload", "named", id="a name by annotation"),
    ],
)
def test_the_workload_is_found(metadata: dict[str, Any], kind: str, name: str) -> None:
    owner = injected(make(metadata)).resolution.owner
    assert (owner.kind, owner.name) == (kind, name)


@pytest.mark.parametrize("name", ["../../etc", "a/b", "..", "", "UPPER", "a" * 254])
def test_a_name_that_is_no_directory_is_denied(name: str) -> None:
    for metadata in ({"name": name}, owned("Gadget", name)):
        decision = process(make(metadata), "edge", EmptyCatalog(), SETTINGS).decision
        assert isinstance(decision, Deny)
        assert decision.reason is Reason.INVALID_NAME


def test_the_namespaces_uid_is_in_the_owner_record() -> None:
    assert injected(make(), NamespaceFacts("4f1c")).resolution.owner.namespace_uid == "4f1c"


@pytest.mark.parametrize(
    ("pod", "reason"),
    [
        pytest.param(make({"annotations": {names.EGRESS: "[]"}}), Reason.NO_STORAGE, id="no storage"),
        pytest.param(make(os={"name": "windows"}), Reason.WINDOWS, id="Windows"),
        pytest.param(
            make({"annotations": {**ASKING["annotations"], names.SIDECAR_MODE: "classic"}}, restartPolicy="Never"),
            Reason.RESTART_POLICY, id="a classic sidecar in a Job",
        ),
    ],
)  # fmt: skip
def test_what_an_explicit_pod_is_denied_for_an_opted_in_namespace_skips(pod: dict[str, Any], reason: Reason) -> None:
    explicit = process(pod, "edge", EmptyCatalog(), SETTINGS).decision
    pod["metadata"]["labels"] = {}
    by_namespace = process(pod, "edge", within(NamespaceFacts(labels=ASKING["labels"])), SETTINGS).decision
    assert (type(explicit), explicit.reason) == (Deny, reason)
    assert (type(by_namespace), by_namespace.reason) == (Skip, reason)


def test_an_unknown_annotation_in_an_opted_in_namespace_is_only_a_warning() -> None:
    pod = make({"labels": {}, "annotations": {**ASKING["annotations"], f"{names.PREFIX}/egres": "x"}})
    assert "egres" in injected(pod, NamespaceFacts(labels=ASKING["labels"])).warnings[0]


def forged(pod: dict[str, Any]) -> dict[str, Any]:
    pod["metadata"]["annotations"] = {
        **pod["metadata"]["annotations"], names.STATUS: '{"hash": "0", "workload": "web"}',
    }  # fmt: skip
    return pod


def test_a_forged_status_gains_no_look_at_the_storage_keys() -> None:
    peeking = {"name": "app", "image": "a", "volumeMounts": [{"name": names.STORAGE_VOLUME, "mountPath": "/peek"}]}
    after = process(forged(make(containers=[peeking])), "edge", EmptyCatalog(), SETTINGS).pod
    (app,) = after["spec"]["containers"]
    assert names.STORAGE_VOLUME not in [mount["name"] for mount in app["volumeMounts"]]


def test_a_forged_status_lets_no_foreign_process_into_the_sidecar() -> None:
    mine = {"name": names.SIDECAR_CONTAINER, "image": "evil", "command": ["sh"], "lifecycle": {"postStart": {}}}
    pod = forged(make(containers=[{"name": "app", "image": "a"}, mine]))
    clean = process(make(), "edge", EmptyCatalog(), SETTINGS).pod
    assert process(pod, "edge", EmptyCatalog(), SETTINGS).pod == clean


def test_a_forged_status_around_nothing_is_denied() -> None:
    pod = forged(make(containers=[{"name": names.SIDECAR_CONTAINER}]))
    decision = process(pod, "edge", EmptyCatalog(), SETTINGS).decision
    assert (type(decision), decision.reason) == (Deny, Reason.INVALID_POD)


@pytest.mark.parametrize("status", ["{", "[]", "{}", '{"hash": 1}', "[" * 9000])
def test_a_status_that_is_none_proves_nothing(status: str) -> None:
    pod = make(initContainers=[{"name": names.INIT_CONTAINER, "image": "a"}])
    pod["metadata"]["annotations"] = {**pod["metadata"]["annotations"], names.STATUS: status}
    decision = process(pod, "edge", EmptyCatalog(), SETTINGS).decision
    assert (type(decision), decision.reason) == (Deny, Reason.NAME_TAKEN)


def test_every_reason_has_a_sentence() -> None:
    assert set(SENTENCES) == set(Reason)
