"""The app's answer to a mistake of our own; all else of it is walked in tests/walks/test_admission.py."""

from __future__ import annotations

import logging

import pytest

from tests.webhook.processes import review
from webhook.metrics import Metrics
from webhook.review import Answer, Review
from webhook.server import create_app


def broken(_review: Review) -> Answer:
    raise RuntimeError("a bug")


def test_a_mistake_of_our_own_admits_the_pod_with_a_warning_and_is_counted(caplog: pytest.LogCaptureFixture) -> None:
    metrics = Metrics()
    client = create_app(broken, metrics).test_client()
    with caplog.at_level(logging.ERROR):
        answer = client.post("/mutate", json=review({"spec": {}}))
    response = answer.get_json()["response"]
    assert (answer.status_code, response["allowed"], "patch" in response) == (200, True, False)
    assert "made a mistake of its own" in response["warnings"][0]
    labels = {"result": "error", "reason": "internal"}
    assert metrics.registry.get_sample_value("data_sync_admission_reviews_total", labels) == 1
    logged = [record.__dict__["fields"]["uid"] for record in caplog.records]
    assert logged == ["705ab4f5-6393-11e8-b7cc-42010a800002"]


def test_a_content_type_that_is_refused_is_not_repeated_whole() -> None:
    answer = create_app(broken, Metrics()).test_client().post("/mutate", content_type="text/" + "x" * 8000)
    assert answer.status_code == 415
    assert len(answer.get_data()) < 300


def test_the_certificates_end_is_no_metric_before_it_is_known() -> None:
    assert Metrics().registry.get_sample_value("data_sync_certificate_expiry_timestamp_seconds") is None
