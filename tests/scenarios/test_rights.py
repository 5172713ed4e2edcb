"""What the controller may do is what it does: nothing missing, nothing extra, and no Secret ever.

Every scenario on the fake cluster runs with just the rights of ``tests/controller/rights.py``, so a missing
one fails it. This story makes every call once, so that a right too many shows.
"""

from __future__ import annotations

from itertools import product
from pathlib import Path

import yaml

from controller.claims import manifest
from controller.resources import CLAIMS, EDGE_DEVICES
from tests.controller import rights
from tests.fakes.cluster import FakeCluster
from tests.scenarios.world import World

MANIFESTS = Path(__file__).resolve().parents[2] / "manifests"

# Asked for by no call: needed where the API server checks owner references against them.
UNCALLED = {("management.project-flotta.io", "edgedevices/finalizers", "update")}


def test_each_right_is_used_and_nothing_else_is_asked(fake: FakeCluster, world: World) -> None:
    foreign = manifest(world.namespace, "adopted", world.storage_class)
    foreign["metadata"].pop("labels")
    world.admin.create(CLAIMS, world.namespace, foreign)
    with world.controller():
        world.make_device("adopted", createOBC=True)
        world.make_device("thing")
        world.bound("adopted")
        world.bound("thing")
        world.remove(EDGE_DEVICES, "thing")
        world.gone("thing")
    with world.controller():  # tells again what was told: an Event is counted up
        world.admin.patch(EDGE_DEVICES, world.namespace, "adopted", {"status": {"conditions": None}}, "status")
        world.bound("adopted")
    asked = {(call.group, call.resource, call.verb) for call in fake.api.calls if call.user == "controller"}
    assert asked == rights.granted() - UNCALLED
    assert not any(resource in ("secrets", "configmaps") for _, resource, _ in asked)


def test_the_chart_grants_what_is_needed() -> None:
    assert {row for row in rights.granted() if row not in granted_by_chart()} - UNCALLED == set()


def granted_by_chart() -> set[tuple[str, str, str]]:
    """Group, resource and verb of each rule that the rendered chart gives the controller."""
    found = set()
    for name in ("controller-clusterrole", "controller-role"):
        for rule in yaml.safe_load((MANIFESTS / f"{name}.yaml").read_text())["rules"]:
            parts = product(rule["apiGroups"], rule["resources"], rule["verbs"])
            found |= {(group, resource, verb) for group, resource, verb in parts}
    return found
