"""The envelope's answers; what cannot be read is walked in tests/walks/test_admission.py."""

from __future__ import annotations

from webhook.review import Answer, encode


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
