"""Who may ask the listener for what. Pure but for reading the token's file.

Three things are decided here: whether a request is answered at all, whether the answer may name
files, and how many connections one client may hold. TLS and reading requests are the listener's.
"""

from __future__ import annotations

import hmac
import logging
import threading
from collections import Counter
from dataclasses import dataclass
from enum import StrEnum
from http import HTTPStatus
from ipaddress import IPv6Address, ip_address
from typing import Final

from runtime.logs import fields

log = logging.getLogger(__name__)

OPEN: Final = frozenset({"/livez", "/readyz"})  # kubelet has no token, and they say nothing that is secret
_LARGEST_TOKEN: Final = 4096  # bytes of the file that are read


class ShowNames(StrEnum):
    """To whom names of files may be shown."""

    LOOPBACK = "loopback"  # also to whoever has the token
    NEVER = "never"


@dataclass(frozen=True, slots=True)
class Verdict:
    """``refusal`` is None for a request to be answered, else its status and one sentence why."""

    names: bool = False
    refusal: tuple[HTTPStatus, str] | None = None


@dataclass(frozen=True, slots=True)
class Access:
    """``token_file``: where the bearer token is, for everybody but loopback; empty: no token is asked for.

    The file is read at each request that needs it, so that a rotated token works at once. One that
    cannot be read or is empty lets nobody in.
    """

    token_file: str = ""
    names: ShowNames = ShowNames.LOOPBACK

    def judge(self, path: str, client: str, host: str, authorization: str) -> Verdict:
        """What the ``client`` (an IP address) gets, that asks for ``path`` with these two headers."""
        if path in OPEN:
            return Verdict()
        shown = self.names is ShowNames.LOOPBACK
        if is_loopback(client):
            if not _is_own_name(host):
                return Verdict(refusal=(HTTPStatus.FORBIDDEN, _FOREIGN_HOST))
            return Verdict(shown)
        if not self.token_file:
            return Verdict()
        if self._holds_token(authorization):
            return Verdict(shown)
        return Verdict(refusal=(HTTPStatus.UNAUTHORIZED, _MUST_SHOW))

    def _holds_token(self, authorization: str) -> bool:
        scheme, _, offered = authorization.partition(" ")
        if scheme.lower() != "bearer":
            return False
        try:
            with open(self.token_file, "rb") as file:
                token = file.read(_LARGEST_TOKEN).strip()
        except OSError as error:
            log.warning("token cannot be read, nobody is let in", **fields(file=self.token_file, error=str(error)))
            return False
        return bool(token) and hmac.compare_digest(token, offered.strip().encode("utf-8", "surrogateescape"))


_FOREIGN_HOST: Final = "through loopback only localhost or an IP address is answered; ask for http://localhost"
_MUST_SHOW: Final = "the header 'Authorization: Bearer <token>' is missing or wrong"


def is_loopback(client: str) -> bool:
    """Whether this IP address is the machine's (or pod's) own."""
    address = ip_address(client)
    if isinstance(address, IPv6Address) and address.ipv4_mapped:  # what an IPv4 client is to a listener on [::]
        return address.ipv4_mapped.is_loopback
    return address.is_loopback


def _is_own_name(host: str) -> bool:
    """Whether a ``Host`` header names this machine in a way that no foreign web page can.

    A page that a browser loaded from ``evil.example`` can have that name point to 127.0.0.1 afterwards
    and then read what a port-forward offers; its requests carry that name. Addresses cannot be moved so.
    """
    name = host.strip().lower()
    name = name[1:].partition("]")[0] if name.startswith("[") else name.partition(":")[0]
    if name in ("", "localhost") or name.endswith(".localhost"):
        return True  # without a name (HTTP/1.0) it is no browser
    try:
        ip_address(name)
    except ValueError:
        return False
    return True


class Places:
    """A bounded number of connections, of which one foreign address may hold a part. Thread-safe."""

    def __init__(self, total: int, each: int) -> None:
        self._total = total
        self._each = each
        self._lock = threading.Lock()
        self._held: Counter[str] = Counter()

    def take(self, client: str) -> bool:
        """Whether there is a place for this client; if so, it is taken.

        Loopback may hold all of them: through it come port-forwards of several people.
        """
        with self._lock:
            most = self._total if is_loopback(client) else self._each
            if self._held.total() >= self._total or self._held[client] >= most:
                return False
            self._held[client] += 1
            return True

    def give_back(self, client: str) -> None:
        """A place that :meth:`take` gave is free again."""
        with self._lock:
            self._held[client] -= 1
            if self._held[client] <= 0:
                del self._held[client]
