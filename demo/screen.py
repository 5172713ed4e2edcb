"""What the terminal shows: panels that live with rich, or plain lines where there is no terminal.

Only drawing: what is shown is decided in ``__main__`` (the story) and ``observer`` (the sidecar).
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any, Protocol

from rich.columns import Columns
from rich.console import Console, Group, RenderableType
from rich.live import Live
from rich.panel import Panel
from rich.rule import Rule
from rich.text import Text

from demo.board import ARROWS, Arrival, Board, size

_SHOWN_ARRIVALS = 4  # of each cycle, as plain lines
_COLOURS = {"+": "green", "-": "red", "@": "cyan"}


class Screen(Protocol):
    """Where the story is told."""

    def step(self, title: str) -> None:
        """A new part of the story begins."""

    def say(self, text: str) -> None:
        """A sentence within the step."""

    def diff(self, lines: Sequence[str]) -> None:
        """A unified diff."""

    def arrived(self, arrival: Arrival) -> None:
        """A file reached the other side."""

    def cycle_ended(self, line: dict[str, Any]) -> None:
        """The sidecar said that a cycle of one direction is over."""

    def verdict(self, text: str, *, well: bool) -> None:
        """The last line."""


@contextmanager
def open_screen(board: Board) -> Iterator[Screen]:
    """The screen that fits standard output; what lives on it ends with the block."""
    if not sys.stdout.isatty():
        yield PlainScreen()
        return
    console = Console(highlight=False)
    # Transient: the panels go with the block, so that the verdict is the last line.
    with Live(console=console, get_renderable=lambda: panels(board), refresh_per_second=4, transient=True):
        yield LiveScreen(console)


class PlainScreen:
    """One line an event, written at once."""

    def __init__(self, write: Callable[[str], None] = lambda text: print(text, flush=True)) -> None:
        self._write = write
        self._steps = 0
        self._arrivals = 0

    def step(self, title: str) -> None:
        self._steps += 1
        self._write(f"\n[{self._steps}] {title}")

    def say(self, text: str) -> None:
        for line in text.splitlines():
            self._write(f"    {line}")

    def diff(self, lines: Sequence[str]) -> None:
        for line in lines:
            self._write(f"    {line}")

    def arrived(self, arrival: Arrival) -> None:
        self._arrivals += 1
        if self._arrivals <= _SHOWN_ARRIVALS:
            self._write(f"      {arrival.arrow} {arrival.path}  {size(arrival.size)}")

    def cycle_ended(self, line: dict[str, Any]) -> None:
        if self._arrivals > _SHOWN_ARRIVALS:
            self._write(f"      … and {self._arrivals - _SHOWN_ARRIVALS} more")
        self._arrivals = 0
        self._write("    " + cycle_sentence(line))

    def verdict(self, text: str, *, well: bool) -> None:
        self._write("\n" + ("" if well else "FAILED: ") + text)


class LiveScreen:
    """Sentences scroll by above the panels."""

    def __init__(self, console: Console) -> None:
        self._console = console
        self._steps = 0

    def step(self, title: str) -> None:
        self._steps += 1
        self._console.print(Rule(Text(f"{self._steps}  {title}", "bold"), align="left"))

    def say(self, text: str) -> None:
        self._console.print(Text(text))

    def diff(self, lines: Sequence[str]) -> None:
        for line in lines:
            self._console.print(Text(line, _COLOURS.get(line[:1], "dim")))

    def arrived(self, arrival: Arrival) -> None:
        """The panel shows it."""

    def cycle_ended(self, line: dict[str, Any]) -> None:
        self._console.print(Text(cycle_sentence(line), "cyan"))

    def verdict(self, text: str, *, well: bool) -> None:
        self._console.print(Text(("✔ " if well else "✘ ") + text, "bold green" if well else "bold red"))


def cycle_sentence(line: dict[str, Any]) -> str:
    """A finished cycle of one direction in words."""
    told = f"cycle {line['cycle']}, {line['direction']}: {line['result']}, {line['files']} files, {size(line['bytes'])}"
    return told + f" in {line['seconds']:.2f} s" + (f" ({line['error']})" if line.get("error") else "")


def panels(board: Board) -> RenderableType:
    """The board, drawn; nothing before the sidecar has run its first cycle."""
    if not board.cycle:
        return Text("")
    left = board.next_in()
    following = "" if left is None else f"next cycle in {left:.0f} s"
    counts = [f"{arrow} {board.files[arrow]} files, {size(board.bytes[arrow])}" for arrow in ARROWS.values()]
    state = Group(Text(f"cycle {board.cycle}", "bold"), Text(following), Text(board.state, "dim"), *map(Text, counts))
    arrivals = [Text(f"{each.arrow} {each.path}  {size(each.size)}") for each in list(board.arrivals)]
    lines = [Text(line, "dim", no_wrap=True, overflow="ellipsis") for line in list(board.lines)]
    top = Columns([Panel(state, title="sidecar"), Panel(Group(*arrivals), title="arrived")], expand=False)
    return Group(top, Panel(Group(*lines), title="its log"))
