"""Admission, walked from end to end: a real gunicorn over TLS answers real reviews."""

from __future__ import annotations

import base64
import json
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from contract import names
from tests.webhook.processes import Webhook, ask, review
from webhook.certificates import not_after
from webhook.manifests import load
from webhook.patch import apply

GOLDEN = Path(__file__).parent.parent / "golden"


@pytest.fixture(scope="module")
def webhook(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Webhook]:
    variables = {"WEBHOOK_SIDECAR_IMAGE": "data-sync-sidecar:golden"}
    with Webhook(tmp_path_factory.mktemp("tls"), **variables) as running:
        yield running


def pod(case: str) -> Any:
    return load((GOLDEN / case / "pod.yaml").read_text())[0]


def encoded(case: str, **changes: Any) -> bytes:
    return json.dumps(review(pod(case), **changes)).encode()


def test_the_documentations_pod_comes_back_as_the_golden_one(webhook: Webhook) -> None:
    status, answer = webhook.post(encoded("os-stats"))
    response = answer["response"]
    assert (status, response["allowed"]) == (200, True)
    assert response["uid"] == "705ab4f5-6393-11e8-b7cc-42010a800002"
    assert response["auditAnnotations"] == {"reason": "injected"}
    assert response["patchType"] == "JSONPatch"
    patched = apply(pod("os-stats"), json.loads(base64.b64decode(response["patch"])))
    assert patched == load((GOLDEN / "os-stats" / "expected.yaml").read_text())[0]


def test_the_namespace_is_the_requests_not_the_objects(webhook: Webhook) -> None:
    lying = pod("os-stats")
    lying["metadata"]["namespace"] = "kube-system"
    _, answer = webhook.post(json.dumps(review(lying)).encode())
    patched = apply(lying, json.loads(base64.b64decode(answer["response"]["patch"])))
    paths = [volume["hostPath"]["path"] for volume in patched["spec"]["volumes"] if "hostPath" in volume]
    assert paths == [f"{names.DEFAULT_ROOT}/edge/os-stats"]


def test_a_denied_pod_is_told_annotation_and_value(webhook: Webhook) -> None:
    _, answer = webhook.post(encoded("bad-annotations-denied"))
    response = answer["response"]
    assert response["allowed"] is False
    assert response["status"]["code"] == 403
    assert names.INTERVAL in response["status"]["message"]
    assert "'soon'" in response["status"]["message"]
    assert "patch" not in response


def test_a_warning_reaches_the_person(webhook: Webhook) -> None:
    _, answer = webhook.post(encoded("label-misspelt-warned"))
    assert answer["response"]["allowed"] is True
    assert "neither 'enabled' nor 'disabled'" in answer["response"]["warnings"][0]


@pytest.mark.parametrize(
    ("body", "status", "said"),
    [
        pytest.param(b"", 400, "no JSON", id="an empty body"),
        pytest.param(b"{", 400, "no JSON", id="cut JSON"),
        pytest.param(b"\xff\xfe", 400, "no JSON", id="no text at all"),
        pytest.param(b"[" * 100_000, 400, "no JSON", id="nesting without end"),
        pytest.param(b"[]", 400, "AdmissionReview object", id="a list"),
        pytest.param(b'{"apiVersion":"admission.k8s.io/v1beta1","kind":"AdmissionReview"}', 400,
                     "only AdmissionReview of admission.k8s.io/v1", id="an old version"),
        pytest.param(b'{"apiVersion":"admission.k8s.io/v1","kind":"AdmissionReview"}', 400, "request is missing",
                     id="no request"),
        pytest.param(json.dumps(review(None, uid="")).encode(), 400, "uid", id="no uid"),
        pytest.param(json.dumps(review(7)).encode(), 400, "object", id="a number for a pod"),
        pytest.param(json.dumps(review({}, namespace=7)).encode(), 400, "namespace", id="a number for a namespace"),
        pytest.param(json.dumps(review({}, kind="Pod")).encode(), 400, "kind", id="a text for a kind"),
        pytest.param(b" " * (3 * 1024 * 1024 + 1), 413, "3145728", id="more than 3 MiB"),
    ],
)  # fmt: skip
def test_bad_input_is_refused_with_a_reason(webhook: Webhook, body: bytes, status: int, said: str) -> None:
    answered, answer = webhook.post(body)
    assert (answered, said in answer["error"]) == (status, True), answer


def test_a_chunked_body_of_more_than_3_mib_is_refused(webhook: Webhook) -> None:
    connection = webhook.connect()
    chunks = (b" " * 65536 for _ in range(64))
    headers = {"Content-Type": "application/json", "Transfer-Encoding": "chunked"}
    connection.request("POST", "/mutate", chunks, headers, encode_chunked=True)
    assert connection.getresponse().status == 413
    connection.close()


