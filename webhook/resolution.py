"""Whose pod it is and where its files live: pod, options, catalog → :class:`Resolution`. Pure.

Puts together what ``owners``, ``devices`` and ``storage`` find; whether the pod may be injected at all is
``decision``'s.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Final

from contract.names import export_volume
from contract.spec import Owner, SyncSpec
from webhook import devices, openshift, owners, pods, storage
from webhook.annotations import Mode, Options, Scope, Volume
from webhook.catalog import Catalog, WorkloadFacts
from webhook.devices import Device
from webhook.facts import overlap_faults
from webhook.injection_settings import InjectionSettings
from webhook.pods import Json
from webhook.storage import StorageNames

_NAME_PER_POD: Final = ("$(POD_NAME)", "$(NODE_NAME)")
_REPLICATED: Final = frozenset({"Deployment", "ReplicaSet", "StatefulSet", "DaemonSet", "ReplicationController"})


@dataclass(frozen=True, slots=True)
class Resolution:
    """All that injection needs to know about one pod, and which rules found it."""

    workload: str  # a plain path component; empty when nothing usable was found
    owner: Owner
    spec: SyncSpec
    mode: Mode  # never AUTO
    scope: Scope
    volume: Volume
    wait_for_ingress: bool
    host_path: str  # directory on the node, for hostPath volumes
    rules: tuple[tuple[str, str], ...]  # what was decided → by what; for the status annotation
    has_storage: bool = False  # whether the resources are known that will hold the storage keys
    faults: tuple[str, ...] = ()  # sentences: what was found and cannot be used
    storage_fault: str = ""
    scc_fault: str = ""  # why OpenShift would not let the pod in
    scc_warning: str = ""
    shared_keys: tuple[str, ...] = ()  # egress targets that several replicas of this workload would write to

    @property
    def export_volume(self) -> str:
        """Name of the volume behind ``/export``."""
        return export_volume(self.workload)

    @property
    def storage(self) -> str:
        """Where the storage keys come from, the claim before what stands in for it."""
        external = "+".join(name for name in (self.spec.config_map, self.spec.secret) if name)
        found = [f"claim/{self.spec.claim}"] if self.spec.claim else []
        return ", ".join([*found, f"external/{external}"] if external or not found else found)


def resolve(pod: Json, namespace: str, catalog: Catalog, options: Options, settings: InjectionSettings) -> Resolution:
    """Everything that can be known of ``pod`` in ``namespace``; missing parts are left empty."""
    facts = catalog.namespace(namespace)
    kind, workload, workload_rule = owners.find(pod, options)
    described = catalog.workload(namespace, workload) if workload else None
    device = devices.find(pod, namespace, options, described, catalog)
    found = storage.find(options, device, facts, settings)
    owner = Owner(namespace, facts.uid, kind, workload)
    overrides = settings.claim_overrides if found.claim else ()
    spec = replace(_spec(options, described, device, found, owner), claim_overrides=overrides)
    mode, mode_rule = _mode(pod, options, catalog)
    return Resolution(
        workload=workload,
        owner=owner,
        spec=spec,
        mode=mode,
        scope=options.scope,
        volume=options.volume,
        wait_for_ingress=options.wait_for_ingress,
        host_path=_host_path(namespace, workload, settings),
        rules=(
            ("device", device.rule),
            ("mappings", _mappings_rule(options, described)),
            ("mode", mode_rule),
            ("storage", found.rule),
            ("workload", workload_rule),
        ),
        has_storage=found.known,
        faults=tuple(_faults(options, described, spec)),
        storage_fault=found.fault,
        shared_keys=_shared_keys(pod, spec, device),
        **openshift.look(pod, namespace, options.volume, catalog.sccs, settings),
    )


def _spec(
    options: Options, described: WorkloadFacts | None, device: Device, found: StorageNames, owner: Owner
) -> SyncSpec:
    known = described or WorkloadFacts("")
    return SyncSpec(
        egress=known.egress if options.egress is None else options.egress,
        ingress=known.ingress if options.ingress is None else options.ingress,
        interval=options.interval,
        credentials=found.credentials,
        claim=found.claim,
        config_map=found.config_map,
        secret=found.secret,
        device=device.name,
        owner=owner,
    )


def _mappings_rule(options: Options, described: WorkloadFacts | None) -> str:
    annotated = [key for key in (options.egress, options.ingress) if key is not None]
    supplied = described is not None and len(annotated) < 2
    return "+".join((["annotation"] if annotated else []) + (["workload"] if supplied else [])) or "none"


def _mode(pod: Json, options: Options, catalog: Catalog) -> tuple[Mode, str]:
    if options.mode is not Mode.AUTO:
        return options.mode, "annotation"
    native = catalog.native(devices.pinned(pod))
    # Without a cluster nothing says that it is older than native sidecars.
    return (Mode.NATIVE if native else Mode.CLASSIC), "cluster" if catalog.knows_devices else "default"


def _faults(options: Options, described: WorkloadFacts | None, spec: SyncSpec) -> list[str]:
    if described is None or (options.egress is not None and options.ingress is not None):
        return []
    faults = list(described.faults)
    if options.egress is not None or options.ingress is not None:  # else they were looked at when they came
        faults += [f"an annotation and EdgeWorkload {described.name}: {one}" for one in overlap_faults(spec.mappings)]
    return faults


def _host_path(namespace: str, workload: str, settings: InjectionSettings) -> str:
    if namespace == settings.flotta_namespace:
        return f"{settings.export_root}/{workload}"
    return f"{settings.export_root}/{namespace}/{workload}"


def _shared_keys(pod: Json, spec: SyncSpec, device: Device) -> tuple[str, ...]:
    owner = pods.controller(pod) or {}
    if str(owner.get("kind")) not in _REPLICATED or device.own:
        return ()
    targets = (mapping.target for mapping in spec.egress)
    return tuple(target for target in targets if not any(name in target for name in _NAME_PER_POD))
