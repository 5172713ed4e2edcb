"""Our two containers: the sidecar and the init container that prepares the directory. Pure.

Like ``volumes``, they spell out the API server's defaults.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from typing import Final

from contract import names
from contract.quantity import format_duration
from contract.spec import OWNER
from contract.storage import Credentials
from webhook import pods, volumes
from webhook.annotations import Mode, Scope, VolumeKind
from webhook.injection_settings import InjectionSettings
from webhook.overrides import Overrides
from webhook.pods import Json
from webhook.resolution import Resolution

# Under hostNetwork 9346 may be another pod's; below the node ports and the ephemeral ones.
LOOPBACK_PORTS: Final = range(19346, 20346)

_LISTEN: Final = "DATA_SYNC_LISTEN"
_GRACE_PERIOD: Final = "DATA_SYNC_GRACE_PERIOD"
_NO_NODE_ROLE: Final = "AWS_EC2_METADATA_DISABLED"
_DEFAULT_GRACE: Final = 30  # seconds, Kubernetes' default
_GRACE_MARGIN: Final = 5.0  # seconds left for the process to end and kubelet to notice
_SHORTEST_GRACE: Final = 0.5
# Files of the workload may be 0600 of any user; nothing more than reading and owning them is needed.
_CAPABILITIES: Final = ("CHOWN", "DAC_OVERRIDE", "FOWNER")
# SIGTERM waits from before Python is there: it takes a loaded device seconds to start, and a first process
# loses what it has no handler for. The sidecar takes the signal up, see ``runtime.shutdown``.
_COMMAND: Final = ("env", "--block-signal=TERM", "python", "-m", "sidecar")
# Weeks of waiting for the first ingress: kubelet would kill a sidecar that is still fetching.
_GATE_FAILURES: Final = 1_000_000


def escape(value: str) -> str:
    """``value`` as kubelet must read it to hand it on unchanged.

    Kubelet turns every ``$$`` into ``$``, wherever it stands, so every ``$`` is doubled.
    """
    return value.replace("$", "$$")


def unescape(value: str) -> str:
    """The text that :func:`escape` was given."""
    return value.replace("$$", "$")


def port(pod: Json, resolution: Resolution) -> int:
    """The sidecar's port: the contract's, or the first free one of a fixed sequence."""
    declared = [entry for container in pods.all_containers(pod) for entry in container.get("ports") or []]
    taken = [entry.get(key) for entry in declared for key in ("containerPort", "hostPort")]
    if not host_network(pod) and names.PORT not in taken:
        return names.PORT
    seed = f"{resolution.owner.namespace}/{resolution.workload}".encode()
    start = int.from_bytes(hashlib.sha256(seed).digest()[:4], "big") % len(LOOPBACK_PORTS)
    candidates: list[int] = [*LOOPBACK_PORTS[start:], *LOOPBACK_PORTS[:start]]
    free = [candidate for candidate in candidates if candidate not in taken]
    return (free or candidates)[0]


def host_network(pod: Json) -> bool:
    """Whether the pod shares its node's network."""
    return pods.spec(pod).get("hostNetwork") is True


def sidecar(pod: Json, resolution: Resolution, overrides: Overrides, settings: InjectionSettings) -> Json:
    """The ``data-sync`` container."""
    number = port(pod, resolution)
    container: Json = {
        "name": names.SIDECAR_CONTAINER,
        "image": settings.sidecar_image,
        "command": list(_COMMAND),
        "env": [*_environment(pod, resolution, number, settings), *({"name": k, "value": v} for k, v in overrides.env)],
        "volumeMounts": list(_mounts(pod, resolution)),
        "securityContext": _security_context(pod),
        "livenessProbe": _probe(pod, number, "/livez", period=30, failures=5),
    }
    resources = overrides.resources or default_resources(pod, settings)
    if resources is not None:
        container["resources"] = resources
    if not host_network(pod):
        container["ports"] = [{"name": names.PORT_NAME, "containerPort": number, "protocol": "TCP"}]
    if resolution.mode is Mode.NATIVE:
        container["restartPolicy"] = "Always"
        if resolution.wait_for_ingress:
            container["startupProbe"] = _probe(pod, number, "/readyz", period=2, failures=_GATE_FAILURES)
    return container


