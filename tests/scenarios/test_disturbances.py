"""Devices while the API server is away, forgets, or learns of claims late; on the fake cluster, which can do that."""

from __future__ import annotations

from dataclasses import replace

import pytest

from controller.resources import EDGE_DEVICES
from tests.fakes import definitions
from tests.fakes.cluster import FakeCluster
from tests.scenarios.world import World, device

CLAIMS_DEFINITION = ("customresourcedefinitions.apiextensions.k8s.io", "objectbucketclaims.objectbucket.io")


def test_an_api_server_that_was_away_is_caught_up_with(fake: FakeCluster, world: World) -> None:
    with world.controller() as controller:
        world.make_device("before")
        world.bound("before")
        world.until(lambda: controller.leadership.leading, "it leads")
        fake.stop()
        # What happens while nobody can be told of it.
        fake.create(device("during", world.namespace))
        fake.delete("edgedevices.management.project-flotta.io", "before", world.namespace)
        fake.start()
        world.bound("during")
        world.gone("before")
        assert controller.livez().ok


def test_watches_that_break_and_versions_that_are_forgotten_lose_nothing(fake: FakeCluster, world: World) -> None:
    with world.controller():
        world.make_device("first")
        world.bound("first")
        for name in ("second", "third"):
            fake.sever_watches()
            fake.create(device(name, world.namespace))
            fake.compact()
            world.bound(name)


def test_claims_that_the_cluster_learns_of_later(fake: FakeCluster, world: World) -> None:
    fake.delete(*CLAIMS_DEFINITION)
    with world.controller(replace(world.settings(), resync_interval=1.0)):  # sooner than it would ask by itself
        world.make_device()
        world.until(lambda: world.condition("Bound") == ("False", "NoClaimResource"), "the status says so")
        fake.define(definitions.object_bucket_claims())
        world.bound()


def test_claims_that_are_taken_away_hold_no_device(fake: FakeCluster, world: World) -> None:
    with world.controller():
        world.make_device()
        world.bound()
        fake.delete(*CLAIMS_DEFINITION)
        world.remove(EDGE_DEVICES, "thing")
        world.until(lambda: world.device() is None, "the device is gone")
    fake.define(definitions.object_bucket_claims())


def test_a_user_without_a_name_is_one_too(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    """OpenShift runs containers as UIDs that no passwd entry names."""

    def unknown() -> str:
        raise KeyError("getpwuid(): uid not found")

    monkeypatch.setattr("getpass.getuser", unknown)
    with world.controller() as controller:
        world.until(lambda: controller.leadership.leading, "it leads")
        world.make_device()
        world.bound()


def test_a_claim_bound_twice_is_one_claim(fake: FakeCluster, world: World) -> None:
    """Two controllers that both believe they lead: what one did, the other finds done."""
    with (
        world.controller(identity="one") as one,
        world.controller(identity="two") as two,
    ):
        for each in (one, two):
            each._loop._leading = lambda: True
        for number in range(8):
            world.make_device(f"thing-{number}")
        buckets = {world.bound(f"thing-{number}") for number in range(8)}
        assert len(buckets) == 8
        for number in range(8):
            world.remove(EDGE_DEVICES, f"thing-{number}")
        for number in range(8):
            world.gone(f"thing-{number}")
        assert not buckets & world.provisioner.buckets()
