"""The Flask app: ``POST /mutate``, its limits, and what callers are told when they get it wrong.

Takes a handler and knows nothing of pods. A mistake of our own never blocks a pod: the answer is
then "allowed", with a warning, as ``failurePolicy: Ignore`` would have it, only without the delay.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable
from http import HTTPStatus
from typing import Final

from flask import Flask, Response, jsonify, request
from werkzeug.exceptions import HTTPException, RequestEntityTooLarge

from contract.options import shown
from runtime.endpoints import Check
from runtime.logs import fields
from webhook.metrics import Metrics
from webhook.reasons import Reason
from webhook.review import Answer, Malformed, Review, decode, encode

log = logging.getLogger(__name__)

Handler = Callable[[Review], Answer]

BODY_LIMIT: Final = 3 * 1024 * 1024  # bytes; the API server's own limit for a request
_CHUNK: Final = 64 * 1024  # bytes
_JSON: Final = "application/json"


def create_app(handler: Handler, metrics: Metrics, ready: Callable[[], Check] = lambda: Check(True, "ready")) -> Flask:
    """The application that answers admission reviews with ``handler``.

    Until ``ready`` says so, every review is a 503, which the webhook's failurePolicy decides about: what is
    not yet known must not come to deny a pod, or to let its files go elsewhere.
    """
    app = Flask("webhook", static_folder=None)
    app.config["MAX_CONTENT_LENGTH"] = BODY_LIMIT

    @app.post("/mutate")
    def mutate() -> Response:
        started = time.perf_counter()
        if request.mimetype != _JSON:
            reason = f"Content-Type {shown(request.mimetype or '(none)')} is not {_JSON}"
            return _refused(HTTPStatus.UNSUPPORTED_MEDIA_TYPE, reason, "content_type", started)
        body = request.get_data(cache=False)
        # Without a Content-Length, werkzeug cuts the body at the limit and says nothing.
        if request.content_length is None and len(body) >= BODY_LIMIT:
            raise RequestEntityTooLarge
        review = decode(body)
        if isinstance(review, Malformed):
            return _refused(HTTPStatus.BAD_REQUEST, review.reason, "malformed", started)
        waiting = ready()
        if not waiting.ok:
            metrics.answered("error", Reason.NOT_READY, time.perf_counter() - started)
            return _error(HTTPStatus.SERVICE_UNAVAILABLE, f"{Reason.NOT_READY.sentence}: {waiting.reason}")
        answer = _answer(handler, review)
        metrics.answered(answer.result, answer.reason, time.perf_counter() - started)
        _log(review, answer)
        return jsonify(encode(review.uid, answer))

    def _refused(code: HTTPStatus, sentence: str, reason: str, started: float) -> Response:
        metrics.answered("malformed", reason, time.perf_counter() - started)
        return _error(code, sentence)

    @app.errorhandler(HTTPException)
    def http_error(error: HTTPException) -> Response:
        code = HTTPStatus(error.code or HTTPStatus.INTERNAL_SERVER_ERROR)
        if code is HTTPStatus.REQUEST_ENTITY_TOO_LARGE:
            _drain()
            return _refused(code, f"the body is larger than {BODY_LIMIT} bytes", "too_large", time.perf_counter())
        return _error(code, error.description or code.phrase)

    return app


def _drain() -> None:
    """Read on for a while: a client that is still sending would see a reset and not our answer."""
    left = 2 * BODY_LIMIT
    while left > 0 and (chunk := request.environ["wsgi.input"].read(min(left, _CHUNK))):
        left -= len(chunk)


def _answer(handler: Handler, review: Review) -> Answer:
    try:
        return handler(review)
    except Exception:
        log.exception("admission failed", **fields(uid=review.uid, namespace=review.namespace, pod=review.name))
        return Answer(allowed=True, reason=Reason.INTERNAL, result="error", warnings=(Reason.INTERNAL.sentence,))


def _log(review: Review, answer: Answer) -> None:
    log.info(
        "admission",
        **fields(
            uid=review.uid,
            namespace=review.namespace,
            pod=review.name,
            dry_run=review.dry_run,
            result=answer.result,
            reason=str(answer.reason),
            **({"detail": answer.message} if answer.message else {}),
        ),
    )


def _error(code: HTTPStatus, reason: str) -> Response:
    response = jsonify({"error": reason})
    response.status_code = code
    return response
