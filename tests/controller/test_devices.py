"""Decisions about a device, without a cluster: facts in, one step or a status out."""

from __future__ import annotations

from typing import Any

import pytest

from contract.names import CLAIM_KEPT, DEVICE_FINALIZER, MANAGED_BY, MANAGED_BY_US
from controller.conditions import TRUE, Condition
from controller.devices import Facts, Plan, Step, plan
from controller.settings import StorageSettings

SETTINGS = StorageSettings(release_limit=600.0)
HELD = {"finalizers": [DEVICE_FINALIZER]}
LEAVING = {**HELD, "deletionTimestamp": "2026-01-01T00:00:00Z"}


def device(metadata: dict[str, Any] | None = None, **s3: Any) -> dict[str, Any]:
    return {"metadata": {"name": "thing", "namespace": "n", **(metadata or {})}, "spec": {"storage": {"s3": s3}}}


def claim(phase: str = "Bound", *, ours: bool = True, kept: bool = False, going: bool = False) -> dict[str, Any]:
    labels = ({MANAGED_BY: MANAGED_BY_US} if ours else {}) | ({CLAIM_KEPT: "true"} if kept else {})
    metadata = {"name": "thing", "uid": "u", "labels": labels, **({"deletionTimestamp": "now"} if going else {})}
    return {"metadata": metadata, "spec": {"bucketName": "b", "storageClassName": "c"}, "status": {"phase": phase}}


def reasons(found: Plan) -> dict[str, str]:
    return {one.type: one.reason for one in found.conditions}


@pytest.mark.parametrize(
    ("facts", "expected"),
    [
        pytest.param(Facts(device()), Step.HOLD, id="a finalizer comes before the claim"),
        pytest.param(Facts(device(HELD)), Step.CREATE, id="then the claim"),
        pytest.param(Facts(device(HELD), claim()), None, id="then nothing"),
        pytest.param(Facts(device(HELD), claim("Pending")), None, id="a claim is waited for"),
        pytest.param(Facts(device(configMapName="cm", secretName="s")), None, id="named storage needs no claim"),
        pytest.param(Facts(device(createOBC=False)), None, id="createOBC: false"),
        pytest.param(Facts(device(createOBC=True, configMapName="cm")), None, id="both at once make no claim"),
        pytest.param(Facts(device(), claims_served=False), None, id="no such resource in this cluster"),
        pytest.param(Facts(device(), namespace_ending=True), None, id="nothing is made in a namespace that ends"),
        pytest.param(Facts(device(), claim(ours=False)), None, id="somebody else's claim is left alone"),
        pytest.param(Facts(device(createOBC=True), claim(ours=False)), Step.HOLD, id="createOBC: true takes it: hold"),
        pytest.param(Facts(device(HELD, createOBC=True), claim(ours=False)), Step.ADOPT, id="createOBC: true takes it"),
        pytest.param(Facts(device(HELD), claim(kept=True)), Step.ADOPT, id="a kept claim is taken up again"),
        pytest.param(Facts(device(HELD), claim(going=True)), None, id="a claim that goes is waited for"),
        pytest.param(Facts(device(HELD, createOBC=False), claim()), None, id="a claim with data stays"),
        pytest.param(Facts(device(HELD, configMapName="cm"), claim()), None, id="also when names are added"),
        pytest.param(Facts(device(HELD, createOBC=False)), Step.LET_GO, id="nothing to give back"),
        pytest.param(Facts(device(LEAVING), claim()), Step.DELETE, id="leaving takes the claim"),
        pytest.param(Facts(device(LEAVING), claim(going=True)), Step.LET_GO, id="then the device goes"),
        pytest.param(Facts(device(LEAVING)), Step.LET_GO, id="leaving without a claim"),
        pytest.param(Facts(device(LEAVING), claim(ours=False)), Step.LET_GO, id="leaving leaves others' claims"),
        pytest.param(Facts(device(LEAVING), claim(), syncing=("p",)), None, id="leaving waits for pods"),
        pytest.param(Facts(device(LEAVING), claim(), syncing=("p",), waited=600), Step.DELETE, id="not for ever"),
        pytest.param(
            Facts(device(LEAVING), claim(), syncing=("p",), namespace_ending=True), Step.LET_GO, id="never a namespace"
        ),
        pytest.param(Facts(device({"deletionTimestamp": "now"}), claim()), None, id="leaving, and held by others only"),
    ],
)
def test_the_next_step(facts: Facts, expected: Step | None) -> None:
    assert plan(facts, SETTINGS).step is expected


