"""The walk of one pod: clean → read → resolve → decide → inject → patch. No I/O on the way.

:func:`process` is what admission, ``inject`` and ``explain`` share; :func:`admit` is the handler
that ``server`` is given.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from contract.names import SIDECAR_CONTAINER
from webhook import containers, patch, pods
from webhook.annotations import read_options
from webhook.catalog import Catalog
from webhook.decision import Decision, Deny, Inject, Skip, asked, decide
from webhook.injection import inject
from webhook.injection_settings import InjectionSettings
from webhook.overrides import Overrides, injected_overrides, read_overrides
from webhook.pods import Json
from webhook.reasons import Reason
from webhook.removal import Clean, remove
from webhook.resolution import resolve
from webhook.review import Answer, Review

_POD: Final = "v1/Pod"


@dataclass(frozen=True, slots=True)
class Outcome:
    """What was decided about a pod, and the pod as it shall be (the one given unless injected)."""

    decision: Decision
    pod: Json


def process(pod: Json, namespace: str, catalog: Catalog, settings: InjectionSettings) -> Outcome:
    """Decide about ``pod`` in ``namespace`` and inject it if so decided; ``pod`` is left as it was."""
    fault = pods.shape_fault(pod)
    if fault is not None:
        return Outcome(Deny(Reason.INVALID_POD, (fault,)), pod)
    facts = catalog.namespace(namespace)
    wanted = asked(pod, facts)
    if isinstance(wanted, Skip):
        return Outcome(wanted, pod)
    clean = remove(pod)
    options = read_options(pods.annotations(clean.pod))
    resolution = resolve(clean.pod, namespace, catalog, options, settings)
    decision = decide(clean.pod, wanted, facts, options, resolution, _overrides(clean, settings))
    if not isinstance(decision, Inject):
        return Outcome(decision, pod)
    return Outcome(decision, inject(clean.pod, decision, settings, clean.taken))


def admit(review: Review, catalog: Catalog, settings: InjectionSettings) -> Answer:
    """The answer to ``review``."""
    if review.kind != _POD or review.subresource:
        what = review.kind + (f"/{review.subresource}" if review.subresource else "")
        return _skipped(Skip(Reason.OTHER_KIND, (f"{Reason.OTHER_KIND.sentence}, not {what}",)))
    if review.operation != "CREATE":
        return _skipped(Skip(Reason.OTHER_OPERATION))
    outcome = process(review.object, review.namespace, catalog, settings)
    match outcome.decision:
        case Skip():
            return _skipped(outcome.decision)
        case Deny(reason=reason, message=message):
            return Answer(allowed=False, reason=reason, result="denied", message=f"data-sync: {message}")
        case Inject(reason=reason, warnings=warnings):
            operations = patch.diff(review.object, outcome.pod)
            return Answer(allowed=True, reason=reason, result="injected", patch=operations, warnings=warnings)


def _skipped(skip: Skip) -> Answer:
    return Answer(allowed=True, reason=skip.reason, result="skipped", warnings=skip.warnings)


def _overrides(clean: Clean, settings: InjectionSettings) -> Overrides:
    """Overrides of the user's own ``data-sync`` container, or those our earlier one still carries."""
    earlier = clean.taken.get(SIDECAR_CONTAINER)
    if earlier is None:
        return read_overrides(clean.pod)
    return injected_overrides(earlier, containers.default_resources(clean.pod, settings))
