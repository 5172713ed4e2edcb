"""How an object is stored beside its content: the options of its mapping, a content type, permissions.

Pure. The content type goes by the name's ending and a table that comes with Python, never by files of
the device: the same name gets the same type everywhere. Permissions travel as nine bits in metadata;
what lets a program act as somebody else (setuid, setgid, sticky) neither leaves nor arrives.
"""

from __future__ import annotations

from functools import lru_cache
from mimetypes import MimeTypes
from typing import Final

from contract.mapping import Mapping
from contract.options import AUTO, KEEP, NONE
from sidecar.remote.store import PLAIN, ObjectOptions

META_MODE: Final = "data-sync-mode"  # octal digits, as chmod(1) takes them
PERMISSIONS: Final = 0o777

# What the table lacks and devices write; and what a compressed file is, whatever it holds.
_MORE: Final = {
    ".csv": "text/csv",
    ".jsonl": "application/x-ndjson",
    ".log": "text/plain",
    ".md": "text/markdown",
    ".onnx": "application/octet-stream",
    ".parquet": "application/vnd.apache.parquet",
    ".webp": "image/webp",
    ".yaml": "application/yaml",
    ".yml": "application/yaml",
}
_COMPRESSED: Final = {
    "gzip": "application/gzip",
    "bzip2": "application/x-bzip2",
    "xz": "application/x-xz",
    "compress": "application/x-compress",
    "br": "application/x-brotli",
}


def options_for(mapping: Mapping, path: str) -> ObjectOptions:
    """How the object of the file ``path`` is stored."""
    return ObjectOptions(
        content_type=_content_type(mapping.content_type, path),
        storage_class=mapping.storage_class,
        encryption=mapping.encryption,
        kms_key_id=mapping.kms_key_id,
        tags=mapping.tags,
    )


def mode_metadata(mapping: Mapping, permissions: int) -> dict[str, str]:
    """What metadata says of a file's permissions: nothing unless the mapping asks for it."""
    return {META_MODE: f"{permissions & PERMISSIONS:04o}"} if mapping.mode == KEEP else {}


def mode_from(mapping: Mapping, metadata: dict[str, str]) -> int | None:
    """The permissions to give a download; None where nobody asks for them or nothing sensible is said."""
    text = metadata.get(META_MODE, "")
    if mapping.mode != KEEP or not 3 <= len(text) <= 5 or not all(digit in "01234567" for digit in text):
        return None
    return int(text, 8) & PERMISSIONS


def _content_type(wanted: str, path: str) -> str:
    if wanted == NONE:
        return PLAIN.content_type
    return _guessed(path) if wanted == AUTO else wanted


def _guessed(path: str) -> str:
    name = path.rpartition("/")[2]
    # Lower case, and a letter in front: a name that is all ending (".csv") has none, and a
    # name is no URL ("data:text/html,x" would be taken for one).
    endings = ("x" + name.lower().replace(":", "_")).split(".")[1:]
    return _by_endings(".".join(endings[-2:]))


@lru_cache(maxsize=256)
def _by_endings(endings: str) -> str:
    """Of the last two endings of a name: more are never looked at, and few differ among many files."""
    kind, encoding = _table().guess_type(f"x.{endings}", strict=True)
    if encoding is not None:
        return _COMPRESSED.get(encoding, PLAIN.content_type)
    return kind or PLAIN.content_type


@lru_cache(maxsize=1)
def _table() -> MimeTypes:
    table = MimeTypes()
    for ending, kind in _MORE.items():
        table.add_type(kind, ending)
    return table
