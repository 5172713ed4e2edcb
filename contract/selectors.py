"""Label selectors, as ``deviceSelector`` has them: which labels a selector matches.

The rules are Kubernetes' own: all conditions must hold, an empty selector matches everything, ``NotIn``
holds where the label is absent.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

_WITH_VALUES: Final = ("In", "NotIn")
_WITHOUT: Final = ("Exists", "DoesNotExist")


@dataclass(frozen=True, slots=True)
class Requirement:
    """One condition on one label."""

    key: str
    operator: str  # In, NotIn, Exists, DoesNotExist
    values: frozenset[str] = frozenset()

    def holds(self, labels: Mapping[str, str]) -> bool:
        """Whether ``labels`` meet it."""
        value = labels.get(self.key)
        match self.operator:
            case "In":
                return value in self.values
            case "NotIn":
                return value not in self.values
            case "Exists":
                return value is not None
            case _:
                return value is None


@dataclass(frozen=True, slots=True)
class Selector:
    """A label selector; without requirements it matches everything."""

    requirements: tuple[Requirement, ...] = ()

    def matches(self, labels: Mapping[str, str]) -> bool:
        """Whether ``labels`` meet every requirement."""
        return all(requirement.holds(labels) for requirement in self.requirements)


def parse_selector(raw: object) -> Selector:
    """The selector in ``raw``, ``{matchLabels, matchExpressions}`` as an API server hands it out.

    Raises:
        ValueError: it is no selector; a mistake must not come to match everything.
    """
    if not isinstance(raw, dict):
        raise ValueError("a label selector is an object")  # noqa: TRY004 - one class for all that can be wrong
    labels, expressions = raw.get("matchLabels") or {}, raw.get("matchExpressions") or []
    if not isinstance(labels, dict) or not isinstance(expressions, list):
        raise ValueError("matchLabels is a map, matchExpressions a list")  # noqa: TRY004 - likewise
    wanted = [Requirement(str(key), "In", frozenset({str(value)})) for key, value in labels.items()]
    return Selector((*wanted, *map(_expression, expressions)))


def _expression(raw: object) -> Requirement:
    key = raw.get("key") if isinstance(raw, dict) else None
    if not isinstance(raw, dict) or not isinstance(key, str):
        raise ValueError("an item of matchExpressions needs a key")  # noqa: TRY004 - likewise
    operator, values = raw.get("operator"), raw.get("values") or []
    known = (operator in _WITH_VALUES and values) or (operator in _WITHOUT and not values)
    if not known or not isinstance(values, list):
        raise ValueError(f"matchExpressions: {key}: operator {operator!r} does not go with values {values!r}")
    return Requirement(key, str(operator), frozenset(map(str, values)))
