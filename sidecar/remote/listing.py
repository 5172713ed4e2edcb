"""Listings, page by page: keys exactly as they are stored.

Part of the S3 adapter. It does not sort or filter: see ``order.py`` and ``keys.py``. Trying a page
again is the caller's (``attempt``).
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from datetime import datetime
from typing import Final, NamedTuple
from urllib.parse import unquote_plus
from xml.parsers.expat import ExpatError, ParserCreate

from sidecar.errors import Transient
from sidecar.remote.client import Ask, Client
from sidecar.remote.etags import bare
from sidecar.remote.failures import Answer, from_answer
from sidecar.remote.pages import usual
from sidecar.tree import Entries, ObjectKey, RemoteEntry, entries_of

OPERATION: Final = "list"
_CHUNK: Final = 64 * 2**10  # bytes
LARGEST: Final = 16 * 2**20  # bytes of a page: several times what a thousand of the longest keys take


class Page(NamedTuple):
    """Part of a listing; ``next_token`` leads to the next one, None after the last."""

    entries: Entries
    next_token: str | None


def fetch_page(client: Client, prefix: str, token: str | None, limit: int = 1000) -> Page:
    """One page of at most ``limit`` objects whose key starts with ``prefix``.

    Raises:
        Transient: the answer is no complete listing, or it did not arrive.
        SyncError: as the server says.
    """
    query = {"encoding-type": "url", "list-type": "2", "max-keys": str(limit), "prefix": prefix}
    if token is not None:
        query["continuation-token"] = token
    ask = Ask(OPERATION, "GET", query=query)
    subject = f"{client.subject(ask)}/{prefix}"
    try:
        with client.open(ask) as response:
            return parse_page(client.pieces(ask, response, _CHUNK))
    except InvalidListing as error:
        if error.answer is not None:
            raise from_answer(OPERATION, subject, error.answer) from error
        raise Transient(OPERATION, subject, str(error)) from error


def every_page(fetch: Callable[[str | None], Page]) -> Iterator[Entries]:
    """The entries of each page, the next page being fetched when the last one is used up.

    Raises:
        Transient: the server leads in a circle.
    """
    token: str | None = None
    while True:
        page = fetch(token)
        if page.entries.keys:
            yield page.entries
        if page.next_token is None:
            return
        if page.next_token == token:
            raise Transient(OPERATION, token, "the server answers with the same page again")
        token = page.next_token


class InvalidListing(Exception):
    """What came is no complete listing; ``answer`` where it is an error document instead."""

    def __init__(self, why: str, answer: Answer | None = None) -> None:
        super().__init__(why)
        self.answer = answer


def parse_page(chunks: Iterable[bytes]) -> Page:
    """The page in a ListObjectsV2 document.

    Raises:
        InvalidListing: it is cut short, malformed, incomplete, or an error document.
    """
    body = _joined(chunks)
    found = usual(body)
    if found is None:
        reader = _read(body)
        return Page(reader.entries(), reader.next_token())
    frame = _read(found.frame)
    if frame.contents != [{}]:
        raise InvalidListing("its entries are not where they should be")
    return Page(found.entries(encoded=frame.encoded()), frame.next_token())


def _joined(chunks: Iterable[bytes]) -> bytes:
    body = bytearray()
    for chunk in chunks:
        body += chunk
        if len(body) > LARGEST:
            raise InvalidListing(f"it has more than {LARGEST} bytes")
    return bytes(body)


def _read(text: bytes | str) -> _Reader:
    reader = _Reader()
    parser = ParserCreate()
    parser.buffer_text = True
    parser.StartElementHandler = reader.start
    parser.EndElementHandler = reader.end
    parser.CharacterDataHandler = reader.text
    try:
        parser.Parse(text, True)
    except ExpatError as error:
        raise InvalidListing(f"no well-formed XML: {error}") from error
    reader.check()
    return reader


class _Reader:
    """Collects the text of the few elements that matter; the depth tells an object's from the page's."""

    def __init__(self) -> None:
        self._path: list[str] = []
        self._text: list[str] = []
        self._root = ""
        self._page: dict[str, str] = {}
        self.contents: list[dict[str, str]] = []

    def start(self, name: str, _attributes: dict[str, str]) -> None:
        name = name.rpartition(":")[2]  # a few servers give the namespace a prefix
        self._root = self._root or name
        self._path.append(name)
        self._text.clear()
        if len(self._path) == 2 and name == "Contents":
            self.contents.append({})

    def text(self, text: str) -> None:
        self._text.append(text)

    def end(self, name: str) -> None:
        name = self._path.pop()
        if len(self._path) == 1 and name != "Contents":
            self._page[name] = "".join(self._text)
        elif len(self._path) == 2 and self._path[1] == "Contents":
            self.contents[-1][name] = "".join(self._text)
        self._text.clear()

    def check(self) -> None:
        """Raises InvalidListing where it is another document."""
        if self._root == "Error":
            code, message = self._page.get("Code", ""), self._page.get("Message", "")
            raise InvalidListing(f"{code}: {message}", Answer(200, code, message))
        if self._root != "ListBucketResult":
            raise InvalidListing(f"it is a {self._root} document")

    def encoded(self) -> bool:
        """Whether keys are encoded as in a URL."""
        return self._page.get("EncodingType") == "url"

    def next_token(self) -> str | None:
        """What leads to the next page."""
        if self._page.get("IsTruncated", "false").strip().lower() != "true":
            return None
        if not self._page.get("NextContinuationToken"):
            raise InvalidListing("there is more, but no token that leads to it")
        return self._page["NextContinuationToken"]

    def entries(self) -> Entries:
        """All entries; raises InvalidListing where one lacks something."""
        encoded = self.encoded()
        try:
            return entries_of(_entry(item, encoded=encoded) for item in self.contents)
        except (KeyError, ValueError) as error:
            raise InvalidListing(f"an entry lacks or garbles {error}") from error


def _entry(item: dict[str, str], *, encoded: bool) -> RemoteEntry:
    # Bytes that are no UTF-8 become surrogates, as in file names: keys.py names them as faults.
    key = unquote_plus(item["Key"], errors="surrogateescape") if encoded else item["Key"]
    return RemoteEntry(
        key=ObjectKey(key),
        size=int(item["Size"]),
        etag=bare(item["ETag"]),
        modified=datetime.fromisoformat(item["LastModified"]).timestamp(),
    )
