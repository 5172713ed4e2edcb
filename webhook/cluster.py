"""A thin client of the API server: raw dicts in and out, errors by what to do about them.

Standard library only: the webhook needs six verbs, and the official client costs 65 MB. No retry, which
is its callers' (they know what may wait), and no cache, which is ``catalog``'s. Where the server is
and who we are says ``access``.
"""

from __future__ import annotations

import json
import socket
from collections.abc import Iterator, Mapping
from contextlib import closing, suppress
from dataclasses import dataclass
from http.client import HTTPConnection, HTTPException, HTTPResponse
from typing import Any, Final
from urllib.parse import quote, urlencode

from runtime import VERSION
from webhook.access import Access

Json = dict[str, Any]

MERGE_PATCH: Final = "application/merge-patch+json"
JSON_PATCH: Final = "application/json-patch+json"
METADATA_ONLY: Final = "application/json;as=PartialObjectMetadata{list};g=meta.k8s.io;v=v1,application/json"

_PAGE: Final = 500  # objects in one answer to a list
_TIMEOUT: Final = 15.0  # seconds without a byte
_WATCH_MARGIN: Final = 30.0  # seconds that the server may end a watch late


class ClusterError(Exception):
    """Base of what can go wrong with a call; :class:`Refused` is everything that has no class of its own.

    ClusterError
    ├── Unavailable    nobody answered, or not now: try again
    ├── Forbidden      we may not (401, 403): try again, rights and tokens change
    ├── NotFound       no such object, or no such kind
    ├── Conflict       someone else was faster, or it exists already: read again
    ├── Gone           what was asked for is compacted (410): list anew
    └── Refused        the server does not want this, ever
    """


class Unavailable(ClusterError): ...


class Forbidden(ClusterError): ...


class NotFound(ClusterError): ...


class Conflict(ClusterError): ...


class Gone(ClusterError): ...


class Refused(ClusterError): ...


_BY_STATUS: Final[dict[int, type[ClusterError]]] = {
    401: Forbidden,
    403: Forbidden,
    404: NotFound,
    409: Conflict,
    410: Gone,
    408: Unavailable,
    429: Unavailable,
}


@dataclass(frozen=True, slots=True)
class Resource:
    """A kind, by its API version (``v1``, ``group/version``) and plural; ``metadata_only`` leaves the rest out."""

    api_version: str
    plural: str
    metadata_only: bool = False

    def path(self, namespace: str = "", name: str = "") -> str:
        """The path of the collection (in ``namespace``, or everywhere), or of one object in it."""
        root = "/api/" if "/" not in self.api_version else "/apis/"
        parts = [*(("namespaces", namespace) if namespace else ()), self.plural, *((name,) if name else ())]
        return root + self.api_version + "/" + "/".join(quote(part, safe="") for part in parts)


@dataclass(frozen=True, slots=True)
class Page:
    """A part of a list; ``version`` is what a watch continues from."""

    items: list[Json]
    version: str


@dataclass(frozen=True, slots=True)
class Event:
    """What a watch tells: ``ADDED``, ``MODIFIED``, ``DELETED`` or ``BOOKMARK`` (only its version counts)."""

    type: str
    object: Json


class Cluster:
    """The API server. Safe to use from every thread: each call has a connection of its own."""

    def __init__(self, access: Access, *, timeout: float = _TIMEOUT) -> None:
        self._access = access
        self._timeout = timeout

    def get(self, resource: Resource, name: str, namespace: str = "") -> Json:
        """The object as it is now.

        Raises:
            ClusterError: as all calls.
        """
        return self._call("GET", resource.path(namespace, name))

    def get_path(self, path: str) -> Json:
        """What the server says at ``path``: ``/version``, or discovery."""
        return self._call("GET", path)

    def create(self, resource: Resource, body: Json, namespace: str = "") -> Json:
        """The object as it was created; :class:`Conflict` when it is there already."""
        return self._call("POST", resource.path(namespace), body)

    def replace(self, resource: Resource, name: str, body: Json, namespace: str = "") -> Json:
        """Write the whole object; :class:`Conflict` when it changed since the ``resourceVersion`` in ``body``."""
        return self._call("PUT", resource.path(namespace, name), body)

    def patch(
        self, resource: Resource, name: str, body: Any, namespace: str = "", content_type: str = MERGE_PATCH
    ) -> Json:
        """Change a part of the object; ``body`` is a merge patch unless ``content_type`` says otherwise."""
        return self._call("PATCH", resource.path(namespace, name), body, content_type=content_type)

    def list(self, resource: Resource, namespace: str = "", *, limit: int = _PAGE) -> Iterator[Page]:
        """All objects, page by page, so that the caller may keep less than all of them.

        Raises:
            Gone: the server forgot the list between two pages; begin again.
        """
        query = {"limit": str(limit)}
        while True:
            answer = self._call("GET", resource.path(namespace), query=query, accept=_accept(resource, "List"))
            metadata = answer.get("metadata") or {}
            yield Page(answer.get("items") or [], metadata.get("resourceVersion") or "")
            if not metadata.get("continue"):
                return
            query["continue"] = metadata["continue"]

    def watch(self, resource: Resource, version: str, *, seconds: int) -> Watch:
        """What happens after ``version``, for ``seconds`` at most.

        Raises:
            ClusterError: the server does not begin; later ones are raised while iterating.
        """
        query = {
            "watch": "true",
            "resourceVersion": version,
            "allowWatchBookmarks": "true",
            "timeoutSeconds": str(seconds),
        }
        # Bookmarks come every minute, but not from every server: only the agreed end is relied on.
        return Watch(
            self._open("GET", resource.path(), query=query, accept=_accept(resource), timeout=seconds + _WATCH_MARGIN)
        )

    def _call(
        self,
        method: str,
        path: str,
        body: Any = None,
        *,
        query: Mapping[str, str] | None = None,
        content_type: str = "application/json",
        accept: str = "application/json",
    ) -> Json:
        answer = self._open(
            method, path, body, query=query or {}, content_type=content_type, accept=accept, timeout=self._timeout
        )
        with closing(answer.connection), closing(answer.response):
            return _object(_read(answer.response))

    def _open(
        self,
        method: str,
        path: str,
        body: Any = None,
        *,
        query: Mapping[str, str],
        timeout: float,
        content_type: str = "application/json",
        accept: str,
    ) -> _Answer:
        target = self._access.prefix + path + ("?" + urlencode(query) if query else "")
        try:
            headers = {"Accept": accept, "User-Agent": f"data-sync-webhook/{VERSION}"}
            if token := self._access.token():
                headers["Authorization"] = f"Bearer {token}"
            if body is not None:
                headers["Content-Type"] = content_type
            connection = self._access.connect(self._timeout)
            answer = _exchange(connection, method, target, body, headers, timeout)
        except (OSError, HTTPException) as error:
            raise Unavailable(f"{method} {path}: {error or type(error).__name__}") from error
        if answer.response.status >= 300:
            with closing(connection), closing(answer.response):
                raise _failure(f"{method} {path}", answer.response)
        return answer


