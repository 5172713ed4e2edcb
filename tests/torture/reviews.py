"""``python -m tests.torture.reviews [--seed N] [--count N]``: malformed reviews against the webhook's app.

The app is the real one, asked through its test client, which lets exceptions through. Every answer is JSON and
no 5xx; no handler made a mistake of its own (an answer with the reason ``internal``); an admitted pod's patch
applies. ``malformed`` draws the reviews, ``fuzz_reviews`` lets coverage guide them.
"""

from __future__ import annotations

import argparse
import base64
import json
import logging
import random
import secrets
import time
from collections import Counter
from functools import partial
from pathlib import Path
from typing import Any, Final

from flask.testing import FlaskClient

from tests.torture.malformed import draw
from webhook.admit import admit
from webhook.catalog import Catalog, EmptyCatalog
from webhook.facts import catalog_of
from webhook.injection_settings import InjectionSettings
from webhook.metrics import Metrics
from webhook.patch import apply
from webhook.reasons import Reason
from webhook.server import create_app

COUNT: Final = 100_000
_SETTINGS: Final = InjectionSettings(sidecar_image="data-sync-sidecar:torture", flotta_namespace="flotta")
_PERMITTED: Final = {200, 400, 413, 415}


class Fault(AssertionError):
    """An answer that no caller may get."""


class Asked:
    """The webhook's app with an empty catalog, and one with a filled catalog; every review goes to one of them."""

    def __init__(self) -> None:
        logging.getLogger("webhook").setLevel(logging.CRITICAL)
        self._clients = [_client(EmptyCatalog()), _client(_filled())]
        self.answers: Counter[str] = Counter()

    def ask(self, body: bytes, content_type: str, which: int = 0) -> None:
        """Send one review.

        Raises:
            Fault: the answer is one that no caller may get.
        """
        answer = self._clients[which % 2].post("/mutate", data=body, headers={"Content-Type": content_type})
        found = answer.get_json(silent=True)
        if answer.status_code not in _PERMITTED or not isinstance(found, dict):
            raise Fault(f"{answer.status_code}: {answer.get_data(as_text=True)[:300]}")
        self.answers[str(answer.status_code) if answer.status_code != 200 else _judge(body, found)] += 1


def _client(catalog: Catalog) -> FlaskClient:
    app = create_app(partial(admit, catalog=catalog, settings=_SETTINGS), Metrics())
    app.testing = True
    return app.test_client()


def _filled() -> Catalog:
    api = "management.project-flotta.io/v1alpha1"
    s3 = {"storage": {"s3": {"configMapName": "c", "secretName": "s"}}}
    mapping = {"egress": [{"source": "a", "target": "b"}]}
    manifests: list[dict[str, Any]] = [
        {"apiVersion": api, "kind": "EdgeDevice", "metadata": {"name": "edge", "labels": {"a": "b"}}, "spec": s3},
        {"apiVersion": api, "kind": "EdgeWorkload", "metadata": {"name": "web"}, "spec": {"data": mapping}},
        {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "edge", "uid": "u"}},
    ]
    return catalog_of(manifests, "edge")


def _judge(body: bytes, found: dict[str, Any]) -> str:
    """The reason of an admission's answer, once it is seen to be one."""
    response = found["response"]
    reason = response["auditAnnotations"]["reason"]
    if reason == Reason.INTERNAL:
        raise Fault("the handler made a mistake of its own")
    if "patch" in response:
        apply(json.loads(body)["request"]["object"], json.loads(base64.b64decode(response["patch"])))
    return str(reason)


def run(seed: int, count: int, *, keep: Path | None = None) -> Counter[str]:
    """Ask ``count`` reviews drawn from ``seed``; returns the answers by status or reason.

    Raises:
        Exception: whatever the first bad answer was; its number is noted, and its body kept in ``keep``.
    """
    rng, asked = random.Random(seed), Asked()
    for number in range(count):
        body, content_type = draw(rng)
        try:
            asked.ask(body, content_type, number)
        except Exception as error:
            if keep is not None:
                keep.mkdir(parents=True, exist_ok=True)
                (keep / f"review-{seed}-{number}.json").write_bytes(body)
            error.add_note(f"seed {seed}, review {number} ({content_type[:80]!r}): {body[:300]!r}")
            raise
    return asked.answers


def main() -> int:
    """The long form; ends with the exception of the first bad answer."""
    parser = argparse.ArgumentParser(prog="python -m tests.torture.reviews", description=__doc__)
    parser.add_argument("--seed", type=int, default=secrets.randbelow(10**6))
    parser.add_argument("--count", type=int, default=COUNT)
    asked = parser.parse_args()
    started = time.monotonic()
    answers = run(asked.seed, asked.count, keep=Path("build/torture"))
    said = ", ".join(f"{number:,} {answer}" for answer, number in answers.most_common())
    print(f"seed {asked.seed}: {asked.count:,} reviews in {time.monotonic() - started:.0f} s, no bad answer: {said}")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
