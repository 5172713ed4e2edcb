"""``python -m tests.sidecar.remote.killed_upload``: an upload by parts that is killed at a named point.

Reads JSON from its input: ``storage``, ``state`` (a directory), ``point`` (``Class.method before|after``),
``hashed`` (whether the body's hash is told, so that the upload may be gone on with). Its kill is ``SIGKILL``.
"""

from __future__ import annotations

import json
import os
import signal
import sys
from collections.abc import Callable
from typing import Any

from contract.storage import Storage
from sidecar.remote import multipart, uploads
from sidecar.remote.multipart import SMALLEST_PART
from sidecar.remote.s3 import S3Store
from sidecar.remote.store import META_SHA256
from sidecar.tree import ObjectKey
from tests.fakes.parts import BytesParts

KEY = ObjectKey("dir/large")
BODY = b"x" * (SMALLEST_PART + 1)
HASHED = {META_SHA256: "ab" * 32}


def _kill() -> None:
    os.kill(os.getpid(), signal.SIGKILL)


def kill_at(point: str) -> None:
    """Have the first call of a method kill us before or after it."""
    name, moment = point.split()
    kind, method = name.split(".")
    owner: Any = getattr(multipart, kind, None) or getattr(uploads, kind)
    real: Callable[..., Any] = getattr(owner, method)

    def killing(*args: Any, **more: Any) -> Any:
        if moment == "after":
            real(*args, **more)
        _kill()

    setattr(owner, method, killing)


def main() -> None:
    """See the module."""
    asked = json.load(sys.stdin)
    kill_at(asked["point"])
    store = S3Store(Storage(**asked["storage"]), state_dir=asked["state"])
    store.put_large(KEY, len(BODY), BytesParts(BODY), HASHED if asked["hashed"] else {}, None, lambda: None)


if __name__ == "__main__":
    main()
