"""What our programs rely on an API server for. Run on the fake and, in tests/cluster, on a real one: both agree."""

from __future__ import annotations

import json
from typing import Any
from urllib.parse import urlencode

import pytest

from controller.errors import Conflict, Exists, Invalid, NotFound, Terminating
from controller.resources import CLAIMS, EDGE_DEVICES, EVENTS, LEASES, NAMESPACES, Json, Resource
from tests.fakes.provisioner import CONFIG_MAPS
from tests.scenarios.world import World, device

HOLD = "tests.example/hold"


def read(world: World, name: str = "thing") -> Json:
    return world.admin.get(EDGE_DEVICES, world.namespace, name)


def patch(world: World, body: Json, subresource: str = "", name: str = "thing") -> Json:
    return world.admin.patch(EDGE_DEVICES, world.namespace, name, body, subresource)


def hold(world: World) -> Json:
    world.make_device()
    return patch(world, {"metadata": {"finalizers": [HOLD]}})


def release(world: World) -> None:
    patch(world, {"metadata": {"finalizers": None}})


def config_map(world: World, name: str, **metadata: Any) -> Json:
    body = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": name, **metadata}, "data": {"a": "b"}}
    return world.admin.create(CONFIG_MAPS, world.namespace, body)


def watched(world: World, count: int, **query: str) -> list[Json]:
    """The first ``count`` events of a watch of devices."""
    query |= {"watch": "true", "timeoutSeconds": "60"}
    client = world.admin._client
    url = f"{world.admin.configuration.host}{EDGE_DEVICES.path(world.namespace)}?{urlencode(query)}"
    headers = {"Accept": "application/json"}
    client.update_params_for_auth(headers, [], ["BearerToken"], "", "GET", None)
    stream = client.rest_client.request("GET", url, headers, _request_timeout=90).response
    found: list[Json] = []
    rest = b""
    while len(found) < count:
        piece = stream.read1()
        assert piece, f"the watch ended after {found}"
        *lines, rest = (rest + piece).split(b"\n")
        found += [json.loads(line) for line in lines]
    stream.close()
    return found


def test_a_name_is_taken_once(world: World) -> None:
    world.make_device()
    with pytest.raises(Exists):
        world.make_device()


def test_a_name_can_be_made_up(world: World) -> None:
    body = device("", world.namespace)
    body["metadata"] = {"generateName": "thing-"}
    names = {world.admin.create(EDGE_DEVICES, world.namespace, body)["metadata"]["name"] for _ in range(3)}
    assert len(names) == 3
    assert all(name.startswith("thing-") and len(name) == 11 for name in names)


def test_an_invalid_name_is_refused(world: World) -> None:
    for name in ("Capital", "under_score", "-dash", ""):
        with pytest.raises(Invalid):
            world.make_device(name)


def test_an_object_begins_with_generation_one_and_no_status(world: World) -> None:
    body = {**device("thing", world.namespace), "status": {"dataObc": "x"}}
    created = world.admin.create(EDGE_DEVICES, world.namespace, body)
    assert created["metadata"]["generation"] == 1
    assert "status" not in created


def test_status_and_the_rest_are_written_apart(world: World) -> None:
    world.make_device()
    patch(world, {"status": {"dataObc": "x"}, "spec": {"requestTime": "2021-10-19T18:13:04Z"}}, "status")
    found = read(world)
    assert found["status"] == {"dataObc": "x"}
    assert "requestTime" not in found["spec"]
    patch(world, {"status": {"dataObc": "y"}, "metadata": {"labels": {"a": "b"}}})
    found = read(world)
    assert found["status"] == {"dataObc": "x"}
    assert found["metadata"]["labels"] == {"a": "b"}


def test_a_status_write_leaves_metadata_alone(world: World) -> None:
    world.make_device()
    patch(world, {"status": {"dataObc": "x"}, "metadata": {"labels": {"a": "b"}, "finalizers": [HOLD]}}, "status")
    assert "labels" not in read(world)["metadata"]
    assert "finalizers" not in read(world)["metadata"]


