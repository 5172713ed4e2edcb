"""Taking out what an earlier injection put in, so that injecting is always done on a clean pod. Pure.

A pod comes a second time when another webhook changed it (reinvocation), or when a manifest was
injected by the command line. Only the status annotation proves an earlier injection: without it,
names like ours are the user's, and ``decision`` has its word about them.
"""

from __future__ import annotations

import copy
import json
from dataclasses import dataclass, field
from typing import Any, Final

from contract import names
from webhook import pods
from webhook.pods import Json

VOLUMES: Final = frozenset({names.MASK_VOLUME, names.STORAGE_VOLUME, names.PODINFO_VOLUME, names.NO_TOKEN_VOLUME})
CONTAINERS: Final = frozenset({names.SIDECAR_CONTAINER, names.INIT_CONTAINER})


@dataclass(frozen=True, slots=True)
class Clean:
    """A pod without anything of ours, and what was taken out: our containers by name."""

    pod: Json
    taken: dict[str, Json] = field(default_factory=dict)


def injected(pod: Json) -> Json | None:
    """The status an earlier injection left on ``pod``, or None."""
    text = pods.annotations(pod).get(names.STATUS)
    if text is None:
        return None
    try:
        status = json.loads(text)
    except (ValueError, RecursionError):
        return None
    if not isinstance(status, dict) or not isinstance(status.get("hash"), str):
        return None
    return status if isinstance(status.get("workload"), str) else None


def remove(pod: Json) -> Clean:
    """``pod`` without what an earlier injection added; the pod given is left as it was."""
    result = copy.deepcopy(pod)
    status = injected(pod)
    if status is None:
        return Clean(result)
    for key in names.WRITTEN_ANNOTATIONS:
        result["metadata"]["annotations"].pop(key, None)
    ours = VOLUMES | {names.export_volume(status["workload"])}
    body = result["spec"]
    taken: dict[str, Json] = {}
    for place in ("initContainers", "containers"):
        for container in body.get(place) or []:
            if container.get("name") in CONTAINERS:
                taken[str(container["name"])] = container
        _keep(body, place, "name", CONTAINERS)
    for container in pods.all_containers(result):
        _keep(container, "volumeMounts", "name", ours)
    _keep(body, "volumes", "name", ours)
    return Clean(result, taken)


def _keep(holder: Json, key: str, field_name: str, unwanted: frozenset[str] | set[str]) -> None:
    """Drop the items of the list ``holder[key]`` that are ours; an emptied list goes too."""
    items: list[dict[str, Any]] = holder.get(key) or []
    kept = [item for item in items if item.get(field_name) not in unwanted]
    if len(kept) == len(items):
        return
    if kept:
        holder[key] = kept
    else:
        del holder[key]
