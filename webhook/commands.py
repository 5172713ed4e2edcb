"""The commands without a cluster: ``inject`` and ``explain``. Text in, text and an exit code out."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from webhook import podman
from webhook.admit import Outcome, process
from webhook.catalog import Catalog
from webhook.decision import Deny, Inject, Skip
from webhook.facts import catalog_of
from webhook.injection_settings import InjectionSettings
from webhook.manifests import Found, dump, found, load, rewrite
from webhook.pods import Json

_DEFAULT_NAMESPACE = "default"  # kubectl's


@dataclass(frozen=True, slots=True)
class Injected:
    """What ``inject`` prints: the manifests, or, when any was denied, why. Warnings come either way."""

    text: str
    denied: tuple[str, ...]
    warnings: tuple[str, ...]


def inject_manifests(text: str, settings: InjectionSettings, *, namespace: str = "", for_podman: bool) -> Injected:
    """Every pod and template in ``text`` injected, as admission would.

    ``namespace`` is for manifests that name none.

    Raises:
        ManifestError: ``text`` is no YAML of manifests.
    """
    given = load(text)
    catalog = catalog_of(given, namespace or _DEFAULT_NAMESPACE)
    denied: list[str] = []
    warnings: list[str] = []

    def change(one: Found) -> Json:
        pod = podman.with_classic_sidecar(one.pod) if for_podman else one.pod
        outcome = _process(one, pod, namespace, catalog, settings)
        decision = outcome.decision
        if isinstance(decision, Deny):
            denied.append(f"{one.label}: {decision.message}")
            return one.pod
        warnings.extend(f"{one.label}: {warning}" for warning in decision.warnings)
        if isinstance(decision, Skip):
            return one.pod
        return podman.for_podman(outcome.pod, decision.resolution) if for_podman else outcome.pod

    documents = [rewrite(document, change) for document in given]
    return Injected(dump(documents), tuple(denied), tuple(warnings))


def explain_manifests(text: str, settings: InjectionSettings, *, namespace: str = "") -> str:
    """For each pod in ``text``, what would be done and why.

    EdgeDevices, EdgeWorkloads, Namespaces and Nodes in ``text`` are taken as the cluster's.

    Raises:
        ManifestError: ``text`` is no YAML of manifests.
    """
    given = load(text)
    catalog = catalog_of(given, namespace or _DEFAULT_NAMESPACE)
    lines: list[str] = []
    for document in given:
        for one in found(document):
            lines += _explain(one, _process(one, one.pod, namespace, catalog, settings))
    return "\n".join(lines or ["no pods and no pod templates here"]) + "\n"


def _process(one: Found, pod: Json, namespace: str, catalog: Catalog, settings: InjectionSettings) -> Outcome:
    return process(pod, one.namespace or namespace or _DEFAULT_NAMESPACE, catalog, settings)


def _explain(one: Found, outcome: Outcome) -> Iterator[str]:
    decision = outcome.decision
    match decision:
        case Inject():
            yield f"{one.label}: inject ({decision.reason}): {decision.reason.sentence}"
            yield from _details(decision)
        case Skip():
            yield f"{one.label}: skip ({decision.reason}): {decision.message}"
        case Deny():
            yield f"{one.label}: deny ({decision.reason}): {decision.reason.sentence}"
            yield from (f"  - {detail}" for detail in decision.details)
    if not isinstance(decision, Deny):
        yield from (f"  warning: {warning}" for warning in decision.warnings)


def _details(decision: Inject) -> Iterator[str]:
    resolution = decision.resolution
    rules = dict(resolution.rules)
    yield f"  workload {resolution.workload} (by {rules['workload']}), owner {resolution.owner.kind}"
    if resolution.spec.device:
        yield f"  device   {resolution.spec.device} (by {rules['device']})"
    yield f"  storage  {resolution.storage} (by {rules['storage']}), credentials {resolution.spec.credentials}"
    yield f"  sidecar  {resolution.mode} (by {rules['mode']})"
    yield f"  volume   {resolution.export_volume}, {_volume(decision)}"
    for mapping in resolution.spec.mappings:
        yield f"  {mapping.direction:8} {mapping.source} → {mapping.target} (by {rules['mappings']})"


def _volume(decision: Inject) -> str:
    resolution = decision.resolution
    kind = resolution.volume.kind
    where = {"hostPath": f" {resolution.host_path}", "pvc": f" {resolution.volume.claim}"}.get(kind, "")
    return f"{kind}{where}"
