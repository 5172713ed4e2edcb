"""values.yaml → the table of values in the chart's README: each value with its comment and default.

The comments are the documentation; this only moves them. Whoever adds a value without one is told so
by the tests.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Final

import yaml

BEGIN: Final = "<!-- values: made from values.yaml by `make manifests` -->"
END: Final = "<!-- end of values -->"
_KEY = re.compile(r"( *)([A-Za-z][\w-]*):(?: (.*))?$")


@dataclass(frozen=True, slots=True)
class Value:
    """One value: its dotted key, what its comment says, and its default as YAML has it."""

    key: str
    comment: str
    default: Any


def read(text: str) -> list[Value]:
    """The values in ``text``, in its order: scalars, lists, and maps that a user fills.

    A map with keys below it is a group, and not a value, unless a comment stands above it.
    """
    values = yaml.safe_load(text)
    found: list[Value] = []
    for key, comment in _commented(text.splitlines()):
        default = _at(values, key)
        if any(key.startswith(f"{value.key}.") for value in found):
            continue  # part of a default that was told as a whole
        if comment or not isinstance(default, dict) or not default:
            found.append(Value(key, comment, default))
    return found


def table(values: list[Value]) -> str:
    """``values`` as a Markdown table."""
    rows = [f"| `{value.key}` | {_cell(value.comment)} | {_default(value.default)} |" for value in values]
    return "\n".join(["| value | meaning | default |", "|---|---|---|", *rows])


def replace(readme: str, text: str) -> str:
    """``readme`` with the table of the values in ``text`` between its two marks.

    Raises:
        ValueError: it lacks the marks.
    """
    head, found_begin, rest = readme.partition(BEGIN)
    _, found_end, tail = rest.partition(END)
    if not (found_begin and found_end):
        raise ValueError(f"the README lacks {BEGIN} or {END}")
    return f"{head}{BEGIN}\n\n{table(read(text))}\n\n{END}{tail}"


def _commented(lines: list[str]) -> Iterator[tuple[str, str]]:
    """Every key with the comment right above it; a blank line parts a comment from what follows."""
    path: list[tuple[int, str]] = []
    comment: list[str] = []
    for line in lines:
        stripped = line.strip()
        if stripped.startswith("#"):
            comment.append(stripped.removeprefix("#").strip())
            continue
        if match := _KEY.match(line):
            indent = len(match[1])
            path = [step for step in path if step[0] < indent] + [(indent, match[2])]
            yield ".".join(name for _, name in path), " ".join(comment)
        comment = []


def _at(values: Any, key: str) -> Any:
    for name in key.split("."):
        values = values[name]
    return values


def _default(default: Any) -> str:
    return f"`{json.dumps(default)}`" if default != "" else '`""`'


def _cell(comment: str) -> str:
    return re.sub(r"(?<!`)<(\w+)>(?!`)", r"&lt;\1&gt;", comment).replace("|", r"\|")
