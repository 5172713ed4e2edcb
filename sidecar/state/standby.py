"""The state file: what the holder of the lock last said, for a sidecar that waits and for the next one.

It makes a restarted sidecar ready at once where this directory was already complete, and lets the
one that waits answer probes as the holder would. It is a statement about the past, never a lock.
"""

from __future__ import annotations

import hashlib
import json
from contextlib import suppress
from typing import Any, Final, NamedTuple

from contract.mapping import Mapping
from contract.spec import mappings_to_json
from sidecar.errors import from_os_error
from sidecar.state.ownership import replace_file

STATE_FILE: Final = "state"


class Statement(NamedTuple):
    """What a holder said at the end of a cycle. ``last_complete``: seconds since the epoch, or None."""

    last_complete: float | None
    mappings: str  # identity of what was synced
    status: dict[str, Any]


def identity(mappings: tuple[Mapping, ...]) -> str:
    """Equal for equal mappings: a complete cycle of others says nothing about these."""
    text = "".join(f"{mapping.direction}{mappings_to_json((mapping,))}" for mapping in mappings)
    return hashlib.sha256(text.encode()).hexdigest()


def write(state_dir: str, statement: Statement) -> None:
    """Replace the state file.

    Raises:
        NoRoom, LocalFault: the disk refused; the old statement stays.
    """
    text = json.dumps(
        {"last_complete": statement.last_complete, "mappings": statement.mappings, "status": statement.status}
    )
    try:
        replace_file(f"{state_dir}/{STATE_FILE}", text)
    except OSError as error:
        raise from_os_error("write", f"{state_dir}/{STATE_FILE}", error) from error


def read(state_dir: str) -> Statement | None:
    """The last statement; None where there is none that can be read."""
    with suppress(OSError, ValueError, KeyError, TypeError):
        with open(f"{state_dir}/{STATE_FILE}", encoding="utf-8") as file:
            raw = json.load(file)
        moment = raw["last_complete"]
        if isinstance(raw["status"], dict) and (moment is None or isinstance(moment, (int, float))):
            return Statement(moment, str(raw["mappings"]), raw["status"])
    return None
