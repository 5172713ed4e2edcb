"""Which device a pod is for: annotation, EdgeWorkload, the node it is pinned to, the only one that matches. Pure.

What the device's storage is, is ``storage``'s.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from typing import Any, Final

from webhook import pods
from webhook.annotations import Options
from webhook.catalog import Catalog, DeviceFacts, WorkloadFacts
from webhook.pods import Json

_HOSTNAME: Final = "kubernetes.io/hostname"
_NODE_NAME: Final = "metadata.name"  # the only field that matchFields knows; a DaemonSet's pods have it


@dataclass(frozen=True, slots=True)
class Device:
    """What was found. ``name`` is empty without a device; ``facts`` is None where nothing more is known of it.

    ``fault`` is a sentence about a device that was meant and cannot be used.
    """

    name: str = ""
    rule: str = "none"
    facts: DeviceFacts | None = None
    own: bool = False  # no other node's pods use this device
    fault: str = ""


def find(pod: Json, namespace: str, options: Options, workload: WorkloadFacts | None, catalog: Catalog) -> Device:
    """The device of ``pod``, by the first rule that has something to say."""
    node = pinned(pod)
    if options.device:
        found = _named(options.device, "annotation", namespace, node, catalog)
        # A pod in another's directory sends what is left there before its device goes.
        return replace(found, fault="") if options.owner_kind and found.facts is not None else found
    if workload is not None and workload.device:
        return _named(workload.device, "workload", namespace, node, catalog)
    facts = catalog.device(namespace, node) if node else None
    if facts is not None:
        return _known(facts, "node", own=True)
    if workload is not None and workload.selector is not None:
        return _selected(workload, catalog.devices(namespace))
    return Device()


def pinned(pod: Json) -> str:
    """The one node that ``pod`` can go to, or an empty text."""
    body = pods.spec(pod)
    if isinstance(body.get("nodeName"), str) and body["nodeName"]:
        return str(body["nodeName"])
    found = {_hostname(body.get("nodeSelector")), *_by_affinity(body)} - {""}
    return found.pop() if len(found) == 1 else ""


def _named(name: str, rule: str, namespace: str, node: str, catalog: Catalog) -> Device:
    facts = catalog.device(namespace, name)
    if facts is not None:
        return _known(facts, rule, own=name == node)
    if not catalog.knows_devices:
        return Device(name, rule)
    return Device(name, rule, fault=f"EdgeDevice {namespace}/{name} does not exist (device by {rule})")


def _known(facts: DeviceFacts, rule: str, *, own: bool = False) -> Device:
    fault = f"EdgeDevice {facts.name} is being deleted (device by {rule})" if facts.leaving else ""
    return Device(facts.name, rule, facts, own, fault)


def _selected(workload: WorkloadFacts, devices: Iterable[DeviceFacts]) -> Device:
    selector = workload.selector
    matching = (device for device in devices if selector is not None and selector.matches(device.labels))
    first, second = next(matching, None), next(matching, None)
    if first is not None and second is None:
        return _known(first, "deviceSelector")
    return Device()


def _by_affinity(body: Json) -> Iterator[str]:
    affinity: Any = body
    for key in ("affinity", "nodeAffinity", "requiredDuringSchedulingIgnoredDuringExecution"):
        affinity = affinity.get(key) if isinstance(affinity, dict) else None
    terms = affinity.get("nodeSelectorTerms") if isinstance(affinity, dict) else None
    # One term is enough to be scheduled, so each must lead to the same node.
    nodes = {_by_term(term) for term in terms} if isinstance(terms, list) else set()
    if len(nodes) == 1:
        yield from nodes


def _by_term(term: Any) -> str:
    found = {
        node
        for key, name in (("matchFields", _NODE_NAME), ("matchExpressions", _HOSTNAME))
        for node in _single_values(term.get(key) if isinstance(term, dict) else None, name)
    }
    return found.pop() if len(found) == 1 else ""


def _single_values(requirements: Any, key: str) -> Iterator[str]:
    for one in requirements if isinstance(requirements, list) else ():
        if isinstance(one, dict) and (one.get("key"), one.get("operator")) == (key, "In"):
            values = one.get("values")
            if isinstance(values, list) and len(values) == 1:
                yield str(values[0])


def _hostname(selector: Any) -> str:
    return str(selector.get(_HOSTNAME) or "") if isinstance(selector, dict) else ""