def test_another_content_type_is_refused(webhook: Webhook) -> None:
    assert webhook.post(b"{}", "text/plain")[0] == 415


def test_other_paths_and_methods_are_refused_in_json(webhook: Webhook) -> None:
    connection = webhook.connect()
    for method, path, expected in (("GET", "/mutate", 405), ("POST", "/", 404)):
        connection.request(method, path)
        response = connection.getresponse()
        assert (response.status, "error" in json.loads(response.read())) == (expected, True)
    connection.close()


def test_probes_and_metrics_are_served_in_the_clear(webhook: Webhook) -> None:
    webhook.post(encoded("os-stats"))
    assert webhook.get("/livez")[0] == 200
    assert webhook.get("/readyz")[0] == 200
    metrics = webhook.get("/metrics")[1]
    assert 'data_sync_admission_reviews_total{reason="injected",result="injected"}' in metrics
    assert 'data_sync_admission_duration_seconds_bucket{le="0.001"}' in metrics
    assert "data_sync_build_info{" in metrics
    expiry = not_after(webhook.certificate.read_bytes()).timestamp()
    line = next(text for text in metrics.splitlines() if text.startswith("data_sync_certificate_expiry"))
    assert float(line.split()[1]) == expiry


def test_many_ask_at_once_over_connections_that_stay_open(webhook: Webhook) -> None:
    body = encoded("os-stats")

    def client(_number: int) -> set[str]:
        connection = webhook.connect()
        answers = {json.dumps(ask(connection, body)) for _ in range(20)}
        connection.close()
        return answers

    with ThreadPoolExecutor(16) as pool:
        answers = set().union(*pool.map(client, range(16)))
    assert len(answers) == 1
    assert '"allowed": true' in answers.pop()


def test_a_renewed_certificate_is_served_without_a_failed_handshake(tmp_path: Path) -> None:
    body, stop = encoded("not-asked-for-skipped"), threading.Event()
    with Webhook(tmp_path) as webhook:
        seen: list[bytes | None] = []

        def client(_number: int) -> int:
            context, requests = webhook.context(), 0
            while not stop.is_set():
                connection = webhook.connect(context)
                assert ask(connection, body)[0] == 200
                assert connection.sock is not None
                seen.append(connection.sock.getpeercert(binary_form=True))
                connection.close()
                requests += 1
            return requests

        with ThreadPoolExecutor(4) as pool:
            clients = [pool.submit(client, number) for number in range(4)]
            try:
                for _ in range(5):
                    renewed = webhook.leaf()
                    webhook.install(renewed)
                    wait_until_served(webhook, renewed.certificate_pem)
            finally:
                stop.set()
            assert all(done.result() > 0 for done in clients)
        assert len(set(seen)) > 1


def wait_until_served(webhook: Webhook, certificate: bytes) -> None:
    import ssl

    expected = ssl.PEM_cert_to_DER_cert(certificate.decode())
    for _ in range(200):
        connection = webhook.connect()
        connection.connect()
        assert connection.sock is not None
        served = connection.sock.getpeercert(binary_form=True)
        connection.close()
        if served == expected:
            return
    raise AssertionError("the renewed certificate was never served")


def test_a_broken_renewal_keeps_the_old_certificate_and_says_so(tmp_path: Path) -> None:
    with Webhook(tmp_path) as webhook:
        webhook.certificate.write_text("no certificate")
        assert webhook.post(encoded("not-asked-for-skipped"))[0] == 200
        assert webhook.post(encoded("not-asked-for-skipped"))[0] == 200
        webhook.stop()
    warnings = [line for line in webhook.log if line["level"] == "warning"]
    assert [line["message"] for line in warnings] == ["certificate not renewed, the old one stays in use"]


def test_sigterm_lets_a_request_under_way_finish(tmp_path: Path) -> None:
    body = encoded("os-stats")
    with Webhook(tmp_path) as webhook:
        connection = webhook.connect()
        connection.putrequest("POST", "/mutate")
        connection.putheader("Content-Type", "application/json")
        connection.putheader("Content-Length", str(len(body)))
        connection.endheaders(body[:100])
        other = webhook.connect()  # answered after the first one's head was read: it is under way
        assert ask(other, body)[0] == 200
        webhook.terminate()
        connection.send(body[100:])
        response = connection.getresponse()
        assert (response.status, json.loads(response.read())["response"]["allowed"]) == (200, True)
        connection.close()
        other.close()
        assert webhook.stop() == 0
