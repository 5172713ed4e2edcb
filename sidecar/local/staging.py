"""Staging: downloads grow here, and replaced files wait here, on the same mount as their targets.

``incoming/`` holds downloads under way; at start whatever is there is half of something that the
bucket still has, and goes. ``held/`` holds files that were swapped out of the exported directory:
each may be the only copy of a late write, so nothing leaves it but by :mod:`sidecar.transfer.publish`.
"""

from __future__ import annotations

import itertools
import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from typing import Final

from contract.names import OWN_DIR
from sidecar.errors import from_os_error
from sidecar.local.directories import Root
from sidecar.local.syscalls import rename_new

INCOMING: Final = f"{OWN_DIR}/staging/incoming"
HELD: Final = f"{OWN_DIR}/staging/held"
LOST: Final = f"{OWN_DIR}/lost"

_numbers = itertools.count()  # for all of this process: some downloads outlive the cycle that began them


@dataclass(slots=True)
class Incoming:
    """A file being written in staging; ``fd`` is open for writing and reading until :meth:`Staging.seal`."""

    name: str
    fd: int


class Staging:
    """The staging directories below an exported directory. Thread-safe but for :meth:`clear` and :meth:`sweep`.

    ``leftovers`` outlives it: names in ``incoming/`` that a failing disk would not let go of.
    """

    def __init__(self, root: Root, leftovers: set[str]) -> None:
        with root.directory(OWN_DIR, create=True):
            pass
        self.incoming = _keep_open(root, INCOMING)
        self.held = _keep_open(root, HELD)
        self._root = root
        self._leftovers = leftovers

    def close(self) -> None:
        """Release the descriptors."""
        os.close(self.incoming)
        os.close(self.held)

    def clear(self) -> int:
        """Remove what an earlier run left half downloaded; returns how many files."""
        names = os.listdir(self.incoming)
        for name in names:
            self.discard(name)
        return len(names)

    def sweep(self) -> None:
        """Try once more to remove what could not be removed."""
        for name in list(self._leftovers):
            self._leftovers.discard(name)
            self.discard(name)

    @contextmanager
    def create(self, path: str) -> Iterator[Incoming]:
        """A fresh file to download ``path`` into; removed when the block raises, closed in any case.

        Raises:
            NoRoom, LocalFault: it cannot be made.
        """
        name = f"{os.getpid()}-{next(_numbers)}"
        flags = os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC
        try:
            # 0666 less the umask: what an application that writes the file itself would get.
            incoming = Incoming(name, os.open(name, flags, 0o666, dir_fd=self.incoming))
        except OSError as error:
            raise from_os_error("stage", path, error) from error
        try:
            yield incoming
        except BaseException:
            self.discard(name)
            raise
        finally:
            os.close(incoming.fd)

    def discard(self, name: str) -> None:
        """Remove a download that is not wanted any more; where the disk refuses, :meth:`sweep` does it later."""
        try:
            os.unlink(name, dir_fd=self.incoming)
        except FileNotFoundError:
            pass
        except OSError:
            self._leftovers.add(name)

    def set_apart(self, name: str) -> str:
        """Move a held file of unknown origin to ``.data-sync/lost`` and return its path there: never deleted."""
        with self._root.directory(LOST, create=True) as lost:
            for number in itertools.count(1):
                kept = name if number == 1 else f"{name}-{number}"
                with suppress(FileExistsError):  # of an earlier index, which counted from one too
                    rename_new(self.held, name, lost, kept)
                    return f"{LOST}/{kept}"
        raise AssertionError("the numbers do not end")


def write_all(fd: int, chunk: bytes) -> None:
    """Write all of ``chunk``.

    Raises:
        OSError: as write(2) says.
    """
    view = memoryview(chunk)
    while view:
        view = view[os.write(fd, view) :]


def _keep_open(root: Root, path: str) -> int:
    with root.directory(path, create=True) as fd:
        return os.dup(fd)
