"""Whose pod it is and where its files live: pod and options → :class:`Resolution`. Pure.

Finds names; whether the pod may be injected at all is ``decision``'s. With a catalog of devices
and workloads, this is where they will be looked up.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Final

from contract.names import export_volume
from contract.spec import Owner, SyncSpec
from contract.storage import Credentials
from webhook import pods
from webhook.annotations import Mode, Options, Scope, Volume
from webhook.catalog import NamespaceFacts
from webhook.pods import Json
from webhook.settings import InjectionSettings

_HASH_LABEL: Final = "pod-template-hash"
_CRON_SUFFIX = re.compile(r"-\d{8,10}$")  # a CronJob names its Jobs after the minute they were due
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

    @property
    def export_volume(self) -> str:
        """Name of the volume behind ``/export``."""
        return export_volume(self.workload)

    @property
    def has_storage(self) -> bool:
        """Whether the resources are known that will hold the storage keys."""
        if self.spec.claim:
            return True
        return bool(self.spec.config_map and (self.spec.secret or self.spec.credentials is Credentials.CHAIN))

    @property
    def storage(self) -> str:
        """Where the storage keys come from, in one word or two names."""
        if self.spec.claim:
            return f"claim/{self.spec.claim}"
        return "external/" + "+".join(name for name in (self.spec.config_map, self.spec.secret) if name)

    @property
    def shared_keys(self) -> tuple[str, ...]:
        """Egress targets that several replicas of this workload would write to."""
        if self.owner.kind not in _REPLICATED:
            return ()
        targets = (mapping.target for mapping in self.spec.egress)
        return tuple(target for target in targets if not any(name in target for name in _NAME_PER_POD))


def resolve(
    pod: Json, namespace: str, facts: NamespaceFacts, options: Options, settings: InjectionSettings
) -> Resolution:
    """Everything that can be known of ``pod`` in ``namespace``; missing parts are left empty."""
    kind, workload, rule = _workload(pod, options)
    owner = Owner(namespace, facts.uid, kind, workload)
    return Resolution(
        workload=workload,
        owner=owner,
        spec=SyncSpec(
            egress=options.egress,
            ingress=options.ingress,
            interval=options.interval,
            credentials=options.credentials,
            config_map=options.config_map,
            secret=options.secret,
            device=options.device,
            owner=owner,
        ),
        # Without a catalog nothing says that the cluster is older than native sidecars.
        mode=Mode.NATIVE if options.mode is Mode.AUTO else options.mode,
        scope=options.scope,
        volume=options.volume,
        wait_for_ingress=options.wait_for_ingress,
        host_path=_host_path(namespace, workload, settings),
        rules=(
            ("mode", "default" if options.mode is Mode.AUTO else "annotation"),
            ("storage", "annotation" if options.config_map or options.secret else "none"),
            ("workload", rule),
        ),
    )


def _host_path(namespace: str, workload: str, settings: InjectionSettings) -> str:
    if namespace == settings.flotta_namespace:
        return f"{settings.export_root}/{workload}"
    return f"{settings.export_root}/{namespace}/{workload}"


def _workload(pod: Json, options: Options) -> tuple[str, str, str]:
    """Kind and name of the workload, and the rule that found them.

    Names are checked here although the API server checks them too: it does so after admission, and
    this one becomes a directory on the node.
    """
    if options.workload:
        return "Workload", options.workload, "annotation"
    owner = pods.controller(pod)
    if owner is not None:
        kind, name = _owner(pod, str(owner.get("kind", "")), str(owner.get("name", "")))
        return kind, _usable(name), "owner"
    name = pods.metadata(pod).get("name") or ""
    if name:
        return "Pod", _usable(name), "name"
    return "Pod", _usable((pods.metadata(pod).get("generateName") or "").rstrip("-.")), "generateName"


def _owner(pod: Json, kind: str, name: str) -> tuple[str, str]:
    if kind == "ReplicaSet":
        template_hash = pods.labels(pod).get(_HASH_LABEL)
        if template_hash and name.endswith(f"-{template_hash}"):
            return "Deployment", name.removesuffix(f"-{template_hash}")
    if kind == "Job" and _CRON_SUFFIX.search(name):
        return "CronJob", _CRON_SUFFIX.sub("", name)
    return kind, name


def _usable(name: str) -> str:
    return name if pods.is_subdomain(name) else ""
