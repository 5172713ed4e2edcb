"""Which files a mapping is about: its ``include`` and ``exclude``, the ignore file, and what is ours.

A filter only ever leaves things alone: what it passes over is neither sent nor fetched, and never
removed on either side. The ignore file stands in the mapping's directory, is read again when it
changes, and never travels itself. One that cannot be used stops its mapping: sending what somebody
meant to keep back could not be undone.
"""

from __future__ import annotations

import os
from typing import Final, NamedTuple

from contract.globs import Patterns, pattern_fault
from contract.mapping import Direction, Mapping
from contract.names import OWN_DIR
from sidecar.errors import Refused, SyncError, from_os_error
from sidecar.local.directories import Root
from sidecar.transfer.publish import CONFLICT_MARK, is_conflict_copy
from sidecar.tree import Fingerprint

IGNORE_FILE: Final = ".data-syncignore"
_LARGEST: Final = 64 * 2**10  # bytes of an ignore file
_MOST_LINES: Final = 1000


class IgnoreFileUnusable(Refused):
    """The ignore file cannot be read or understood."""

    reason = "ignore_file"
    hint = f"mend or remove {IGNORE_FILE}; until then nothing of this mapping is synced"


class Filter:
    """One mapping's filter as it is now; immutable. Paths are below the mapping's directory."""

    def __init__(self, mapping: Mapping, ignored: tuple[str, ...] = ()) -> None:
        self._egress = mapping.direction is Direction.EGRESS
        self._start = "" if mapping.directory == "." else f"{mapping.directory}/"
        self._include = Patterns(mapping.include)
        self._exclude = Patterns(mapping.exclude)
        self._ignore = Patterns(ignored)
        self._open = not (self._include or self._exclude or self._ignore)

    def reason(self, path: str) -> str | None:
        """Why the file ``path`` is passed over, as the end of a sentence; None where it is not."""
        own = self._own(path)
        if own is not None or self._open:
            return own
        for patterns, where in ((self._exclude, "'exclude' of the mapping"), (self._ignore, IGNORE_FILE)):
            found = patterns.deciding(path) if patterns else None
            if found is not None and not found.negated:
                return f"the pattern {found.text!r} in {where} matches it"
        return None if self._included(path) else "no pattern in 'include' of the mapping matches it"

    def passes_over(self, path: str) -> bool:
        """Whether the file ``path`` is left alone, for any reason."""
        return self.reason(path) is not None

    def passes_over_none(self, paths: list[str]) -> bool:
        """Whether it clearly leaves none of the files ``paths`` alone; false where each must be asked."""
        if not self._open or self._start.startswith(f"{OWN_DIR}/"):
            return False
        text = "\0" + "\0".join(paths)
        if f"\0{OWN_DIR}" in text or f"\0{IGNORE_FILE}" in text:
            return False
        return not (self._egress and CONFLICT_MARK in text)

    def skips(self, below_root: str, directory: bool) -> bool:
        """Whether a walk that came this far goes past; all above ``below_root`` has been asked for before."""
        path = below_root[len(self._start) :]
        if self._own(path) is not None:
            return True
        if self._open:
            return False
        for patterns in (self._exclude, self._ignore):
            found = patterns.decisive(path, directory=directory) if patterns else None
            if found is not None and not found.negated:
                return True
        return not directory and not self._included(path)

    def kept(self, below_root: str, names: list[str], directories: bool) -> list[str]:
        """Those of one directory's ``names`` that :meth:`skips` does not go past, asked of each only where it must.

        ``below_root`` is that directory, with a slash at its end; empty for the exported directory itself.
        """
        if self._open and not self._may_be_own(below_root, names):
            return names
        return [name for name in names if not self.skips(below_root + name, directories)]

    def _may_be_own(self, below_root: str, names: list[str]) -> bool:
        """Whether :meth:`_own` may have something to say of any of ``names``."""
        if below_root in ("", self._start) and not {OWN_DIR, IGNORE_FILE}.isdisjoint(names):
            return True
        if below_root.startswith(f"{OWN_DIR}/"):
            return True
        return self._egress and CONFLICT_MARK in "/".join(names)

    def _included(self, path: str) -> bool:
        return not self._include or self._include.deciding(path) is not None

    def _own(self, path: str) -> str | None:
        if (self._start + path).split("/", 1)[0] == OWN_DIR:
            return f"{OWN_DIR} is data-sync's own directory"
        if path == IGNORE_FILE:
            return "the ignore file itself never travels"
        if self._egress and is_conflict_copy(path):
            return "it is a copy that data-sync kept of a local edit; such copies are never sent"
        return None


