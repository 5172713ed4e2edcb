"""The whole body of ``/status``: what is known now, what moved lately, and what this sidecar is.

It puts parts together and decides nothing; the state file holds only the first of the three, so that
a device's flash is not worn out by what changes every minute.
"""

from __future__ import annotations

import time
from typing import Any

from runtime import VERSION
from sidecar.reporting.history import History
from sidecar.reporting.progress import Progress
from sidecar.settings import Settings

_IDENTITY = {"POD_NAME": "pod", "POD_NAMESPACE": "namespace", "NODE_NAME": "node", "DEVICE_ID": "device"}


def about_this(settings: Settings, started: float) -> dict[str, Any]:
    """What never changes while this process runs; ``started`` in seconds since the epoch."""
    return {
        "version": VERSION,
        "started": started,
        "identity": {word: settings.variables[name] for name, word in _IDENTITY.items() if name in settings.variables},
        "interval": settings.spec.interval,
        "limits": {
            "ingress_max_bytes": settings.ingress_max_bytes,
            "bandwidth": settings.bandwidth,
            "requests_a_day": settings.request_budget,
        },
    }


def report(progress: Progress, history: History, about: dict[str, Any], *, with_names: bool) -> dict[str, Any]:
    """The body of ``/status``."""
    return {
        **about,
        "now": time.time(),
        "names_shown": with_names,
        **progress.status(with_names=with_names),
        "requests_today": history.requests(),
        "throughput": history.throughput(),
    }
