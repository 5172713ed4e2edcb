"""Which metrics a query asks for, once a PromQL parser has understood it."""

from __future__ import annotations

import re

import promql_parser

_NAME = re.compile(r"\bdata_sync_\w+")
_OF_A_HISTOGRAM = re.compile(r"(duration_seconds)_(?:bucket|sum|count)$")


def metric_names(query: str) -> set[str]:
    """The metrics of ``query`` as the contract names them: without a histogram's suffixes.

    Raises:
        ValueError: it is no PromQL.
    """
    text = promql_parser.parse(query).prettify()
    return {_OF_A_HISTOGRAM.sub(r"\1", name) for name in _NAME.findall(text)}
