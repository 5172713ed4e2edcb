"""What is known of one pod, in sentences: what the webhook decided, where its data go, how its sidecar is. Pure.

Only what is written on the objects: what the webhook would decide now, ``python -m webhook explain`` says.
"""

from __future__ import annotations

from collections.abc import Iterator

from contract import names
from controller import pods
from controller.overview import conditions_of
from controller.resources import Json


def explain(pod: Json, namespace: Json | None, device: Json | None) -> Iterator[str]:
    """One line after the other. ``device`` is the one that the pod's status names, if it is there."""
    metadata = pod["metadata"]
    yield f"pod {metadata.get('namespace', '')}/{metadata['name']}: {(pod.get('status') or {}).get('phase', 'Unknown')}"
    if not pods.is_injected(pod):
        yield from _not_injected(pod, namespace)
        return
    status = pods.status_of(pod)
    yield f"injected by version {status.get('version', 'unknown')}, {status.get('mode', 'unknown')} sidecar"
    yield f"workload {status.get('workload') or '-'}, device {status.get('device') or '-'}"
    yield f"storage {status.get('storage') or '-'}"
    rules = status.get("rules")
    for what, rule in sorted(rules.items()) if isinstance(rules, dict) else ():
        yield f"  {what}: decided by {rule}"
    mappings = pods.annotations_of(pod).get(names.MAPPINGS)
    yield f"mappings {mappings}" if mappings else "no mappings: nothing is synced"
    yield from _sidecar(pod)
    yield from _device(str(status.get("device") or ""), device)


def _not_injected(pod: Json, namespace: Json | None) -> Iterator[str]:
    own = (pod["metadata"].get("labels") or {}).get(names.INJECT)
    around = ((namespace or {"metadata": {}})["metadata"].get("labels") or {}).get(names.INJECT)
    yield "not injected"
    if own == names.DISABLED:
        yield f"its label {names.INJECT}: {names.DISABLED} says so"
    elif names.ENABLED in (own, around):
        whose = "its" if own == names.ENABLED else "its namespace's"
        yield f"{whose} label {names.INJECT}: {names.ENABLED} asks for it: it was created while no webhook answered,"
        yield "or was skipped: `python -m webhook explain` says what would be decided; `repair` lists such pods"
    else:
        yield f"neither it nor its namespace has the label {names.INJECT}: {names.ENABLED}"


def _sidecar(pod: Json) -> Iterator[str]:
    status = pod.get("status") or {}
    states = [*(status.get("initContainerStatuses") or ()), *(status.get("containerStatuses") or ())]
    for one in states:
        if one.get("name") != names.SIDECAR_CONTAINER:
            continue
        running = next(iter(one.get("state") or {"unknown": None}))
        yield f"sidecar {running}, restarted {one.get('restartCount', 0)} times"
        ended = (one.get("lastState") or {}).get("terminated") or {}
        if ended.get("message"):
            yield f"  its last end: {ended['message'].strip()}"


def _device(name: str, device: Json | None) -> Iterator[str]:
    if not name:
        return
    if device is None:
        yield f"device {name} is not registered: its storage comes from elsewhere, or will not come"
        return
    for kind, one in sorted(conditions_of(device).items()):
        yield f"device {name}: {kind} {one.get('status')} ({one.get('reason')}): {one.get('message')}"