def test_generation_counts_changes_of_spec_alone(world: World) -> None:
    world.make_device()
    patch(world, {"metadata": {"labels": {"a": "b"}}})
    patch(world, {"status": {"dataObc": "x"}}, "status")
    assert read(world)["metadata"]["generation"] == 1
    patch(world, {"spec": {"requestTime": "2021-10-19T18:13:04Z"}})
    assert read(world)["metadata"]["generation"] == 2


def test_null_in_a_merge_patch_removes(world: World) -> None:
    world.make_device(configMapName="cm", secretName="s")
    patch(world, {"spec": {"storage": {"s3": {"secretName": None}}}})
    assert read(world)["spec"]["storage"]["s3"] == {"configMapName": "cm"}


def test_a_write_that_changes_nothing_is_no_news(world: World) -> None:
    world.make_device()
    before = patch(world, {"metadata": {"labels": {"a": "b"}}})
    after = patch(world, {"metadata": {"labels": {"a": "b"}}})
    assert after["metadata"]["resourceVersion"] == before["metadata"]["resourceVersion"]


def test_what_was_read_too_long_ago_is_not_written(world: World) -> None:
    before = world.make_device()
    patch(world, {"metadata": {"labels": {"a": "b"}}})
    with pytest.raises(Conflict):
        world.admin.update(EDGE_DEVICES, before)
    with pytest.raises(Conflict):
        patch(world, {"metadata": {"resourceVersion": before["metadata"]["resourceVersion"], "labels": {"a": "c"}}})
    with pytest.raises(Invalid):
        patch(world, {"metadata": {"uid": "another", "labels": {"a": "c"}}})
    assert read(world)["metadata"]["labels"] == {"a": "b"}


def test_custom_resources_and_leases_are_replaced_by_version_only(world: World) -> None:
    body = world.make_device()
    del body["metadata"]["resourceVersion"]
    with pytest.raises(Invalid):
        world.admin.update(EDGE_DEVICES, body)
    lease = {"apiVersion": LEASES.api_version, "kind": LEASES.kind, "metadata": {"name": "one"}, "spec": {}}
    made = world.admin.create(LEASES, world.namespace, lease)
    world.admin.update(LEASES, made)
    with pytest.raises(Invalid):
        world.admin.update(LEASES, {**lease, "metadata": {"name": "one", "namespace": world.namespace}})


def test_a_deletion_names_the_object_it_means(world: World) -> None:
    world.make_device()
    with pytest.raises(Conflict):
        world.admin.delete(EDGE_DEVICES, world.namespace, "thing", uid="another")
    assert world.device() is not None
    world.remove(EDGE_DEVICES, "thing")
    assert world.device() is None


def test_a_finalizer_holds_what_is_deleted(world: World) -> None:
    hold(world)
    world.remove(EDGE_DEVICES, "thing")
    going = read(world)
    assert going["metadata"]["deletionTimestamp"]
    patch(world, {"status": {"dataObc": "x"}}, "status")  # its status can still be told
    with pytest.raises(Invalid):
        patch(world, {"metadata": {"finalizers": [HOLD, "tests.example/another"]}})
    with pytest.raises(Exists):
        world.make_device()
    release(world)
    assert world.device() is None


def test_nothing_is_made_in_a_namespace_that_is_not_there_or_going(world: World) -> None:
    with pytest.raises(NotFound):
        world.admin.create(EDGE_DEVICES, "data-sync-test-nowhere", {**device("thing", "data-sync-test-nowhere")})
    hold(world)
    world.remove(NAMESPACES, world.namespace, "")
    world.until(lambda: read(world)["metadata"].get("deletionTimestamp"), "its contents are being deleted")
    with pytest.raises(Terminating):
        world.make_device("another")
    release(world)
    world.until(lambda: world.admin.find(NAMESPACES, "", world.namespace) is None, "the namespace is gone")
    world.namespace = world.make_namespace(f"{world.namespace}-b")


def test_what_belongs_to_something_goes_with_it(world: World) -> None:
    owner = config_map(world, "owner")
    reference = {"apiVersion": "v1", "kind": "ConfigMap", "name": "owner", "uid": owner["metadata"]["uid"]}
    config_map(world, "owned", ownerReferences=[reference])
    config_map(world, "free")
    world.remove(CONFIG_MAPS, "owner")
    world.until(lambda: world.admin.find(CONFIG_MAPS, world.namespace, "owned") is None, "what is owned is gone")
    assert world.admin.find(CONFIG_MAPS, world.namespace, "free") is not None


