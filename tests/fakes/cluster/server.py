"""The fake cluster's HTTP: paths to the store and back, watches as streams, discovery.

Users are told apart by their bearer token, which is the user's name; none is ``admin``.
"""

from __future__ import annotations

import base64
import json
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs, urlsplit

from tests.fakes.cluster import failures
from tests.fakes.cluster.failures import Refused
from tests.fakes.cluster.resources import Json, ResourceType
from tests.fakes.cluster.selectors import Matches, selector
from tests.fakes.cluster.store import Store

_CREATE, _READ = "create", ("get", "list", "watch")


@dataclass(frozen=True, slots=True)
class Call:
    """One request as RBAC sees it."""

    user: str
    verb: str
    group: str
    resource: str  # with its subresource: pods/status
    namespace: str
    name: str


class Severed(Exception):
    """Raised by a hook: the connection breaks without an answer."""


class Api:
    """What handlers share: the store, who may do what, and what was asked."""

    def __init__(self, store: Store) -> None:
        self.store = store
        self.calls: list[Call] = []
        # Whether a call is allowed; None allows everything.
        self.authorizer: Callable[[Call], bool] | None = None
        # Called before a call is carried out, and after; may raise Refused or Severed.
        self.before: list[Callable[[Call], None]] = []
        self.after: list[Callable[[Call], None]] = []
        self.bookmark_every = 1.0  # seconds; the real one's is a minute
        self.closing = False

    def check(self, kind: ResourceType, call: Call) -> None:
        self.calls.append(call)
        for hook in list(self.before):
            hook(call)
        if self.authorizer is not None and not self.authorizer(call):
            why = f'User "{call.user}" cannot {call.verb} resource "{call.resource}" in API group "{call.group}"'
            raise failures.forbidden(kind, call.name, why)


class Server(ThreadingHTTPServer):
    daemon_threads = True
    request_queue_size = 64

    def __init__(self, api: Api, port: int = 0) -> None:
        self.api = api
        self.sockets: set[Any] = set()
        super().__init__(("127.0.0.1", port), _Handler)

    def handle_error(self, request: Any, client_address: Any) -> None:
        """A client that went away is no news."""


