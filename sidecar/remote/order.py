"""Listings in ascending order of keys, whatever order the server has.

AWS lists by the bytes of the key; SeaweedFS by directory, so that ``a/b`` comes before ``a-b``. A
plan merges sorted streams, and must never trust that one is. Optimistic first: the stream goes
through as long as it ascends, at no cost. A prefix that was once seen out of order is from then on
sorted outside memory before anything of it is handed on.

Paths and names are ``keys.py``'s; fetching is the store's.
"""

from __future__ import annotations

import heapq
import pickle
import tempfile
from collections.abc import Iterator
from itertools import islice
from operator import lt
from typing import IO, Final

from sidecar.errors import Transient
from sidecar.tree import Entries, ObjectKey, RemoteEntry, entries_of

RUN_LENGTH: Final = 50_000  # entries sorted in memory at once, about 15 MB
PAGE: Final = 1000  # entries handed on at once
_BATCH: Final = 256  # entries in one record of a spilled run: what is held of each run while merging


class ListingOutOfOrder(Transient):
    """A listing ran on trust and then went backwards: list again, and it will come sorted."""

    reason = "listing_order"


class Ordering:
    """Remembers which prefixes of one store need sorting. For one thread at a time.

    ``spill_dir`` is where sorted runs go when a listing is larger than ``run_length`` entries.
    """

    def __init__(self, spill_dir: str, run_length: int = RUN_LENGTH) -> None:
        self._spill_dir = spill_dir
        self._run_length = run_length
        self._disorderly: set[str] = set()

    def in_order(self, prefix: str, entries: Iterator[RemoteEntry]) -> Iterator[RemoteEntry]:
        """``entries``, the listing of ``prefix``, with strictly ascending keys.

        Raises:
            ListingOutOfOrder: only on the first listing of a prefix that needs sorting; what was
                handed on until then is true, but not in order. Start over with a new listing.
            OSError: a run cannot be spilled.
        """
        if prefix in self._disorderly:
            return sort_entries(entries, self._spill_dir, self._run_length)
        return self._on_trust(prefix, entries)

    def pages_in_order(self, prefix: str, pages: Iterator[Entries]) -> Iterator[Entries]:
        """As :meth:`in_order`, some at a time, never none."""
        if prefix in self._disorderly:
            entries = (entry for page in pages for entry in page.each())
            ordered = sort_entries(entries, self._spill_dir, self._run_length)
            while some := list(islice(ordered, PAGE)):
                yield entries_of(some)
            return
        last = ""
        for page in pages:
            keys = page.keys
            if last < keys[0] and all(map(lt, keys, islice(keys, 1, None))):
                last = keys[-1]
                yield page
                continue
            for entry in self._on_trust(prefix, page.each(), last):
                last = entry.key
                yield entries_of([entry])

    def _on_trust(self, prefix: str, entries: Iterator[RemoteEntry], last: str = "") -> Iterator[RemoteEntry]:
        for entry in entries:
            if entry.key <= last:
                if entry.key == last:
                    continue  # a page boundary may repeat its key
                self._disorderly.add(prefix)
                raise ListingOutOfOrder(
                    "list", prefix, "the server does not list in order of keys; sorting from now on"
                )
            last = entry.key
            yield entry


def sort_entries(entries: Iterator[RemoteEntry], spill_dir: str, run_length: int = RUN_LENGTH) -> Iterator[RemoteEntry]:
    """``entries`` sorted by key, each key once; more than ``run_length`` of them go through files.

    The files have no name from the moment they exist: nothing is left behind by any end.
    """
    runs: list[IO[bytes]] = []
    try:
        while True:
            run = sorted(islice(entries, run_length), key=_key)
            if len(run) < run_length:
                break
            runs.append(_spill(run, spill_dir))
        yield from _unique(heapq.merge(iter(run), *map(_read, runs), key=_key))
    finally:
        for file in runs:
            file.close()


def _key(entry: RemoteEntry) -> ObjectKey:
    return entry.key


def _unique(entries: Iterator[RemoteEntry]) -> Iterator[RemoteEntry]:
    last: str | None = None
    for entry in entries:
        if entry.key != last:
            yield entry
        last = entry.key


def _spill(run: list[RemoteEntry], spill_dir: str) -> IO[bytes]:
    file = tempfile.TemporaryFile(dir=spill_dir)  # noqa: SIM115 - it stays open until it is merged
    try:
        for start in range(0, len(run), _BATCH):
            batch = [(entry.key, entry.size, entry.etag, entry.modified) for entry in run[start : start + _BATCH]]
            pickle.dump(batch, file, pickle.HIGHEST_PROTOCOL)
        file.flush()
        file.seek(0)
    except BaseException:
        file.close()
        raise
    return file


def _read(file: IO[bytes]) -> Iterator[RemoteEntry]:
    while True:
        try:
            batch = pickle.load(file)  # noqa: S301 - our own nameless file, never anybody else's
        except EOFError:
            return
        for fields in batch:
            yield RemoteEntry(*fields)