def init(pod: Json, resolution: Resolution, settings: InjectionSettings) -> Json | None:
    """The ``data-sync-init`` container.

    Kubelet's bare host directories need one. Beside them only a classic sidecar that is not root: it starts after
    containers whose mask the runtime makes as root.
    """
    bare = resolution.volume.kind is VolumeKind.HOST_PATH
    if not bare and (resolution.mode is Mode.NATIVE or not _mask_comes_first(pod, resolution)):
        return None
    env: list[Json] = [_pod_field("POD_NAME", "metadata.name")] if resolution.scope is Scope.POD else []
    container: Json = {
        "name": names.INIT_CONTAINER,
        "image": settings.sidecar_image,
        "command": ["python", "-m", "sidecar", "init"],
        "env": [*env, {"name": OWNER, "value": escape(resolution.owner.to_json())}],
        "volumeMounts": [volumes.export_mount(resolution), volumes.token_mount()],
        "securityContext": _root() if bare else _security_context(pod),
    }
    security = pods.security_context(pod)
    arguments = [("--uid", security.get("runAsUser")), ("--gid", security.get("fsGroup"))]
    texts = [text for option, value in arguments if value is not None for text in (option, str(value))]
    if bare and texts:
        container["args"] = texts
    resources = default_resources(pod, settings)
    if resources is not None:
        container["resources"] = resources
    return container


def default_resources(pod: Json, settings: InjectionSettings) -> Json | None:
    """Requests and limits; None under pod-level resources, whose sum ours could exceed."""
    if pods.spec(pod).get("resources"):
        return None
    return {
        "requests": {"cpu": settings.cpu_request, "memory": settings.memory_request},
        "limits": {"memory": settings.memory_limit},
    }


def _environment(pod: Json, resolution: Resolution, number: int, settings: InjectionSettings) -> Iterator[Json]:
    yield _pod_field("POD_NAME", "metadata.name")
    yield _pod_field("POD_NAMESPACE", "metadata.namespace")
    yield _pod_field("NODE_NAME", "spec.nodeName")
    host = "127.0.0.1" if host_network(pod) else "0.0.0.0"  # noqa: S104 - probes and Prometheus come from outside
    for name, value in {
        **resolution.spec.to_env(),
        _LISTEN: f"{host}:{number}",
        _GRACE_PERIOD: format_duration(_grace(pod)),
    }.items():
        yield {"name": name, "value": escape(value)}
    if resolution.spec.credentials is Credentials.CHAIN and not settings.allow_node_role:
        # The chain ends at the node's own identity, which is never meant for a workload.
        yield {"name": _NO_NODE_ROLE, "value": "true"}


def _grace(pod: Json) -> float:
    seconds = pods.spec(pod).get("terminationGracePeriodSeconds")
    total = float(_DEFAULT_GRACE if seconds is None else seconds)
    return max(total - _GRACE_MARGIN, total / 2, _SHORTEST_GRACE)


def _mounts(pod: Json, resolution: Resolution) -> Iterator[Json]:
    yield volumes.export_mount(resolution)
    if resolution.mode is Mode.NATIVE and _mask_comes_first(pod, resolution):
        yield volumes.own_mount(resolution)
    yield {"name": names.STORAGE_VOLUME, "mountPath": names.STORAGE_DIR, "readOnly": True}
    yield {"name": names.PODINFO_VOLUME, "mountPath": names.PODINFO_DIR, "readOnly": True}
    if resolution.spec.credentials is not Credentials.CHAIN:
        yield volumes.token_mount()


def _mask_comes_first(pod: Json, resolution: Resolution) -> bool:
    """Whether our directory must be there before the runtime makes it as root, for a sidecar that is not."""
    return bool(pods.security_context(pod).get("runAsUser")) and resolution.volume.kind is not VolumeKind.HOST_PATH


def _security_context(pod: Json) -> Json:
    user = pods.security_context(pod).get("runAsUser")
    if not user:
        return _root()
    return {**_confined(), "runAsUser": user, "runAsNonRoot": True, "capabilities": {"drop": ["ALL"]}}


def _root() -> Json:
    capabilities = {"drop": ["ALL"], "add": list(_CAPABILITIES)}
    # runAsNonRoot is written out: the pod may say true for all its containers.
    return {**_confined(), "runAsUser": 0, "runAsNonRoot": False, "capabilities": capabilities}


def _confined() -> Json:
    return {
        "allowPrivilegeEscalation": False,
        "readOnlyRootFilesystem": True,
        "seccompProfile": {"type": "RuntimeDefault"},
    }


def _probe(pod: Json, number: int, path: str, *, period: int, failures: int) -> Json:
    action: Json = {"path": path, "port": number, "scheme": "HTTP"}
    if host_network(pod):
        action["host"] = "127.0.0.1"
    return {
        "httpGet": action,
        "periodSeconds": period,
        "timeoutSeconds": 5,
        "failureThreshold": failures,
        "successThreshold": 1,
    }


def _pod_field(name: str, path: str) -> Json:
    return {"name": name, "valueFrom": {"fieldRef": {"apiVersion": "v1", "fieldPath": path}}}
