"""Asking one sidecar for its ``/status``: one GET, bounded in time and size, no redirect, no proxy.

Says what went wrong in words; an answer that is late, large or strange is no answer. Whom to ask, and how
often, is ``polling``'s.
"""

from __future__ import annotations

import http.client
import json
import time
from collections.abc import Callable
from contextlib import closing
from ipaddress import ip_address
from typing import Any, Final

_TIMEOUT: Final = 5.0  # seconds for the whole exchange
_LARGEST: Final = 512 * 1024  # bytes
_PIECE: Final = 64 * 1024

Ask = Callable[[str], Any]  # address → the body, as JSON


class NoAnswer(Exception):
    """The sidecar did not say; the message tells why."""


class Asker:
    """``token_file``: a file with the bearer token that sidecars want; empty: none is shown.

    ``loopback``: whether addresses of this host may be asked; for tests. Otherwise only addresses that a pod
    may have are: not this host's, and not the link's, where clouds keep their metadata.
    """

    def __init__(self, token_file: str = "", *, loopback: bool = False) -> None:
        self._token_file = token_file
        self._loopback = loopback

    def __call__(self, address: str) -> Any:
        """What the sidecar at ``address`` (``host:port``) says.

        Raises:
            NoAnswer: nothing usable.
        """
        host, _, port = address.rpartition(":")
        self._check(host.strip("[]"))
        try:
            return _get(host.strip("[]"), int(port), self._headers())
        except (OSError, http.client.HTTPException) as error:
            raise NoAnswer(f"no answer from {address}: {str(error) or type(error).__name__}") from error

    def _check(self, host: str) -> None:
        found = ip_address(host)
        if found.is_loopback and self._loopback:
            return
        if found.is_loopback or found.is_link_local or found.is_multicast or found.is_unspecified:
            raise NoAnswer(f"{host} is no address that a pod may have")

    def _headers(self) -> dict[str, str]:
        headers = {"Accept": "application/json", "Connection": "close"}
        if self._token_file:
            try:
                with open(self._token_file, encoding="ascii") as file:
                    headers["Authorization"] = f"Bearer {file.read(4096).strip()}"
            except (OSError, UnicodeError) as error:
                raise NoAnswer(f"the token cannot be read: {error}") from error
        return headers


def _get(host: str, port: int, headers: dict[str, str]) -> Any:
    deadline = time.monotonic() + _TIMEOUT
    with closing(http.client.HTTPConnection(host, port, timeout=_TIMEOUT)) as connection:
        connection.request("GET", "/status", headers=headers)
        response = connection.getresponse()
        body = b""
        while piece := response.read1(_PIECE):
            body += piece
            if len(body) > _LARGEST:
                raise NoAnswer(f"its answer is longer than {_LARGEST} bytes")
            if time.monotonic() > deadline:
                raise TimeoutError("its answer takes too long")
    if response.status == http.client.UNAUTHORIZED:
        raise NoAnswer("it asks for a token; CONTROLLER_STATUS_TOKEN_FILE names the file that holds it")
    if response.status != http.client.OK:
        raise NoAnswer(f"it answers with HTTP status {response.status}")
    try:
        return json.loads(body)
    except (ValueError, RecursionError) as error:
        raise NoAnswer("its answer is no JSON") from error