@dataclass(frozen=True, slots=True)
class _Answer:
    """An answer that has begun. ``socket`` is kept apart: the connection forgets one that the server will close."""

    connection: HTTPConnection
    response: HTTPResponse
    socket: socket.socket


class Watch:
    """The events of one watch, to be iterated once; :meth:`close` ends it, from any thread."""

    def __init__(self, answer: _Answer) -> None:
        self._answer = answer

    def __iter__(self) -> Iterator[Event]:
        """Events until the server ends the watch.

        Raises:
            Gone: the version is compacted.
            Unavailable: the connection broke.
        """
        with closing(self._answer.connection), closing(self._answer.response):
            while line := _line(self._answer.response):
                event = _object(line)
                subject = event.get("object")
                if not isinstance(subject, dict):
                    raise Unavailable("watch: an event without object")
                if event.get("type") == "ERROR":
                    raise _error(subject.get("code"))(f"watch: {subject.get('message')}")
                yield Event(str(event.get("type")), subject)

    def close(self) -> None:
        """End the watch; whoever iterates it gets :class:`Unavailable` or the end."""
        with suppress(OSError):
            self._answer.socket.shutdown(socket.SHUT_RDWR)


def _exchange(
    connection: HTTPConnection, method: str, target: str, body: Any, headers: Mapping[str, str], timeout: float
) -> _Answer:
    try:
        connection.connect()
        sock = connection.sock
        _keep_alive(sock)
        connection.request(method, target, None if body is None else json.dumps(body), dict(headers))
        response = connection.getresponse()
        sock.settimeout(timeout)
        return _Answer(connection, response, sock)
    except BaseException:
        connection.close()
        raise


def _keep_alive(sock: socket.socket) -> None:
    """A peer that vanished without a word is noticed within a minute, though a watch may rest longer."""
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
    for option, value in (("TCP_KEEPIDLE", 30), ("TCP_KEEPINTVL", 10), ("TCP_KEEPCNT", 3)):
        if hasattr(socket, option):
            sock.setsockopt(socket.IPPROTO_TCP, getattr(socket, option), value)


def _accept(resource: Resource, suffix: str = "") -> str:
    return METADATA_ONLY.format(list=suffix) if resource.metadata_only else "application/json"


def _failure(call: str, response: HTTPResponse) -> ClusterError:
    try:
        message = _object(_read(response)).get("message") or response.reason
    except ClusterError:
        message = response.reason
    return _error(response.status)(f"{call}: {response.status} {message}")


def _error(status: Any) -> type[ClusterError]:
    if isinstance(status, int) and status >= 500:
        return Unavailable
    return _BY_STATUS.get(status, Refused)


def _read(response: HTTPResponse) -> bytes:
    try:
        return response.read()
    except (OSError, HTTPException) as error:
        raise Unavailable(f"the answer broke off: {error or type(error).__name__}") from error


def _line(response: HTTPResponse) -> bytes:
    try:
        return response.readline()
    except (OSError, HTTPException, ValueError) as error:  # ValueError: closed by another thread
        raise Unavailable(f"the watch broke off: {error or type(error).__name__}") from error


def _object(text: bytes) -> Json:
    try:
        value = json.loads(text)
    except ValueError as error:
        raise Unavailable(f"no valid JSON came: {error}") from error
    if not isinstance(value, dict):
        raise Unavailable("no JSON object came")
    return value
