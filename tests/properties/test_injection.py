"""What holds for every pod: the patch is exact, doing it twice changes nothing, nothing is mutated,
and the sidecar reads back what the webhook wrote, after kubelet had its hands on it."""

from __future__ import annotations

import copy
from typing import Any

from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from contract import names
from contract.mapping import Direction, Mapping
from contract.spec import SyncSpec, mappings_from_annotation, mappings_to_json
from webhook.admit import process
from webhook.catalog import EmptyCatalog, NamespaceFacts
from webhook.containers import escape, unescape
from webhook.decision import Inject
from webhook.injection_settings import InjectionSettings
from webhook.patch import apply, diff
from webhook.pods import Json

SETTINGS = InjectionSettings()
CATALOG = EmptyCatalog()
CATALOG.namespaces["edge"] = NamespaceFacts("5f3c")


def expand(text: str, variables: dict[str, str]) -> str:
    """Kubelet's expansion of a variable's value, byte by byte as its Go source does it."""
    data, out, position = text.encode(), bytearray(), 0
    while position < len(data):
        if data[position : position + 1] != b"$" or position + 1 == len(data):
            out += data[position : position + 1]
            position += 1
            continue
        following = data[position + 1 : position + 2]
        end = data.find(b")", position + 2)
        if following == b"$":
            out += b"$"
            position += 2
        elif following == b"(" and end >= 0:
            name = data[position + 2 : end].decode()
            out += variables.get(name, f"$({name})").encode()
            position = end + 1
        else:
            # Kubelet takes the next byte for a rune: after a `$`, text beyond ASCII is mangled.
            out += b"$" + chr(following[0]).encode()
            position += 2
    return out.decode(errors="replace")


@example("$$")
@example("$$(A)")
@example("$é")
@given(st.text(alphabet="$()A_é"))
def test_kubelet_hands_on_an_escaped_value_unchanged(value: str) -> None:
    assert expand(escape(value), {"A": "x", "": "y", "AA": "z"}) == value
    assert unescape(escape(value)) == value


def test_the_expansion_in_this_test_does_expand() -> None:
    assert expand("$(A) $$(A) $(B) $x $", {"A": "1"}) == "1 $(A) $(B) $x $"


component = st.text(
    st.characters(exclude_categories=["Cs", "Cc"], exclude_characters="/"), min_size=1, max_size=8
).filter(lambda text: text not in (".", "..", names.OWN_DIR) and "$(" not in text and not text.startswith("$"))
path = st.lists(component, min_size=1, max_size=3).map("/".join)
identity = st.fixed_dictionaries({}, optional={"runAsUser": st.integers(0, 3), "fsGroup": st.just(5)})
variable = st.sampled_from(["", "/$(POD_NAME)", "/$(NODE_NAME)", "/a-$(POD_NAMESPACE)"])


@st.composite
def annotation_texts(draw: st.DrawFn) -> dict[str, str]:
    """Egress below in/, ingress below out/: whatever is drawn, they do not overlap."""
    egress = (Mapping(Direction.EGRESS, "in/" + draw(path), draw(path) + draw(variable)),)
    ingress = (Mapping(Direction.INGRESS, draw(path) + draw(variable), "out/" + draw(path)),)
    return {
        names.EGRESS: mappings_to_json(egress),
        names.INGRESS: mappings_to_json(ingress),
        names.S3_CONFIG_MAP: "config",
        names.S3_SECRET: "secret",
        names.INTERVAL: draw(st.sampled_from(["15s", "500ms", "1m30s"])),
        names.EXPORT_SCOPE: draw(st.sampled_from(["workload", "pod"])),
        names.VOLUME: draw(st.sampled_from(["hostPath", "emptyDir", "pvc:data"])),
        names.SIDECAR_MODE: draw(st.sampled_from(["auto", "native", "classic"])),
    }


def container(name: str) -> st.SearchStrategy[Json]:
    return st.fixed_dictionaries(
        {"name": st.just(name), "image": st.sampled_from(["a:1", "b"])},
        optional={
            "env": st.lists(
                st.fixed_dictionaries({"name": st.sampled_from(["A", "B"]), "value": st.text(max_size=5)}), max_size=2
            ),
            "volumeMounts": st.just([{"name": "tmp", "mountPath": "/tmp"}]),
            "ports": st.just([{"containerPort": 9346}]),
            "unknownField": st.just({"kept": [1, 2]}),
        },
    )