def test_without_auto_create_only_a_device_that_asks_gets_a_claim() -> None:
    settings = StorageSettings(auto_create=False)
    assert plan(Facts(device()), settings).step is None
    assert plan(Facts(device(createOBC=True)), settings).step is Step.HOLD


def test_retain_keeps_the_claim_labelled_then_lets_go() -> None:
    settings = StorageSettings(reclaim_policy="Retain")
    assert plan(Facts(device(LEAVING), claim()), settings).step is Step.KEEP
    assert plan(Facts(device(LEAVING), claim(kept=True)), settings).step is Step.LET_GO


@pytest.mark.parametrize(
    ("facts", "expected"),
    [
        pytest.param(
            Facts(device(HELD), claim()),
            {"Bound": "ClaimBound", "Ready": "ClaimBound", "Conflict": "None", "CredentialsReady": "NotReported"},
            id="bound",
        ),
        pytest.param(
            Facts(device(HELD), claim("Pending")),
            {"Bound": "Provisioning", "Ready": "Provisioning", "Conflict": "None", "CredentialsReady": "NoStorage"},
            id="pending",
        ),
        pytest.param(Facts(device(HELD), claim("Failed")), {"Bound": "ClaimFailed"}, id="failed"),
        pytest.param(Facts(device(HELD), claim("Released")), {"Bound": "ClaimReleased"}, id="released"),
        pytest.param(Facts(device(HELD), claim("Surprising")), {"Bound": "Provisioning"}, id="a phase unknown to us"),
        pytest.param(Facts(device(HELD), claim(going=True)), {"Bound": "ClaimTerminating"}, id="terminating"),
        pytest.param(Facts(device(), claims_served=False), {"Bound": "NoClaimResource"}, id="no such resource"),
        pytest.param(Facts(device(createOBC=False)), {"Bound": "NoClaim", "Ready": "NoClaim"}, id="nothing at all"),
        pytest.param(
            Facts(device(configMapName="cm", secretName="s")),
            {"Bound": "External", "Ready": "External", "CredentialsReady": "NotReported"},
            id="named storage",
        ),
        pytest.param(Facts(device(configMapName="cm")), {"Ready": "NoSecret"}, id="no Secret"),
        pytest.param(Facts(device(secretName="s")), {"Ready": "HalfExternal"}, id="no ConfigMap"),
        pytest.param(
            Facts(device(createOBC=True, configMapName="cm", secretName="s")),
            {"Conflict": "ClaimAndExternal", "Ready": "ClaimAndExternal"},
            id="both at once",
        ),
        pytest.param(
            Facts(device(), claim(ours=False)), {"Conflict": "ClaimNotOurs", "Bound": "ClaimBound"}, id="foreign"
        ),
        pytest.param(
            Facts(device(HELD), claim(), class_policy="Retain"),
            {"ReclaimPolicyDiffers": "StorageClassDiffers"},
            id="class",
        ),
        pytest.param(
            Facts(device(HELD), claim(), credentials=Condition("CredentialsReady", TRUE, "Reported", "…")),
            {"CredentialsReady": "Reported"},
            id="a sidecar has spoken",
        ),
        pytest.param(Facts(device(LEAVING), claim(), syncing=("p",)), {"Ready": "WaitingForPods"}, id="waiting"),
    ],
)
def test_what_the_status_says(facts: Facts, expected: dict[str, str]) -> None:
    found = reasons(plan(facts, SETTINGS))
    assert {kind: found.get(kind) for kind in expected} == expected


def test_a_claim_that_is_not_bound_leaves_named_storage_in_use() -> None:
    assert (
        plan(Facts(device(HELD, configMapName="cm", secretName="s"), claim("Pending")), SETTINGS).storage
        == "external/cm+s"
    )
    assert plan(Facts(device(HELD, configMapName="cm", secretName="s"), claim()), SETTINGS).storage == "claim/thing"


def test_a_message_names_few_of_many_pods() -> None:
    many = tuple(f"pod-{number}" for number in range(9))
    (waiting,) = plan(Facts(device(LEAVING), claim(), syncing=many), SETTINGS).conditions
    assert "pod-4 and 4 more" in waiting.message


def test_waiting_looks_again_in_time_for_the_limit() -> None:
    assert plan(Facts(device(LEAVING), claim(), syncing=("p",), waited=599.0), SETTINGS).again == 1.0


def test_a_device_whose_spec_is_strange_is_a_device_without_storage() -> None:
    for spec in (None, {}, {"storage": None}, {"storage": {"s3": "text"}}, {"storage": {"s3": {"createOBC": "yes"}}}):
        facts = Facts({"metadata": {"name": "thing", **HELD}, "spec": spec})
        assert plan(facts, SETTINGS).step is Step.CREATE
