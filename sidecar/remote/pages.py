"""Pages of a listing as nearly every server writes them, read by one expression instead of element by element.

All entries of such a page have the same elements in the same order, so the first one gives an expression for
all. Whatever does not fit it to the letter is no usual page, and is read by the parser in ``listing.py``,
which also says what is wrong with it. Pure.
"""

from __future__ import annotations

import re
from functools import lru_cache
from typing import Final, NamedTuple
from urllib.parse import unquote_plus

from sidecar.tree import Entries

START: Final = "<Contents>"
_END: Final = "</Contents>"
_TAG: Final = re.compile(r"<[^<>]+>")
_OTHER_ENCODING: Final = re.compile(rb"""\A\s*<\?xml [^>]*encoding=["'](?!(?i:utf-8)["'])""")

# Text that XML leaves as it is, and that our own reading leaves as it is.
_PLAIN: Final = r"[^<&\x00-\x08\x0b-\x1f]*+"
_WANTED: Final = {
    "<Key>": f"({_PLAIN})",
    "<LastModified>": r"(\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(?:\.\d+)?Z)",
    "<ETag>": r"""(?:&quot;|")?+((?!W/)[^<&"\s]*+)(?:&quot;|")?+""",
    "<Size>": r"([0-9]{1,18}+)",
}


class _Shape(NamedTuple):
    """An expression for one entry with all that follows it up to the next, and what its groups are."""

    expression: re.Pattern[str]
    columns: tuple[str, ...]


class Usual(NamedTuple):
    """A page of entries of one shape; ``frame`` is the document with one empty entry in place of all."""

    frame: str
    columns: dict[str, tuple[str, ...]]

    def entries(self, *, encoded: bool) -> Entries:
        """The entries; ``encoded`` where the keys are."""
        names = self.columns
        keys = list(names["<Key>"])
        if encoded:
            keys = _decoded(keys)
        return Entries(keys, list(map(int, names["<Size>"])), list(names["<ETag>"]), list(names["<LastModified>"]))


def usual(body: bytes) -> Usual | None:
    """``body`` read so, or None where it is no usual page of one entry or more."""
    if b"\r" in body or _OTHER_ENCODING.match(body):
        return None
    try:
        text = body.decode()
    except UnicodeDecodeError:
        return None
    start, end = text.find(START), text.rfind(_END) + len(_END)
    if start < 0 or end < start:
        return None
    shape = _shape(tuple(_TAG.findall(text, start, text.index(_END, start) + len(_END))))
    if shape is None:
        return None
    found = shape.expression.findall(text, start, end)
    if not found or len(found) != text.count(START, start, end):
        return None
    columns = dict(zip(shape.columns, zip(*found, strict=True), strict=True))
    return Usual(f"{text[:start]}<Contents/>{text[end:]}", columns)


@lru_cache(maxsize=16)
def _shape(tags: tuple[str, ...]) -> _Shape | None:
    """The shape of an entry with these tags; None where what we want is not right below it, once each."""
    pieces, columns, depth, last = [], list[str](), 0, ""
    for tag in tags:
        if not tag.startswith("</"):
            pieces.append(r"\s*+" if last else "")
        elif tag[2:] != last[1:]:
            pieces.append(r"\s*+")
        elif depth == 2 and last in _WANTED:
            pieces.append(_WANTED[last])
            columns.append(last)
        else:
            pieces.append("[^<]*+")
        pieces.append(re.escape(tag))
        depth += -1 if tag.startswith("</") else 0 if tag.endswith("/>") else 1
        last = tag
    if sorted(columns) != sorted(_WANTED):
        return None
    return _Shape(re.compile("".join(pieces) + rf"(?=\s*+(?:{START}|\Z))"), tuple(columns))


def _decoded(keys: list[str]) -> list[str]:
    # Bytes that are no UTF-8 become surrogates, as in file names: keys.py names them as faults.
    joined = "\0".join(keys).replace("%2F", "/")
    if "%" not in joined and "+" not in joined:
        return joined.split("\0")
    decoded = unquote_plus(joined, errors="surrogateescape").split("\0")
    if len(decoded) == len(keys):
        return decoded
    return [unquote_plus(key, errors="surrogateescape") for key in keys]  # a key with a NUL in it