def test_lists_are_chosen_by_labels_and_fields(world: World) -> None:
    for name, labels in (("a", {"x": "1"}), ("b", {"x": "2"}), ("c", {"y": "1"})):
        world.make_device(name)
        patch(world, {"metadata": {"labels": labels}}, name=name)

    def names(**selector: str) -> str:
        return "".join(one["metadata"]["name"] for one in world.admin.list(EDGE_DEVICES, world.namespace, **selector))

    assert names() == "abc"
    assert names(labels="x=1") == "a"
    assert names(labels="x") == "ab"
    assert names(labels="!x") == "c"
    assert names(labels="x!=1") == "bc"
    assert names(labels="x in (1,2),x notin (2)") == "a"
    assert names(fields="metadata.name=b") == "b"
    assert names(fields="metadata.name!=b") == "ac"
    for wrong in ({"labels": "x=="}, {"labels": "a b"}, {"fields": "spec.requestTime=1"}):
        if wrong != {"labels": "x=="}:  # which means the empty value
            with pytest.raises(Invalid):
                names(**wrong)


def test_a_list_comes_in_pages_of_one_moment(world: World) -> None:
    for number in range(5):
        config_map(world, f"page-{number}", labels={"in": "pages"})
    path = CONFIG_MAPS.path(world.namespace)
    first = world.admin.request("GET", path, {"limit": "2", "labelSelector": "in=pages"})
    assert [one["metadata"]["name"] for one in first["items"]] == ["page-0", "page-1"]
    query = {
        "limit": "9",
        "continue": first["metadata"]["continue"],
        "labelSelector": "in=pages",
    }
    rest = world.admin.request("GET", path, query)
    assert [one["metadata"]["name"] for one in rest["items"]] == ["page-2", "page-3", "page-4"]
    assert not rest["metadata"].get("continue")


def test_a_watch_goes_on_from_a_version(world: World) -> None:
    before = world.make_device("first")
    world.make_device("second")
    patch(world, {"metadata": {"labels": {"a": "b"}}}, name="second")
    world.remove(EDGE_DEVICES, "first")
    version = before["metadata"]["resourceVersion"]
    found = [(one["type"], one["object"]["metadata"]["name"]) for one in watched(world, 3, resourceVersion=version)]
    assert found == [("ADDED", "second"), ("MODIFIED", "second"), ("DELETED", "first")]


def test_a_watch_without_a_version_begins_with_what_is_there(world: World) -> None:
    world.make_device("first")
    (event,) = watched(world, 1)
    assert (event["type"], event["object"]["metadata"]["name"]) == ("ADDED", "first")


def test_to_a_watch_by_labels_leaving_them_is_a_deletion(world: World) -> None:
    before = world.make_device()
    patch(world, {"metadata": {"labels": {"x": "1"}}})
    patch(world, {"metadata": {"labels": {"x": "1", "z": "1"}}})
    patch(world, {"metadata": {"labels": {"x": "2"}}})
    version = before["metadata"]["resourceVersion"]
    found = [one["type"] for one in watched(world, 3, resourceVersion=version, labelSelector="x=1")]
    assert found == ["ADDED", "MODIFIED", "DELETED"]


def test_a_watch_from_before_all_memory_is_told_so(world: World) -> None:
    found = watched(world, 1, resourceVersion="1")
    assert [one["type"] for one in found] == ["ERROR"]
    assert (found[0]["object"]["code"], found[0]["object"]["reason"]) == (410, "Expired")


def test_a_resource_that_is_not_there_is_not_found(world: World) -> None:
    nothing = Resource("tests.example", "v1", "nothings", "Nothing")
    with pytest.raises(NotFound):
        world.admin.get(nothing, world.namespace, "x")
    assert not world.admin.serves(nothing)
    assert world.admin.serves(CLAIMS)
    assert world.admin.serves(EVENTS)
