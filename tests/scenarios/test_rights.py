"""What the controller may do is what it does: nothing missing, nothing extra, and no Secret ever.

Every scenario on the fake cluster runs with just the rights of ``tests/controller/rights.py``, so a missing
one fails it. This story makes every call once, so that a right too many shows.
"""

from __future__ import annotations

from controller.claims import manifest
from controller.resources import CLAIMS, EDGE_DEVICES
from tests.controller import rights
from tests.fakes.cluster import FakeCluster
from tests.scenarios.world import World

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
