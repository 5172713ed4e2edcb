"""A body in memory that can be read in parts, as a large file is."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from contextlib import contextmanager

from sidecar.remote.store import Part, Parts


class BytesParts(Parts):
    """See the module."""

    def __init__(self, body: bytes) -> None:
        self._body = body

    def __iter__(self) -> Iterator[bytes]:
        yield self._body

    @contextmanager
    def part(self, offset: int, size: int) -> Iterator[Part]:
        """Part of it."""
        piece = self._body[offset : offset + size]
        yield Part(memoryview(piece), hashlib.sha256(piece).hexdigest())