@st.composite
def pods(draw: st.DrawFn) -> Json:
    body: dict[str, Any] = {"containers": [draw(container(f"app-{n}")) for n in range(draw(st.integers(1, 3)))]}
    if draw(st.booleans()):
        body["initContainers"] = [draw(container(f"init-{n}")) for n in range(draw(st.integers(0, 2)))]
    if draw(st.booleans()):
        body["volumes"] = [{"name": "tmp", "emptyDir": {}}]
    for key, values in (
        ("hostNetwork", st.booleans()),
        ("terminationGracePeriodSeconds", st.integers(0, 600)),
        (
            "securityContext",
            st.fixed_dictionaries({}, optional={"runAsUser": st.integers(0, 3), "fsGroup": st.just(5)}),
        ),
        ("resources", st.just({"limits": {"cpu": "1"}})),
    ):
        if draw(st.booleans()):
            body[key] = draw(values)
    metadata = {
        "name": draw(st.sampled_from(["web", "a.b", "x" * 70])),
        "labels": {names.INJECT: names.ENABLED},
        "annotations": draw(annotation_texts()),
    }
    return {"apiVersion": "v1", "kind": "Pod", "metadata": metadata, "spec": body}


slow = settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.too_slow])


def injected(pod: Json) -> Json:
    outcome = process(pod, "edge", CATALOG, SETTINGS)
    assert isinstance(outcome.decision, Inject), outcome.decision
    return outcome.pod


@slow
@given(pods())
def test_the_patch_is_exact_and_the_pod_given_is_untouched(pod: Json) -> None:
    before = copy.deepcopy(pod)
    after = injected(pod)
    assert apply(pod, diff(pod, after)) == after
    assert pod == before


@slow
@given(pods())
def test_injecting_twice_is_injecting_once(pod: Json) -> None:
    once = injected(pod)
    assert injected(once) == once


@slow
@given(pods(), container("late"))
def test_a_container_added_by_another_webhook_gets_its_export(pod: Json, late: Json) -> None:
    between = injected(pod)
    between["spec"]["containers"].append(late)
    again = injected(between)
    added = next(item for item in again["spec"]["containers"] if item["name"] == "late")
    assert names.EXPORT_DIR in [mount["mountPath"] for mount in added["volumeMounts"]]
    assert injected(again) == again


@slow
@given(pods(), st.sampled_from(["livenessProbe", "resources", "securityContext", "env", "ports"]))
def test_what_another_webhook_took_from_the_sidecar_comes_back(pod: Json, key: str) -> None:
    once = injected(pod)
    between = copy.deepcopy(once)
    for place in ("containers", "initContainers"):
        for item in between["spec"].get(place, []):
            if item["name"] == names.SIDECAR_CONTAINER:
                item.pop(key, None)
                item.setdefault("volumeMounts", []).append({"name": "bundle", "mountPath": "/etc/ssl/extra"})
    again = injected(between)
    side = sidecar(again)
    assert side["volumeMounts"].pop() == {"name": "bundle", "mountPath": "/etc/ssl/extra"}
    assert again == once


@slow
@given(pods())
def test_the_sidecar_reads_back_what_the_annotations_said(pod: Json) -> None:
    after = injected(pod)
    env = {item["name"]: expand(item["value"], {}) for item in sidecar(after)["env"] if "value" in item}
    spec = SyncSpec.from_env(env)
    annotations = pod["metadata"]["annotations"]
    assert mappings_to_json(spec.egress) == annotations[names.EGRESS]
    assert mappings_to_json(spec.ingress) == annotations[names.INGRESS]
    assert (spec.config_map, spec.secret) == ("config", "secret")
    assert spec.owner is not None
    assert spec.owner.namespace_uid == "5f3c"
    assert mappings_from_annotation(after["metadata"]["annotations"][names.MAPPINGS]) == (spec.egress, spec.ingress)


@slow
@given(pods())
def test_only_our_containers_see_the_storage_keys(pod: Json) -> None:
    after = injected(pod)
    seeing = {
        item["name"]
        for place in ("containers", "initContainers")
        for item in after["spec"].get(place, [])
        if names.STORAGE_VOLUME in [mount["name"] for mount in item["volumeMounts"]]
    }
    assert seeing == {names.SIDECAR_CONTAINER}


def sidecar(pod: Json) -> Json:
    body = pod["spec"]
    found: list[Json] = [
        item
        for item in [*body["containers"], *body.get("initContainers", [])]
        if item["name"] == names.SIDECAR_CONTAINER
    ]
    assert len(found) == 1
    return found[0]
