"""A drain's pod: admitted to what another kind of owner left, also while its device is being deleted."""

from __future__ import annotations

import json
from typing import Any

import pytest

from contract import names
from contract.mapping import Direction, Mapping
from contract.spec import OWNER, mappings_to_json
from controller.directories import Directory
from controller.drains import Drain, job
from webhook.admit import process
from webhook.catalog import DeviceFacts, GivenCatalog
from webhook.decision import Deny, Inject
from webhook.injection_settings import InjectionSettings

EGRESS = mappings_to_json((Mapping(Direction.EGRESS, "stats", "statistics"),))


def catalog(*, leaving: bool = True) -> GivenCatalog:
    found = GivenCatalog()
    found.devices_in["edge"] = {"one": DeviceFacts("one", leaving=leaving)}
    return found


def drain_pod(**annotations: str) -> dict[str, Any]:
    directory = Directory("one", "Deployment", {names.EGRESS: EGRESS, **annotations}, {"runAsUser": 1000})
    template: dict[str, Any] = job(Drain("r", "edge", "one", "plain", directory), "sidecar:1", 60)["spec"]["template"]
    return template


def test_it_gets_the_directory_the_bucket_and_a_sidecar_that_sends_only() -> None:
    outcome = process(drain_pod(), "edge", catalog(), InjectionSettings())
    assert isinstance(outcome.decision, Inject)
    resolution = outcome.decision.resolution
    assert resolution.host_path.endswith("/edge/plain")
    assert (resolution.owner.kind, resolution.owner.name) == ("Deployment", "plain")
    assert resolution.spec.claim == "one"
    assert mappings_to_json(resolution.spec.egress) == EGRESS
    assert resolution.spec.ingress == ()
    sidecar = next(one for one in outcome.pod["spec"]["initContainers"] if one["name"] == names.SIDECAR_CONTAINER)
    assert sidecar["securityContext"]["runAsUser"] == 1000
    assert json.loads(next(one["value"] for one in sidecar["env"] if one["name"] == OWNER))["kind"] == "Deployment"


def test_another_pod_of_a_device_that_leaves_is_refused() -> None:
    pod = drain_pod()
    del pod["metadata"]["annotations"][names.OWNER_KIND]
    assert isinstance(process(pod, "edge", catalog(), InjectionSettings()).decision, Deny)


@pytest.mark.parametrize("kind", ["deployment", "a b", "../x", "", "K" * 64])
def test_a_kind_that_is_none_is_refused(kind: str) -> None:
    pod = drain_pod()
    pod["metadata"]["annotations"][names.OWNER_KIND] = kind
    outcome = process(pod, "edge", catalog(leaving=False), InjectionSettings())
    assert isinstance(outcome.decision, Deny)
    assert names.OWNER_KIND in outcome.decision.message
