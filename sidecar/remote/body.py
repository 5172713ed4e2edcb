"""The body of an HTTP answer, by the three ways in which its end is told.

Part of the S3 adapter. A body that ends before its end was told raises :class:`Broken`; it is never
handed on as if it were whole.
"""

from __future__ import annotations

from typing import Final, Protocol

from sidecar.remote.wire import Broken, Wire

_LINE_LIMIT: Final = 8 * 2**10  # bytes of a chunk's size and extensions, or of one trailer
_TRAILER_LIMIT: Final = 100  # lines after the last chunk


class Body(Protocol):
    """What is still to be read of an answer."""

    @property
    def ended(self) -> bool:
        """Whether all of it was read, so that the next answer follows."""

    def some(self, most: int) -> bytes:
        """Between 1 and ``most`` bytes as they come; nothing at the end.

        Raises:
            Broken: it ended too early, or its framing makes no sense.
            OSError: as the socket says.
        """

    def into(self, view: memoryview) -> int:
        """Like :meth:`some`, into ``view``; returns how many bytes."""


class Nothing:
    """No body."""

    ended = True

    def some(self, most: int) -> bytes:  # noqa: ARG002 - as Body says
        """Nothing."""
        return b""

    def into(self, view: memoryview) -> int:  # noqa: ARG002 - as Body says
        """Nothing."""
        return 0


class Sized:
    """A body of announced length."""

    def __init__(self, wire: Wire, length: int) -> None:
        self._wire = wire
        self._length = self._left = length

    @property
    def ended(self) -> bool:
        """See :class:`Body`."""
        return not self._left

    def some(self, most: int) -> bytes:
        """See :class:`Body`."""
        if not self._left:
            return b""
        data = self._wire.some(min(most, self._left))
        self._count(len(data))
        return data

    def into(self, view: memoryview) -> int:
        """See :class:`Body`."""
        if not self._left:
            return 0
        size = self._wire.into(view[: self._left])
        self._count(size)
        return size

    def _count(self, size: int) -> None:
        if not size:
            raise Broken(f"the body ended after {self._length - self._left} of {self._length} bytes")
        self._left -= size


class ToTheEnd:
    """A body that ends with the connection; whether it is whole, nobody can tell."""

    def __init__(self, wire: Wire) -> None:
        self._wire = wire
        self.ended = False

    def some(self, most: int) -> bytes:
        """See :class:`Body`."""
        data = self._wire.some(most)
        self.ended = not data
        return data

    def into(self, view: memoryview) -> int:
        """See :class:`Body`."""
        size = self._wire.into(view)
        self.ended = not size
        return size


class Chunked:
    """A body in chunks, each told with its size; the last one is empty."""

    def __init__(self, wire: Wire) -> None:
        self._wire = wire
        self._chunk: Sized | None = None
        self.ended = False

    def some(self, most: int) -> bytes:
        """See :class:`Body`."""
        chunk = self._current()
        return chunk.some(most) if chunk is not None else b""

    def into(self, view: memoryview) -> int:
        """See :class:`Body`."""
        chunk = self._current()
        return chunk.into(view) if chunk is not None else 0

    def _current(self) -> Sized | None:
        if self.ended:
            return None
        if self._chunk is not None and self._chunk.ended:
            if self._wire.until(b"\r\n", _LINE_LIMIT):
                raise Broken("a chunk is longer than it said")
            self._chunk = None
        if self._chunk is None:
            self._begin()
        return self._chunk

    def _begin(self) -> None:
        size = self._wire.until(b"\r\n", _LINE_LIMIT).partition(b";")[0].strip()
        if not size or len(size) > 15 or size.strip(b"0123456789abcdefABCDEF"):
            raise Broken(f"chunk size {size[:20]!r}")
        length = int(size, 16)
        if length:
            self._chunk = Sized(self._wire, length)
            return
        for _ in range(_TRAILER_LIMIT):
            if not self._wire.until(b"\r\n", _LINE_LIMIT):
                self.ended = True
                return
        raise Broken("trailers without end")


def whole(body: Body, limit: int) -> bytes:
    """All of a small body.

    Raises:
        Broken: it has more than ``limit`` bytes.
    """
    parts: list[bytes] = []
    size = 0
    while data := body.some(limit + 1 - size):
        parts.append(data)
        size += len(data)
        if size > limit:
            raise Broken(f"an answer of more than {limit} bytes")
    return parts[0] if len(parts) == 1 else b"".join(parts)
