"""What was written on either side, and what its own author destroyed again. Everything else must still exist.

Thread-safe. Each line also goes to a file at once, so that a run that ends badly can be read afterwards.
"""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Iterable
from pathlib import Path


class Ledger:
    """See the module. Names are those of :mod:`tests.torture.contents`, unique in a run."""

    def __init__(self, path: Path) -> None:
        self._file = path.open("a", buffering=1, encoding="utf-8")
        self._lock = threading.Lock()
        self._counts: dict[str, int] = {}
        self._alive: dict[str, str] = {}
        self.violations: list[str] = []

    def name(self, author: str) -> str:
        """A name that nobody had before."""
        with self._lock:
            number = self._counts[author] = self._counts.get(author, 0) + 1
            return f"{author}-{number}"

    def wrote(self, name: str, where: str) -> None:
        """``name`` is about to exist; from now on it must not get lost."""
        with self._lock:
            self._alive[name] = where
        self.say("wrote", name=name, where=where)

    def destroyed(self, names: Iterable[str], why: str) -> None:
        """The author of ``names`` got rid of them, or they never came to be."""
        for name in names:
            with self._lock:
                known = self._alive.pop(name, None)
            if known is not None:
                self.say("destroyed", name=name, why=why)

    def alive(self) -> dict[str, str]:
        """What must still exist somewhere, with where it was written."""
        with self._lock:
            return dict(self._alive)

    def violated(self, what: str) -> None:
        """Something was seen that must never be."""
        with self._lock:
            self.violations.append(what)
        self.say("violation", what=what)

    def say(self, event: str, **details: object) -> None:
        """One line for whoever reads the run afterwards."""
        self._file.write(json.dumps({"at": round(time.time(), 3), "event": event, **details}) + "\n")

    def close(self) -> None:
        """No more lines."""
        self._file.close()
