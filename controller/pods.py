"""What an injected pod says of itself: its device, and whether it still syncs. Pure."""

import json
from collections.abc import Iterable

from contract import names
from controller.resources import Json


def status_of(pod: Json) -> Json:
    """The webhook's status annotation; empty where there is none that can be read."""
    try:
        found = json.loads(annotations_of(pod).get(names.STATUS) or "{}")
    except (ValueError, RecursionError):
        return {}
    return found if isinstance(found, dict) else {}


def annotations_of(pod: Json) -> dict[str, str]:
    """The pod's annotations, or none."""
    return pod["metadata"].get("annotations") or {}


def is_injected(pod: Json) -> bool:
    """Whether the pod has the sidecar."""
    spec = pod.get("spec") or {}
    containers = [*(spec.get("initContainers") or ()), *(spec.get("containers") or ())]
    return any(one.get("name") == names.SIDECAR_CONTAINER for one in containers) and names.STATUS in annotations_of(pod)


def is_over(pod: Json) -> bool:
    """Whether nothing in the pod runs any more, or ever will."""
    return (pod.get("status") or {}).get("phase") in ("Succeeded", "Failed")


def is_drain(pod: Json) -> bool:
    """Whether the pod sends what others left behind."""
    return names.DRAIN in (pod["metadata"].get("labels") or {})


def syncing_with(device: str, pods: Iterable[Json]) -> tuple[str, ...]:
    """Names of the pods that may still send something to ``device``; those that are terminating among them.

    Not those of drains, which exist because the others are gone.
    """
    found = (pod for pod in pods if is_injected(pod) and not is_over(pod) and not is_drain(pod))
    return tuple(sorted(pod["metadata"]["name"] for pod in found if status_of(pod).get("device") == device))
