"""A drain that a person asks for: the annotation ``drain`` of an EdgeWorkload or EdgeDevice, and its answer.

``requested`` becomes ``running <time>`` when it is taken on, and ``sent <time>`` or ``failed <time>`` in the
end; to ask again, write ``requested`` again.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Final

from contract import names
from controller.cluster import Cluster
from controller.conditions import TRUE, Condition
from controller.draining import Drained, Drainer
from controller.drains import Drain, listed
from controller.events import Recorder
from controller.pods import annotations_of
from controller.resources import Json, Resource
from controller.status import DRAINING, stamp

_RUNNING: Final = "running "
_LOOK_AGAIN: Final = 5.0  # seconds


class Requests:
    """See the module."""

    def __init__(
        self,
        cluster: Cluster,
        resource: Resource,
        drainer: Drainer,
        events: Recorder,
        now: Callable[[], float] = time.time,
    ) -> None:
        self._cluster, self._resource, self._drainer, self._events = cluster, resource, drainer, events
        self._now = now

    def follow(self, about: Json, left: Callable[[str], list[Drain]]) -> tuple[Condition | None, float | None]:
        """Do what the annotation asks; what to say of it, and when to look again, in seconds: 0 when it was answered.

        ``left``: the drains that are to be done, by what tells this request from others.
        """
        said = annotations_of(about).get(names.DRAIN, "")
        if said == names.DRAIN_REQUESTED:
            self._answer(about, _RUNNING + stamp(self._now()))
            return Condition(DRAINING, TRUE, "Requested", "asked for by annotation", quiet=True), 0.0
        if not said.startswith(_RUNNING):
            return None, None
        drained = self._drainer.carry_out(left(f"{about['metadata']['uid']} {said}"))
        condition = self.tell(about, drained)
        if condition is not None:
            return condition, _LOOK_AGAIN
        word = "failed" if drained.failed else "sent"
        self._answer(about, f"{word} {stamp(self._now())}")
        return None, 0.0

    def tell(self, about: Json, drained: Drained) -> Condition | None:
        """Events of what became of drains; the condition to show while some are waited for."""
        if drained.sent:
            self._events.normal(about, "Drained", f"everything is sent of {listed(drained.sent)}")
        for drain, reason in drained.failed:
            message = f"files may be left in the directory of {drain}: {reason}"
            self._events.warning(about, "DrainFailed", message)
        if not drained.waiting:
            return None
        message = f"files that no pod looks after any more are sent: {listed(drained.waiting)}"
        return Condition(DRAINING, TRUE, "SendingFiles", message)

    def _answer(self, about: Json, said: str) -> None:
        metadata = about["metadata"]
        patch = {"metadata": {"uid": metadata["uid"], "annotations": {names.DRAIN: said}}}
        self._cluster.patch(self._resource, metadata["namespace"], metadata["name"], patch)