class _Known(NamedTuple):
    seen: Fingerprint | None  # of the ignore file; None where there is none
    filter: Filter


class Filters:
    """The filters of all mappings, with their ignore files. The engine's thread alone uses it."""

    def __init__(self) -> None:
        self._known: dict[Mapping, _Known] = {}

    def refresh(self, root: Root, mapping: Mapping) -> tuple[Filter, bool]:
        """The filter of ``mapping``, and whether it differs from the last one.

        Raises:
            IgnoreFileUnusable: the ignore file cannot be used.
        """
        path = ignore_path(mapping)
        known = self._known.get(mapping)
        try:
            seen = root.look(path)
        except SyncError as error:
            if _is_barred(root, mapping):
                seen = None  # the walk reports the directory itself
            else:
                raise IgnoreFileUnusable("read", path, error.detail) from error
        if known is not None and known.seen == seen:
            return known.filter, False
        ignored = () if seen is None else read_ignore_file(root, path)
        self._known[mapping] = fresh = _Known(seen, Filter(mapping, ignored))
        return fresh.filter, known is not None

    def keep(self, mappings: list[Mapping]) -> None:
        """Forget all others."""
        self._known = {mapping: known for mapping, known in self._known.items() if mapping in mappings}


def ignore_path(mapping: Mapping) -> str:
    """Where the ignore file of ``mapping`` is, below the exported directory."""
    return IGNORE_FILE if mapping.directory == "." else f"{mapping.directory}/{IGNORE_FILE}"


def read_ignore_file(root: Root, path: str) -> tuple[str, ...]:
    """The patterns in the ignore file ``path``; none where it vanished.

    Raises:
        IgnoreFileUnusable: it is too large, no regular file, or a line of it is no pattern.
    """
    try:
        with root.open_file(path) as fd:
            text = os.pread(fd, _LARGEST + 1, 0).decode("utf-8", "surrogateescape")
    except FileNotFoundError:
        return ()
    except SyncError as error:
        raise IgnoreFileUnusable("read", path, error.detail) from error
    except OSError as error:
        raise IgnoreFileUnusable("read", path, from_os_error("read", path, error).detail) from error
    if len(text) > _LARGEST or text.count("\n") > _MOST_LINES:
        raise IgnoreFileUnusable("read", path, f"it has more than {_LARGEST} bytes or {_MOST_LINES} lines")
    patterns = []
    for number, line in enumerate(text.split("\n"), start=1):
        pattern = _pattern_in(line)
        fault = pattern_fault(pattern) if pattern else None
        if fault is not None:
            raise IgnoreFileUnusable("read", path, f"line {number}: {pattern[:80]!r}: {fault}")
        if pattern:
            patterns.append(pattern)
    return tuple(patterns)


def _pattern_in(line: str) -> str:
    """The pattern in a line: comments and blanks at the end are none; ``\\#`` and ``\\ `` are meant."""
    if line.startswith("#"):
        return ""
    kept = line.rstrip(" \t\r")
    backslashes = len(kept) - len(kept.rstrip("\\"))
    return line[: len(kept) + 1] if backslashes % 2 and len(kept) < len(line) else kept


def _is_barred(root: Root, mapping: Mapping) -> bool:
    """Whether the mapping's directory itself cannot be entered."""
    try:
        with root.directory(mapping.directory):
            return False
    except (SyncError, FileNotFoundError):
        return True
