"""Reading raw pods: dicts as the API server sent them, with every field it may leave out.

Only looks; what is written into a pod is ``injection``'s. Raw dicts are kept all the way, because
a typed round trip would drop fields that a library does not know yet.
"""

from collections.abc import Iterator
from typing import Any, Final

Json = dict[str, Any]

_CONTAINER_LISTS: Final = ("containers", "initContainers", "ephemeralContainers")


def metadata(pod: Json) -> Json:
    """The pod's metadata, empty when it has none."""
    return pod.get("metadata") or {}


def labels(pod: Json) -> dict[str, str]:
    """The pod's labels, empty when it has none."""
    return metadata(pod).get("labels") or {}


def annotations(pod: Json) -> dict[str, str]:
    """The pod's annotations, empty when it has none."""
    return metadata(pod).get("annotations") or {}


def spec(pod: Json) -> Json:
    """The pod's spec, empty when it has none."""
    return pod.get("spec") or {}


def containers(pod: Json) -> list[Json]:
    """App containers."""
    return spec(pod).get("containers") or []


def init_containers(pod: Json) -> list[Json]:
    """Init containers, native sidecars among them."""
    return spec(pod).get("initContainers") or []


def all_containers(pod: Json) -> Iterator[Json]:
    """Init containers, then app containers; never the ephemeral ones."""
    yield from init_containers(pod)
    yield from containers(pod)


def volumes(pod: Json) -> list[Json]:
    """The pod's volumes."""
    return spec(pod).get("volumes") or []


def security_context(pod: Json) -> Json:
    """The pod-level security context, empty when it has none."""
    return spec(pod).get("securityContext") or {}


def controller(pod: Json) -> Json | None:
    """The owner reference of the pod's controller, if it has one."""
    for reference in metadata(pod).get("ownerReferences") or []:
        if reference.get("controller") is True:
            return dict(reference)
    return None


def shape_fault(pod: object) -> str | None:
    """What keeps ``pod`` from being read as a pod, or None.

    The API server only sends well-formed pods; files and other callers may hold anything.
    """
    if not isinstance(pod, dict):
        return "it is no object"
    for key in ("metadata", "spec"):
        if not isinstance(pod.get(key) or {}, dict):
            return f"{key} is no object"
    return _metadata_fault(metadata(pod)) or _spec_fault(spec(pod))


def _metadata_fault(meta: Json) -> str | None:
    for key in ("labels", "annotations"):
        texts = meta.get(key) or {}
        if not isinstance(texts, dict) or not all(isinstance(value, str) for pair in texts.items() for value in pair):
            return f"metadata.{key} is no map of texts"
    for key in ("name", "generateName", "namespace"):
        if not isinstance(meta.get(key) or "", str):
            return f"metadata.{key} is no text"
    if not _objects(meta.get("ownerReferences")):
        return "metadata.ownerReferences is no list of objects"
    return None


def _spec_fault(body: Json) -> str | None:
    if not body.get("containers"):
        return "spec.containers is empty"
    for key in (*_CONTAINER_LISTS, "volumes"):
        if not _objects(body.get(key)):
            return f"spec.{key} is no list of objects"
    for key in ("securityContext", "nodeSelector", "os", "resources"):
        if not isinstance(body.get(key) or {}, dict):
            return f"spec.{key} is no object"
    grace = body.get("terminationGracePeriodSeconds")
    if grace is not None and (isinstance(grace, bool) or not isinstance(grace, int)):
        return "spec.terminationGracePeriodSeconds is no number"
    return _containers_fault(body)


def _containers_fault(body: Json) -> str | None:
    for key in _CONTAINER_LISTS:
        for container in body.get(key) or []:
            for part in ("env", "ports", "volumeMounts", "volumeDevices"):
                if not _objects(container.get(part)):
                    return f"spec.{key}[].{part} is no list of objects"
    return None


def _objects(value: object) -> bool:
    """Whether ``value`` is absent or a list of objects whose names, if any, are texts."""
    if value is None:
        return True
    return isinstance(value, list) and all(
        isinstance(item, dict) and isinstance(item.get("name", ""), str | None) for item in value
    )
