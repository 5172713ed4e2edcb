"""Every log line of the three programs → the table in docs/LOGS.md, read from the source.

A message is constant and its fields have names: so a line can be counted, searched and alerted on.
What is said at DEBUG is for whoever works on the code, and left out.
"""

from __future__ import annotations

import ast
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final

ROOT: Final = Path(__file__).resolve().parents[1]
FILE: Final = ROOT / "docs" / "LOGS.md"
ROOMS: Final = ("sidecar", "webhook", "controller", "runtime")
BEGIN: Final = "<!-- lines: made from the source by `make logs` -->"
END: Final = "<!-- end of lines -->"
_LEVELS: Final = {
    "info": "info",
    "warning": "warning",
    "error": "error",
    "exception": "error",
    "log": "info or warning",
}


@dataclass(frozen=True, slots=True, order=True)
class Line:
    """One message of one room; ``fields`` are those that it may have, in order of the alphabet."""

    room: str
    message: str
    level: str
    fields: tuple[str, ...]


class Unstable(ValueError):
    """A log call whose message is no constant, or whose fields have no names."""


def lines(root: Path = ROOT) -> list[Line]:
    """Every log line in the source below ``root``, each message of a room once.

    Raises:
        Unstable: naming file and line.
    """
    found: dict[tuple[str, str], Line] = {}
    for room in ROOMS:
        for path in sorted((root / room).rglob("*.py")):
            for line in _of_file(path, room):
                known = found.get((room, line.message), line)
                merged = tuple(sorted({*known.fields, *line.fields}))
                level = known.level if known.level == line.level else f"{known.level}, {line.level}"
                found[room, line.message] = Line(room, line.message, level, merged)
    return sorted(found.values())


def table(found: list[Line]) -> str:
    """``found`` as Markdown."""
    rows = ["| program | `message` | level | fields |", "|---|---|---|---|"]
    for line in found:
        names = ", ".join(f"`{name}`" for name in line.fields)
        rows.append(f"| {line.room} | {line.message} | {line.level} | {names} |")
    return "\n".join(rows)


def render() -> dict[Path, str]:
    """The page, with its table as the source has it."""
    text = FILE.read_text()
    before, _, rest = text.partition(BEGIN)
    after = rest.partition(END)[2]
    return {FILE: f"{before}{BEGIN}\n\n{table(lines())}\n\n{END}{after}"}


def _of_file(path: Path, room: str) -> Iterator[Line]:
    tree = ast.parse(path.read_text())
    functions = [node for node in ast.walk(tree) if isinstance(node, ast.FunctionDef)]
    keys = {function.name: set(_dict_keys(function)) for function in functions}
    for function in functions:
        for node in ast.walk(function):
            if isinstance(node, ast.Call) and _is_log(node.func):
                yield from _lines(node, room, f"{path.name}:{node.lineno}", keys | {"": keys[function.name]})


def _is_log(called: ast.expr) -> bool:
    return (
        isinstance(called, ast.Attribute)
        and isinstance(called.value, ast.Name)
        and called.value.id in ("log", "logger")
        and called.attr in _LEVELS
    )


def _lines(call: ast.Call, room: str, place: str, keys: dict[str, set[str]]) -> Iterator[Line]:
    """One line for each message that ``call`` chooses among."""
    assert isinstance(call.func, ast.Attribute)
    message = call.args[1 if call.func.attr == "log" else 0]
    choices = [message.body, message.orelse] if isinstance(message, ast.IfExp) else [message]
    texts = [choice.value for choice in choices if isinstance(choice, ast.Constant)]
    if len(texts) < len(choices):
        raise Unstable(f"{place}: a message is constant; give what varies as fields")
    names = {name for keyword in call.keywords if keyword.arg is None for name in _fields(keyword.value, keys)}
    yield from (Line(room, str(text), _LEVELS[call.func.attr], tuple(sorted(names))) for text in texts)


def _fields(given: ast.expr, keys: dict[str, set[str]]) -> Iterator[str]:
    """Names given to ``fields(…)``; ``**name`` has the keys of the function's dict, ``**call()`` of its own."""
    if not isinstance(given, ast.Call):
        return
    for keyword in given.keywords:
        if keyword.arg is not None:
            yield keyword.arg
        elif isinstance(keyword.value, ast.Name):
            yield from keys[""]
        elif isinstance(keyword.value, ast.Call) and isinstance(keyword.value.func, ast.Name):
            yield from keys.get(keyword.value.func.id, ())
        else:
            yield from _dict_keys(keyword.value)


def _dict_keys(within: ast.AST) -> Iterator[str]:
    for node in ast.walk(within):
        if isinstance(node, ast.Dict):
            yield from (str(key.value) for key in node.keys if isinstance(key, ast.Constant))
