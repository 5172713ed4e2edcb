"""The manifests of the original documentation, applied: on the fake cluster, and on a real one in tests/cluster."""

from __future__ import annotations

from pathlib import Path

import pytest
import yaml

from controller.resources import EDGE_DEVICES, EDGE_WORKLOADS, PODS, Json, Resource
from tests.fakes.provisioner import CONFIG_MAPS, SECRETS
from tests.scenarios.world import World

SAMPLES = Path(__file__).resolve().parents[2] / "manifests" / "samples"
RESOURCES = {one.kind: one for one in (EDGE_DEVICES, EDGE_WORKLOADS, CONFIG_MAPS, SECRETS, PODS)}
KINDS = {path.name: yaml.safe_load(path.read_text())["kind"] for path in sorted(SAMPLES.glob("*.yaml"))}


def load(world: World, name: str) -> tuple[Resource, Json]:
    body = yaml.safe_load((SAMPLES / name).read_text())
    body["metadata"]["namespace"] = world.namespace
    return RESOURCES[body["kind"]], body


@pytest.mark.parametrize("name", [name for name, kind in KINDS.items() if kind in RESOURCES and kind != "Pod"])
def test_a_sample_is_taken_as_it_is(world: World, name: str) -> None:
    resource, body = load(world, name)
    path = resource.path(world.namespace)
    created = world.admin.request("POST", path, {"fieldValidation": "Strict"}, body)
    for part in ("spec", "data"):
        assert created.get(part) == body.get(part)


def test_the_documentations_device_is_ready_by_its_own_storage(world: World) -> None:
    for name in ("configmap.yaml", "secret.yaml", "edgedevice.yaml"):
        resource, body = load(world, name)
        world.admin.create(resource, world.namespace, body)
    with world.controller():
        name = "edgedevice-name"
        world.until(lambda: world.condition("Ready", name) == ("True", "External"), "the device is ready")
        assert world.claim(name) is None
