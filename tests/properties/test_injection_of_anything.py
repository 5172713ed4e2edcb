"""Whatever is sent as a pod, there is an answer: never an exception, and a patch only when injected."""

from __future__ import annotations

import copy
import json
from pathlib import Path
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from tests.webhook.processes import review
from webhook.admit import admit, process
from webhook.catalog import EmptyCatalog
from webhook.decision import Inject
from webhook.injection_settings import InjectionSettings
from webhook.manifests import load
from webhook.patch import apply, diff
from webhook.review import Malformed, Review, decode

SETTINGS = InjectionSettings()
GOLDEN = Path(__file__).parent.parent / "golden"
PODS = [load(path.read_text())[0] for path in sorted(GOLDEN.glob("*/pod.yaml"))]
PODS += [pod for path in sorted(GOLDEN.glob("*/expected.yaml")) for pod in load(path.read_text())]

leaves = st.none() | st.booleans() | st.integers(-5, 70_000) | st.text(max_size=5)
keys = st.sampled_from(["name", "env", "a"])
anything = st.recursive(
    leaves | st.sampled_from(["/export", "data-sync"]),
    lambda inner: st.lists(inner, max_size=2) | st.dictionaries(keys, inner, max_size=2),
    max_leaves=4,
)


def places(value: Any, here: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    """Every path in a JSON value."""
    inner: list[tuple[Any, Any]] = []
    if isinstance(value, dict):
        inner = list(value.items())
    elif isinstance(value, list):
        inner = list(enumerate(value))
    return [here] + [place for key, item in inner for place in places(item, (*here, key))]


def put(value: Any, place: tuple[Any, ...], new: Any) -> Any:
    """A copy of ``value`` with ``new`` at ``place``."""
    if not place:
        return new
    result = copy.copy(value)
    result[place[0]] = put(value[place[0]], place[1:], new)
    return result


@st.composite
def damaged(draw: st.DrawFn) -> Any:
    pod = draw(st.sampled_from(PODS))
    for _ in range(draw(st.integers(1, 2))):
        pod = put(pod, draw(st.sampled_from(places(pod))), draw(anything))
    return pod


@settings(max_examples=300, deadline=None)
@given(damaged())
def test_a_damaged_pod_gets_an_answer(pod: Any) -> None:
    before = copy.deepcopy(pod)
    outcome = process(pod, "edge", EmptyCatalog(), SETTINGS)
    assert pod == before
    if isinstance(outcome.decision, Inject):
        assert apply(pod, diff(pod, outcome.pod)) == outcome.pod
        assert process(outcome.pod, "edge", EmptyCatalog(), SETTINGS).pod == outcome.pod
    else:
        assert outcome.pod is pod


@settings(max_examples=150, deadline=None)
@given(st.data())
def test_a_damaged_review_is_read_or_refused(data: st.DataObject) -> None:
    sent = review(PODS[0])
    for _ in range(2):
        sent = put(sent, data.draw(st.sampled_from(places(sent))), data.draw(anything))
    decoded = decode(json.dumps(sent).encode())
    if isinstance(decoded, Review):
        admit(decoded, EmptyCatalog(), SETTINGS)
    else:
        assert isinstance(decoded, Malformed)
        assert decoded.reason


@given(st.binary(max_size=200))
def test_no_bytes_at_all_break_the_decoder(body: bytes) -> None:
    assert isinstance(decode(body), Malformed)
