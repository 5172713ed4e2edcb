"""The short form of ``python -m tests.torture.reviews``, and that it would see what it looks for."""

from __future__ import annotations

import json
import logging
import random
from collections.abc import Iterator

import pytest

import webhook.server
from tests.torture import malformed, reviews
from tests.webhook.processes import review
from webhook.review import Answer

SEED = 11
COUNT = 600
DEEP = "[" * 300 + "]" * 300


@pytest.fixture(autouse=True)
def quiet() -> Iterator[None]:
    """The webhook's loggers as they were."""
    logger = logging.getLogger("webhook")
    before = logger.level
    yield
    logger.setLevel(before)


def test_no_malformed_review_makes_the_webhook_fail() -> None:
    answers = reviews.run(SEED, COUNT)
    assert sum(answers.values()) == COUNT
    assert {"400", "415", "injected", "invalid_pod", "invalid_annotation"} <= set(answers)


@pytest.mark.parametrize("which", [0, 1])
def test_a_deep_nest_in_a_pod_is_refused_and_no_mistake_of_our_own(which: int) -> None:
    body = json.dumps(review({**malformed.pods()[0], "deep": "here"})).replace('"here"', DEEP).encode()
    asked = reviews.Asked()
    asked.ask(body, malformed.JSON, which)
    assert asked.answers == {"400": 1}


def test_a_mistake_of_the_handler_is_seen(monkeypatch: pytest.MonkeyPatch) -> None:
    mistake = Answer(allowed=True, reason="internal", result="error")
    monkeypatch.setattr(webhook.server, "_answer", lambda _handler, _review: mistake)
    with pytest.raises(reviews.Fault, match="a mistake of its own"):
        reviews.Asked().ask(json.dumps(review(malformed.pods()[0])).encode(), malformed.JSON)


def test_a_seed_draws_the_same_reviews_again() -> None:
    first, second = random.Random(SEED), random.Random(SEED)
    assert [malformed.draw(first) for _ in range(50)] == [malformed.draw(second) for _ in range(50)]
