"""``python -m sidecar wait``: wait until the sidecar beside this container says that everything is sent.

For a pod that exists to send what another left behind. It believes only a sidecar that holds the directory
and has looked at all of it itself; the last knowledge of an earlier one is not enough.
"""

from __future__ import annotations

import http.client
import json
import logging
import time
from collections.abc import Callable
from contextlib import closing
from typing import Any, Final

from contract.mapping import Direction
from contract.names import PORT
from runtime.logs import fields

log = logging.getLogger(__name__)

_EVERY: Final = 1.0  # seconds between two looks
_TIMEOUT: Final = 5.0
_LARGEST: Final = 4 * 1024 * 1024  # bytes of an answer


def wait(
    seconds: float,
    ask: Callable[[], Any] | None = None,
    sleep: Callable[[float], object] = time.sleep,
    clock: Callable[[], float] = time.monotonic,
) -> bool:
    """Whether everything was sent within ``seconds``."""
    until, said = clock() + seconds, ""
    while True:
        status = (ask or _ask)()
        if everything_is_sent(status):
            log.info("everything is sent")
            return True
        if (now := _in_words(status)) != said:
            said = now
            log.info("waiting", **fields(said=said))
        if clock() >= until:
            log.error("not everything was sent in time", **fields(seconds=seconds, said=said))
            return False
        sleep(_EVERY)


def everything_is_sent(status: Any) -> bool:
    """Whether this ``/status`` says so."""
    if not isinstance(status, dict) or status.get("role") != "holder":
        return False
    egress = [one for one in status.get("mappings") or () if one.get("direction") == Direction.EGRESS.value]
    return bool(egress) and all(one.get("state") == "ok" and one.get("pending_files") == 0 for one in egress)


def _ask() -> Any:
    try:
        with closing(http.client.HTTPConnection("127.0.0.1", PORT, timeout=_TIMEOUT)) as connection:
            connection.request("GET", "/status")
            response = connection.getresponse()
            return json.loads(response.read(_LARGEST)) if response.status == http.client.OK else None
    except (OSError, http.client.HTTPException, ValueError):
        return None  # it is about to start, or there is none; time tells


def _in_words(status: Any) -> str:
    if not isinstance(status, dict):
        return "no sidecar answers"
    if status.get("role") != "holder":
        return "another sidecar holds the directory"
    egress = [one for one in status.get("mappings") or () if one.get("direction") == Direction.EGRESS.value]
    files = [one.get("pending_files") for one in egress]
    return f"{sum(one or 0 for one in files)} files pending" if files else "nothing to be sent is named"
