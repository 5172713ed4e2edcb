"""Requests about one bucket: addressed, signed, sent, counted, and refused in the sidecar's own words.

Part of the S3 adapter, between the operations (``s3.py``, ``listing.py``, ``multipart.py``) and HTTP.
A request here is sent once, but for a server that says where to send it instead; trying again is
``retry.py``'s.
"""

from __future__ import annotations

import hashlib
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from types import TracebackType
from typing import Final, NamedTuple
from urllib.parse import urlsplit

from contract.storage import Storage
from sidecar.errors import Quarantined, SyncError
from sidecar.remote.body import whole
from sidecar.remote.credentials import KeySource
from sidecar.remote.dial import Address, Dialer
from sidecar.remote.documents import InvalidDocument, fields
from sidecar.remote.failures import Answer, Garbled, clock_skew, from_answer, from_network
from sidecar.remote.http import Connection, Response, compose
from sidecar.remote.pool import Pool
from sidecar.remote.signing import EMPTY_SHA256, UNSIGNED, Header, Signer, path_text, query_text
from sidecar.remote.wire import Broken, UntrustedServer
from sidecar.tree import ObjectKey

Report = Callable[[str, str], None]  # operation, code

STALL_SECONDS: Final = 25.0  # without a single byte; a slow but steady transfer may take for ever
# A server may work for long before it answers: a copy, a completion, or a body that a proxy passes on.
PATIENCE_SECONDS: Final = 300.0
_QUICK_BODY: Final = 256 * 2**10  # bytes; with a larger one the answer may take PATIENCE_SECONDS
_DOCUMENT_LIMIT: Final = 2**20  # bytes of an answer that is read whole
_ERROR_LIMIT: Final = 64 * 2**10  # bytes of an error document that are read
_REDIRECTS: Final = 3
_MOVED: Final = frozenset({301, 302, 307, 308})
_COMPARE_SECONDS: Final = 10.0  # between two looks at the server's clock
_AGENT: Final = ("user-agent", "data-sync")


_NO_QUERY: Final[dict[str, str]] = {}


class Ask(NamedTuple):
    """What to ask: ``key`` None means the bucket itself. ``payload`` is the body's SHA-256 in hex, if known.

    ``slow``: the server may take its time before it answers.
    """

    operation: str
    method: str
    key: ObjectKey | None = None
    query: dict[str, str] = _NO_QUERY
    headers: tuple[Header, ...] = ()
    body: bytes | memoryview = b""
    payload: str | None = None
    slow: bool = False


class Reply(NamedTuple):
    """A success that was read whole."""

    headers: dict[str, str]
    body: bytes


class _Place(NamedTuple):
    """Where a request goes: server, path and query, and the region it is signed for."""

    address: Address
    target: str
    region: str | None = None


