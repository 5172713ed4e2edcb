"""The envelope's answers; what cannot be read is walked in tests/walks/test_admission.py."""

from __future__ import annotations

import json
from typing import Any

import pytest

from tests.webhook.processes import review
from webhook.review import DEEPEST, Answer, Malformed, Review, decode, encode


def nested(levels: int, kind: type) -> Any:
    inner: Any = 1
    for _ in range(levels):
        inner = {"a": inner} if kind is dict else [inner]
    return inner


@pytest.mark.parametrize("kind", [dict, list])
def test_a_body_is_read_to_the_deepest_level_and_no_further(kind: type) -> None:
    within = DEEPEST - 3  # the envelope, the request and the object are levels too
    assert isinstance(decode(json.dumps(review({"x": nested(within, kind)})).encode()), Review)
    assert decode(json.dumps(review({"x": nested(within + 1, kind)})).encode()) == Malformed(
        f"the body is nested more than {DEEPEST} levels deep"
    )


@pytest.mark.parametrize("half", [b"\\ud800", b"\\uDC00\\ud83d"])
def test_half_a_character_is_refused(half: bytes) -> None:
    body = json.dumps(review({"x": "HERE"})).encode()
    said = decode(body.replace(b"HERE", half))
    assert said == Malformed("the body holds half of a surrogate pair, which is no text")
    assert isinstance(decode(body.replace(b"HERE", b"\\ud83e\\udd80")), Review)


@pytest.mark.parametrize("body", [b'"\xed\xa0\x80"', "{}".encode("utf-16"), b"\xff{}"])
def test_what_is_no_utf_8_is_no_json(body: bytes) -> None:
    said = decode(body)
    assert isinstance(said, Malformed)
    assert said.reason.startswith("the body is no JSON: ")


@pytest.mark.parametrize("key", ["kind", "apiVersion"])
@pytest.mark.parametrize("value", ["k" * 100_000, ["k"] * 100_000, {"k" * 100_000: 1}, int("1" * 4000)])
def test_what_is_refused_is_not_repeated_whole(key: str, value: object) -> None:
    said = decode(json.dumps({**review({}), key: value}).encode())
    assert isinstance(said, Malformed)
    assert len(said.reason) < 300


@pytest.mark.parametrize("key", ["uid", "name", "namespace", "operation", "subResource"])
def test_a_name_that_no_object_has_is_refused(key: str) -> None:
    assert isinstance(decode(json.dumps(review({}, **{key: "n" * 1024})).encode()), Review)
    said = decode(json.dumps(review({}, **{key: "n" * 1025})).encode())
    assert said == Malformed(f"request.{key} is longer than 1024 characters")


def test_an_unchanged_pod_has_no_patch_at_all() -> None:
    response = encode("u", Answer(allowed=True, reason="injected", result="injected"))["response"]
    assert response == {"uid": "u", "allowed": True, "auditAnnotations": {"reason": "injected"}}


def test_a_refusal_has_a_status_and_never_a_patch() -> None:
    answer = Answer(allowed=False, reason="no_storage", result="denied", message="why", patch=[{"op": "x"}])
    response = encode("u", answer)["response"]
    assert response["status"] == {"code": 403, "reason": "Forbidden", "message": "why"}
    assert "patch" not in response


def test_a_warning_is_one_line_of_what_the_api_server_shows() -> None:
    answer = Answer(allowed=True, reason="r", result="skipped", warnings=("two\nlines", "x" * 500))
    first, second = encode("u", answer)["response"]["warnings"]
    assert first == "data-sync: two lines"
    assert (len(second), second[-1]) == (256, "…")
