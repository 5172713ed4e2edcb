"""The storms: what a bad network and a bad server do to requests. Each is a script for the proxy."""

from __future__ import annotations

import itertools
from collections.abc import Callable
from dataclasses import dataclass

from tests.fakes.faults import refusal, response
from tests.fakes.proxy import Asked, Fault, Script

ERROR_BODY = b"<?xml version='1.0'?>\n<Error><Code>InternalError</Code><Message>words</Message></Error>"


@dataclass(frozen=True, slots=True)
class Storm:
    """``make`` gives a fresh script; ``hits`` is how many requests must have been hit before it is over."""

    name: str
    make: Callable[[], Script]
    hits: int = 8

    def __str__(self) -> str:
        return self.name


def _most(fault: Fault, chosen: Callable[[Asked], bool] = lambda _: True) -> Callable[[], Script]:
    """``fault`` for two of three of the requests that are ``chosen``."""

    def make() -> Script:
        count = itertools.count()

        def script(asked: Asked) -> Fault | None:
            return fault if chosen(asked) and next(count) % 3 else None

        return script

    return make


def _all(fault: Fault, chosen: Callable[[Asked], bool] = lambda _: True) -> Callable[[], Script]:
    return lambda: lambda asked: fault if chosen(asked) else None


def _is_put(asked: Asked) -> bool:
    return asked.method == "PUT" and asked.size > 0


def _is_get(asked: Asked) -> bool:
    return asked.method == "GET" and not asked.is_listing


def _is_listing(asked: Asked) -> bool:
    return asked.is_listing


def _half(body: bytes) -> bytes:
    return body[: len(body) // 2]


STORMS = [
    Storm("most requests are answered 500", _most(Fault(answer=refusal(500, "InternalError")))),
    Storm("every request is answered 503 SlowDown", _all(Fault(answer=refusal(503, "SlowDown")))),
    Storm("every request is answered 503 by a gateway, in HTML", _all(Fault(answer=response(503, b"<p>busy")))),
    Storm("keys are refused for a while", _all(Fault(answer=refusal(403, "AccessDenied")))),
    Storm("connections break before anything is sent", _most(Fault(sent=0))),
    Storm("connections break in the middle of an upload", _most(Fault(sent=100), _is_put)),
    Storm("the answer to an upload that took effect is lost", _most(Fault(told=-1), _is_put)),
    Storm("connections break in the middle of a download", _most(Fault(told=70), _is_get)),
    Storm("a download ends early, in peace", _most(Fault(told=70, ends="close"), _is_get)),
    Storm("a download stalls, then ends", _most(Fault(told=70, ends="silence", seconds=0.3), _is_get)),
    Storm("a download is another body of the same length", _most(Fault(change=lambda body: body[::-1]), _is_get)),
    Storm("an error comes as 200", _most(Fault(answer=response(200, ERROR_BODY)))),
    Storm("listings are cut in half", _all(Fault(change=_half), _is_listing), hits=3),
    Storm("listings come empty, as 200", _all(Fault(answer=response(200)), _is_listing), hits=3),
    Storm("listings break off", _most(Fault(told=300), _is_listing), hits=3),
    Storm("the link is slow both ways", _all(Fault(rate=300_000))),
]  # fmt: skip

# Too long for every day: the sidecar must lose patience by itself. ``long_storms.py`` runs them.
LONG_STORMS = [
    Storm("downloads fall silent", _most(Fault(told=70, ends="silence", seconds=90), _is_get), hits=3),
    Storm("uploads are never answered", _most(Fault(told=-1, ends="silence", seconds=90), _is_put), hits=3),
]
