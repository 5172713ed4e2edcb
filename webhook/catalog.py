"""The catalog: what the webhook knows of the cluster beyond the pod itself.

Admission asks it and never the API server, so that no answer waits on another. Here is the seam and
the empty catalog (``WEBHOOK_CATALOG=none``); the watch cache of devices and workloads is another's.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Protocol


@dataclass(frozen=True, slots=True)
class NamespaceFacts:
    """What is known of a namespace; ``labels`` is None and ``uid`` empty where nothing is."""

    uid: str = ""
    labels: Mapping[str, str] | None = None


class Catalog(Protocol):
    """Answers from memory, at once, from any thread."""

    def namespace(self, name: str) -> NamespaceFacts:
        """The facts of the namespace ``name``; empty facts when it is not known."""
        ...


class EmptyCatalog:
    """Knows nothing: every decision is made from the pod alone."""

    def namespace(self, name: str) -> NamespaceFacts:
        """Empty facts, whatever ``name`` is."""
        del name
        return NamespaceFacts()
