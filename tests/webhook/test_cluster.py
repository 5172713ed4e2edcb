"""The client of the API server against a cluster in memory, over real HTTP."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from tests.fakes.cluster import FakeCluster
from tests.webhook.clusters import client, device, with_crds
from webhook.access import from_environment
from webhook.cluster import (
    JSON_PATCH,
    Cluster,
    ClusterError,
    Conflict,
    Forbidden,
    Gone,
    NotFound,
    Refused,
    Resource,
    Unavailable,
)
from webhook.cluster_catalog import DEVICES, NAMESPACES

SECRETS = Resource("v1", "secrets")


@pytest.fixture
def fake() -> Iterator[FakeCluster]:
    with with_crds(FakeCluster()) as cluster:
        yield cluster


@pytest.fixture
def cluster(fake: FakeCluster, tmp_path: Path) -> Cluster:
    return client(fake, tmp_path)


def secret(name: str, **data: str) -> dict[str, Any]:
    return {"apiVersion": "v1", "kind": "Secret", "metadata": {"name": name}, "data": data}


def test_what_is_created_is_found_changed_and_replaced(cluster: Cluster) -> None:
    made = cluster.create(SECRETS, secret("ca", a="MQ=="), "default")
    assert cluster.get(SECRETS, "ca", "default") == made
    patched = cluster.patch(SECRETS, "ca", {"data": {"b": "Mg=="}}, "default")
    assert patched["data"] == {"a": "MQ==", "b": "Mg=="}
    operations = [{"op": "remove", "path": "/data/a"}]
    patched = cluster.patch(SECRETS, "ca", operations, "default", content_type=JSON_PATCH)
    assert patched["data"] == {"b": "Mg=="}
    assert cluster.replace(SECRETS, "ca", {**patched, "data": {}}, "default")["data"] == {}


def test_errors_say_what_to_do(cluster: Cluster, fake: FakeCluster) -> None:
    made = cluster.create(SECRETS, secret("ca"), "default")
    cluster.patch(SECRETS, "ca", {"data": {"a": "MQ=="}}, "default")
    calls: list[tuple[type[ClusterError], Callable[[], object]]] = [
        (NotFound, lambda: cluster.get(SECRETS, "nothing", "default")),
        (NotFound, lambda: cluster.get(Resource("example.org/v1", "gadgets"), "x")),
        (Conflict, lambda: cluster.create(SECRETS, secret("ca"), "default")),
        (Conflict, lambda: cluster.replace(SECRETS, "ca", made, "default")),
        (Refused, lambda: cluster.patch(SECRETS, "ca", ["no patch"], "default", content_type=JSON_PATCH)),
    ]
    for kind, call in calls:
        with pytest.raises(kind):
            call()
    fake.api.authorizer = lambda call: call.resource != "secrets"
    with pytest.raises(Forbidden, match='cannot get resource "secrets"'):
        cluster.get(SECRETS, "ca", "default")


def test_a_server_that_is_not_there_is_unavailable(cluster: Cluster, fake: FakeCluster) -> None:
    fake.stop()
    with pytest.raises(Unavailable, match="GET /version"):
        cluster.get_path("/version")


def test_a_list_comes_in_pages_and_a_watch_goes_on_from_it(cluster: Cluster, fake: FakeCluster) -> None:
    for number in range(5):
        fake.create(device(f"d{number}"))
    pages = list(cluster.list(DEVICES, limit=2))
    assert [len(page.items) for page in pages] == [2, 2, 1]
    fake.create(device("late"))
    fake.delete("edgedevices.management.project-flotta.io", "d0")
    watch = cluster.watch(DEVICES, pages[-1].version, seconds=30)
    events = iter(watch)
    seen = [(event.type, event.object["metadata"]["name"]) for event in (next(events), next(events))]
    assert seen == [("ADDED", "late"), ("DELETED", "d0")]
    assert next(event for event in events if event.type == "BOOKMARK").object["metadata"]["resourceVersion"]
    watch.close()
    assert list(events) == []


def test_a_list_that_the_server_forgot_between_pages_is_gone(cluster: Cluster, fake: FakeCluster) -> None:
    for number in range(5):
        fake.create(device(f"d{number}"))
    pages = cluster.list(DEVICES, limit=2)
    next(pages)
    fake.create(device("late"))
    fake.compact()
    with pytest.raises(Gone):
        list(pages)


def test_a_watch_from_a_version_that_is_compacted_is_gone(cluster: Cluster, fake: FakeCluster) -> None:
    (page,) = cluster.list(NAMESPACES)
    fake.create(device("late"))
    fake.compact()
    with pytest.raises(Gone):
        list(cluster.watch(NAMESPACES, page.version, seconds=30))


class _Rude(BaseHTTPRequestHandler):
    """Answers with what ``answer`` holds and hangs up."""

    answer = b""

    def do_GET(self) -> None:
        self.wfile.write(self.answer)

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002 - the base class's name
        """Quiet."""


CHUNKED = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"


@pytest.mark.parametrize(
    "answer",
    [
        pytest.param(b"", id="nothing"),
        pytest.param(b"SSH-2.0-OpenSSH\r\n", id="another protocol"),
        pytest.param(b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\n{", id="half an answer"),
        pytest.param(b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n<htm>", id="a web page"),
        pytest.param(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n[]", id="a list"),
        pytest.param(b"HTTP/1.1 503 Busy\r\nContent-Length: 4\r\n\r\nbusy", id="a proxy's excuse"),
        pytest.param(CHUNKED + b'5\r\n{"a":', id="half a chunk"),
    ],
)
def test_whatever_answers_that_is_no_api_server_is_unavailable(answer: bytes) -> None:
    with rude_server(answer) as cluster, pytest.raises(Unavailable):
        cluster.get_path("/version")


@pytest.mark.parametrize(
    ("answer", "kind"),
    [
        pytest.param(CHUNKED + b"4\r\n[1]\n\r\n0\r\n\r\n", Unavailable, id="no event"),
        pytest.param(CHUNKED + b'11\r\n{"type":"ADDED"}\n\r\n0\r\n\r\n', Unavailable, id="an event about nothing"),
        pytest.param(
            CHUNKED + b'2a\r\n{"type":"ERROR","object":{"code":403}}    \n\r\n0\r\n\r\n', Forbidden, id="an error"
        ),
    ],
)
def test_a_watch_that_tells_nonsense_ends_with_an_error(answer: bytes, kind: type[ClusterError]) -> None:
    with rude_server(answer) as cluster, pytest.raises(kind):
        list(cluster.watch(NAMESPACES, "1", seconds=5))


class rude_server:  # noqa: N801 - reads as a function
    def __init__(self, answer: bytes) -> None:
        handler = type("Handler", (_Rude,), {"answer": answer})
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.05,), daemon=True)

    def __enter__(self) -> Cluster:
        self._thread.start()
        return Cluster(_Plain(self._server.server_address[1]))

    def __exit__(self, *_: object) -> None:
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()


class _Plain:
    prefix = ""

    def __init__(self, port: int) -> None:
        self._port = port

    def connect(self, timeout: float) -> Any:
        from http.client import HTTPConnection

        return HTTPConnection("127.0.0.1", self._port, timeout=timeout)

    def token(self) -> str:
        return ""


def test_an_unreadable_kubeconfig_is_told_at_once(tmp_path: Path) -> None:
    from webhook.access import AccessError

    with pytest.raises(AccessError):
        from_environment({"KUBECONFIG": str(tmp_path / "nothing")})
