"""A certificate and its key in two files, which change as often as a test likes."""

from __future__ import annotations

import itertools
import os
from pathlib import Path
from typing import Final

from webhook.certificates import KeyPair

_SECONDS: Final = itertools.count(1_700_000_000)


class PemFiles:
    """``tls.crt`` and ``tls.key`` in ``directory``. Each write is seen, be it within one tick of the file system."""

    def __init__(self, directory: Path) -> None:
        self.certificate, self.key = directory / "tls.crt", directory / "tls.key"

    def write(self, pair: KeyPair) -> None:
        self.write_certificate(pair.certificate_pem)
        self.write_key(pair.key_pem)

    def write_certificate(self, pem: bytes) -> None:
        _write(self.certificate, pem)

    def write_key(self, pem: bytes) -> None:
        _write(self.key, pem)


def _write(path: Path, content: bytes) -> None:
    path.write_bytes(content)
    second = next(_SECONDS)
    os.utime(path, (second, second))
