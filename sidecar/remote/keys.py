"""Paths below a mapping's directory and keys below its prefix: one to the other, or a named refusal.

Pure. Names are never repaired, normalised or made up: what cannot be a path here, or a key there,
is quarantined by name. Whether a path may be written (``.data-sync``, symlinks) is ``local/``'s.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from sidecar.errors import Quarantined
from sidecar.tree import NameFault, ObjectKey, RelativePath, RemoteEntry

KEY_LIMIT: Final = 1024  # bytes in one S3 key
NAME_LIMIT: Final = 255  # bytes in one component on every file system we run on


def listing_prefix(prefix: str) -> str:
    """What to list for a mapping's ``prefix``: with the slash, so that ``data`` never matches ``database/``."""
    return f"{prefix}/" if prefix else ""


def key_for(prefix: str, path: RelativePath) -> ObjectKey:
    """The key of ``path`` below a mapping's ``prefix`` (without its trailing slash).

    Raises:
        Quarantined: the key would be longer than S3 allows.
    """
    key = listing_prefix(prefix) + path
    size = len(key.encode("utf-8", "surrogateescape"))
    if size > KEY_LIMIT:
        raise Quarantined("key", printable(path), f"its key has {size} bytes, S3 takes {KEY_LIMIT}")
    return ObjectKey(key)


def path_for(prefix: str, entry: RemoteEntry) -> RelativePath | NameFault | None:
    """The path of an object below a mapping's ``prefix``; None for the marker of an empty directory."""
    start = listing_prefix(prefix)
    if not entry.key.startswith(start):
        return NameFault(printable(entry.key), f"it does not begin with {start!r}")
    path = entry.key[len(start) :]
    if (not path or path.endswith("/")) and entry.size == 0:
        return None
    fault = _fault(path)
    return RelativePath(path) if fault is None else NameFault(printable(path or entry.key), fault)


def printable(name: str) -> str:
    """``name`` itself, or with everything escaped that a terminal or a log would choke on."""
    return name if name.isprintable() else ascii(name)[1:-1]


def plain_paths(prefix: str, keys: list[str]) -> list[str] | None:
    """The paths of ascending ``keys`` where all of them can be paths without a doubt; None: ask one by one.

    The same questions as :func:`path_for` asks, put to all keys at once.
    """
    start = listing_prefix(prefix)
    if not (keys[0].startswith(start) and keys[-1].startswith(start)):  # then all between do
        return None
    paths = [key[len(start) :] for key in keys] if start else keys
    joined = "\0".join(paths)
    components = "\0" + joined.replace("/", "\0") + "\0"
    if joined.count("\0") >= len(paths) or any(odd in components for odd in ("\0\0", "\0.\0", "\0..\0")):
        return None
    longest = NAME_LIMIT if joined.isascii() else NAME_LIMIT // 4  # characters that always fit
    if max(map(len, paths)) > longest and max(map(len, components.split("\0"))) > longest:
        return None
    try:
        joined.encode()
    except UnicodeEncodeError:
        return None
    return paths


class Collisions:
    """Objects ``a`` and ``a/b`` cannot both be files: ``a`` wins, all below ``a/`` is refused while it exists.

    Ask in ascending order of paths. Between ``a`` and ``a/b`` others sort (``a!``, ``a-b``, ``a.txt``),
    so files that may still turn out to be somebody's parent are remembered: each is a prefix of the
    path asked for last, so there are never more than that has characters.
    """

    def __init__(self) -> None:
        self._open: list[str] = []

    def check_all(self, paths: list[str]) -> bool:
        """Whether ascending ``paths``, at least one, collide neither with each other nor with what came before.

        Where they do, nothing is counted: :meth:`check` each of them then.
        """
        parents = {path.rpartition("/")[0] for path in paths}
        parents |= {above for parent in parents for above in _above(parent)}
        if not parents.isdisjoint(paths) or not parents.isdisjoint(self._open):
            return False
        last, mine = paths[-1], set(paths)
        beginnings = (last[:length] for length in range(1, len(last) + 1))
        kept = {*self._open, *(one for one in beginnings if one in mine)}
        self._open = sorted((one for one in kept if _may_follow(one, last)), key=len)
        return True

    def check(self, path: RelativePath) -> NameFault | None:
        """Why ``path`` must not be a file, or None; it then counts for those that follow."""
        while self._open:
            winner = self._open[-1]
            after = path[len(winner) : len(winner) + 1]
            if path.startswith(winner) and after <= "/":
                if after == "/":
                    return NameFault(
                        printable(path), f"{printable(winner)!r} is an object too, and a file has no files below it"
                    )
                break  # it is the winner itself, or sorts before what lies below the winner
            self._open.pop()
        if not self._open or self._open[-1] != path:
            self._open.append(path)
        return None


def _above(path: str) -> Iterator[str]:
    cut = path.find("/")
    while cut >= 0:
        yield path[:cut]
        cut = path.find("/", cut + 1)


def _may_follow(winner: str, path: str) -> bool:
    """Whether something below ``winner`` may sort at ``path`` or after it."""
    return path.startswith(winner) and path[len(winner) : len(winner) + 1] <= "/"


def _fault(path: str) -> str | None:
    """Why ``path`` cannot be a file's path, or None."""
    try:
        path.encode()
    except UnicodeEncodeError:
        return "it is no valid UTF-8"
    if "\0" in path:
        return "it holds a NUL character"
    if path.startswith("/"):
        return "it begins with '/'"
    if not path or path.endswith("/"):
        return "it ends in '/' but is not empty: it would be a directory with a content"
    for component in path.split("/"):
        if component in ("", ".", ".."):
            return f"it has the component {component!r}"
        if len(component.encode()) > NAME_LIMIT:
            return f"the component {printable(component[:40])!r}… is longer than {NAME_LIMIT} bytes"
    return None
