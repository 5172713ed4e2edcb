"""Raw objects of the API server → the facts that the catalog keeps. Pure.

Little is kept of each, so that ten thousand devices fit; an object that is not what its kind should be
becomes facts that say so, never an exception: whoever wrote it must not stop the watch of all others.
"""

from __future__ import annotations

import re
import sys
from collections.abc import Iterable, Mapping
from typing import Any, Final

from contract import names
from contract.mapping import Direction, MappingError, check_overlap, parse_mappings
from contract.mapping import Mapping as SyncMapping
from contract.selectors import Selector, parse_selector
from webhook.catalog import DeviceFacts, GivenCatalog, NamespaceFacts, NodeFacts, WorkloadFacts, ours

Json = dict[str, Any]

_POD_SECURITY: Final = "pod-security.kubernetes.io/"
_VERSION = re.compile(r"v?(\d+)\.(\d+)")


def name_of(raw: Json) -> tuple[str, str]:
    """Namespace (empty for what has none) and name."""
    meta = _dict(raw.get("metadata"))
    return str(meta.get("namespace") or ""), str(meta.get("name") or "")


def namespace_facts(raw: Json) -> NamespaceFacts:
    """Of a Namespace, or its metadata alone."""
    meta = _dict(raw.get("metadata"))
    labels = _texts(meta.get("labels"))
    kept = {key: value for key, value in labels.items() if key.startswith(_POD_SECURITY)} | ours(labels)
    return NamespaceFacts(str(meta.get("uid") or ""), kept, ours(_texts(meta.get("annotations"))))


def device_facts(raw: Json) -> DeviceFacts:
    """Of an EdgeDevice."""
    meta = _dict(raw.get("metadata"))
    s3 = _dict(_dict(_dict(raw.get("spec")).get("storage")).get("s3"))
    return DeviceFacts(
        name=str(meta.get("name") or ""),
        labels=_texts(meta.get("labels")),
        config_map=str(s3.get("configMapName") or ""),
        secret=str(s3.get("secretName") or ""),
        claims=s3.get("createOBC") is not False,
        leaving=bool(meta.get("deletionTimestamp")),
    )


def workload_facts(raw: Json) -> WorkloadFacts:
    """Of an EdgeWorkload; the CRD's rules caught most faults, an older CRD or none would not have."""
    name = name_of(raw)[1]
    spec = _dict(raw.get("spec"))
    data = _dict(spec.get("data"))
    faults: list[str] = []
    egress = _mappings(Direction.EGRESS, data.get("egress"), faults)
    ingress = _mappings(Direction.INGRESS, data.get("ingress"), faults)
    faults += overlap_faults(egress + ingress)
    selector = _selector(spec.get("deviceSelector"), faults)
    said = tuple(f"EdgeWorkload {name}: {fault}" for fault in faults)
    return WorkloadFacts(name, egress, ingress, str(spec.get("device") or ""), selector, said)


def node_facts(raw: Json) -> NodeFacts:
    """Of a Node."""
    info = _dict(_dict(raw.get("status")).get("nodeInfo"))
    said = info.get("kubeletVersion") or ""
    takes_pods = _dict(raw.get("spec")).get("unschedulable") is not True and said  # else no kubelet has come yet
    windows = info.get("operatingSystem") == "windows"  # where no sidecar ever goes
    return NodeFacts(name_of(raw)[1], version(said), bool(takes_pods) and not windows)


def version(text: object) -> tuple[int, int] | None:
    """Major and minor of a version such as ``v1.29.4-gke.100``."""
    match = _VERSION.match(text) if isinstance(text, str) else None
    return (int(match[1]), int(match[2])) if match else None


def catalog_of(manifests: Iterable[object], namespace: str) -> GivenCatalog:
    """A catalog of the resources among ``manifests``; those that name no namespace are in ``namespace``."""
    catalog = GivenCatalog(knows_devices=False)
    for raw in manifests:
        if not isinstance(raw, dict):
            continue
        where, name = name_of(raw)
        match (raw.get("apiVersion"), raw.get("kind")):
            case (names.API_VERSION, "EdgeDevice"):
                catalog.devices_in.setdefault(where or namespace, {})[name] = device_facts(raw)
            case (names.API_VERSION, "EdgeWorkload"):
                catalog.workloads_in.setdefault(where or namespace, {})[name] = workload_facts(raw)
            case ("v1", "Namespace"):
                catalog.namespaces[name] = namespace_facts(raw)
            case ("v1", "Node"):
                catalog.nodes[name] = node_facts(raw)
    return catalog


def overlap_faults(mappings: tuple[SyncMapping, ...]) -> tuple[str, ...]:
    """A sentence for each pair that overlaps."""
    try:
        check_overlap(mappings)
    except MappingError as error:
        return error.faults
    return ()


def _mappings(direction: Direction, raw: object, faults: list[str]) -> tuple[SyncMapping, ...]:
    try:
        return parse_mappings(direction, raw)
    except MappingError as error:
        faults += [f"spec.data.{direction}: {fault}" for fault in error.faults]
        return ()


def _selector(raw: object, faults: list[str]) -> Selector | None:
    if raw is None:
        return None
    try:
        return parse_selector(raw)
    except ValueError as error:
        faults.append(f"spec.deviceSelector: {error}")
        return None


def _dict(value: object) -> Json:
    return value if isinstance(value, dict) else {}


def _texts(value: object) -> Mapping[str, str]:
    """Labels or annotations; keys and values repeat in every object, and are kept once."""
    return {sys.intern(str(key)): sys.intern(str(text)) for key, text in _dict(value).items()}
