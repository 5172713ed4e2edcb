"""Bodies that say of themselves whether they are whole, and who wrote them.

Whole bodies come in one piece (renamed into place, or one PUT), perhaps with notes that someone
appended later through an open descriptor. Streams grow, so any beginning of one is a state it had.
Stamps are rewritten in place from front to back, so that a mixture of more than two versions, or one
in the wrong order, is a state that the file never had.
"""

from __future__ import annotations

import hashlib
import itertools
import re
import struct
from dataclasses import dataclass
from typing import Final

_HEADER: Final = re.compile(rb"<([a-z]+-\d+) (\d+)>\n")
_NOTE: Final = re.compile(rb"\n<note ([a-z]+-\d+)>")
NOTE_SIZE: Final = 64  # bytes that a note has at most
_CELL: Final = struct.Struct("<Q")


@dataclass(frozen=True, slots=True)
class Whole:
    """A whole body: ``name`` is unique in a run, ``notes`` are the names of what was appended."""

    name: str
    notes: tuple[str, ...] = ()


def whole(name: str, size: int) -> bytes:
    """The body called ``name``, of at least ``size`` bytes."""
    header = f"<{name} {size}>\n".encode()
    return header + _filler(name, size)


def note(name: str) -> bytes:
    """What is appended to a whole body under a name of its own."""
    return f"\n<note {name}>".encode()


def read_whole(body: bytes) -> Whole | None:
    """What ``body`` is; None where it is torn. A last note that is not all there yet is left out."""
    header = _HEADER.match(body)
    if header is None:
        return None
    name, size = header[1].decode(), int(header[2])
    end = header.end() + size
    if body[header.end() : end] != _filler(name, size):
        return None
    notes = []
    while found := _NOTE.match(body, end):
        notes.append(found[1].decode())
        end = found.end()
    rest = body[end:]
    unfinished = len(rest) < NOTE_SIZE and (b"\n<note ".startswith(rest[:7]) and rest[7:].find(b">") < 0)
    return Whole(name, tuple(notes)) if not rest or unfinished else None


def is_beginning(body: bytes) -> bool:
    """Whether ``body`` is a beginning of some whole body: what a writer that starts over leaves on its way."""
    header = _HEADER.match(body)
    if header is None:
        return len(body) < NOTE_SIZE and (not body or body.startswith(b"<")) and b"\n" not in body
    return _filler(header[1].decode(), int(header[2])).startswith(body[header.end() :])


def stream(name: str, start: int, size: int) -> bytes:
    """Bytes ``start`` to ``start + size`` of the endless log called ``name``."""
    width = 40
    first, last = start // width, (start + size) // width + 1
    text = b"".join(f"{name} {number}".ljust(width - 1).encode() + b"\n" for number in range(first, last))
    return text[start - first * width :][:size]


def is_stream(body: bytes) -> bool:
    """Whether ``body`` is a beginning of some log."""
    name = body.split(b" ", 1)[0].decode("utf-8", "replace")
    return body == stream(name, 0, len(body))


def stamps(version: int, cells: int) -> bytes:
    """A body of ``cells`` cells that all say ``version``."""
    return _CELL.pack(version) * cells


def is_stamps(body: bytes) -> bool:
    """Whether ``body`` is one version, or one version followed by the rest of the one before."""
    versions = [version for (version,) in _CELL.iter_unpack(body)] if len(body) % _CELL.size == 0 else [0, 2]
    ordered = all(after <= before for before, after in itertools.pairwise(versions))
    return ordered and (not versions or versions[0] - versions[-1] <= 1)


def _filler(name: str, size: int) -> bytes:
    block = hashlib.sha256(name.encode()).digest() * 32
    return (block * (size // len(block) + 1))[:size]