class Client:
    """Sends requests. Thread-safe. ``report`` hears of each one: the operation, and the status or ``error``.

    ``on_skew`` hears once in a while by how many seconds our clock is ahead of the server's.
    """

    def __init__(
        self,
        storage: Storage,
        source: KeySource,
        report: Report,
        stall: float,
        patience: float,
        on_skew: Callable[[float], None] = lambda _seconds: None,
    ) -> None:
        host = f"{storage.bucket}.{storage.host}" if storage.virtual_hosted else storage.host
        self._address = Address(storage.scheme, host, storage.port)
        self._base = "" if storage.virtual_hosted else "/" + path_text(storage.bucket)
        self._bucket = storage.bucket
        self._signer = Signer(source, storage.region)
        self._dialer = Dialer(storage.ca_pem, stall)
        self._pool = Pool(self._dialer)
        self._report = report
        self._on_skew = on_skew
        self._compare_at = 0.0  # monotonic; when to look at the server's clock again
        self._stall = stall
        self._patience = patience

    def close(self) -> None:
        """Let the connections go."""
        self._pool.close()

    def place_of(self, key: ObjectKey) -> str:
        """``/bucket/key``, escaped: how a copy names its source."""
        return f"/{path_text(self._bucket)}/{path_text(sendable(key))}"

    def call(self, ask: Ask) -> Reply:
        """The answer to ``ask``, read whole.

        Raises:
            SyncError: the server refuses, cannot be reached, or breaks off.
        """
        address, connection, response = self._successful(ask)
        try:
            body = whole(response.body, _DOCUMENT_LIMIT)
        except BaseException as error:
            connection.close()
            _raise_ours(ask.operation, self.subject(ask), error)
            raise
        self._pool.give_back(address, connection)
        return Reply(response.headers, body)

    def document(self, ask: Ask) -> dict[str, str]:
        """The fields of the XML document that answers ``ask``; an error in a success is raised as what it says.

        Raises:
            SyncError: as :meth:`call`; Garbled where it is no such document.
        """
        reply = self.call(ask)
        subject = self.subject(ask)
        try:
            root, found = fields(reply.body)
        except InvalidDocument as error:
            raise Garbled(ask.operation, subject, str(error)) from error
        if root == "Error":
            answer = Answer(200, found.get("Code", ""), found.get("Message", ""))
            raise from_answer(ask.operation, subject, answer)
        return found

    @contextmanager
    def open(self, ask: Ask) -> Iterator[Response]:
        """The answer to ``ask``, its body still to be read: do so under :meth:`translating`.

        Leaving the context early drops the connection.

        Raises:
            SyncError: the server refuses, or cannot be reached.
        """
        address, connection, response = self._successful(ask)
        try:
            yield response
        except BaseException:
            connection.close()
            raise
        self._pool.give_back(address, connection)

    def translating(self, ask: Ask) -> AbstractContextManager[None]:
        """Raise what breaks on the way of an answer as the sidecar's own error."""
        return _Translating(ask.operation, self.subject(ask))

    def pieces(self, ask: Ask, response: Response, most: int) -> Iterator[bytes]:
        """The body of an answer as it comes, in pieces of at most ``most`` bytes.

        Raises:
            SyncError: it breaks off.
        """
        while True:
            with self.translating(ask):
                data = response.body.some(most)
            if not data:
                return
            yield data

    def into(self, ask: Ask, response: Response, view: memoryview) -> int:
        """Fill ``view`` with the next bytes of an answer; returns how many, fewer only at the end.

        Raises:
            SyncError: it breaks off.
        """
        done = 0
        with self.translating(ask):
            while done < len(view) and (size := response.body.into(view[done:])):
                done += size
        return done

    def subject(self, ask: Ask) -> str:
        """What an error about ``ask`` names."""
        return self._bucket if ask.key is None else ask.key

    def _successful(self, ask: Ask) -> tuple[Address, Connection, Response]:
        place = _Place(self._address, self._target(ask))
        for _ in range(_REDIRECTS):
            connection, response = self._exchange(ask, place)
            if response.status in (200, 204, 206):
                return place.address, connection, response
            answer = self._refusal(ask, place, connection, response)
            elsewhere = self._elsewhere(response)
            if elsewhere is None:
                raise answer
            place = elsewhere
        raise answer

    def _exchange(self, ask: Ask, place: _Place) -> tuple[Connection, Response]:
        patience = self._patience if ask.slow or len(ask.body) > _QUICK_BODY else self._stall
        code = "error"
        try:
            response, connection = self._request(ask, place, patience)
            code = str(response.status)
            self._compare_clocks(response)
            return connection, response
        finally:
            self._report(ask.operation, code)

    def _request(self, ask: Ask, place: _Place, patience: float) -> tuple[Response, Connection]:
        connection = None
        try:
            head = self._head(ask, place)
            connection = self._pool.take(place.address)
            return connection.request(ask.method, head, ask.body, patience), connection
        except BaseException as error:
            if connection is not None:
                connection.close()
            _raise_ours(ask.operation, self.subject(ask), error)
            raise

    def _compare_clocks(self, response: Response) -> None:
        now = time.monotonic()
        if now < self._compare_at:
            return  # reading a date takes longer than most of what a request costs us
        self._compare_at = now + _COMPARE_SECONDS
        skew = clock_skew(response.headers.get("date"), time.time())
        if skew is not None:
            self._on_skew(skew)

    def _head(self, ask: Ask, place: _Place) -> bytes:
        headers: list[Header] = [("host", place.address.authority), *ask.headers]
        payload = EMPTY_SHA256
        if len(ask.body):
            payload = ask.payload or self._payload(ask.body)
        signed = self._signer.sign(ask.method, place.target, headers, payload, place.region)
        target = place.target
        proxy = None if self._address.scheme == "https" else self._dialer.proxy(place.address)
        if proxy is not None:
            target = f"http://{place.address.authority}{target}"
            if proxy.authorization:
                signed.append(("proxy-authorization", proxy.authorization))
        if len(ask.body) or ask.method in ("PUT", "POST"):
            signed.append(("content-length", str(len(ask.body))))
        signed += [_AGENT, ("accept-encoding", "identity")]
        try:
            return compose(ask.method, target, signed)
        except ValueError as error:
            raise Garbled(ask.operation, self.subject(ask), f"it cannot be asked: {error}") from error

    def _payload(self, body: bytes | memoryview) -> str:
        # TLS keeps the body as it is; without it, its hash in the signature does.
        return UNSIGNED if self._address.scheme == "https" else hashlib.sha256(body).hexdigest()

    def _target(self, ask: Ask) -> str:
        path = f"{self._base}/" + ("" if ask.key is None else path_text(sendable(ask.key)))
        return f"{path}?{query_text(ask.query)}" if ask.query else path

    def _refusal(self, ask: Ask, place: _Place, connection: Connection, response: Response) -> SyncError:
        """The error that an answer means; the connection is done with."""
        try:
            text = whole(response.body, _ERROR_LIMIT).decode("utf-8", "replace")
        except (Broken, OSError):  # the status says enough
            text = ""
        self._pool.give_back(place.address, connection)
        skew = clock_skew(response.headers.get("date"), time.time())
        return from_answer(ask.operation, self.subject(ask), Answer.from_body(response.status, text, skew))

    def _elsewhere(self, response: Response) -> _Place | None:
        """Where the server says that the request belongs, None where it says nothing that can be followed."""
        location = response.headers.get("location")
        if response.status not in _MOVED or not location:
            return None
        try:
            parts = urlsplit(location)
            port = parts.port or self._address.port
        except ValueError:
            return None
        if parts.scheme != self._address.scheme or not parts.hostname:
            return None  # never from TLS to plain text
        host = f"[{parts.hostname}]" if ":" in parts.hostname else parts.hostname
        target = parts.path + (f"?{parts.query}" if parts.query else "")
        return _Place(Address(parts.scheme, host, port), target, response.headers.get("x-amz-bucket-region"))


class _Translating:
    """See :meth:`Client.translating`; a class, since each request enters it twice."""

    __slots__ = ("_operation", "_subject")

    def __init__(self, operation: str, subject: str) -> None:
        self._operation = operation
        self._subject = subject

    def __enter__(self) -> None:
        return None

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        _raise_ours(self._operation, self._subject, error)


def _raise_ours(operation: str, subject: str, error: BaseException | None) -> None:
    """Raise what broke on the way as the sidecar's own error; anything else is the caller's to raise."""
    if isinstance(error, (Broken, OSError, UntrustedServer)):
        raise from_network(operation, subject, error) from error


def sendable(key: ObjectKey) -> str:
    """``key`` itself, or :class:`Quarantined` where it holds bytes that are no UTF-8 and cannot be sent."""
    try:
        key.encode()
    except UnicodeEncodeError as error:
        raise Quarantined("send", ascii(key), "the key is no valid UTF-8") from error
    return key
