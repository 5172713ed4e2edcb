"""Label selectors: which labels match, and that a mistake matches nothing."""

from __future__ import annotations

from typing import Any

import pytest

from contract.selectors import parse_selector

HOME = {"dc": "home", "tier": "edge"}


def expression(key: str, operator: str, *values: str) -> dict[str, Any]:
    return {"matchExpressions": [{"key": key, "operator": operator, **({"values": [*values]} if values else {})}]}


@pytest.mark.parametrize(
    ("selector", "expected"),
    [
        pytest.param({}, True, id="empty matches everything"),
        pytest.param({"matchLabels": {"dc": "home"}}, True, id="a label"),
        pytest.param({"matchLabels": {"dc": "away"}}, False, id="another value"),
        pytest.param({"matchLabels": {"dc": "home", "x": "y"}}, False, id="all must hold"),
        pytest.param(expression("dc", "In", "home", "away"), True, id="In"),
        pytest.param(expression("x", "In", "home"), False, id="In without the label"),
        pytest.param(expression("dc", "NotIn", "away"), True, id="NotIn"),
        pytest.param(expression("dc", "NotIn", "home"), False, id="NotIn, but it is"),
        pytest.param(expression("x", "NotIn", "home"), True, id="NotIn without the label"),
        pytest.param(expression("dc", "Exists"), True, id="Exists"),
        pytest.param(expression("x", "Exists"), False, id="Exists, but does not"),
        pytest.param(expression("x", "DoesNotExist"), True, id="DoesNotExist"),
        pytest.param({"matchLabels": {"dc": "home"}, **expression("tier", "NotIn", "edge")}, False, id="both kinds"),
    ],
)
def test_a_selector_matches_as_kubernetes_has_it(selector: dict[str, Any], expected: bool) -> None:
    assert parse_selector(selector).matches(HOME) is expected


@pytest.mark.parametrize(
    "raw",
    [
        "dc=home",
        {"matchLabels": ["dc"]},
        {"matchExpressions": {"key": "dc"}},
        {"matchExpressions": ["dc"]},
        {"matchExpressions": [{"operator": "Exists"}]},
        expression("dc", "Is", "home"),
        expression("dc", "In"),
        expression("dc", "Exists", "home"),
    ],
)
def test_what_is_no_selector_is_an_error(raw: Any) -> None:
    with pytest.raises(ValueError, match=r"selector|match|key|operator"):
        parse_selector(raw)
