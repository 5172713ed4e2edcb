"""A user's own container named ``data-sync``: overrides for our sidecar, and nothing more. Pure."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, Final

from contract.names import SERVICE_ACCOUNT_DIR, SIDECAR_CONTAINER
from contract.quantity import parse_bytes, parse_duration, parse_share
from webhook import pods
from webhook.pods import Json


def _bytes_or_share(text: str) -> object:
    return parse_share(text) if text.endswith("%") else parse_bytes(text)


def _log_level(text: str) -> object:
    if text.upper() not in ("DEBUG", "INFO", "WARNING", "ERROR"):
        raise ValueError(f"{text!r} is no log level")
    return text


# What a workload's author may tune; everything else in the sidecar is the administrator's.
TUNABLES: Final[dict[str, Callable[[str], object]]] = {
    "DATA_SYNC_INGRESS_MAX_BYTES": parse_bytes,
    "DATA_SYNC_MIN_FREE": _bytes_or_share,
    "DATA_SYNC_BANDWIDTH": parse_bytes,
    "DATA_SYNC_RECONCILE_INTERVAL": parse_duration,
    "DATA_SYNC_RESCAN_INTERVAL": parse_duration,
    "DATA_SYNC_LOG_LEVEL": _log_level,
}

# `image: auto` stands in where a Deployment must name some image; Istio's users know it.
_PLACEHOLDER: Final = "auto"
# The API server fills these in before any webhook sees the pod.
_DEFAULTED: Final[dict[str, tuple[object, ...]]] = {
    "terminationMessagePath": ("/dev/termination-log",),
    "terminationMessagePolicy": ("File",),
    "imagePullPolicy": ("Always", "IfNotPresent", "Never"),
    "image": (_PLACEHOLDER, ""),
    "restartPolicy": ("Always",),
}


@dataclass(frozen=True, slots=True)
class Overrides:
    """What a pod's author changes in the sidecar; ``faults`` are sentences naming the field."""

    resources: Json | None = None
    env: tuple[tuple[str, str], ...] = ()
    faults: tuple[str, ...] = field(default=())


def read_overrides(pod: Json) -> Overrides:
    """The overrides in a pod that holds nothing of ours."""
    found = [container for container in pods.all_containers(pod) if container.get("name") == SIDECAR_CONTAINER]
    if not found:
        return Overrides()
    if len(found) > 1:
        return Overrides(faults=(f"container {SIDECAR_CONTAINER}: it is there twice",))
    faults = [fault for key, value in found[0].items() if (fault := _fault(key, value))]
    env: list[tuple[str, str]] = []
    for variable in found[0].get("env") or []:
        fault = _variable_fault(variable)
        if fault is None:
            env.append((variable["name"], variable["value"]))
        else:
            faults.append(fault)
    return Overrides(found[0].get("resources") or None, tuple(sorted(env)), tuple(faults))


def injected_overrides(container: Json, default_resources: Json | None) -> Overrides:
    """The overrides that our own sidecar, injected earlier, carries."""
    env = [(item["name"], item["value"]) for item in container.get("env") or [] if _variable_fault(item) is None]
    resources = container.get("resources") or None
    return Overrides(None if resources == default_resources else resources, tuple(sorted(env)))


def _fault(key: str, value: Any) -> str | None:
    if key in ("name", "env") or value in (None, [], {}) or value in _DEFAULTED.get(key, ()):
        return None
    if key == "resources":
        return None if isinstance(value, dict) else f"container {SIDECAR_CONTAINER}: resources is no object"
    # The ServiceAccount admission puts its token into every container; ours loses it again.
    if key == "volumeMounts" and all(mount.get("mountPath") == SERVICE_ACCOUNT_DIR for mount in value):
        return None
    return f"container {SIDECAR_CONTAINER}: the field {key!r} cannot be overridden (allowed: env, resources)"


def _variable_fault(variable: Json) -> str | None:
    name, value = variable.get("name"), variable.get("value")
    where = f"container {SIDECAR_CONTAINER}: env {name!r}"
    if name not in TUNABLES:
        return f"{where} cannot be overridden (allowed: {', '.join(TUNABLES)})"
    if not isinstance(value, str) or set(variable) - {"name", "value"}:
        return f"{where} needs a plain value"
    try:
        TUNABLES[name](value)
    except ValueError as error:
        return f"{where}: {error}"
    return None
