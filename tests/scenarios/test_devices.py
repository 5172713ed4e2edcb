"""Devices and their storage, end to end: controller with its watches, a provisioner, buckets on a real server."""

from __future__ import annotations

import pytest

from contract.names import CLAIM_KEPT, DEVICE_FINALIZER, MANAGED_BY
from controller.claims import manifest
from controller.resources import CLAIMS, EDGE_DEVICES, NAMESPACES, PODS
from tests.scenarios.world import World


def test_a_bucket_appears_with_its_device_and_goes_with_it(world: World) -> None:
    with world.controller():
        world.make_device()
        bucket = world.bound()
        assert bucket in world.provisioner.buckets()
        device = world.device()
        assert device is not None
        assert (device["status"]["dataObc"], device["status"]["storage"]) == ("thing", "claim/thing")
        world.until(lambda: world.condition("Ready") == ("True", "ClaimBound"), "the device is ready")
        assert world.condition("CredentialsReady") == ("Unknown", "NotReported")
        world.remove(EDGE_DEVICES, "thing")
        world.gone()
        assert bucket not in world.provisioner.buckets()
        assert {"ClaimBound", "StorageReleased"} <= set(world.reasons())


def test_a_device_that_names_its_storage_gets_no_claim(world: World) -> None:
    with world.controller():
        world.make_device(configMapName="cm", secretName="sec")
        world.until(lambda: world.condition("Ready") == ("True", "External"), "the device is ready")
        assert world.claim() is None
        device = world.device()
        assert device is not None
        assert "finalizers" not in device["metadata"]
        assert device["status"]["storage"] == "external/cm+sec"


def test_a_retained_claim_is_labelled_and_found_again(world: World) -> None:
    with world.controller(world.settings(reclaim_policy="Retain")):
        world.make_device()
        bucket = world.bound()
        world.remove(EDGE_DEVICES, "thing")
        world.until(lambda: world.device() is None, "the device is gone")
        claim = world.claim()
        assert claim is not None
        assert claim["metadata"]["labels"][CLAIM_KEPT] == "true"
        assert bucket in world.provisioner.buckets()
        world.make_device()
        assert world.bound() == bucket
        world.until(
            lambda: CLAIM_KEPT not in world.admin.get(CLAIMS, world.namespace, "thing")["metadata"]["labels"], ""
        )


def test_somebody_elses_claim_is_used_and_never_removed(world: World) -> None:
    body = manifest(world.namespace, "thing", world.storage_class)
    body["metadata"].pop("labels")
    world.admin.create(CLAIMS, world.namespace, body)
    with world.controller():
        world.make_device()
        bucket = world.bound()
        assert world.condition("Conflict") == ("True", "ClaimNotOurs")
        world.remove(EDGE_DEVICES, "thing")
        world.until(lambda: world.device() is None, "the device is gone")
        assert world.claim() is not None
        assert bucket in world.provisioner.buckets()


def test_create_obc_makes_an_existing_claim_the_devices(world: World) -> None:
    body = manifest(world.namespace, "thing", world.storage_class)
    body["metadata"].pop("labels")
    world.admin.create(CLAIMS, world.namespace, body)
    with world.controller():
        world.make_device(createOBC=True)
        world.bound()
        assert MANAGED_BY in world.admin.get(CLAIMS, world.namespace, "thing")["metadata"]["labels"]
        world.remove(EDGE_DEVICES, "thing")
        world.gone()


