"""What earlier cycles, or a killed process, left in staging: tidied ahead of each cycle, as far as the disk lets us.

A disk that refuses stops nothing but downloads: what is sent needs no staging. How a single file is
dealt with is ``publish``'s.
"""

from __future__ import annotations

import logging

from runtime.logs import fields
from sidecar.errors import SyncError
from sidecar.local.directories import Root
from sidecar.local.staging import Staging
from sidecar.state.database import IndexBroken
from sidecar.state.index import Index
from sidecar.transfer.publish import Publisher

log = logging.getLogger(__name__)


class Upkeep:
    """For one process that holds a directory. The engine's thread alone uses it."""

    def __init__(self, index: Index) -> None:
        self._index = index
        self._leftovers: set[str] = set()
        self._recovered = False
        self._cleared = False  # once is enough: what comes in later are downloads of ours, of the lane too
        self._said = ""
        self.barrier: SyncError | None = None  # why nothing may be fetched now

    def staging(self, root: Root) -> Staging:
        """The staging directories, for one cycle or one large file."""
        return Staging(root, self._leftovers)

    def tidy(self, staging: Staging, publisher: Publisher, *, cycle_of_ingress: bool) -> None:
        """Deal with what is left; where that cannot be done, :attr:`barrier` says why.

        Raises:
            IndexBroken: the index must be started afresh.
        """
        staging.sweep()
        try:
            self._index.thaw()
            if not self._recovered:
                publisher.recover(clear=not self._cleared)
                self._recovered = self._cleared = True
            if cycle_of_ingress:
                publisher.age()
        except IndexBroken:
            raise
        except SyncError as error:
            self._say(error)
            # Held for longer is no harm. But what a killed run left in staging looks like a download of ours.
            self.barrier = None if self._recovered else error
            return
        self._said, self.barrier = "", None

    def index_lost(self, error: SyncError) -> None:
        """The index starts afresh, and counts from one: set apart what is held before anything is replaced."""
        self._recovered, self.barrier = False, error

    def _say(self, error: SyncError) -> None:
        if str(error) != self._said:
            log.warning("staging not tidied", **fields(reason=error.reason, error=str(error)))
        self._said = str(error)
