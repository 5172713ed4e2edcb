"""What a container's status says of its end: whether anything was left unsent, and what.

Kubernetes keeps 4,096 bytes of it, so names give way to valid JSON; the controller reads it.
"""

from __future__ import annotations

import json
from contextlib import suppress
from typing import Any, Final

EXIT_REPORT: Final = "/dev/termination-log"  # where Kubernetes looks for a container's last words
REPORT_LIMIT: Final = 4096  # bytes that Kubernetes keeps of it


def fitted(report: dict[str, Any], limit: int = REPORT_LIMIT) -> str:
    """``report`` as JSON of at most ``limit`` bytes: of its lists, as much as fits, and how much more there was."""
    kept = dict(report)
    text = json.dumps(kept)
    for key in ("names", "errors"):
        while len(text) > limit and kept.get(key):
            kept[key] = kept[key][: len(kept[key]) // 2]
            kept[f"more_{key}"] = len(report[key]) - len(kept[key])
            text = json.dumps(kept)
    return text


def leave(report: dict[str, Any], path: str = EXIT_REPORT) -> None:
    """Write ``report`` where the container's status takes it from; nothing where nobody provides for it."""
    with suppress(OSError), open(path, "r+", encoding="utf-8") as file:  # only where kubelet made it
        file.write(fitted(report))
