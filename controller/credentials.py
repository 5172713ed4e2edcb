"""Whether a device's keys are complete and accepted: what its sidecars say → a condition. Pure.

The controller reads no Secret, so only a sidecar that has tried can tell.
"""

from __future__ import annotations

from collections.abc import Sequence

from contract.conditions import Because, Truth
from contract.conditions import Condition as Says
from controller.conditions import FALSE, TRUE, Condition
from controller.devices import CREDENTIALS_READY
from controller.sightings import Sighting


def credentials(sightings: Sequence[Sighting]) -> Condition | None:
    """The condition, or None while no sidecar has said anything of it."""
    reports = [one.report for one in sightings if one.report is not None and not one.pod.terminating]
    refused = [said for one in reports if (said := one.about(Says.REFUSED)) is not None]
    for said in refused:
        if said.truth is Truth.TRUE:
            return Condition(CREDENTIALS_READY, FALSE, said.because.value, said.message, warning=True)
    for one in reports:
        synced = one.about(Says.SYNCED)
        if synced is not None and synced.because is Because.WAITING_FOR_STORAGE:
            return Condition(CREDENTIALS_READY, FALSE, synced.because.value, synced.message)
    if any(said.truth is Truth.FALSE for said in refused):
        return Condition(CREDENTIALS_READY, TRUE, "Accepted", "sidecars sync with these keys", quiet=True)
    return None
