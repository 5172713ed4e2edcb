"""AWS Signature Version 4 for S3: which headers a request carries so that the server knows who asks.

Part of the S3 adapter, and pure but for the clock that it is given. Paths and queries are signed as
they are sent: S3 wants no normalisation, so ``a//b`` and ``..`` stay what they are. The chunked
signing of streams is absent on purpose: bodies are in memory, or TLS protects them.
"""

from __future__ import annotations

import hashlib
import hmac
import time
from collections.abc import Callable, Iterable
from typing import Final
from urllib.parse import quote

from sidecar.remote.credentials import Keys, KeySource

UNSIGNED: Final = "UNSIGNED-PAYLOAD"
EMPTY_SHA256: Final = hashlib.sha256(b"").hexdigest()
_ALGORITHM: Final = "AWS4-HMAC-SHA256"

Header = tuple[str, str]


class Signer:
    """Signs requests with the keys that ``source`` gives at that moment. Thread-safe.

    ``now`` gives seconds since the epoch.
    """

    def __init__(self, source: KeySource, region: str, now: Callable[[], float] = time.time) -> None:
        self._source = source
        self._region = region
        self._now = now
        self._stamp = (-1, "")  # a second, and how it is written
        self._cached: tuple[tuple[str, str, str], bytes] | None = None

    def sign(
        self, method: str, target: str, headers: Iterable[Header], payload: str, region: str | None = None
    ) -> list[Header]:
        """``headers`` (names in lower case, ``host`` among them) and those that signing adds.

        ``target`` is path and query as sent (see :func:`query_text`), ``payload`` the body's SHA-256
        in hex or :data:`UNSIGNED`, ``region`` another than the usual one.
        """
        keys = self._source()
        moment = self._moment()
        signed = [*headers, ("x-amz-content-sha256", payload), ("x-amz-date", moment)]
        if keys.token:
            signed.append(("x-amz-security-token", keys.token))
        signed.sort()
        names = ";".join([name for name, _ in signed])
        path, _, query = target.partition("?")
        lines = "".join([f"{name}:{value}\n" for name, value in signed])
        canonical = f"{method}\n{path}\n{query}\n{lines}\n{names}\n{payload}"
        scope = f"{moment[:8]}/{region or self._region}/s3/aws4_request"
        digest = hashlib.sha256(canonical.encode()).hexdigest()
        text = f"{_ALGORITHM}\n{moment}\n{scope}\n{digest}"
        signature = hmac.digest(self._key(keys, moment[:8], region or self._region), text.encode(), "sha256").hex()
        words = f"{_ALGORITHM} Credential={keys.access_key}/{scope}, SignedHeaders={names}, Signature={signature}"
        signed.append(("authorization", words))
        return signed

    def _moment(self) -> str:
        second = int(self._now())
        known, text = self._stamp
        if known != second:
            text = time.strftime("%Y%m%dT%H%M%SZ", time.gmtime(second))
            self._stamp = (second, text)
        return text

    def _key(self, keys: Keys, day: str, region: str) -> bytes:
        what = (keys.secret_key, day, region)
        if self._cached is None or self._cached[0] != what:
            self._cached = (what, signing_key(*what))
        return self._cached[1]


def signing_key(secret: str, day: str, region: str) -> bytes:
    """The key of one day (YYYYMMDD) and region."""
    key = f"AWS4{secret}".encode()
    for part in (day, region, "s3", "aws4_request"):
        key = hmac.digest(key, part.encode(), "sha256")
    return key


def query_text(query: dict[str, str]) -> str:
    """``query`` in the one spelling that is both sent and signed: sorted, everything odd escaped."""
    return "&".join(f"{quote(name, safe='')}={quote(query[name], safe='')}" for name in sorted(query))


def path_text(path: str) -> str:
    """``path`` as it is sent and signed: each byte but the unreserved ones and ``/`` escaped, once."""
    return quote(path, safe="/")
