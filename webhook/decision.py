"""May this pod be injected? Pod, options, resolution → :class:`Inject`, :class:`Skip` or :class:`Deny`. Pure.

Skip leaves the pod alone and says why; Deny refuses it with sentences that name what to change. A pod
that asked by its own label is denied where one that only lives in an opted-in namespace is skipped.
"""

from __future__ import annotations

import posixpath
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

from contract import names
from webhook import pods
from webhook.annotations import Mode, Options, Scope, VolumeKind
from webhook.catalog import NamespaceFacts
from webhook.overrides import Overrides
from webhook.pods import Json
from webhook.reasons import Reason
from webhook.removal import CONTAINERS, VOLUMES
from webhook.resolution import Resolution

_ENFORCE: Final = "pod-security.kubernetes.io/enforce"
# What a namespace-wide opt-in must not turn into a refusal: the pod never asked for data-sync.
_SKIPPED_BY_NAMESPACE: Final = frozenset({Reason.NO_STORAGE, Reason.RESTART_POLICY, Reason.WINDOWS})
_POD_NAME: Final = "POD_NAME"
_DEVICE: Final = "$(DEVICE_ID)"


@dataclass(frozen=True, slots=True)
class Inject:
    """Add data-sync as ``resolution`` says; ``warnings`` are for the person who creates the pod."""

    resolution: Resolution
    overrides: Overrides
    warnings: tuple[str, ...] = ()
    reason: Reason = Reason.INJECTED


@dataclass(frozen=True, slots=True)
class Skip:
    """Admit the pod unchanged."""

    reason: Reason
    warnings: tuple[str, ...] = ()
    detail: str = ""

    @property
    def message(self) -> str:
        """Why, for a person."""
        return self.reason.sentence + (f": {self.detail}" if self.detail else "")


@dataclass(frozen=True, slots=True)
class Deny:
    """Refuse the pod; ``details`` name what to change."""

    reason: Reason
    details: tuple[str, ...] = ()

    @property
    def message(self) -> str:
        """Why, for a person: every fault, not only the first."""
        return self.reason.sentence + (": " + "; ".join(self.details) if self.details else "")


Decision = Inject | Skip | Deny


@dataclass(frozen=True, slots=True)
class Wanted:
    """The pod is to be injected if it can be; ``explicit`` when its own label says so."""

    explicit: bool


def asked(pod: Json, facts: NamespaceFacts) -> Wanted | Skip:
    """Whether ``pod`` is to be injected, by its label or else its namespace's."""
    own = pods.labels(pod).get(names.INJECT)
    value = own if own is not None else (facts.labels or {}).get(names.INJECT)
    if value is None:
        return Skip(Reason.NOT_REQUESTED)
    if value == names.DISABLED:
        return Skip(Reason.DISABLED)
    if value != names.ENABLED:
        where = "the pod" if own is not None else "its namespace"
        return Skip(Reason.UNKNOWN_LABEL, (f"{Reason.UNKNOWN_LABEL.sentence}: {where} has {value!r}",))
    return Wanted(explicit=own is not None)


def decide(
    pod: Json,
    wanted: Wanted,
    facts: NamespaceFacts,
    options: Options,
    resolution: Resolution,
    overrides: Overrides,
) -> Decision:
    """The decision about ``pod``, which asked for injection and holds nothing of ours any more."""
    faults = list(_faults(pod, wanted, facts, options, resolution, overrides))
    refused = [fault for fault in faults if wanted.explicit or fault[0] not in _SKIPPED_BY_NAMESPACE]
    if refused:
        details = tuple(detail for _, detail in refused if detail)
        return Deny(refused[0][0], details)
    if faults:
        return Skip(faults[0][0], detail=faults[0][1])
    return Inject(resolution, overrides, tuple(_warnings(wanted, options, resolution)))


Fault = tuple[Reason, str]


def _faults(
    pod: Json,
    wanted: Wanted,
    facts: NamespaceFacts,
    options: Options,
    resolution: Resolution,
    overrides: Overrides,
) -> Iterator[Fault]:
    for sentence in options.faults:
        yield Reason.INVALID_ANNOTATION, sentence
    if wanted.explicit and options.unknown:
        known = ", ".join(key.removeprefix(f"{names.PREFIX}/") for key in names.USER_ANNOTATIONS)
        yield Reason.UNKNOWN_ANNOTATION, f"{', '.join(options.unknown)} (known: {known})"
    if not resolution.workload:
        yield Reason.INVALID_NAME, f"set the annotation {names.WORKLOAD}"
    for sentence in resolution.faults:
        yield Reason.INVALID_WORKLOAD, sentence
    yield from _storage_faults(options, resolution)
    yield from _device_faults(resolution)
    yield from _pod_faults(pod, resolution)
    yield from _security_faults(pod, facts, resolution)
    if resolution.scc_fault:
        yield Reason.SCC, resolution.scc_fault
    yield from _taken(pod, resolution)
    for sentence in overrides.faults:
        yield Reason.OVERRIDE_REFUSED, sentence


def _storage_faults(options: Options, resolution: Resolution) -> Iterator[Fault]:
    if resolution.has_storage or any(key in fault for key in _STORAGE_KEYS for fault in options.faults):
        return
    if options.config_map or options.secret:
        missing = names.S3_SECRET if options.config_map else names.S3_CONFIG_MAP
        there = names.S3_CONFIG_MAP if options.config_map else names.S3_SECRET
        yield Reason.INVALID_ANNOTATION, f"annotation {there} is there, but {missing} is missing"
    elif resolution.storage_fault:
        yield Reason.NO_STORAGE, resolution.storage_fault
    else:
        yield Reason.NO_STORAGE, f"set the annotation {names.DEVICE}, or {names.S3_CONFIG_MAP} and {names.S3_SECRET}"


