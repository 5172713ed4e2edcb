"""The API server's part: what is sent to the webhook, and which answers are taken."""

from __future__ import annotations

import base64
import json
import ssl
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from typing import Any

import pytest

from demo.admission import admit, difference
from demo.errors import NotAdmitted
from demo.facts import Json
from webhook.certificates import KeyPair, issue, make_authority

POD: Json = {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "p"}, "spec": {"containers": []}}
PATCH = [{"op": "add", "path": "/metadata/labels", "value": {"a": "b"}}]


def encoded(patch: Any = PATCH) -> str:
    return base64.b64encode(json.dumps(patch).encode()).decode()


@contextmanager
def answering(
    authority: KeyPair, directory: Path, status: int, response: Json | None
) -> Iterator[tuple[int, list[Json]]]:
    """A webhook on loopback that gives one answer; its port, and the reviews it was sent."""
    seen: list[Json] = []

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            review = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
            seen.append(review)
            answer = {"apiVersion": "admission.k8s.io/v1", "kind": "AdmissionReview"}
            uid = review["request"]["uid"]
            body = b"no" if response is None else json.dumps(answer | {"response": {"uid": uid} | response}).encode()
            self.send_response(status)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, format: str, *args: Any) -> None:  # noqa: A002 - the base class's name
            pass

    leaf = issue(authority, ["localhost"], timedelta(hours=1))
    (directory / "chain.pem").write_bytes(leaf.certificate_pem + leaf.key_pem)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(directory / "chain.pem")
    with HTTPServer(("127.0.0.1", 0), Handler) as server:
        server.socket = context.wrap_socket(server.socket, server_side=True)
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        try:
            yield server.server_port, seen
        finally:
            server.shutdown()
            thread.join()


def test_the_patch_is_applied_to_a_copy(authority: KeyPair, tmp_path: Path) -> None:
    answer = {"allowed": True, "patchType": "JSONPatch", "patch": encoded(), "warnings": ["take care"]}
    with answering(authority, tmp_path, 200, answer) as (port, seen):
        admitted = admit(POD, "edge", port, authority.certificate_pem.decode())
    assert admitted.pod == POD | {"metadata": {"name": "p", "labels": {"a": "b"}}}
    assert (admitted.operations, admitted.warnings) == (1, ("take care",))
    assert "labels" not in POD["metadata"]
    request = seen[0]["request"]
    assert (request["namespace"], request["operation"], request["object"]) == ("edge", "CREATE", POD)


REFUSALS: list[tuple[str, int, Json | None, str]] = [
    ("a status that is no 200", 500, None, "the webhook answered 500: no"),
    ("a denial", 200, {"allowed": False, "status": {"message": "egress: bad"}}, "egress: bad"),
    ("a denial without a reason", 200, {"allowed": False}, "the webhook gives no reason"),
    ("no patch", 200, {"allowed": True, "warnings": ["skipped"]}, "the webhook left the pod as it is: skipped"),
    ("another pod's answer", 200, {"uid": "x", "allowed": True}, "the answer is for uid 'x'"),
    ("a patch without its type", 200, {"allowed": True, "patch": encoded()}, "the patch is of type None"),
]


@pytest.mark.parametrize(
    ("status", "response", "sentence"), [case[1:] for case in REFUSALS], ids=[case[0] for case in REFUSALS]
)
def test_what_an_api_server_would_not_take_is_refused(
    authority: KeyPair, tmp_path: Path, status: int, response: Json | None, sentence: str
) -> None:
    with (
        answering(authority, tmp_path, status, response) as (port, _),
        pytest.raises(NotAdmitted) as refusal,
    ):
        admit(POD, "edge", port, authority.certificate_pem.decode())
    assert sentence in str(refusal.value)


def test_another_authoritys_certificate_is_not_trusted(authority: KeyPair, tmp_path: Path) -> None:
    stranger = make_authority("stranger", timedelta(hours=1))
    with (
        answering(authority, tmp_path, 200, {"allowed": True}) as (port, seen),
        pytest.raises(ssl.SSLCertVerificationError),
    ):
        admit(POD, "edge", port, stranger.certificate_pem.decode())
    assert seen == []


def test_the_difference_is_a_unified_diff_of_yaml() -> None:
    lines = difference({"a": 1, "b": 2}, {"a": 1, "b": 3})
    assert lines == ["--- pod as written", "+++ pod as admitted", "@@ -1,2 +1,2 @@", " a: 1", "-b: 2", "+b: 3"]
