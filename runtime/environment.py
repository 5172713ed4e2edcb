"""A program's environment, read once: values or their defaults, and all faults together.

What a variable means, and what cannot be used together, is its program's; here is how one is read, and
the few kinds of values that are the same everywhere.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Final, TypeVar

from runtime.endpoints import parse_listen

T = TypeVar("T")
_LEVELS: Final = ("DEBUG", "INFO", "WARNING", "ERROR")


class SettingsError(ValueError):
    """Variables that cannot be used; ``faults`` has one sentence for each, naming the variable."""

    def __init__(self, faults: Sequence[str]) -> None:
        super().__init__("; ".join(faults))
        self.faults = tuple(faults)


class Environment:
    """Reads variables and collects what is wrong with them. Empty is the same as absent."""

    def __init__(self, env: Mapping[str, str]) -> None:
        self._env = env
        self._faults: list[str] = []

    def read(self, name: str, default: T, parse: Callable[[str], T]) -> T:
        """What ``parse`` makes of the variable; ``default`` where it is absent, or cannot be used: a fault then."""
        text = self.text(name)
        if not text:
            return default
        try:
            return parse(text)
        except ValueError as error:
            self.fault(f"{name}: {error}")
            return default

    def text(self, name: str, default: str = "") -> str:
        """The variable as it is written, without space around it."""
        return self._env.get(name, "").strip() or default

    def fault(self, *sentences: str) -> None:
        """Note what is wrong; each sentence begins with the variable's name."""
        self._faults += sentences

    def finish(self) -> None:
        """Called when all is read.

        Raises:
            SettingsError: with every fault that was noted.
        """
        if self._faults:
            raise SettingsError(self._faults)


def choice(*known: str) -> Callable[[str], str]:
    """One of ``known`` words, as it is written there."""

    def parse(text: str) -> str:
        if text in known:
            return text
        if len(known) == 2:
            raise ValueError(f"{text!r} is neither {known[0]!r} nor {known[1]!r}")
        raise ValueError(f"{text!r} is none of {', '.join(known)}")

    return parse


def number(least: int, most: int) -> Callable[[str], int]:
    """A whole number from ``least``, which is not negative, to ``most``."""

    def parse(text: str) -> int:
        # The length first: Python refuses to make a number of many thousand digits, in words of its own.
        if text.isascii() and text.isdigit() and len(text) <= 20 and least <= int(text) <= most:
            return int(text)
        raise ValueError(f"{text[:40]!r} is no number from {least} to {most}")

    return parse


def boolean(text: str) -> bool:
    """``true`` or ``false``."""
    return choice("true", "false")(text) == "true"


def level(text: str) -> str:
    """How much is logged, in either case."""
    if text.upper() not in _LEVELS:
        raise ValueError(f"{text!r} is none of {', '.join(_LEVELS)}")
    return text.upper()


def listen(text: str) -> str:
    """``host:port`` to listen on; see :func:`~runtime.endpoints.parse_listen`."""
    parse_listen(text)
    return text