def _device_faults(resolution: Resolution) -> Iterator[Fault]:
    if resolution.spec.device:
        return
    for mapping in resolution.spec.mappings:
        if _DEVICE in mapping.prefix:
            yield Reason.NO_DEVICE, f"{mapping.prefix!r} has {_DEVICE}; set the annotation {names.DEVICE}"


_STORAGE_KEYS: Final = (names.S3_CONFIG_MAP, names.S3_SECRET, names.S3_CREDENTIALS)


def _pod_faults(pod: Json, resolution: Resolution) -> Iterator[Fault]:
    body = pods.spec(pod)
    if all(container.get("name") == names.SIDECAR_CONTAINER for container in pods.containers(pod)):
        yield Reason.INVALID_POD, f"it has no container beside {names.SIDECAR_CONTAINER}"
    system = (body.get("os") or {}).get("name") or (body.get("nodeSelector") or {}).get("kubernetes.io/os")
    if system == "windows":
        yield Reason.WINDOWS, ""
    policy = body.get("restartPolicy") or "Always"
    if resolution.mode is Mode.CLASSIC and policy != "Always":
        yield Reason.RESTART_POLICY, f"restartPolicy is {policy}; {_why_classic(resolution)}"
    if resolution.mode is Mode.CLASSIC and resolution.wait_for_ingress:
        yield Reason.GATE_NEEDS_NATIVE, _why_classic(resolution)
    if body.get("shareProcessNamespace") is True:
        yield Reason.SHARED_PROCESSES, ""


def _why_classic(resolution: Resolution) -> str:
    if dict(resolution.rules)["mode"] == "annotation":
        return f"annotation {names.SIDECAR_MODE} is 'classic'"
    return "the API server, or a node that the pod may go to, is older than Kubernetes 1.29"


def _security_faults(pod: Json, facts: NamespaceFacts, resolution: Resolution) -> Iterator[Fault]:
    level = (facts.labels or {}).get(_ENFORCE)
    if level not in ("baseline", "restricted"):
        return
    if resolution.volume.kind is VolumeKind.HOST_PATH:
        choice = f"annotation {names.VOLUME}: emptyDir or pvc:<claim>"
        yield Reason.POD_SECURITY, f"it enforces {level}, which has no hostPath volumes; use {choice}"
    if level == "restricted" and not pods.security_context(pod).get("runAsUser"):
        yield Reason.POD_SECURITY, "it enforces restricted; set securityContext.runAsUser of the pod to a non-zero UID"


def _taken(pod: Json, resolution: Resolution) -> Iterator[Fault]:
    ours = VOLUMES | {resolution.export_volume}
    for volume in pods.volumes(pod):
        if volume.get("name") in ours:
            yield Reason.NAME_TAKEN, f"volume {volume.get('name')!r} is declared by the pod"
    for container in pods.all_containers(pod):
        name = container.get("name")
        if name in CONTAINERS - {names.SIDECAR_CONTAINER}:
            yield Reason.NAME_TAKEN, f"container {name!r} is declared by the pod"
        if name != names.SIDECAR_CONTAINER:
            yield from _container_faults(container, ours, resolution)


def _container_faults(container: Json, ours: frozenset[str], resolution: Resolution) -> Iterator[Fault]:
    name = container.get("name")
    for mount in container.get("volumeMounts") or []:
        # Such a mount is no error only because we add the volume: it would show the storage keys.
        if mount.get("name") in ours:
            yield Reason.NAME_TAKEN, f"container {name!r} mounts the volume {mount.get('name')!r}"
        elif _in_export(mount.get("mountPath")):
            yield Reason.EXPORT_TAKEN, f"container {name!r} mounts {mount.get('name')!r} at {mount.get('mountPath')!r}"
    for device in container.get("volumeDevices") or []:
        if _in_export(device.get("devicePath")):
            yield Reason.EXPORT_TAKEN, f"container {name!r} has a device at {device.get('devicePath')!r}"
    if resolution.scope is Scope.POD:
        for variable in container.get("env") or []:
            if variable.get("name") == _POD_NAME and not is_pod_name(variable):
                yield Reason.POD_NAME_TAKEN, f"container {name!r} defines {_POD_NAME} as something else"


def is_pod_name(variable: Json) -> bool:
    """Whether an environment variable is filled with the pod's name."""
    source = variable.get("valueFrom")
    reference = source.get("fieldRef") if isinstance(source, dict) else None
    return isinstance(reference, dict) and reference.get("fieldPath") == "metadata.name"


def _in_export(path: object) -> bool:
    if not isinstance(path, str):
        return False
    normal = posixpath.normpath("/" + path.lstrip("/"))
    return normal == names.EXPORT_DIR or normal.startswith(names.EXPORT_DIR + "/")


def _warnings(wanted: Wanted, options: Options, resolution: Resolution) -> Iterator[str]:
    if options.unknown and not wanted.explicit:
        yield f"unknown annotations, ignored: {', '.join(options.unknown)}"
    if not resolution.spec.mappings:
        yield (
            f"nothing to sync yet: neither {names.EGRESS} nor {names.INGRESS} is set, "
            f"and no EdgeWorkload {resolution.workload!r} supplies mappings"
        )
    if resolution.scc_warning:
        yield resolution.scc_warning
    if resolution.volume.kind is VolumeKind.EMPTY_DIR:
        yield f"{names.VOLUME}: emptyDir: what is not yet sent dies with the pod"
    for target in resolution.shared_keys:
        yield (
            f"every replica writes below {target!r}: equal names overwrite each other; "
            "put $(POD_NAME) or $(NODE_NAME) into the target"
        )
