"""Patterns that name files, as in a ``.gitignore``: matched on the path below a mapping's directory.

``*.log`` matches that name at any depth, ``/logs`` and ``logs/today`` from the top, ``logs/`` only a
directory, ``**`` any number of directories; a leading ``!`` takes back what an earlier pattern said.
Upper and lower case differ. A pattern that matches a directory matches all below it, and nothing
below it can be taken back. Matching takes time in proportion to the path, whatever the pattern.

Pure text: which list a pattern stands in, and what follows from it, is ``sidecar/selection/filtering.py``'s.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from functools import cached_property
from typing import Final

PATTERN_LIMIT: Final = 1024  # bytes; no key is longer
_ANY: Final = "**"
_STAR: Final = None  # in a tokenised component


def pattern_fault(text: str) -> str | None:
    """Why ``text`` can be no pattern, as the end of a sentence, or None."""
    body = text.removeprefix("!")
    path = body.strip("/")
    if not path:
        return "it names nothing"
    if "\0" in body or len(body.encode("utf-8", "surrogateescape")) > PATTERN_LIMIT:
        return f"it holds a NUL character or more than {PATTERN_LIMIT} bytes"
    if (len(body) - len(body.rstrip("\\"))) % 2:
        return "it ends in a backslash; to match one, write two"
    odd = [component for component in path.split("/") if component in ("", ".", "..")]
    if odd:
        return f"it has the component {odd[0]!r}; write the path as it is below the mapping's directory"
    return None


@dataclass(frozen=True)
class Pattern:
    """One pattern; make it of text that has no :func:`pattern_fault`."""

    text: str

    @property
    def negated(self) -> bool:
        """Whether it takes back what an earlier one said."""
        return self.text.startswith("!")

    @property
    def directories_only(self) -> bool:
        """Whether it ends in ``/``."""
        return self.text.endswith("/")

    def matches(self, path: str, *, directory: bool) -> bool:
        """Whether it names exactly ``path`` (not only a directory above it)."""
        if self.directories_only and not directory:
            return False
        return self._expression.fullmatch(path) is not None

    @cached_property
    def _expression(self) -> re.Pattern[str]:
        return re.compile(_translated(self.text.removeprefix("!")), re.DOTALL)


class Patterns:
    """A list of patterns, of which the last one that matches decides."""

    def __init__(self, texts: Iterable[str]) -> None:
        self._last_first = tuple(Pattern(text) for text in texts)[::-1]

    def __bool__(self) -> bool:
        return bool(self._last_first)

    def decisive(self, path: str, *, directory: bool) -> Pattern | None:
        """The pattern that decides about ``path`` itself, or None."""
        return next((one for one in self._last_first if one.matches(path, directory=directory)), None)

    def deciding(self, path: str) -> Pattern | None:
        """As :meth:`decisive` for a file, where a match of a directory above it counts for all below."""
        for parent in parents(path):
            found = self.decisive(parent, directory=True)
            if found is not None and not found.negated:
                return found
        return self.decisive(path, directory=False)


def parents(path: str) -> Iterator[str]:
    """The directories above ``path``, outermost first: ``a`` and ``a/b`` of ``a/b/c``."""
    cut = path.find("/")
    while cut >= 0:
        yield path[:cut]
        cut = path.find("/", cut + 1)


def _translated(text: str) -> str:
    """The regular expression of a pattern. Atomic groups keep it from trying what cannot help.

    Between two ``**`` (and between two ``*``) the leftmost match leaves the most to those that follow,
    so there is never a reason to go back for another.
    """
    body = text.removesuffix("/")
    anchored = "/" in body
    components = body.lstrip("/").split("/")
    if not anchored:
        components.insert(0, _ANY)
    groups: list[list[str]] = [[]]
    for component in components:
        if component == _ANY:
            groups.append([])
        else:
            groups[-1].append(_component(component))
    head, *rest = ["/".join(group) for group in groups]
    if not rest:
        return head
    *middle, last = rest
    expression = f"{head}/" if head else ""
    expression += "".join(f"(?>(?:[^/]+/)*?{group}/)" for group in middle if group)
    return expression + (f"(?:[^/]+/)*?{last}" if last else ".+")


def _component(text: str) -> str:
    pieces = [""]
    for token in _tokens(text):
        if token is _STAR:
            pieces.append("")
        else:
            pieces[-1] += token
    first, *rest = pieces
    if not rest:
        return first
    *middle, last = rest
    return first + "".join(f"(?>[^/]*?{piece})" for piece in middle if piece) + f"[^/]*{last}"


def _tokens(text: str) -> Iterator[str | None]:
    place = 0
    while place < len(text):
        character = text[place]
        place += 1
        if character == "*":
            yield _STAR
        elif character == "?":
            yield "[^/]"
        elif character == "[" and (end := _end_of_set(text, place)):
            yield _set(text[place:end])
            place = end + 1
        elif character == "\\" and place < len(text):
            yield re.escape(text[place])
            place += 1
        else:
            yield re.escape(character)


def _end_of_set(text: str, start: int) -> int:
    """Where the set that opens before ``start`` closes; 0 where it never does, and ``[`` means itself."""
    place = start + 1 if text[start : start + 1] in ("!", "^") else start
    return max(0, text.find("]", place + 1))


def _set(content: str) -> str:
    negated = content[0] in "!^"
    members = content[1:] if negated else content
    escaped = re.sub(r"([\\\[\]^&~|])", r"\\\1", members)
    expression = f"(?!/)[{'^' if negated else ''}{escaped}]"
    try:
        re.compile(expression)
    except re.error:  # a range that runs backwards holds nothing
        return "(?!)"
    return expression
