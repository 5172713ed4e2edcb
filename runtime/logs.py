"""Logs: one JSON object a line, with a static message and fields, and no secret in it.

Give what varies as ``extra={"fields": {…}}`` (or use :func:`fields`), so that ``message`` stays
the same for the same kind of outcome and can be counted.
"""

from __future__ import annotations

import json
import logging
import sys
import threading
import time
from functools import lru_cache
from typing import Any, Final, TextIO
from urllib.parse import quote

REDACTED: Final = "[redacted]"
# At DEBUG they write whole requests, tokens and keys included.
_TALKATIVE: Final = ("boto3", "botocore", "urllib3")
_SHORTEST_SECRET = 4  # a shorter text would blank out half of every line

_encode: Final = json.JSONEncoder(default=str).encode  # json.dumps would make one for every line

_secrets: set[str] = set()
_longest_first: tuple[str, ...] = ()
_secrets_lock = threading.Lock()


def fields(**values: object) -> dict[str, Any]:
    """Keyword arguments for a logging call: ``log.info("uploaded", **fields(path=…))``."""
    return {"extra": {"fields": values}}


def hide(*secrets: str | None) -> None:
    """Never let these texts appear in a log line of this process, exceptions included."""
    global _longest_first  # noqa: PLW0603 - replaced whole, so that reading it needs no lock
    with _secrets_lock:
        for secret in secrets:
            if secret and len(secret) >= _SHORTEST_SECRET:
                _secrets.update(_forms(secret))
        _longest_first = tuple(sorted(_secrets, key=len, reverse=True))


def redact(text: str) -> str:
    """``text`` without any of the hidden secrets."""
    for secret in _longest_first:
        text = text.replace(secret, REDACTED)
    return text


def _forms(secret: str) -> set[str]:
    """``secret`` as it looks in a text, a ``repr`` and a URL, and in JSON that holds any of these."""
    plain = {secret, repr(secret)[1:-1], quote(secret, safe="", errors="replace")}
    return plain | {json.dumps(form)[1:-1] for form in plain}


@lru_cache(maxsize=2)
def _second(epoch: int) -> str:
    return time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(epoch))


class JsonFormatter(logging.Formatter):
    """A record as one line of JSON: ``time`` (UTC), ``level``, ``logger``, ``message``, then its fields."""

    def format(self, record: logging.LogRecord) -> str:
        line: dict[str, object] = {
            "time": f"{_second(int(record.created))}.{int(record.msecs):03d}Z",
            "level": record.levelname.lower(),
            "logger": record.name,
            "message": record.getMessage(),
        }
        for name, value in getattr(record, "fields", {}).items():
            line.setdefault(name, value)  # what a line is about is never overwritten by what it tells
        if record.exc_info:
            line["exception"] = self.formatException(record.exc_info)
        # Names of files may hold bytes that are no UTF-8; ASCII output can always be written.
        return redact(_encode(line))


def configure(level: str = "INFO", stream: TextIO | None = None) -> None:
    """Send every logger of this process as JSON lines to ``stream`` (default: stderr)."""
    # What no line tells need not be found out for each: thread, process, and the place in the source.
    logging.logThreads = logging.logProcesses = logging.logMultiprocessing = False
    logging._srcfile = None  # noqa: SLF001 - as logging's own documentation says
    handler = logging.StreamHandler(stream or sys.stderr)
    handler.setFormatter(JsonFormatter())
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(level.upper())
    for name in _TALKATIVE:
        logging.getLogger(name).setLevel(max(root.level, logging.WARNING))