def test_a_deletion_waits_visibly_for_pods_that_still_sync(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    """The race of a device that is deleted while its pods start: they count from their admission on."""
    monkeypatch.setattr("controller.devices._LOOK_AGAIN", 0.5)
    with world.controller():
        world.make_device()
        world.bound()
        world.make_pod("starting", "thing")
        world.make_pod("others", "another")
        world.remove(EDGE_DEVICES, "thing")
        world.until(lambda: world.condition("Ready") == ("False", "WaitingForPods"), "the deletion waits")
        device = world.device()
        assert device is not None
        assert device["metadata"]["finalizers"] == [DEVICE_FINALIZER]
        (ready,) = [one for one in device["status"]["conditions"] if one["type"] == "Ready"]
        assert "starting" in ready["message"]
        assert "others" not in ready["message"]
        world.until(lambda: "WaitingForPods" in world.reasons(), "an Event tells of it")
        assert world.claim() is not None
        world.remove(PODS, "starting")
        world.gone()


def test_a_deletion_waits_no_longer_than_its_limit(world: World) -> None:
    with world.controller(world.settings(release_limit=1.0)):
        world.make_device()
        world.bound()
        world.make_pod("stuck", "thing")
        world.remove(EDGE_DEVICES, "thing")
        world.gone()
        assert world.admin.find(PODS, world.namespace, "stuck") is not None


def test_a_namespace_goes_at_once_whatever_syncs_there(world: World) -> None:
    other = world.make_namespace(f"{world.namespace}-b")
    world.namespace = other
    settings = world.settings(reclaim_policy="Retain", release_limit=3600.0)
    with world.controller(settings):
        world.make_device()
        bucket = world.bound()
        world.make_pod("running", "thing")
        world.remove(EDGE_DEVICES, "thing")
        world.remove(NAMESPACES, other, "")
        world.until(lambda: world.admin.find(NAMESPACES, "", other) is None, "the namespace is gone")
        assert bucket not in world.provisioner.buckets()
    world.namespace = world.home


def test_a_failing_provisioner_shows_in_the_condition_and_passes(world: World) -> None:
    world.provisioner.failing.add(world.storage_class)
    with world.controller():
        world.make_device()
        world.until(lambda: world.condition("Bound") == ("False", "ClaimFailed"), "the failure shows")
        assert world.condition("Ready") == ("False", "ClaimFailed")
        world.provisioner.failing.clear()
        world.bound()


def test_a_claim_that_was_deleted_by_hand_is_made_anew(world: World) -> None:
    with world.controller():
        world.make_device()
        first = world.bound()
        claim = world.claim()
        assert claim is not None
        world.remove(CLAIMS, "thing")
        world.until(
            lambda: (now := world.claim()) and now["metadata"]["uid"] != claim["metadata"]["uid"], "a new claim"
        )
        world.until(lambda: world.bound() != first, "another bucket")


def test_a_storage_class_with_another_policy_is_warned_of(world: World) -> None:
    with world.controller(world.settings(reclaim_policy="Retain")):
        world.make_device()
        world.bound()
        world.until(lambda: world.condition("ReclaimPolicyDiffers") == ("True", "StorageClassDiffers"), "a warning")
        world.until(lambda: "StorageClassDiffers" in world.reasons(), "an Event")


def test_credentials_that_change_change_nothing_here(world: World) -> None:
    """The sidecar reads them anew; the controller, which reads no Secret, has nothing to do."""
    with world.controller():
        world.make_device()
        world.bound()
        before = world.claim()
        world.provisioner.refresh(world.namespace, "thing", "new", "newer")
        world.make_device("afterwards")
        world.bound("afterwards")
        assert world.condition("Bound") == ("True", "ClaimBound")
        assert world.claim() == before


def test_two_controllers_at_a_moment_do_it_once(world: World) -> None:
    with world.controller(identity="one") as one, world.controller(identity="two") as two:
        for number in range(5):
            world.make_device(f"thing-{number}")
        buckets = {world.bound(f"thing-{number}") for number in range(5)}
        assert len(buckets) == 5
        leading = [one.leadership, two.leadership]
        world.until(lambda: sum(each.leading for each in leading) == 1, "one of them leads")


def test_another_controller_takes_over(world: World) -> None:
    with world.controller(identity="one"):
        world.make_device("first")
        world.bound("first")
    with world.controller(identity="two"):
        world.make_device("second")
        world.bound("second")
        world.remove(EDGE_DEVICES, "first")
        world.gone("first")
