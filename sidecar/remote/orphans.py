"""Uploads that were begun and of which we never learnt the id: looked for by their key, and ended.

Part of the S3 adapter. A kill between the server's beginning an upload and our noting its id, or an answer
that was lost, leaves an intent (``uploads.py``). The server then lists the uploads of that key. Whose
they are it does not say, so only those are ended that were begun while we meant to begin one; a stranger
who begins an upload of the very same key in that time loses it (and no object), and has to send it again.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable
from datetime import datetime
from typing import Final, NamedTuple

from runtime.logs import fields
from sidecar.errors import Misconfigured, Refused, SyncError
from sidecar.remote.attempt import Attempt
from sidecar.remote.client import Ask, Client, sendable
from sidecar.remote.documents import InvalidDocument, items
from sidecar.remote.failures import Garbled, clock_skew
from sidecar.remote.uploads import Intent
from sidecar.tree import ObjectKey

log = logging.getLogger(__name__)

OPERATION: Final = "list_uploads"
ROUNDING: Final = 2.0  # seconds: servers tell whole ones, in ``Date`` and in ``Initiated``
WINDOW: Final = 600.0  # seconds after the last intent; every attempt at one upload is over long before

ADVICE: Final = "allow ListMultipartUploads, or have the bucket end unfinished uploads by a lifecycle rule"


class Orphan(NamedTuple):
    """An upload at the server; ``begun`` in seconds since the epoch, by our clock."""

    id: str
    begun: float


def uploads_of(client: Client, key: ObjectKey) -> list[Orphan]:
    """The unfinished uploads of exactly ``key``, whoever began them; one page, which S3 sorts by key.

    Raises:
        SyncError: as the server says; Garbled where it is no such list.
    """
    ask = Ask(OPERATION, "GET", query={"prefix": sendable(key), "uploads": ""})
    reply = client.call(ask)
    ahead = clock_skew(reply.headers.get("date"), time.time()) or 0.0
    try:
        told = [item for item in items(reply.body, "Upload") if item.get("Key") == key]
        return [
            Orphan(item["UploadId"], datetime.fromisoformat(item["Initiated"]).timestamp() + ahead) for item in told
        ]
    except (InvalidDocument, KeyError, ValueError) as error:
        raise Garbled(OPERATION, key, f"no list of uploads: {error}") from error


def ours(found: list[Orphan], intent: Intent) -> list[Orphan]:
    """Those of ``found`` that were begun while ``intent`` held."""
    return [one for one in found if intent.since - ROUNDING <= one.begun <= intent.last + WINDOW]


class Orphans:
    """Ends what intents left behind by ``abort(key, upload id)``, which says whether it is gone. Thread-safe."""

    def __init__(self, client: Client, attempt: Attempt, abort: Callable[[ObjectKey, str], bool]) -> None:
        self._client = client
        self._attempt = attempt
        self._abort = abort
        self._said = False

    def end(self, intent: Intent, keep: str = "") -> bool:
        """End the uploads that ``intent`` led to, but the one called ``keep``; True when none is left. Never fails."""
        try:
            found = self._attempt(OPERATION, lambda: self._listed(intent.key))
        except SyncError as error:
            log.debug("uploads not listed", **fields(key=intent.key, reason=error.reason))
            return False
        done = True
        for one in ours(found, intent):
            if one.id != keep:
                done = self._abort(intent.key, one.id) and done
                log.info("upload without an id ended", **fields(key=intent.key))
        return done

    def _listed(self, key: ObjectKey) -> list[Orphan]:
        try:
            return uploads_of(self._client, key)
        except Garbled:
            raise
        except (Refused, Misconfigured) as error:
            if not self._said:
                self._said = True
                log.warning("uploads cannot be listed", **fields(key=key, error=str(error), advice=ADVICE))
            raise
