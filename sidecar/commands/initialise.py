"""``init``: what the init container does before any application mounts the directory."""

from __future__ import annotations

import logging
import time

from runtime.logs import fields
from sidecar.errors import SyncError
from sidecar.settings import Settings
from sidecar.state.ownership import prepare

log = logging.getLogger(__name__)


def initialise(settings: Settings, uid: int | None, gid: int | None) -> int:
    """Settle whose directory this is and make its top usable; the exit code."""
    stamp = time.strftime("%Y%m%dT%H%M%SZ", time.gmtime())
    try:
        aside = prepare(settings.export_dir, settings.spec.owner, uid, gid, stamp)
    except SyncError as error:
        log.error("directory cannot be prepared", **fields(reason=error.reason, error=str(error)))
        return 1
    if aside is not None:
        log.warning("another owner's files were set aside", **fields(directory=settings.export_dir, aside=aside))
    log.info("directory prepared", **fields(directory=settings.export_dir, uid=uid, gid=gid))
    return 0
