"""The small XML documents of S3: what a request that is no listing answers.

Part of the S3 adapter, and pure. Listings, which are long, are read in ``listing.py``.
"""

from __future__ import annotations

from collections.abc import Iterable
from xml.parsers.expat import ExpatError, ParserCreate


class InvalidDocument(Exception):
    """It is no well-formed XML."""


def fields(body: bytes) -> tuple[str, dict[str, str]]:
    """The name of the root element, and the text of each element right below it.

    Raises:
        InvalidDocument: cut short or malformed.
    """
    path: list[str] = []
    text: list[str] = []
    root: list[str] = []
    found: dict[str, str] = {}

    def start(name: str, _attributes: dict[str, str]) -> None:
        path.append(name.rpartition(":")[2])
        if not root:
            root.append(path[0])
        text.clear()

    def end(_name: str) -> None:
        name = path.pop()
        if len(path) == 1:
            found[name] = "".join(text).strip()
        text.clear()

    parser = ParserCreate()
    parser.StartElementHandler, parser.EndElementHandler, parser.CharacterDataHandler = start, end, text.append
    try:
        parser.Parse(body.lstrip(), True)  # while it works, AWS sends blanks so that the connection stays
    except ExpatError as error:
        raise InvalidDocument(f"no well-formed XML: {error}") from error
    return root[0], found


def items(body: bytes, name: str) -> list[dict[str, str]]:
    """The text of what is right below each ``name`` element, which stands right below the root.

    Raises:
        InvalidDocument: cut short or malformed.
    """
    path: list[str] = []
    text: list[str] = []
    found: list[dict[str, str]] = []

    def start(element: str, _attributes: dict[str, str]) -> None:
        path.append(element.rpartition(":")[2])
        if len(path) == 2 and path[1] == name:
            found.append({})
        text.clear()

    def end(_element: str) -> None:
        element = path.pop()
        if len(path) == 2 and path[1] == name:
            found[-1][element] = "".join(text)
        text.clear()

    parser = ParserCreate()
    parser.StartElementHandler, parser.EndElementHandler, parser.CharacterDataHandler = start, end, text.append
    try:
        parser.Parse(body, True)
    except ExpatError as error:
        raise InvalidDocument(f"no well-formed XML: {error}") from error
    return found


def completion(parts: Iterable[tuple[int, str]]) -> bytes:
    """The document that completes a multipart upload: numbers in ascending order, each with its ETag as it came."""
    lines = [f"<Part><PartNumber>{number}</PartNumber><ETag>{_escaped(etag)}</ETag></Part>" for number, etag in parts]
    text = "".join(lines)
    return f'<CompleteMultipartUpload xmlns="http://s3.amazonaws.com/doc/2006-03-01/">{text}</CompleteMultipartUpload>'.encode()


def _escaped(text: str) -> str:
    return text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