class _Handler(BaseHTTPRequestHandler):
    server: Server
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True

    def setup(self) -> None:
        super().setup()
        self.server.sockets.add(self.connection)

    def finish(self) -> None:
        self.server.sockets.discard(self.connection)
        super().finish()

    def do_GET(self) -> None:
        self._serve()

    do_POST = do_PUT = do_PATCH = do_DELETE = do_GET  # noqa: N815 - the base class's names

    def _serve(self) -> None:
        length = int(self.headers.get("Content-Length") or 0)
        raw = self.rfile.read(length) if length else b""
        try:
            self._answer(json.loads(raw) if raw else None)
        except Refused as refused:
            self._send(refused.code, refused.status())
        except Severed:
            self.close_connection = True

    def _answer(self, body: Any) -> None:
        url = urlsplit(self.path)
        query = {key: values[-1] for key, values in parse_qs(url.query).items()}
        parts = [part for part in url.path.split("/") if part]
        if parts and parts[0] in ("version", "readyz", "livez", "healthz"):
            self._send(200, {"major": "1", "minor": "36", "gitVersion": "v1.36.2"})
        elif parts == ["api"]:
            self._send(200, {"kind": "APIVersions", "versions": ["v1"]})
        elif parts == ["apis"]:
            self._send(200, self._groups())
        elif (parts[0], len(parts)) in (("api", 2), ("apis", 3)):
            self._send(200, self._resources(parts))
        else:
            self._resource(parts, query, body)

    # Discovery

    def _groups(self) -> Json:
        groups = {kind.group: kind.version for kind in self.server.api.store.kinds.values() if kind.group}
        rows = []
        for group, version in groups.items():
            both = {"groupVersion": f"{group}/{version}", "version": version}
            rows.append({"name": group, "versions": [both], "preferredVersion": both})
        return {"kind": "APIGroupList", "apiVersion": "v1", "groups": rows}

    def _resources(self, parts: list[str]) -> Json:
        wanted = "/".join(parts[1:])
        kinds = [kind for kind in self.server.api.store.kinds.values() if kind.api_version == wanted]
        if not kinds:
            raise failures.no_such_path()
        rows = [row for kind in kinds for row in kind.discovery()]
        return {"kind": "APIResourceList", "apiVersion": "v1", "groupVersion": wanted, "resources": rows}

    # Objects

    def _resource(self, parts: list[str], query: dict[str, str], body: Any) -> None:
        group, version = ("", parts[1]) if parts[0] == "api" else (parts[1], parts[2])
        rest = parts[2:] if parts[0] == "api" else parts[3:]
        namespace = ""
        if rest[0] == "namespaces" and len(rest) > 2 and rest[2] not in ("status", "finalize"):
            namespace, rest = rest[1], rest[2:]
        kind = self.server.api.store.kind(rest[0], group)
        if kind.version != version:
            raise failures.no_such_path()
        name, subresource = rest[1] if len(rest) > 1 else "", rest[2] if len(rest) > 2 else ""
        call = Call(self._user(), self._verb(name, query), group, "/".join([rest[0], *rest[2:]]), namespace, name)
        self.server.api.check(kind, call)
        if call.verb == "watch":
            self._watch(kind, namespace, query)
            return
        code, answer = self._act(kind, call, subresource, query, body)
        for hook in list(self.server.api.after):
            hook(call)
        self._send(code, answer)

    def _user(self) -> str:
        return self.headers.get("Authorization", "").removeprefix("Bearer ") or "admin"

    def _verb(self, name: str, query: dict[str, str]) -> str:
        if self.command == "GET":
            watching = query.get("watch", "") in ("1", "true", "True")
            return "watch" if watching else "get" if name else "list"
        if self.command == "DELETE":
            return "delete" if name else "deletecollection"
        return {"POST": _CREATE, "PUT": "update", "PATCH": "patch"}[self.command]

    def _act(
        self, kind: ResourceType, call: Call, subresource: str, query: dict[str, str], body: Any
    ) -> tuple[int, Json]:
        store, dry_run = self.server.api.store, bool(query.get("dryRun"))
        if call.verb == "list":
            return 200, self._list(kind, call.namespace, query)
        if call.verb == "get":
            return 200, store.get(kind, call.namespace, call.name)
        if call.verb == _CREATE and subresource == "eviction" and kind.plural == "pods":
            store.delete(kind, call.namespace, call.name, (body or {}).get("deleteOptions"))
            return 201, {"kind": "Status", "apiVersion": "v1", "status": "Success"}
        if call.verb == _CREATE:
            return 201, store.create(kind, call.namespace, body, dry_run=dry_run)
        if call.verb == "update":
            written = store.update(kind, call.namespace, call.name, body, subresource=subresource, dry_run=dry_run)
            return 200, written
        if call.verb == "patch":
            content = self.headers.get("Content-Type", "").partition(";")[0]
            written = store.patch(
                kind, call.namespace, call.name, content, body, subresource=subresource, dry_run=dry_run
            )
            return 200, written
        if call.verb == "deletecollection":
            for one in store.list(kind, call.namespace, self._matches(kind, query)):
                store.delete(kind, one["metadata"].get("namespace", ""), one["metadata"]["name"], body)
            return 200, {"kind": "Status", "apiVersion": "v1", "status": "Success"}
        left = store.delete(kind, call.namespace, call.name, body)
        return 200, left or {"kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Success"}

    def _matches(self, kind: ResourceType, query: dict[str, str]) -> Matches:
        return selector(kind, query.get("labelSelector", ""), query.get("fieldSelector", ""))

    def _list(self, kind: ResourceType, namespace: str, query: dict[str, str]) -> Json:
        store, limit = self.server.api.store, int(query.get("limit") or 0)
        matches = self._matches(kind, query)
        with store.lock:
            version, after = store.version, ("", "")
            if query.get("continue"):
                version, *key = json.loads(base64.urlsafe_b64decode(query["continue"]))
                after = (key[0], key[1])
                if version < store.oldest:
                    raise failures.gone("The provided continue parameter is too old to display a consistent list")
            found = [one for one in store.list(kind, namespace, matches) if _key(one) > after]
        page = found[:limit] if limit else found
        metadata: Json = {"resourceVersion": str(version)}
        if len(page) < len(found):
            token = json.dumps([version, *_key(page[-1])]).encode()
            metadata["continue"] = base64.urlsafe_b64encode(token).decode()
            metadata["remainingItemCount"] = len(found) - len(page)
        items = [{key: value for key, value in one.items() if key not in ("apiVersion", "kind")} for one in page]
        if kind.custom:
            items = page  # custom resources carry their type in lists too
        return {"kind": f"{kind.kind}List", "apiVersion": kind.api_version, "metadata": metadata, "items": items}

    # Watching

    def _watch(self, kind: ResourceType, namespace: str, query: dict[str, str]) -> None:
        self.send_response(200)
        self.send_header("Content-Type", "application/json")
        self.send_header("Transfer-Encoding", "chunked")
        self.end_headers()
        try:
            for event in self._events(kind, namespace, query):
                line = json.dumps(event).encode() + b"\n"
                self.wfile.write(f"{len(line):x}\r\n".encode() + line + b"\r\n")
                self.wfile.flush()
            self.wfile.write(b"0\r\n\r\n")
        except OSError:
            self.close_connection = True

    def _events(self, kind: ResourceType, namespace: str, query: dict[str, str]) -> Iterator[Json]:
        store, api, matches = self.server.api.store, self.server.api, self._matches(kind, query)
        bookmarks = query.get("allowWatchBookmarks", "") in ("1", "true", "True")
        until = time.monotonic() + float(query.get("timeoutSeconds") or 3600)

        def wanted(one: Json) -> bool:
            return namespace in ("", one["metadata"].get("namespace", "")) and matches(one)

        since = int(query.get("resourceVersion") or 0)
        if since == 0 or query.get("sendInitialEvents") == "true":
            with store.lock:
                since, found = store.version, store.list(kind, namespace, matches)
            yield from ({"type": "ADDED", "object": one} for one in found)
            if query.get("sendInitialEvents") == "true":
                yield _bookmark(kind, since, {"k8s.io/initial-events-end": "true"})
        told = time.monotonic()
        while not api.closing and time.monotonic() < until:
            with store.lock:
                if since < store.oldest:
                    yield {"type": "ERROR", "object": failures.gone(f"too old resource version: {since}").status()}
                    return
                ready = list(store.changes(kind, since))
                if not ready:
                    store.changed.wait(0.2)
                    ready = list(store.changes(kind, since))
                if ready:
                    since = ready[-1].version
                elif store.oldest <= since:
                    since = max(since, store.version)
            yield from (event for change in ready if (event := change.event(wanted)) is not None)
            if bookmarks and time.monotonic() > told + api.bookmark_every:
                told = time.monotonic()
                yield _bookmark(kind, since, {})

    def _send(self, code: int, body: Json) -> None:
        raw = json.dumps(body).encode()
        self.send_response(code)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(raw)))
        self.end_headers()
        self.wfile.write(raw)

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002 - the base class's name
        """Tests say what failed; who asked what is in ``Api.calls``."""


def _key(one: Json) -> tuple[str, str]:
    return (one["metadata"].get("namespace", ""), one["metadata"]["name"])


def _bookmark(kind: ResourceType, version: int, annotations: dict[str, str]) -> Json:
    metadata: Json = {"resourceVersion": str(version), "creationTimestamp": None}
    if annotations:
        metadata["annotations"] = annotations
    return {"type": "BOOKMARK", "object": {"kind": kind.kind, "apiVersion": kind.api_version, "metadata": metadata}}
